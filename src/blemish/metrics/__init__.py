"""How well scores, maps and decisions separate good from defective."""
