"""NetCDF and Zarr as scenes: their planes, their place, their pixels."""
