"""Prepare a training set from scenes and labels."""
