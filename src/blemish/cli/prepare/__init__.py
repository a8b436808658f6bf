"""`blemish prepare`: from plates to patches."""

HELP = "make training data from large scans of plates"
