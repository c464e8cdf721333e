"""Integer windows and georeferenced grids: the geometry shared by all other modules."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio import Env
from rasterio.crs import CRS
from rasterio.errors import CRSError
from rasterio.windows import Window as RasterioWindow

from lulc.errors import InputError, UsageError, raised_as
from lulc.ground_area import SQUARE_METRES_PER_HECTARE, row_areas_ha

_SMALLEST_PIXEL = 1e-30
"""Area, in the square of any unit, below which numbers are noise of a header that was never filled."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Size of a raster in pixels."""

    height: int
    width: int

    def __post_init__(self) -> None:
        if self.height < 0 or self.width < 0:
            raise ValueError(f"a shape cannot be negative: {self}")

    @property
    def size(self) -> int:
        """Number of pixels."""
        return self.height * self.width

    @property
    def window(self) -> "Window":
        """All pixels as a window."""
        return Window(0, 0, self.height, self.width)

    def blocks(self, side: int) -> "Shape":
        """Rows and columns of the square blocks, `side` pixels wide, that cover all pixels."""
        return Shape(-(-self.height // side), -(-self.width // side))


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """A rectangle of pixels: first row, first column, height and width.

    Rows and columns count from 0 and may be negative, which is outside the scene.
    """

    row: int
    col: int
    height: int
    width: int

    def __post_init__(self) -> None:
        if self.height < 0 or self.width < 0:
            raise ValueError(f"a window cannot have a negative size: {self}")

    @property
    def row_end(self) -> int:
        """Row after the last one."""
        return self.row + self.height

    @property
    def col_end(self) -> int:
        """Column after the last one."""
        return self.col + self.width

    @property
    def shape(self) -> Shape:
        """Size of the window."""
        return Shape(self.height, self.width)

    def slices(self, origin: "Window | None" = None) -> tuple[slice, slice]:
        """Row and column slices of this window in an array that holds `origin`.

        Args:
            origin: Window that the array holds; None for an array of the whole scene.
        """
        row, col = (origin.row, origin.col) if origin else (0, 0)
        return slice(self.row - row, self.row_end - row), slice(self.col - col, self.col_end - col)

    def grown(self, margin: int) -> "Window":
        """The window with `margin` more pixels on each side."""
        return Window(self.row - margin, self.col - margin, self.height + 2 * margin, self.width + 2 * margin)

    def for_rasterio(self) -> RasterioWindow:
        """The same pixels as rasterio names them."""
        return RasterioWindow(self.col, self.row, self.width, self.height)

    def intersection(self, other: "Window") -> "Window":
        """The pixels in both windows; of size 0 where they do not meet."""
        row, col = max(self.row, other.row), max(self.col, other.col)
        return Window(
            row,
            col,
            max(0, min(self.row_end, other.row_end) - row),
            max(0, min(self.col_end, other.col_end) - col),
        )


@dataclass(frozen=True, slots=True)
class Grid:
    """Georeference and size of a raster.

    Attributes:
        crs: Coordinate reference system; None when the raster has none.
        transform: Affine from pixel corners (column, row) to CRS coordinates, kept to the last bit. The identity when
            only ground control points georeference the raster.
        shape: Rows and columns.
        gcps: Ground control points as rasterio gives them, in `gcps_crs`.
        gcps_crs: CRS of the ground control points.
        rpcs: Rational polynomial coefficients as rasterio gives them, or None.
        point: True when AREA_OR_POINT is Point.
    """

    crs: CRS | None
    transform: Affine
    shape: Shape
    gcps: Sequence[Any] = field(default=())
    gcps_crs: CRS | None = None
    rpcs: Any = None
    point: bool = False

    @property
    def window(self) -> Window:
        """The whole raster as a window."""
        return self.shape.window

    @property
    def georeferenced(self) -> bool:
        """True when a CRS with a transform, ground control points or RPCs georeference the raster."""
        return bool(self.gcps) or self.rpcs is not None or self.crs is not None

    @property
    def sound(self) -> bool:
        """False when the transform of a damaged header gives pixels without a finite place or size."""
        return bool(np.isfinite(tuple(self.transform)).all()) and abs(self.transform.determinant) > _SMALLEST_PIXEL

    @property
    def middle(self) -> tuple[float, float]:
        """Its middle, in the coordinates of its CRS."""
        x, y = map_points(self.transform, np.array([self.shape.width / 2]), np.array([self.shape.height / 2]))
        return float(x[0]), float(y[0])

    def part(self, window: Window) -> "Grid":
        """Grid of a window of this one.

        Ground control points are dropped, since they georeference only the whole raster.
        """
        a, b, c, d, e, f = tuple(self.transform)[:6]
        corner = Affine(a, b, a * window.col + b * window.row + c, d, e, d * window.col + e * window.row + f)
        return Grid(self.crs, corner, window.shape, point=self.point)

    def same_as(self, other: "Grid") -> bool:
        """True when size, CRS and control points are equal and the transforms agree to a thousandth of a pixel."""
        if self.shape != other.shape or self.crs != other.crs or self.control_points() != other.control_points():
            return False
        return grids_align(self.transform, other.transform, self.shape)

    def control_points(self) -> list[tuple[float, ...]]:
        """Row, column (pixels), x and y (units of `gcps_crs`) of each ground control point."""
        return [(point.row, point.col, point.x, point.y) for point in self.gcps]

    def pixel_areas_ha(self) -> NDArray[np.float64]:
        """Ground area of one pixel of each row, hectares: float64 (height,), NaN where it cannot be known.

        In UTM, national grids and equal-area projections it is the pixel's nominal size; in degrees, Mercator and
        whatever else stretches areas it is that on the ellipsoid, the mean of each row (`lulc/ground_area.py`).
        """
        if self.crs is None or self.gcps:
            return np.full(self.shape.height, np.nan)
        return row_areas_ha(self.crs, self.transform, self.shape.height, self.shape.width)

    def pixel_size_m(self) -> float | None:
        """Side of a square of the ground area of a pixel in the middle row, metres; None where it cannot be known."""
        area_ha = self.pixel_areas_ha()[self.shape.height // 2]
        return float(np.sqrt(area_ha * SQUARE_METRES_PER_HECTARE)) if np.isfinite(area_ha) else None

    def on_earth(self) -> bool:
        """True when the CRS gives the middle of the raster a finite longitude and latitude."""
        if self.crs is None:
            return False
        middle = np.array([self.shape.width / 2]), np.array([self.shape.height / 2])
        try:
            return bool(np.isfinite(self.longitudes_latitudes(*middle)).all())
        except InputError:
            return False

    def coarser(self, factor: int) -> "Grid":
        """Grid whose pixels cover factor x factor pixels of this one.

        The last row and column may reach beyond the edge.
        """
        a, b, c, d, e, f = tuple(self.transform)[:6]
        larger = Affine(a * factor, b * factor, c, d * factor, e * factor, f)
        return Grid(self.crs, larger, self.shape.blocks(factor), point=self.point)

    def longitudes_latitudes(self, columns: NDArray[Any], rows: NDArray[Any]) -> NDArray[np.float64]:
        """Longitude and latitude of pixel corners, WGS 84 degrees: float64 (n, 2), infinite where undefined.

        Args:
            columns: Columns, (n,), fractions allowed; 0 is the left edge of the first pixel.
            rows: Rows, (n,), fractions allowed; 0 is the upper edge of the first pixel.

        Raises:
            InputError: The CRS has no place on Earth.
        """
        assert self.crs is not None
        to_degrees = transformer(self.crs.to_wkt(), "EPSG:4326")
        return np.column_stack(to_degrees.transform(*map_points(self.transform, columns, rows)))


def transformer(start: str, end: str, called: str = "") -> Any:  # noqa: ANN401 - pyproj.Transformer, imported late
    """The projection between two CRSs, which takes and gives x before y.

    Args:
        start: CRS of the coordinates, as WKT or an authority's code.
        end: CRS to project to, likewise.
        called: What to call the files of the two in a message.

    Raises:
        InputError: One of them has no place on Earth, such as a drawing's own system, or PROJ knows no way.
    """
    from pyproj import CRS, Transformer
    from pyproj.exceptions import CRSError, ProjError

    subject = called or "a file"
    with raised_as(InputError, f"{subject}: its CRS cannot be used", "correct it with gdal_edit.py -a_srs", CRSError):
        both = CRS.from_user_input(start), CRS.from_user_input(end)
    nowhere = [crs.name for crs in both if crs.ellipsoid is None]
    if nowhere:
        raise InputError(
            f"{subject}: the CRS {nowhere[0][:60]!r} has no place on Earth, so nothing can be projected to or from it",
            "georeference it, such as with gdal_edit.py -a_srs EPSG:N -a_ullr",
        )
    problem = f"{subject}: PROJ knows no way between {both[0].name[:60]!r} and {both[1].name[:60]!r}"
    with raised_as(InputError, problem, "warp it with gdalwarp first", ProjError):
        return Transformer.from_crs(*both, always_xy=True)


def check_projectable(start: CRS | None, end: CRS | None, called: str) -> None:
    """Refuse two CRSs between which nothing can be projected; equal ones need no projection, and None states no place.

    Args:
        start: CRS of a raster.
        end: CRS to project it to.
        called: What to call the files of the two.

    Raises:
        InputError: As `transformer`.
    """
    if start is None or end is None or start == end:
        return
    if not all(crs.is_projected or crs.is_geographic for crs in (start, end)):
        transformer(start.to_wkt(), end.to_wkt(), called)


def is_drawing(crs: CRS) -> bool:
    """True for a drawing's own system, with heights or without: it has two axes and no place on Earth."""
    import pyproj

    if crs.is_projected or crs.is_geographic:
        return False
    stated = pyproj.CRS.from_wkt(crs.to_wkt())
    horizontal = stated.sub_crs_list[0] if stated.sub_crs_list else stated
    return horizontal.type_name == "Engineering CRS"


_CRS_TEXT = re.compile(
    r"\s*([a-z]+:\w+|urn:ogc:def:crs:[\w:.-]+|\+\w+.*|[a-z_]+(2d|3d)?\s*[\[(].*|\{.*)", re.IGNORECASE | re.DOTALL
)
"""What may be handed on: an authority's code, a URN, PROJ, WKT, PROJJSON. GDAL would fetch an address and open a file."""


def parse_crs(text: str) -> CRS:
    """Parse a CRS given as `EPSG:32631`, WKT, PROJJSON or a PROJ string. No file is opened and no address asked.

    Raises:
        UsageError: The text is not a CRS.
    """
    problem, remedy = f"{text[:80]!r} is not a CRS", "write it as EPSG:32631, or as WKT"
    if not _CRS_TEXT.fullmatch(text):
        raise UsageError(problem, remedy)
    refused = raised_as(UsageError, problem, remedy, CRSError, ValueError)
    with refused, Env():  # without it PROJ's own message would go to stderr
        return CRS.from_user_input(text)


def map_points(
    transform: Affine, columns: NDArray[Any], rows: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Apply a transform to pixel corners.

    Args:
        transform: Affine from (column, row) to map coordinates.
        columns: Columns of any shape, fractions allowed.
        rows: Rows of the same shape.

    Returns:
        Eastings and northings, float64 of that shape, in the units of the transform.
    """
    eastings = transform.a * columns + transform.b * rows + transform.c
    northings = transform.d * columns + transform.e * rows + transform.f
    return eastings, northings


def grids_align(first: Affine, second: Affine, shape: Shape) -> bool:
    """True when two transforms agree to a thousandth of a pixel at the corners of a raster of that shape."""
    if tuple(first) == tuple(second):
        return True  # also where a damaged file gives pixels without size, which cannot be inverted
    columns, rows = np.array([0, shape.width, 0, shape.width]), np.array([0, 0, shape.height, shape.height])
    moved_columns, moved_rows = map_points(~first, *map_points(second, columns, rows))
    shift = np.abs([moved_columns - columns, moved_rows - rows])
    return bool(shift.max() < 1e-3)  # noqa: PLR2004
