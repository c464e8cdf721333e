"""Any map, chosen in one place: a product of lulc, or a classified raster of somebody else with a legend."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from lulc.errors import InputError, UsageError
from lulc.io.product.reader import NotAProductError, ProductReader, open_product
from lulc.io.scene.raster import sniff

if TYPE_CHECKING:  # labels load shapely and pyproj, which products do not need
    from lulc.io.product.label_map import LabelMap

ClassMap: TypeAlias = "ProductReader | LabelMap"
"""A map with classes; a product may have activations and clouds too."""


@contextmanager
def open_map(
    path: Path, legend: str | Path | None = None, nodata: int | None = None, *, flag: str = "--legend"
) -> Iterator[ClassMap]:
    """Open a map.

    Args:
        path: A product of lulc, which knows its classes, or a raster of classes with a georeference.
        legend: Of the values of a raster that lulc did not make, by name or path; of no use to a product.
        nodata: Value of such a raster that means no data, likewise.
        flag: The option that gives the legend, for messages.

    Raises:
        UsageError: The raster does not say what its values mean, and no legend is given.
        InputError: Not a readable map.
        ConfigError: No such legend.
        StorageError: Its disk fails.
    """
    with ExitStack() as stack:
        yield _opened(path, legend, nodata, flag, stack)


def _opened(path: Path, legend: str | Path | None, nodata: int | None, flag: str, stack: ExitStack) -> ClassMap:
    try:
        return stack.enter_context(open_product(path))
    except InputError as error:
        if legend is None and (isinstance(error, NotAProductError) or _is_other_raster(path)):
            raise UsageError(f"{path} was not made by lulc", f"give the legend of its classes with {flag}") from error
        if legend is None:
            raise
    from lulc.io.product.label_map import open_label_map

    return stack.enter_context(open_label_map(path, legend, nodata))


def _is_other_raster(path: Path) -> bool:
    """True for a raster that is no GeoTIFF, which products are."""
    kind = sniff(path) if path.is_file() else None
    return kind is not None and kind[0] != "GTiff"
