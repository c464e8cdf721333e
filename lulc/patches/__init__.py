"""Patch classification: one class for a whole small image."""
