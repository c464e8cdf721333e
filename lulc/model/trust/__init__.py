"""How far a map can be trusted: familiarity, bands beside the classes, calibration."""
