"""Train patch models: samples, splits, frozen stages, weights to start from."""
