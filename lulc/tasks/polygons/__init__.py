"""Polygons of the classes of a map."""
