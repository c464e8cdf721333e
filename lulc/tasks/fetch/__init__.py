"""Fetch scenes from a STAC catalogue."""
