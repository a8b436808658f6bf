"""Label audit (label errors, hidden defects), and coverage of real defects by synthetic ones."""
