"""What models say about labels: label errors, and hidden defects in a set called good."""
