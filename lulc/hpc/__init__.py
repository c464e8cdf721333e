"""Clusters: shards of classifications, Slurm jobs, Dask workers."""
