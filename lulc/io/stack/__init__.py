"""Stacks out: GeoTIFF, NetCDF, Zarr."""
