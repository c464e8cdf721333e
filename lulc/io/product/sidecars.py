"""Files beside a product: lulc's own, and foreign ones that would change how readers see it.

lulc writes `OUT.aux.xml` and the `.qml`, see `lulc.io.product.style`. A mask or overviews beside the file (`OUT.msk`,
`OUT.ovr`) belong to an earlier raster of that name. GDAL would take them for parts of the product, and an old mask can
hide every pixel. A `.qml` may be the style of another layer, such as `map.qml` of `map.shp` beside `map.tif`.
"""

from pathlib import Path

from lulc.errors import StorageError
from lulc.io.files.atomic import sync_folder, write_whole
from lulc.io.files.outputs import READ_WITH
from lulc.io.files.storage import storage_errors
from lulc.io.product.style import CodeTables, aux_path, aux_xml, qml, qml_path
from lulc.legend import Legend


def check_sidecars(product: Path, legend: Legend) -> None:
    """Refuse a product whose style would replace a file; a stray mask or overview is refused by `check_target`.

    Raises:
        StorageError: There is a style with other content.
    """
    style = qml_path(product)
    with storage_errors(style):
        if style.exists() and style.read_bytes() != qml(legend):
            raise StorageError(f"{style} exists and is another style", "move it, or use --overwrite to replace it")


def write_sidecars(product: Path, legend: Legend, beside: Path, tables: CodeTables | None = None) -> None:
    """Write colours, names and style, and remove stray masks and overviews.

    Args:
        product: File that they belong to; it need not exist yet.
        legend: Classes of the product.
        beside: Folder for temporary files, on the same file system.
        tables: Meanings of the codes of other bands.

    Raises:
        StorageError: The disk is full or writing failed.
    """
    for path, content in ((aux_path(product), aux_xml(legend, tables)), (qml_path(product), qml(legend))):
        write_whole(path, content, beside=beside)
    with storage_errors(product):
        for path in _stray_files(product):
            path.unlink()
        sync_folder(product.parent)


def _stray_files(product: Path) -> list[Path]:
    beside = [product.with_name(product.name + ending) for ending in READ_WITH]
    return [path for path in beside if path.is_file()]
