"""From a promised false-reject rate to a threshold, and from views to a decision on a part."""
