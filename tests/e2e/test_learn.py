"""From labels to a judged map by the command line; bad input is one line, the right exit code, and nothing left."""

import json

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from tests.support.command import lulc

TINY = [
    "network.encoder_depth=3",
    "network.options={decoder_channels=[16,16,16]}",
    "samples.crop=64",
    "fit.steps=12",
    "fit.batch=2",
    "fit.validate_every=6",
    "fit.precision=fp32",
    "fit.device=cpu",
    "fit.ema=0.5",
    "augment.holes=0",
]


def train(data, out, *more, config="unet"):
    changes = [part for change in TINY for part in ("--set", change)]
    return lulc("train", config, out, "--data", data, *changes, *more)


def write(path, pixels, names=(), driver="GTiff", **place):
    with rasterio.open(
        path,
        "w",
        driver=driver,
        count=len(pixels),
        height=pixels.shape[1],
        width=pixels.shape[2],
        dtype=pixels.dtype,
        **place,
    ) as target:
        target.write(pixels)
        for band, name in enumerate(names, 1):
            target.set_band_description(band, name)
    return path


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A scene whose three covers differ in colour, its labels, and the training set made of both."""
    folder = tmp_path_factory.mktemp("learn")
    rng = np.random.default_rng(0)
    cover = np.kron(rng.integers(0, 3, (16, 16)), np.ones((32, 32), int))
    colors = np.array([[300, 250, 150, 100], [250, 500, 300, 3500], [1500, 1700, 2000, 2500]])
    pixels = colors[cover].transpose(2, 0, 1) + rng.integers(0, 80, (4, 512, 512))
    place = {"crs": "EPSG:32632", "transform": from_origin(500_000, 5_000_000, 10, 10)}
    write(folder / "scene.tif", pixels.astype(np.uint16), ("B02", "B03", "B04", "B08"), **place, nodata=0)
    write(folder / "labels.tif", np.array([80, 10, 60], np.uint8)[cover][None], **place)
    done = lulc(
        "prepare",
        folder / "scene.tif",
        folder / "set",
        "--labels",
        folder / "labels.tif",
        "--legend",
        "worldcover",
        "--to",
        "dynamic-world",
        "--chip",
        64,
        "--block",
        1280,
        "--gap",
        100,
        "--indices",
        "NDVI",
        "--json",
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["chips"]["test"] > 0
    return folder


@pytest.fixture(scope="module")
def run(home):
    done = train(home / "set", home / "run", "--json", "--set", "fit.steps=60", "--set", "fit.validate_every=60")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["metrics"]["agreement"] > 0.9
    return home / "run"


def test_the_model_maps_the_scene_and_is_judged(home, run):
    done = lulc("evaluate", run, home / "set", "--split", "test", "--json", "--out", home / "judged")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["kind"] == "agreement"
    assert (home / "judged/confusion.png").exists()
    done = lulc("classify", home / "scene.tif", home / "map.tif", "--model", run, "--window", 256, "--halo", 64)
    assert done.returncode == 0, done.stderr
    done = lulc("evaluate", home / "map.tif", home / "labels.tif", "--legend", "worldcover", "--json")
    report = json.loads(done.stdout)
    with rasterio.open(home / "map.tif") as product, rasterio.open(home / "labels.tif") as labels:
        expected = np.select([labels.read(1) == 80, labels.read(1) == 10], [1, 2], 8)
        agreement = (product.read(1) == expected).mean()
    assert report["overall_agreement"] == pytest.approx(agreement, abs=1e-6)
    assert agreement > 0.9
    done = lulc("sample", home / "map.tif", home / "points.csv", "--total", 200, "--min-per-class", 20)
    assert done.returncode == 0, done.stderr
    assert "reference" in (home / "points.csv").read_text().splitlines()[0]


def test_shipped_configurations_are_valid():
    from lulc.config import read_config
    from lulc.resources import config_path, shipped_names
    from lulc.training.settings import TrainSettings

    assert {"unet", "dw9-s2-10m"} <= set(shipped_names("train"))
    for name in shipped_names("train"):
        read_config(TrainSettings, config_path("train", name))


def test_the_explained_configuration_has_every_key_and_its_default():
    import tomllib

    from lulc.resources import config_path
    from lulc.training.settings import TrainSettings

    table = tomllib.loads(config_path("train", "unet").read_text())
    text = config_path("train", "unet").read_text()
    settings = TrainSettings.model_validate(table)
    defaults = TrainSettings(name="unet", data="set")
    for part in ("loss", "augment", "samples", "fit"):
        for key in type(getattr(settings, part)).model_fields:
            if key in {"beta", "unit", "gamma", "alpha", "momentum"}:
                continue  # only for losses and optimisers that are not the default
            assert key in table[part], f"{part}.{key} is not explained"
            assert getattr(getattr(settings, part), key) == getattr(getattr(defaults, part), key), key
    assert all(key in text for key in type(settings.network).model_fields)


@pytest.mark.parametrize(
    ("network", "changes"),
    [
        ("Unet", ["network.encoder=resnet18"]),
        ("Unet", ["network.encoder=resnet50"]),
        ("DeepLabV3Plus", ["network.encoder=resnet18", "network.encoder_depth=5", "network.options={}"]),
    ],
)
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_deepglobe_masks_train_networks_from_one_key(tmp_path_factory, network, changes):
    folder = tmp_path_factory.getbasetemp() / "deepglobe"
    if not folder.exists():
        _deepglobe(folder)
    home = tmp_path_factory.mktemp("run")
    more = [part for change in (f"network.name={network}", *changes, "fit.steps=3") for part in ("--set", change)]
    done = train(folder / "set", home / "run", *more, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["steps"] == 3


def _deepglobe(folder):
    """A pair of 2448 x 2448 pixels in the seven colours, cut to 612, and two small ones to validate and test on."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    colors = np.array(
        [(0, 255, 255), (255, 255, 0), (255, 0, 255), (0, 255, 0), (0, 0, 255), (255,) * 3, (0,) * 3], np.uint8
    )
    for number, side in enumerate((2448, 612, 612)):
        classes = np.kron(rng.integers(0, 7, (9, 9)), np.ones((side // 9, side // 9), int))
        write(folder / f"{number}_mask.png", colors[classes].transpose(2, 0, 1), driver="PNG")
        picture = np.clip(colors[classes].transpose(2, 0, 1) // 2 + rng.integers(0, 40, (3, side, side)), 1, 255)
        write(folder / f"{number}_sat.jpg", picture.astype(np.uint8), driver="JPEG")
    done = lulc(
        "prepare",
        folder,
        folder / "set",
        "--labels",
        folder,
        "--legend",
        "deepglobe",
        "--bands",
        "B04,B03,B02",
        "--quantification",
        255,
        "--chip",
        612,
        "--block",
        2448,
        "--gap",
        0,
        "--format",
        "npy",
        "--min-labelled",
        0,
    )
    assert done.returncode == 0, done.stderr
    assert len((folder / "set/chips.csv").read_text().splitlines()) == 1 + 16 + 2


def refused(done, code, *words):
    assert done.returncode == code, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(lines) == 1 or lines[0].startswith("Usage"), done.stderr
    for word in words:
        assert word in lines[-1]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["prepare", "none.tif", "out", "--labels", "labels.tif", "--legend", "worldcover"], 3, ["none.tif"]),
        (["prepare", "scene.tif", "out", "--labels", "none.tif", "--legend", "worldcover"], 3, ["none.tif"]),
        (
            ["prepare", "scene.tif", "out", "--labels", "labels.tif", "--legend", "worldcovr"],
            4,
            ["worldcovr", "worldcover"],
        ),
        (
            ["prepare", "scene.tif", "out", "--labels", "labels.tif", "--legend", "esri"],
            3,
            ["labels.tif", "does not know"],
        ),
        (
            ["prepare", "scene.tif", "out", "--labels", "labels.tif", "--legend", "worldcover", "--to", "corine-3"],
            4,
            ["crosswalk"],
        ),
        (
            ["prepare", "scene.tif", "out", "--labels", "labels.tif", "--legend", "worldcover", "--fractions", "1,1,1"],
            2,
            ["0.7,0.15,0.15"],
        ),
        (
            ["prepare", "scene.tif", "out", "--labels", "labels.tif", "--legend", "worldcover", "--indices", "NDVY"],
            4,
            ["NDVI"],
        ),
        (["prepare", "scene.tif", "set", "--labels", "labels.tif", "--legend", "worldcover"], 5, ["--overwrite"]),
        (["prepare", "scene.tif", "no/out", "--labels", "labels.tif", "--legend", "worldcover"], 5, ["no"]),
        (["train", "unte", "out", "--data", "set"], 4, ["unte", "unet"]),
        (["train", "unet", "out", "--data", "nowhere"], 3, ["nowhere", "lulc prepare"]),
        (["train", "unet", "out", "--data", "set", "--set", "fit.stesp=3"], 4, ["fit.stesp", "steps"]),
        (["train", "unet", "out", "--data", "set", "--set", "fit.steps=0"], 4, ["fit.steps"]),
        (["train", "unet", "out", "--data", "set", "--set", "fit.steps"], 2, ["KEY=VALUE"]),
        (["train", "unet", "out", "--data", "set", "--set", "network.encoder=resnet19"], 4, ["resnet19"]),
        (["train", "unet", "out", "--data", "set", "--set", "network.indices=['NDWI']"], 4, ["NDWI"]),
        (["train", "unet", "out", "--data", "set", "--set", "samples.crop=100"], 4, ["samples.crop"]),
        (["train", "unet", "out", "--data", "set", "--set", "fit.device=tpu9"], 2, ["tpu9"]),
        (["train", "unet", "out", "--data", "set", "--resume", "--overwrite"], 2, ["--resume"]),
        (["evaluate", "none.tif", "labels.tif", "--legend", "worldcover"], 3, ["none.tif"]),
        (["evaluate", "dw9-s2-10m", "set"], 3, ["lacks", "B05"]),
        (["sample", "scene.tif", "points.gpkg"], 2, ["scene.tif"]),
    ],
)
def test_bad_input_is_one_line(home, arguments, code, words):
    before = sorted(path.name for path in home.iterdir())
    named = [
        home / part if (home / part).exists() or part in {"out", "no/out", "points.gpkg"} else part
        for part in arguments
    ]
    refused(lulc(*named), code, *words)
    assert sorted(path.name for path in home.iterdir()) == before
