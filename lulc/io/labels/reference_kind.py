"""What a reference is, by what lies in it and not by its name alone."""

from pathlib import Path

_SQLITE = b"SQLite format 3\0"
_HEAD = 256


def is_training_set(path: Path) -> bool:
    """True for the folder of a training set."""
    return (path / "set.json").is_file()


def holds_points(path: Path) -> bool:
    """True for a .csv, and for a .gpkg or .geojson with a layer of points.

    What cannot be read holds none; whoever opens it next says why.
    """
    suffix = path.suffix.lower()
    if suffix == ".csv" or not path.is_file():
        return suffix == ".csv"
    with path.open("rb") as file:
        head = file.read(_HEAD).lstrip(b"\xef\xbb\xbf \t\r\n")
    # By first bytes too: GDAL would follow a virtual file to wherever it points.
    known = {".gpkg": head.startswith(_SQLITE), ".geojson": head.startswith(b"{")}
    return known.get(suffix, False) and any(kind.startswith("Point") for kind in _geometries(path))


def _geometries(path: Path) -> list[str]:
    """Geometry type of each layer of a vector file."""
    import pyogrio
    from pyogrio.errors import DataSourceError

    try:
        return [str(kind) for _, kind in pyogrio.list_layers(path)]
    except DataSourceError:
        return []
