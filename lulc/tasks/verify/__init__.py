"""`lulc verify`: a map's claims, checked against its bytes, its scene, its model and a sample."""
