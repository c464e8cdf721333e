"""The Cloud-Optimised GeoTIFF: compressed blocks, overviews, tags, assembly and read-back."""
