"""A day's production: lists of verdicts for people and programs, totals, pictures of rejects."""
