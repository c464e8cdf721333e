"""TOML and JSON nested 10,000 levels deep, wherever a command reads one: a line and a documented exit code."""

import shutil

import numpy as np
import pytest
import rasterio
from affine import Affine
from click.testing import CliRunner

from lulc.cli.main import cli
from tests.support.evaluation_samples import labels, product, shares
from tests.support.training_sets import make_set

DEEP = 10_000
LISTS = "[" * DEEP + "]" * DEEP
TABLES = '{"a":' * DEEP + "1" + "}" * DEEP
FEATURES = f'{{"type": "FeatureCollection", "features": {LISTS}}}'


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("deep")
    product(folder / "map.tif", shares())
    product(folder / "later.tif", shares(seed=1))
    labels(folder / "labels.tif", np.ones((200, 300), np.uint8))
    place = {"crs": "EPSG:32631", "transform": Affine(10, 0, 300_000, 0, -10, 4_900_020)}
    with rasterio.open(folder / "scene.tif", "w", height=64, width=64, count=2, dtype="uint16", **place) as scene:
        scene.write(np.full((2, 64, 64), 1000, np.uint16))
        scene.descriptions = ("B04", "B08")
    make_set(folder / "set", sides=(32, 32), val=1)
    shutil.copytree(folder / "set", folder / "deep_set")
    (folder / "bundle").mkdir()
    (folder / "bundle" / "model.safetensors").write_bytes(b"x")
    with rasterio.open(folder / "map.tif") as whole, rasterio.open(folder / "tagged.tif", "w", **whole.profile) as copy:
        copy.write(whole.read())
        copy.update_tags(**whole.tags() | {"LULC_LEGEND": TABLES})
    for name, text in {
        "d.toml": f"a = {LISTS}",
        "lists.json": LISTS,
        "tables.json": TABLES,
        "features.geojson": FEATURES,
        "deep_set/set.json": TABLES,
        "bundle/card.json": TABLES,
    }.items():
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize(
    "command",
    [
        "evaluate map.tif labels.tif --legend d.toml",
        "evaluate map.tif labels.tif --legend esri --crosswalk d.toml",
        "evaluate tagged.tif map.tif",
        "change map.tif later.tif o.tif --to d.toml",
        "report tagged.tif out",
        "mosaic tagged.tif map.tif o.tif",
        "train d.toml out",
        "train unet out --data deep_set",
        "patches train d.toml out",
        "patches predict map.tif --model bundle",
        "stack scene.tif o.tif --preset d.toml",
        "stack tables.json o.tif",
        "hpc status lists.json",
        "hpc run tables.json 0",
        "hpc merge tables.json",
        "hpc render lists.json",
        "info deep_set",
        "info bundle",
        "info lists.json",
        "classify tables.json o.tif",
        "prepare scene.tif out --labels features.geojson --legend esri --attribute x",
        "prepare scene.tif out --labels labels.tif --legend d.toml",
        "prepare scene.tif out --labels tagged.tif --legend esri",
        "fetch lists.json out --area 1,2,3,4 --dates 2020-01-01/2020-01-02",
        "fetch tables.json out --area features.geojson --dates 2020-01-01/2020-01-02",
    ],
)
def test_it_is_refused_in_a_line(folder, monkeypatch, command):
    monkeypatch.chdir(folder)
    ended = CliRunner().invoke(cli, command.split())
    assert isinstance(ended.exception, SystemExit), ended.exception
    assert ended.exit_code in (2, 3, 4)
    lines = ended.output.strip().splitlines()
    assert len(lines) == 1, lines
    assert len(lines[0]) < 400
