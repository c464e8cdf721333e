"""Describe a file: what it holds and what is wrong with it."""
