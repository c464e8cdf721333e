"""Merge overlapping maps into one."""
