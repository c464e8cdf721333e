"""Evaluate patch models and compare bands."""
