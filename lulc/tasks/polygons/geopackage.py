"""Polygons as a GeoPackage: a layer with a spatial index, its style in the colours of the legend, and its provenance."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from lulc.grid import Grid
from lulc.io.product.style import polygons_qml
from lulc.legend import Legend
from lulc.tasks.polygons.feature_file import FeatureFile
from lulc.tasks.polygons.features import Features

LAYER = "polygons"

_GEOMETRY = "geom"
_STYLES = "layer_styles"
"""Table where QGIS looks for the styles of the layers of a file."""


class GeoPackage(FeatureFile):
    """A GeoPackage.

    Args:
        path: A file that does not exist yet.
        grid: Of the map.
        legend: Of the map.
        tags: Provenance, kept as metadata of the layer. (GDAL writes those of a file to a side-car whenever somebody reads it.)
    """

    def __init__(self, path: Path, grid: Grid, legend: Legend, tags: Mapping[str, str]) -> None:
        super().__init__()
        assert grid.crs is not None
        self._path, self._crs, self._legend, self._tags = path, grid.crs.to_wkt(), legend, dict(tags)

    def append(self, batch: Features, *, first: bool) -> None:
        """Write a batch; the first one makes the file."""
        import pyogrio  # loads pandas

        pyogrio.raw.write(
            self._path,
            batch.wkb,
            list(batch.columns.values()),
            list(batch.columns),
            layer=LAYER,
            driver="GPKG",
            geometry_type="Polygon",
            crs=self._crs,
            append=not first,
            **({"layer_metadata": self._tags, "layer_options": {"GEOMETRY_NAME": _GEOMETRY}} if first else {}),
        )

    def complete(self) -> None:
        """Write the style, in the layout of QGIS."""
        import pyogrio

        texts = {
            "f_table_catalog": "",
            "f_table_schema": "",
            "f_table_name": LAYER,
            "f_geometry_column": _GEOMETRY,
            "styleName": self._legend.name,
            "styleQML": polygons_qml(self._legend).decode(),
            "styleSLD": "",
            "description": self._legend.title,
            "owner": "",
        }
        columns = {name: np.array([text], object) for name, text in texts.items()} | {"useAsDefault": np.array([True])}
        fields = list(columns.values()), list(columns)
        pyogrio.raw.write(self._path, None, *fields, layer=_STYLES, driver="GPKG", geometry_type=None, append=True)

    def close(self) -> None:
        """GDAL closes the file after each batch."""
