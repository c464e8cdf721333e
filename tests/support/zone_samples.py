"""Zones for tests: polygons written to a file, and partitions of a rectangle."""

import numpy as np
import pyogrio
import shapely
from pyproj import Transformer

DRIVERS = {".gpkg": "GPKG", ".geojson": "GeoJSON", ".shp": "ESRI Shapefile", ".fgb": "FlatGeobuf"}


def write_zones(path, shapes, *, crs="EPSG:32631", **columns):
    """Write polygons with columns, named `zone 1`, ... unless columns are given."""
    columns = columns or {"name": [f"zone {number}" for number in range(1, len(shapes) + 1)]}
    arrays = [np.array(values, object if isinstance(values[0], str | None) else None) for values in columns.values()]
    kinds = {shape.geom_type for shape in shapes if shape is not None}
    pyogrio.raw.write(
        path,
        geometry=np.array([None if shape is None else shapely.to_wkb(shape) for shape in shapes], object),
        field_data=arrays,
        fields=list(columns),
        crs=crs,
        geometry_type=kinds.pop() if len(kinds) == 1 else "Unknown",
        driver=DRIVERS[path.suffix],
    )
    return path


def partition(bounds, count, seed=0):
    """Voronoi polygons that make up a box: west, south, east, north."""
    west, south, east, north = bounds
    rng = np.random.default_rng(seed)
    points = shapely.MultiPoint([west, south] + rng.random((count, 2)) * [east - west, north - south])
    box = shapely.box(*bounds)
    return list(shapely.intersection(shapely.get_parts(shapely.voronoi_polygons(points, extend_to=box)), box))


def bounds_of(grid):
    """West, south, east, north of a grid that is not turned."""
    a, e = grid.transform.a, grid.transform.e
    return (
        grid.transform.c,
        grid.transform.f + e * grid.shape.height,
        grid.transform.c + a * grid.shape.width,
        grid.transform.f,
    )


def moved(shapes, start, end):
    """The same in another CRS, corner by corner."""
    move = Transformer.from_crs(start, end, always_xy=True).transform
    return [shapely.transform(shape, move, interleaved=False) for shape in shapes]
