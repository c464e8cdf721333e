"""The files that stand beside a product: ours, and those of others that would change what readers make of it.

`OUT.aux.xml` and the `.qml` are ours, see `lulc.io.product.style`. A mask or overviews beside the file (`OUT.msk`, `OUT.ovr`)
belong to a raster that bore the name before: GDAL would take them for parts of the product, and an old mask can hide
every pixel. A `.qml` may be the style of another layer, `map.qml` of `map.shp` beside `map.tif`.
"""

from pathlib import Path

from lulc.errors import StorageError
from lulc.io.files.durable import storage_errors, sync_folder, write_whole
from lulc.io.product.style import CodeTables, aux_path, aux_xml, qml, qml_path
from lulc.legend import Legend

_MISTAKEN = (".msk", ".msk.ovr", ".ovr")


def check_sidecars(product: Path, legend: Legend) -> None:
    """Refuse to write where a file would be lost, or be taken for a part of the product.

    Raises:
        StorageError: There is a style with other content, a mask or overviews.
    """
    for path in _mistaken(product):
        raise StorageError(f"{path} would be taken for a part of {product.name}", "move it, or use --overwrite")
    style = qml_path(product)
    with storage_errors(style):
        if style.exists() and style.read_bytes() != qml(legend):
            raise StorageError(f"{style} exists and is another style", "move it, or use --overwrite to replace it")


def write_sidecars(product: Path, legend: Legend, beside: Path, tables: CodeTables | None = None) -> None:
    """Write colours, names and style, and remove what would be taken for a part of the product.

    Args:
        product: The file that they belong to, which need not exist yet.
        legend: Its classes.
        beside: Folder for unfinished files, on the same disk.
        tables: What the codes of other bands stand for.

    Raises:
        StorageError: The disk is full or refuses.
    """
    for path, content in ((aux_path(product), aux_xml(legend, tables)), (qml_path(product), qml(legend))):
        write_whole(path, content, beside=beside)
    with storage_errors(product):
        for path in _mistaken(product):
            path.unlink()
        sync_folder(product.parent)


def _mistaken(product: Path) -> list[Path]:
    beside = [product.with_name(product.name + ending) for ending in _MISTAKEN]
    return [path for path in beside if path.is_file()]
