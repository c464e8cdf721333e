"""Files as such: written whole, locked, fingerprinted, fetched, and guarded against hostile content."""
