"""Polygons as GeoParquet 1.1 (geoparquet.org/releases/v1.1.0): WKB, and the box of each polygon as a column."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lulc.errors import UsageError, raised_as
from lulc.grid import Grid
from lulc.tasks.polygons.feature_file import FeatureFile
from lulc.tasks.polygons.features import Features

_GEOMETRY, _BOX = "geometry", "bbox"
_SIDES = ("xmin", "ymin", "xmax", "ymax")


def check_parquet() -> None:
    """Refuse Parquet where pyarrow is not installed, before any work is done.

    Raises:
        UsageError: It is not.
    """
    remedy = "pip install 'lulc[parquet]', or write a .gpkg"
    with raised_as(UsageError, "a .parquet file needs pyarrow, which is not installed", remedy, ImportError):
        import pyarrow.parquet  # noqa: F401


class GeoParquet(FeatureFile):
    """A GeoParquet file; every batch is a row group.

    Args:
        path: A file that does not exist yet.
        grid: Of the map.
        tags: Provenance, kept as metadata of the file.
    """

    def __init__(self, path: Path, grid: Grid, tags: Mapping[str, str]) -> None:
        super().__init__()
        self._path, self._grid, self._tags = path, grid, dict(tags)
        self._writer: Any = None
        self._bounds = np.array([np.inf, np.inf, -np.inf, -np.inf])

    def append(self, batch: Features, *, first: bool) -> None:
        """Write a batch; the first one makes the file."""
        import pyarrow as pa
        from pyarrow import parquet

        self._bounds[:2] = batch.bounds[:, :2].min(axis=0, initial=np.inf).clip(max=self._bounds[:2])
        self._bounds[2:] = batch.bounds[:, 2:].max(axis=0, initial=-np.inf).clip(min=self._bounds[2:])
        columns = {
            name: pa.array(values, pa.string() if values.dtype == object else None, from_pandas=True)
            for name, values in batch.columns.items()
        }
        columns[_BOX] = pa.StructArray.from_arrays([pa.array(side) for side in batch.bounds.T], _SIDES)
        columns[_GEOMETRY] = pa.array(batch.wkb, pa.binary())
        table = pa.table(columns)
        if first:
            self._writer = parquet.ParquetWriter(self._path, table.schema, compression="zstd")
        self._writer.write_table(table, row_group_size=max(1, len(batch)))

    def complete(self) -> None:
        """Write the metadata."""
        from pyproj import CRS

        assert self._grid.crs is not None
        column = {
            "encoding": "WKB",
            "geometry_types": ["Polygon"],
            "crs": CRS.from_wkt(self._grid.crs.to_wkt()).to_json_dict(),
            "edges": "planar",
            "orientation": "counterclockwise",
            "covering": {_BOX: {side: [_BOX, side] for side in _SIDES}},
        }
        bounds = {"bbox": self._bounds.tolist()} if np.isfinite(self._bounds).all() else {}
        geo = {"version": "1.1.0", "primary_column": _GEOMETRY, "columns": {_GEOMETRY: column | bounds}}
        self._writer.add_key_value_metadata({"geo": json.dumps(geo), **self._tags})

    def close(self) -> None:
        """Write the footer, if anything was begun."""
        if self._writer is not None:
            self._writer.close()
