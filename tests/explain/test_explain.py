import json

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine
from click.testing import CliRunner
from PIL import Image
from rasterio.control import GroundControlPoint
from torch import nn

from lulc.cli.main import cli
from lulc.errors import InputError, LimitError, ModelError, StorageError, UsageError
from lulc.explain.options import ExplainOptions, ExplainSceneOptions
from lulc.explain.patch import BeforeSoftmax, check_finite, explain_patch
from lulc.explain.scene import LARGEST_SIDE, _dilated, _View, explain_scene
from lulc.features import FeatureSpec
from lulc.grid import Window
from lulc.io.scene.true_color import COLORS
from lulc.legend import load_legend
from lulc.model.bundle import load_bundle
from lulc.model.receptive_field import ReceptiveField
from lulc.patches.card import load_patch_model, write_patch_model
from lulc.patches.networks import PatchArchitecture, build_patch_network

SHIPPED = "dw9-s2-10m"
PLACE = {"crs": "EPSG:32632", "transform": Affine(10, 0, 500_000, 0, -10, 5_000_000)}
CLASSES = load_legend("eurosat").names
BANDS = load_bundle(SHIPPED).card.features.bands


def patch_model(folder, *, architecture="cnn6", hidden=0, pictures=True):
    torch.manual_seed(0)
    described = PatchArchitecture(name=architecture, in_channels=3, classes=len(CLASSES), side=32, hidden=hidden)
    write_patch_model(
        folder,
        build_patch_network(described),
        name="tiny",
        version="1",
        summary="",
        architecture=described,
        features=FeatureSpec(bands=COLORS, mean=(0.3, 0.3, 0.3), std=(0.2, 0.2, 0.2)),
        legend=load_legend("eurosat").to_table(),
        patch_side=32,
        pictures=pictures,
        picture_white=0.275,
    )
    return folder


def write(path, pixels, names=(), **place):
    profile = {"driver": "GTiff", "count": len(pixels), "dtype": pixels.dtype}
    with rasterio.open(path, "w", height=pixels.shape[1], width=pixels.shape[2], **profile, **place) as target:
        target.write(pixels)
        for band, name in enumerate(names, 1):
            target.set_band_description(band, name)
    return path


