"""Experiments with real defects on a user's data: learning curves, and kinds left out."""
