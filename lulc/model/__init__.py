"""Networks: built by name, loaded from bundles, run on a device."""
