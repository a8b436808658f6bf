"""The bench: protocols as data, the runs that they call for, and the results as files."""