def scene_pixels(side=160, seed=0):
    """Meadow with a lake and a wood: digital numbers of the model's bands, uint16 (9, side, side)."""
    spectra = {
        "water": (900, 700, 500, 400, 300, 250, 200, 100, 80),
        "wood": (300, 450, 300, 700, 1900, 2300, 2400, 1100, 500),
        "meadow": (500, 900, 700, 1300, 3200, 3900, 4100, 2300, 1300),
    }
    rows, columns = np.mgrid[:side, :side]
    lake = (rows - side / 3) ** 2 + (columns - side / 3) ** 2 < (side / 5) ** 2
    kinds = np.select([lake, columns > 0.7 * side], [0, 1], 2)
    pixels = np.array(list(spectra.values()))[kinds].transpose(2, 0, 1)
    return (pixels * np.random.default_rng(seed).normal(1, 0.04, pixels.shape)).astype(np.uint16)


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch):
    """Threads that wait for each other at a busy machine take longer than the work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.setattr("lulc.model.predictor.usable_cores", lambda: 1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("explain")
    patch_model(folder / "model")
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8)).save(folder / "photo.png")
    write(folder / "patch.tif", rng.integers(1, 2500, (3, 40, 48)).astype(np.uint16), COLORS, **PLACE, nodata=0)
    write(folder / "scene.tif", scene_pixels(), BANDS, **PLACE, nodata=0)
    return folder


def lulc(*arguments):
    return CliRunner().invoke(cli, ["patches", "explain", *map(str, arguments)])


class TestPatch:
    def test_a_picture(self, home, tmp_path):
        found = explain_patch(home / "photo.png", tmp_path / "out.png", ExplainOptions(model=home / "model"))
        assert found.answer == found.explained
        assert found.answer in CLASSES
        assert 0.1 <= found.confidence <= 1
        assert found.maps == (4, 4)
        assert 0 < found.half_lies_on <= 0.5
        assert found.files == (str(tmp_path / "out.png"),)
        assert [path.name for path in tmp_path.iterdir()] == ["out.png"]
        assert Image.open(tmp_path / "out.png").size[0] > 1000
        assert found.answer in found.to_text()
        assert json.loads(json.dumps(found.to_json()))["explained"] == found.answer

    def test_it_is_the_mean_over_the_sizes_of_maps(self, home, tmp_path):
        model = patch_model(tmp_path / "model", architecture="tu-resnet10t")
        network = load_patch_model(model).network
        names = network.map_layers()
        assert names == ("backbone.layer2", "backbone.layer3", "backbone.layer4")
        heats = []
        for name in (*names, None):
            found = explain_patch(
                home / "patch.tif", tmp_path / f"{name}.png", ExplainOptions(model=model, layer=name, target="River")
            )
            with rasterio.open(tmp_path / f"{name}.tif") as raster:
                heats.append(raster.read(1))
        assert found.layer == " + ".join(names)
        assert found.maps == (4, 4)
        mean = np.mean(heats[:3], axis=0)
        np.testing.assert_allclose(heats[3], mean / mean.max(), atol=1e-6)

    def test_a_patch_unlike_the_training_patches_is_noted(self, home, trained, tmp_path):
        """Noise in all colours is none of its stripes, lakes and towns; `home/model` knows no training patches."""
        found = explain_patch(home / "patch.tif", tmp_path / "out.png", ExplainOptions(model=trained[0]))
        assert found.ood_score > 1
        assert found.notes[0].startswith("unlike the training patches of tiny")
        assert f"OOD score {found.ood_score:.2f}" in found.to_text()
        with rasterio.open(tmp_path / "out.tif") as raster:
            assert raster.tags()["LULC_OOD_SCORE"] == f"{found.ood_score:.4f}"
        old = explain_patch(home / "photo.png", tmp_path / "old.png", ExplainOptions(model=home / "model"))
        assert old.ood_score is None
        assert "OOD" not in old.to_text()

    def test_a_georeferenced_patch_gets_a_raster_on_its_grid(self, home, tmp_path):
        found = explain_patch(home / "patch.tif", tmp_path / "out.png", ExplainOptions(model=home / "model"))
        with rasterio.open(tmp_path / "out.tif") as raster, rasterio.open(home / "patch.tif") as patch:
            assert (raster.crs, raster.transform, raster.shape) == (patch.crs, patch.transform, patch.shape)
            heat = raster.read(1)
            assert (heat.min(), heat.max()) == (0, 1)
            assert raster.tags()["LULC_CLASS"] == found.explained
            assert raster.tags()["LULC_MODEL"] == "tiny 1"
            assert raster.tags()["LULC_METHOD"] == "Grad-CAM"

    def test_a_class_by_name_even_when_nothing_speaks_for_it(self, home, tmp_path):
        found = explain_patch(
            home / "patch.tif", tmp_path / "out.png", ExplainOptions(model=home / "model", target="Forest")
        )
        assert found.explained == "Forest" != found.answer
        assert found.explained_confidence < found.confidence
        assert found.half_lies_on is None
        assert found.notes == ("nothing there speaks for Forest",)
        with rasterio.open(tmp_path / "out.tif") as raster:
            assert not raster.read(1).any()

    def test_no_data_stays_no_data(self, home, tmp_path):
        pixels = np.random.default_rng(0).integers(1, 2500, (3, 32, 32)).astype(np.uint16)
        pixels[:, :5] = 0
        write(tmp_path / "holed.tif", pixels, COLORS, **PLACE, nodata=0)
        explain_patch(tmp_path / "holed.tif", tmp_path / "out.png", ExplainOptions(model=home / "model"))
        with rasterio.open(tmp_path / "out.tif") as raster:
            heat = raster.read(1)
        assert np.isnan(heat[:5]).all()
        assert np.isfinite(heat[5:]).all()

    @pytest.mark.parametrize("layer", ["backbone", "backbone.blocks.1"])
    def test_layers_by_name(self, home, tmp_path, layer):
        arguments = {"model": home / "model", "layer": layer}
        if layer == "backbone":  # has maps, but is never called as a whole
            with pytest.raises(UsageError, match="not reached"):
                explain_patch(home / "photo.png", tmp_path / "out.png", ExplainOptions(**arguments))
        else:
            assert explain_patch(home / "photo.png", tmp_path / "out.png", ExplainOptions(**arguments)).maps == (16, 16)

    def test_a_head_of_log_probabilities_is_explained_before_its_softmax(self, home, tmp_path):
        """The log-probability of a sure answer hardly moves; the score below it does."""
        patch_model(tmp_path / "model", hidden=16)
        network = load_patch_model(tmp_path / "model").network
        image = torch.rand(1, 3, 32, 32)
        below = BeforeSoftmax(network)(image)
        assert torch.allclose(torch.log_softmax(below, dim=1), network(image), atol=1e-5)
        assert not torch.allclose(below, network(image), atol=1e-2)
        found = explain_patch(home / "photo.png", tmp_path / "out.png", ExplainOptions(model=tmp_path / "model"))
        assert found.half_lies_on is not None


class TestScene:
    def test_the_region_is_what_the_map_shows(self, home, tmp_path):
        """A window explains the pixels that the whole map calls so: the network sees what lies around it."""
        from lulc.tasks.classify.classify import classify
        from lulc.tasks.classify.options import ClassifyOptions

        classify([home / "scene.tif"], tmp_path / "map.tif", ClassifyOptions(precision="fp32", device="cpu"))
        with rasterio.open(tmp_path / "map.tif") as product:
            codes = product.read(1)
        row, col, height, width = window = (27, 13, 70, 90)
        part = codes[row : row + height, col : col + width]
        found = explain_scene(
            [home / "scene.tif"], tmp_path / "out.png", ExplainSceneOptions(target="water", window=window)
        )
        assert found.region_share == pytest.approx((part == 1).mean(), abs=1e-3)
        assert 0.05 < found.region_share < 0.9
        assert found.answer == "water"
        most = explain_scene([home / "scene.tif"], tmp_path / "most.png", ExplainSceneOptions(window=window))
        names = load_bundle(SHIPPED).card.classes.names
        assert most.explained == names[np.bincount(part.ravel()).argmax() - 1]

    def test_the_raster_lies_on_the_window(self, home, tmp_path):
        found = explain_scene([home / "scene.tif"], tmp_path / "out.png", ExplainSceneOptions(window=(20, 30, 64, 80)))
        with rasterio.open(tmp_path / "out.tif") as raster:
            assert raster.shape == (64, 80)
            assert raster.transform == PLACE["transform"] @ Affine.translation(30, 20)
            heat = raster.read(1)
            assert (heat.min() >= 0, heat.max()) == (True, 1)
            tags = raster.tags()
        assert tags["LULC_REGION"] == "20,30,64,80"
        assert tags["LULC_MODEL"].startswith(SHIPPED)
        assert tags["LULC_METHOD"] == "Seg-Grad-CAM"
        assert tags["LULC_CLASS"] == found.explained
        assert "LULC_LEGEND" not in tags  # its values are no class codes

    def test_water_is_made_by_the_lake(self, home, tmp_path):
        found = explain_scene([home / "scene.tif"], tmp_path / "out.png", ExplainSceneOptions(target="water"))
        assert found.window == (0, 0, 160, 160)
        assert found.on_region > 0.8
        assert found.confidence > 0.7

    @pytest.mark.parametrize("layer", ["decoder.at_half", "encoder.second"])
    def test_layers_by_name(self, home, tmp_path, layer):
        found = explain_scene([home / "scene.tif"], tmp_path / "out.png", ExplainSceneOptions(layer=layer))
        assert found.layer == layer
        assert found.maps[0] < 160

    def test_a_class_that_is_not_there(self, home, tmp_path):
        with pytest.raises(InputError, match=r"'snow & ice'.*(water|grass|trees|crops) \(\d"):
            explain_scene([home / "scene.tif"], tmp_path / "out.png", ExplainSceneOptions(target="snow & ice"))
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize("window", [(0, 0, 161, 10), (-1, 0, 10, 10), (0, 155, 10, 10), (0, 0, 0, 10)])
    def test_windows_beyond_the_scene(self, home, tmp_path, window):
        with pytest.raises(UsageError, match="160 rows of 160"):
            explain_scene([home / "scene.tif"], tmp_path / "out.png", ExplainSceneOptions(window=window))

    def test_too_large_a_window(self, tmp_path):
        wide = np.ones((1, 8, LARGEST_SIDE + 1), np.uint16)
        write(tmp_path / "wide.tif", wide, ("B02",), **PLACE)
        with pytest.raises(LimitError, match=f"at most {LARGEST_SIDE}"):
            explain_scene(
                [tmp_path / "wide.tif"], tmp_path / "out.png", ExplainSceneOptions(window=(0, 0, 8, LARGEST_SIDE + 1))
            )

    def test_missing_bands_and_no_data(self, tmp_path):
        write(tmp_path / "few.tif", scene_pixels()[:3], BANDS[:3], **PLACE)
        with pytest.raises(InputError, match=r"lacks B05.*give a scene with these bands"):
            explain_scene([tmp_path / "few.tif"], tmp_path / "out.png")
        empty = scene_pixels()
        empty[:, :80, :80] = 0
        write(tmp_path / "empty.tif", empty, BANDS, **PLACE, nodata=0)
        with pytest.raises(InputError, match="no valid pixel in the window"):
            explain_scene([tmp_path / "empty.tif"], tmp_path / "out.png", ExplainSceneOptions(window=(0, 0, 40, 40)))
        explain_scene([tmp_path / "empty.tif"], tmp_path / "out.png", ExplainSceneOptions(window=(60, 60, 50, 50)))
        with rasterio.open(tmp_path / "out.tif") as raster:
            assert np.array_equal(np.isnan(raster.read(1)), (empty == 0).all(axis=0)[60:110, 60:110])

    @pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
    def test_scenes_without_transform(self, tmp_path):
        write(tmp_path / "plain.tif", scene_pixels(), BANDS)
        assert len(explain_scene([tmp_path / "plain.tif"], tmp_path / "plain.png").files) == 1
        corners = [GroundControlPoint(row, col, 9 + col / 1e4, 45 - row / 1e4) for row in (0, 160) for col in (0, 160)]
        write(tmp_path / "points.tif", scene_pixels(), BANDS, gcps=corners, crs="EPSG:4326")
        whole = explain_scene([tmp_path / "points.tif"], tmp_path / "whole.png")
        with rasterio.open(whole.files[1]) as raster:
            assert len(raster.gcps[0]) == 4
        part = explain_scene(
            [tmp_path / "points.tif"], tmp_path / "part.png", ExplainSceneOptions(window=(0, 0, 64, 64))
        )
        assert len(part.files) == 1
        assert "control points" in part.notes[-1]

    def test_no_heat_farther_than_the_network_looks(self):
        region = torch.zeros(9, 12, dtype=torch.bool)
        region[4, 5] = True
        near = _dilated(region, 2)
        assert near.sum() == 25
        assert near[2:7, 3:8].all()

    def test_a_real_scene(self, data, tmp_path):
        path = data / "scenes" / "aber_s2_20210527_10band.tif"
        found = explain_scene(
            [path],
            tmp_path / "out.png",
            ExplainSceneOptions(target="crops", window=(270, 380, 96, 96), quantification=1000),
        )
        assert 0.4 < found.region_share < 0.6
        assert found.on_region > 0.7
        assert not found.notes


class TestOutputs:
    def test_nothing_is_overwritten_unasked(self, home, tmp_path):
        for name in ("out.png", "out.tif"):
            (tmp_path / name).write_bytes(b"mine")
            with pytest.raises(StorageError, match=f"{name}.*--overwrite"):
                explain_patch(home / "patch.tif", tmp_path / "out.png", ExplainOptions(model="no such model"))
            with pytest.raises(StorageError, match=f"{name}.*--overwrite"):
                explain_scene([home / "scene.tif"], tmp_path / "out.png", ExplainSceneOptions(model="no such model"))
            assert (tmp_path / name).read_bytes() == b"mine"
            (tmp_path / name).unlink()
        (tmp_path / "out.tif").write_bytes(b"mine")
        assert explain_patch(
            home / "photo.png", tmp_path / "out.png", ExplainOptions(model=home / "model")
        )  # needs no raster
        explain_patch(home / "patch.tif", tmp_path / "out.png", ExplainOptions(model=home / "model", overwrite=True))
        with rasterio.open(tmp_path / "out.tif") as raster:
            assert raster.count == 1

    def test_an_input_is_never_an_output(self, home):
        before = (home / "patch.tif").read_bytes()
        with pytest.raises(UsageError, match="is an input"):
            explain_patch(home / "patch.tif", home / "patch.png", ExplainOptions(model=home / "model", overwrite=True))
        with pytest.raises(UsageError, match="is an input"):
            explain_patch(home / "photo.png", home / "photo.png", ExplainOptions(model=home / "model", overwrite=True))
        assert (home / "patch.tif").read_bytes() == before


class TestCommand:
    def test_a_patch(self, home, tmp_path):
        done = lulc(home / "photo.png", tmp_path / "out.png", "--model", home / "model", "--json")
        assert done.exit_code == 0, done.output
        assert json.loads(done.stdout)["method"] == "Grad-CAM"

    def test_a_scene_by_the_kind_of_its_model(self, home, tmp_path):
        done = lulc(home / "scene.tif", tmp_path / "out.png", "--model", SHIPPED, "--class", "water")
        assert done.exit_code == 0, done.output
        assert "water" in done.stdout.splitlines()[0]
        assert f"written: {tmp_path / 'out.png'}, {tmp_path / 'out.tif'}" in done.stdout

    @pytest.mark.parametrize(
        ("arguments", "code", "words"),
        [
            (["photo.png", "out.png", "--class", "Forrest"], 2, ["Forrest", "Forest"]),
            (["photo.png", "out.png", "--layer", "last_map"], 2, ["last_map", "last_maps"]),
            (["photo.png", "out.png", "--layer", "head"], 2, ["--layer"]),
            (["photo.png", "out.jpg"], 2, ["out.jpg", "PNG"]),
            (["none.png", "out.png"], 3, ["none.png"]),
            (["photo.png", "none/out.png"], 5, ["none"]),
            (["photo.png", "out.png", "--window", "0,0,9,9"], 2, ["--window"]),
            (["photo.png", "out.png", "--offset", "0"], 2, ["--offset"]),
            (["photo.png", "patch.tif", "out.png"], 2, ["one patch at a time"]),
            (["photo.png", "out.png", "--device", "tpu9"], 2, ["tpu9"]),
            (["scene.tif", "out.png", "--model", SHIPPED, "--class", "crop"], 2, ["'crop'", "'crops'"]),
            (["scene.tif", "out.png", "--model", SHIPPED, "--layer", "decoder.at_hal"], 2, ["decoder.at_half"]),
            (["scene.tif", "out.png", "--model", SHIPPED, "--layer", "encoder"], 2, ["--layer"]),
            (["scene.tif", "out.png", "--model", SHIPPED, "--window", "0,0,999,9"], 2, ["160 rows"]),
            (["scene.tif", "out.png", "--model", "nowhere"], 4, ["nowhere"]),
        ],
    )
    def test_refusals_are_one_line_and_leave_nothing(self, home, arguments, code, words):
        before = sorted(path.name for path in home.iterdir())
        places = {"out.png", "out.jpg", "none/out.png", "none.png", *before} - {"model"}
        given = [home / part if part in places else part for part in arguments]
        done = lulc(*given, *([] if "--model" in arguments else ["--model", home / "model"]))
        assert done.exit_code == code, done.output
        assert len(done.stderr.splitlines()) == 1
        assert all(word in done.stderr for word in words), done.stderr
        assert sorted(path.name for path in home.iterdir()) == before

    @pytest.mark.parametrize("text", ["1,2,3", "a,b,c,d", ""])
    def test_windows_are_four_numbers(self, home, text):
        done = lulc(home / "scene.tif", home / "out.png", "--model", SHIPPED, "--window", text)
        assert done.exit_code == 2
        assert "ROW,COL,HEIGHT,WIDTH" in done.stderr


class Narrow(nn.Module):
    """A network whose layer finds no memory."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(1, 2, 1)

    def forward(self, _image):
        raise torch.OutOfMemoryError


class TestView:
    def view(self, *, bounded):
        field = ReceptiveField(half_field=1, stride=1, bounded=bounded)
        window = Window(0, 0, 8, 8)
        return _View(torch.zeros(1, 1, 8, 8), np.ones((8, 8), bool), window, window, field)

    def test_a_network_that_looks_at_the_whole_window_may_be_warm_everywhere(self):
        region = np.zeros((8, 8), bool)
        region[4, 4] = True
        warm = torch.ones(1, 8, 8)
        assert (self.view(bounded=False).heat(warm, region) == 1).all()
        assert self.view(bounded=True).heat(warm, region).sum() == 9

    def test_too_little_memory_is_a_limit(self):
        network = Narrow()
        with pytest.raises(LimitError, match="not enough memory for the window; use a smaller --window"):
            self.view(bounded=True).raw(network, network.layer, np.ones((8, 8), bool), 0, "grad-cam")


def test_values_that_are_not_finite_are_the_models_fault():
    card = load_bundle(SHIPPED).card
    check_finite(card, np.ones(3, np.float32))
    with pytest.raises(ModelError, match=f"{SHIPPED} gives values that are not finite; fetch the bundle again"):
        check_finite(card, np.array([0.5, np.nan], np.float32))
