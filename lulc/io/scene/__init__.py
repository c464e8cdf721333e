"""Scenes in: any input raster, its bands, radiometry, valid pixels, clouds."""
