"""Compare two maps of cells."""
