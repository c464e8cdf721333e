"""Number types of rasters that hold no classes or no reflectance: a line that names them, in every place of a raster."""

import numpy as np
import pytest
import rasterio
from affine import Affine
from click.testing import CliRunner

from lulc.cli.main import cli

ROWS = np.mgrid[:96, :128][0]
CLASSES = np.where(ROWS // 16 % 2, 10, 40)  # values of WorldCover

AS_LABELS = "prepare scene.tif out --labels {} --legend worldcover --chip 32 --block 320 --gap 0"
AS_MAP = "evaluate {} sound.tif --map-legend worldcover --legend worldcover --block 32"
AS_REFERENCE = "evaluate sound.tif {} --map-legend worldcover --legend worldcover --block 32"


def write(path, pixels, dtype=None, names=()):
    place = {"crs": "EPSG:32631", "transform": Affine(10, 0, 300_000, 0, -10, 4_900_020)}
    pixels = pixels if pixels.ndim == 3 else pixels[None]
    with rasterio.open(
        path, "w", driver="GTiff", count=len(pixels), height=96, width=128, dtype=dtype or pixels.dtype, **place
    ) as file:
        file.write(pixels)
        if names:
            file.descriptions = names


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write("scene.tif", np.stack([500 + ROWS, 2000 + ROWS]).astype(np.uint16), names=("B04", "B08"))
    write("sound.tif", CLASSES.astype(np.uint8))
    return tmp_path


def refused(command):
    ended = CliRunner().invoke(cli, command.split())
    assert isinstance(ended.exception, SystemExit), ended.exception
    assert ended.exit_code == 3, ended.output
    assert ended.output.count("\n") == 1, ended.output
    return ended.output


COMPLEX = [("complex_int16", "complex64"), ("complex64", "complex64"), ("complex128", "complex128")]


@pytest.mark.parametrize(("dtype", "held"), COMPLEX)
@pytest.mark.torch
def test_complex_numbers_are_neither_classes_nor_reflectance(folder, dtype, held):
    write("given.tif", CLASSES.astype(held), dtype)
    write("bands.tif", np.stack([CLASSES, CLASSES]).astype(held), dtype, ("B04", "B08"))
    commands = [form.format("given.tif") for form in (AS_LABELS, AS_MAP, AS_REFERENCE)]
    commands += [f"{command} bands.tif" for command in ("info", "patches predict")]
    commands += ["stack bands.tif o.tif", "classify bands.tif o.tif"]
    for command in commands:
        assert f"holds {dtype} values; convert it to uint16 or float32" in refused(command)


@pytest.mark.parametrize(
    ("pixels", "shown"),
    [
        (CLASSES + np.float32(0.5), "10.5, 40.5"),
        (np.where(ROWS == 5, 10.25, CLASSES), "10.25"),
        (CLASSES.astype(np.int64) + 2**40, "1099511627786, 1099511627816"),
        (CLASSES.astype(np.int64) + 2**32, "4294967306, 4294967336"),
        (-CLASSES.astype(np.int64) - 2**40, "-1099511627816, -1099511627786"),
        (CLASSES.astype(np.uint64) + np.uint64(2**63), "9223372036854775818, 9223372036854775848"),
        (CLASSES.astype(np.int32) + 256, "266, 296"),
        (CLASSES * 1e300, "1e+301, 4e+301"),
    ],
)
@pytest.mark.parametrize("form", [AS_LABELS, AS_MAP, AS_REFERENCE])
def test_numbers_that_are_no_class_are_not_rounded_or_wrapped_into_one(folder, pixels, shown, form):
    write("given.tif", pixels)
    assert f"given.tif holds {shown}, which legend worldcover does not know" in refused(form.format("given.tif"))


@pytest.mark.parametrize("dtype", ["int8", "int32", "int64", "uint64", "float32", "float64"])
def test_whole_numbers_of_any_type_are_classes(folder, dtype):
    write("given.tif", CLASSES.astype(dtype))
    ended = CliRunner().invoke(cli, AS_REFERENCE.format("given.tif").split())
    assert ended.exit_code == 0, ended.output
    assert "1.000" in ended.output or "100" in ended.output
