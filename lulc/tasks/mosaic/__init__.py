"""Merge maps that overlap into one."""
