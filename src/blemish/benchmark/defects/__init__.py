"""What real defects are worth on a user's own data: trainings with more and more of them."""
