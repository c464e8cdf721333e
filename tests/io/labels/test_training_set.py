"""Training sets: chips come back in every format, lists that lie are refused."""

import json
from typing import get_args

import numpy as np
import pytest
from rasterio.crs import CRS
from rasterio.transform import from_origin

from lulc.errors import ConfigError, InputError, StorageError
from lulc.features import FeatureSpec
from lulc.grid import Grid, Shape
from lulc.io.labels.chip_files import read_chip, write_chip
from lulc.io.labels.training_set import Chip, SetCard, label_pixels, open_training_set, write_pair, write_set_lists
from lulc.options import ChipFormat

LEGEND = {
    "name": "two",
    "classes": [{"code": c, "name": n, "color": "#00000" + str(c)} for c, n in ((1, "a"), (2, "b"))],
}
GRID = Grid(CRS.from_epsg(32632), from_origin(500_000, 5_000_000, 10, 10), Shape(6, 8))
SPEC = FeatureSpec(bands=("B04",), mean=(0.1,), std=(0.1,))


def card(**changes):
    return SetCard(**{"name": "s", "features": SPEC, "planes": ("B04",), "legend": LEGEND, **changes})


def chip(name="c0", split="train"):
    return Chip(name, split, "s", 0, 0, 6, 8, 0, "L2A", 1.0, (30, 18))


@pytest.fixture
def folder(tmp_path):
    image = np.random.default_rng(0).random((1, 6, 8)).astype(np.float32)
    label = np.ones((1, 6, 8), np.uint8)
    for name in ("c0", "c1"):
        write_pair(tmp_path, card(), name, image, label, GRID)
    write_set_lists(tmp_path, card(), [chip(), chip("c1", "val")])
    return tmp_path


@pytest.mark.parametrize("suffix", get_args(ChipFormat))
@pytest.mark.parametrize("grid", [None, GRID])
def test_chips_come_back(tmp_path, suffix, grid):
    planes = np.random.default_rng(0).normal(size=(3, 6, 8)).astype(np.float32)
    planes[:, 2, 3] = np.nan
    codes = np.random.default_rng(0).integers(0, 256, (2, 6, 8)).astype(np.uint8)
    for number, pixels in enumerate((planes, codes)):
        path = tmp_path / f"{number}.{suffix}"
        write_chip(path, pixels, [f"p{i}" for i in range(len(pixels))], grid)
        np.testing.assert_array_equal(read_chip(path), pixels)


def test_a_chip_keeps_its_place(tmp_path):
    import rasterio

    write_chip(tmp_path / "a.tif", np.zeros((1, 6, 8), np.float32), ["B04"], GRID)
    with rasterio.open(tmp_path / "a.tif") as source:
        assert (source.crs, source.transform) == (GRID.crs, GRID.transform)
        assert source.descriptions == ("B04",)


def test_a_set_comes_back(folder):
    data = open_training_set(folder)
    assert data.card == card()
    assert data.chips == (chip(), chip("c1", "val"))
    assert data.class_pixels("train").tolist() == [30, 18]
    assert data.image(data.chips[0]).shape == (1, 6, 8)
    with pytest.raises(InputError, match=r"'test'.*train, val"):
        data.split("test")


def test_a_missing_or_damaged_chip_is_named(folder):
    (folder / "images/c0.tif").unlink()
    (folder / "labels/c0.tif").write_bytes(b"II*\0rest")
    data = open_training_set(folder)
    for read in (data.image, data.label):
        with pytest.raises(StorageError, match=r"c0\.tif"):
            read(data.chips[0])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("c0,train", "../c0,train", "no name of a chip"),
        ("c0,train", "c0,trian", "split 'trian'"),
        ("class_2", "class_9", "class_2"),
        (",30,18", ",many,18", "many"),
        (",30,18", ",-30,18", "out of range"),
        (",1.0,30", ",-1.0,30", "out of range"),
        (",1.0,30", ",nan,30", "out of range"),
        (",6,8,", ",0,8,", "out of range"),
    ],
)
def test_a_list_that_is_wrong_is_refused(folder, old, new, message):
    text = (folder / "chips.csv").read_text()
    assert old in text
    (folder / "chips.csv").write_text(text.replace(old, new))
    with pytest.raises(InputError, match=message):
        open_training_set(folder)


def test_a_card_with_an_unknown_key_is_refused(folder):
    table = json.loads((folder / "set.json").read_text())
    (folder / "set.json").write_text(json.dumps({**table, "lables": "codes"}))
    with pytest.raises(ConfigError, match="did you mean 'labels'"):
        open_training_set(folder)


def test_not_a_set(tmp_path):
    with pytest.raises(InputError, match="not a training set"):
        open_training_set(tmp_path)


def test_pixels_of_soft_labels_are_those_of_the_most_probable_class():
    label = np.array([[200, 100, 255], [50, 150, 255]], np.uint8).reshape(2, 1, 3)
    assert label_pixels(label, 2) == (1, 1)
    with pytest.raises(ConfigError, match="code"):
        label_pixels(np.array([[[0]]], np.uint8), 2)


def test_a_label_with_a_code_that_is_no_class_is_refused(folder):
    data = open_training_set(folder)
    for strange in (0, 3, 200):
        write_chip(folder / "labels/c0.tif", np.full((1, 6, 8), strange, np.uint8), ["class"])
        with pytest.raises(InputError, match="no class"):
            data.label(data.chips[0])
    write_chip(folder / "labels/c0.tif", np.full((2, 6, 8), 1, np.uint8), ["a", "b"])
    with pytest.raises(InputError, match="2 planes"):
        data.label(data.chips[0])


def test_chips_of_another_shape_than_the_card_says_are_refused(folder):
    data = open_training_set(folder)
    write_chip(folder / "images/c0.tif", np.zeros((2, 6, 8), np.float32), ["a", "b"])
    with pytest.raises(InputError, match=r"c0 has 2 planes; set\.json names 1"):
        data.image(data.chips[0])
    np.save(folder / "flat.npy", np.zeros((6, 8), np.float32))
    with pytest.raises(InputError, match=r"has the shape \(6, 8\); a chip is \(planes, height, width\)"):
        read_chip(folder / "flat.npy")


def test_a_list_without_chips_is_no_set(folder):
    heading = (folder / "chips.csv").read_text().splitlines()[0]
    (folder / "chips.csv").write_text(f"{heading}\n")
    with pytest.raises(InputError, match=r"chips\.csv lists no chips"):
        open_training_set(folder)
