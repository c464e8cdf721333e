"""Classify a scene: plan, read, infer, write."""
