"""Figures and tables for people: maps, curves, matrices."""
