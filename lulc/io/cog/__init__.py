"""The Cloud-Optimised GeoTIFF: compressed blocks, overviews, tags, assembly, read-back."""
