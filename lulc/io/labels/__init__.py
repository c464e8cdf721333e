"""Labels: rasters, polygons, points, and training sets of chips."""
