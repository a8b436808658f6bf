"""Calibration of the threshold for a promised false-reject rate, and the decision on a part."""
