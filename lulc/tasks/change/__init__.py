"""Compare two maps of one place: which class became which."""
