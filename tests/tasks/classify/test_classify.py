"""Whole runs: the map equals one untiled pass, keeps its place, its invariants and its provenance."""

import json
import os

import numpy as np
import pytest
import rasterio
import torch
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.transform import Affine

from lulc.errors import InputError, LimitError, StorageError, UsageError
from lulc.io.scene.scene import open_scene
from lulc.model.bundle import load_bundle
from lulc.model.device import Placement, choose_placement
from lulc.model.lane import DeviceLane
from lulc.model.predictor import Predictor
from lulc.tasks.classify import chunk_loop, job
from lulc.tasks.classify.classify import classify, plan_classification
from lulc.tasks.classify.options import ClassifyOptions
from tests.support.rewritten import rewriting
from tests.support.whole_runs import texture

FP32 = {"precision": "fp32", "device": "cpu"}


def options(bundle, **fields):
    return ClassifyOptions(model=bundle, **(FP32 | fields))


def read(path):
    with rasterio.open(path) as product:
        return product.read()


def untiled(scene_path, bundle):
    """Probabilities (K, height, width) of one pass over the scene, mirrored around it and padded to the stride."""
    with open_scene([scene_path]) as scene:
        names = load_bundle(bundle).card.features.bands
        raw, valid = scene.read(names, scene.grid.window)
        height, width = valid.shape
        padding = ((72, 72 + -height % 8), (72, 72 + -width % 8))
        predictor = Predictor(load_bundle(bundle), scene.radiometry, names, choose_placement("cpu", "fp32"))
        mirrored = np.pad(raw, ((0, 0), *padding), mode="symmetric"), np.pad(valid, padding, mode="symmetric")
        answer = predictor.predict(mirrored[0][None], mirrored[1][None])[0]
        return answer[:, 72 : 72 + height, 72 : 72 + width].numpy(), valid


@pytest.mark.parametrize(
    ("height", "width", "window"), [(700, 611, 272), (531, 1100, 400), (100, 90, 272), (90, 75, 272)]
)
def test_the_map_equals_one_untiled_pass(scene_file, bundle, tmp_path, height, width, window):
    scene = scene_file(height, width)
    classify([scene], tmp_path / "map.tif", options(bundle, window=window, activations="float32"))
    expected, _ = untiled(scene, bundle)
    product = read(tmp_path / "map.tif")
    assert np.abs(product[1:] - expected).max() < 1e-5
    assert (product[0] - 1 != expected.argmax(0)).mean() <= 1e-5


def test_without_a_halo_seams_appear_and_blending_softens_them(scene_file, bundle, tmp_path):
    scene = scene_file(400, 600)
    expected, _ = untiled(scene, bundle)
    errors = {}
    for halo, blend in ((0, 0), (32, 0), (32, 32), (72, 0), (112, 40)):
        out = tmp_path / f"{halo}_{blend}.tif"
        classify([scene], out, options(bundle, window=128 + 2 * halo, halo=halo, blend=blend, activations="float32"))
        errors[halo, blend] = np.abs(read(out)[1:] - expected).max()
    assert errors[0, 0] > errors[32, 0] > errors[72, 0]
    assert errors[32, 32] < errors[0, 0]
    assert max(errors[72, 0], errors[112, 40]) < 1e-5


def test_invariants_of_the_product(scene_file, bundle, tmp_path):
    scene = scene_file(300, 700)
    with rasterio.open(scene, "r+") as target:
        pixels = target.read()
        pixels[:, :80, :500] = 0
        pixels[2, 200, 300] = 0
        target.write(pixels)
    report = classify([scene], tmp_path / "map.tif", options(bundle, window=272))
    product = read(tmp_path / "map.tif")
    invalid = (pixels == 0).any(0)
    assert ((product == 255) == invalid).all()
    codes, shares = product[0][~invalid], product[1:][:, ~invalid].astype(int)
    assert (shares.sum(0) == 250).all()
    assert (np.take_along_axis(shares, codes[None].astype(int) - 1, 0)[0] == shares.max(0)).all()
    assert report.valid_share == pytest.approx((~invalid).mean())
    counted = {entry.code: entry.pixels for entry in report.classes}
    assert counted == {code: int((codes == code).sum()) for code in range(1, 10)}
    assert sum(entry.hectares for entry in report.classes) == pytest.approx((~invalid).sum() * 0.01)


UTM = {"crs": "EPSG:32631", "transform": Affine(10, 0, 356040, 0, -10, 4835680)}
PLACES = {
    "utm": UTM,
    "degrees": {"crs": "EPSG:4326", "transform": Affine(1.3e-4, 0, 13.1, 0, -9.1e-5, 45.9)},
    "british national grid": {"crs": "EPSG:27700", "transform": Affine(10, 0, 255000, 0, -10, 285000)},
    "south-up": {"crs": "EPSG:32631", "transform": Affine(10, 0, 356040, 0, 10, 4833000)},
    "rotated": {"crs": "EPSG:32631", "transform": Affine(8, 3, 356040, 3, -8, 4835680)},
}


@pytest.mark.parametrize("place", PLACES)
def test_georeference_is_kept_to_the_last_bit(scene_file, bundle, tmp_path, place):
    pixels = np.full((4, 200, 230), 500, np.uint16)
    pixels[:, 117, 203] = 0
    scene = scene_file(200, 230, pixels=pixels, **PLACES[place])
    classify([scene], tmp_path / "map.tif", options(bundle))
    with rasterio.open(scene) as before, rasterio.open(tmp_path / "map.tif") as after:
        assert (after.crs, after.transform, after.shape) == (before.crs, before.transform, before.shape)
        assert np.argwhere(after.read(1) == 255).tolist() == [[117, 203]]


def test_ground_control_points_are_kept(scene_file, bundle, tmp_path):
    points = [GroundControlPoint(row, col, 13 + col / 1e4, 45 - row / 1e4, 0.0) for row in (0, 199) for col in (0, 229)]
    scene = scene_file(200, 230, gcps=(points, CRS.from_epsg(4326)), transform=None, crs=None)
    report = classify([scene], tmp_path / "map.tif", options(bundle))
    with rasterio.open(tmp_path / "map.tif") as product:
        kept, crs = product.gcps
        assert [(point.row, point.col, point.x, point.y) for point in kept] == [
            (point.row, point.col, point.x, point.y) for point in points
        ]
        assert crs == CRS.from_epsg(4326)
    assert all(entry.hectares is None for entry in report.classes)


def test_provenance_and_names_are_in_the_file(scene_file, bundle, tmp_path):
    classify([scene_file(100, 100)], tmp_path / "map.tif", options(bundle, offset=-100))
    with rasterio.open(tmp_path / "map.tif") as product:
        tags = product.tags()
        assert product.descriptions[:2] == ("class", "water")
        assert product.colormap(1)[1] == (0x41, 0x9B, 0xDF, 255)
    assert tags["LULC_MODEL"] == "textured 1"
    assert tags["LULC_INPUT"] == "scene.tif"
    assert tags["LULC_OFFSET"] == "-100 (option)"
    assert tags["LULC_BANDS"] == "B02,B03,B04,B08"
    assert (tags["LULC_HALO"], tags["LULC_PRECISION"]) == ("72", "fp32")
    assert json.loads(tags["LULC_LEGEND"])["classes"][0]["name"] == "water"
    assert tags["LULC_ATTRIBUTION"] == "Made for tests."


def test_verify_seams_finds_none_in_an_exact_map_and_some_without_halo(scene_file, bundle, tmp_path):
    scene = scene_file(600, 600)
    exact = classify([scene], tmp_path / "a.tif", options(bundle, window=272), seam_windows=4)
    rough = classify([scene], tmp_path / "b.tif", options(bundle, window=128, halo=0, blend=0), seam_windows=4)
    assert exact.seams.windows == 4
    assert exact.seams.flips_percent == 0
    assert exact.seams.max_difference <= 1 / 250 + 1e-5
    assert rough.seams.flips_near_percent > rough.seams.flips_elsewhere_percent


def test_seams_of_a_product_without_activations_are_told_by_its_classes(scene_file, bundle, tmp_path):
    scene = scene_file(600, 100)  # one column of cores
    report = classify([scene], tmp_path / "a.tif", options(bundle, window=272, activations="none"), seam_windows=2)
    assert (report.seams.windows, report.seams.max_difference, report.seams.flips_percent) == (2, None, 0)


def test_the_plan_writes_nothing_and_says_what_would_happen(scene_file, bundle, tmp_path):
    job = plan_classification([scene_file(700, 611)], options(bundle, window=272))
    summary = job.summary()
    assert summary["halo"] == 72
    assert summary["exact"]
    assert summary["windows"] == 6 * 5
    assert summary["cost_factor"] == pytest.approx(job.plan.cost, abs=1e-4)
    assert [path.name for path in tmp_path.iterdir()] == ["scene.tif"]


def test_max_memory_shrinks_the_window_or_refuses(scene_file, bundle):
    scene = scene_file(1500, 1500)
    free = plan_classification([scene], options(bundle))
    tight = plan_classification([scene], options(bundle, max_memory=free.peak_bytes - 1))
    assert tight.plan.core < free.plan.core
    assert tight.peak_bytes < free.peak_bytes
    with pytest.raises(LimitError, match="--max-memory allows"):
        plan_classification([scene], options(bundle, max_memory=1_000_000))


def test_activations_none_writes_the_class_band_alone(scene_file, bundle, tmp_path):
    scene = scene_file(100, 100)
    classify([scene], tmp_path / "all.tif", options(bundle))
    classify([scene], tmp_path / "one.tif", options(bundle, activations="none"))
    assert (read(tmp_path / "one.tif") == read(tmp_path / "all.tif")[:1]).all()


def test_bf16_differs_no_more_near_seams_than_elsewhere(scene_file, bundle, tmp_path):
    scene = scene_file(700, 700)
    report = classify([scene], tmp_path / "a.tif", options(bundle, window=272, precision="bf16"), seam_windows=6)
    assert report.seams.flips_percent < 1
    assert report.seams.max_difference < 0.05


REFUSED = {
    "all nodata": ({"pixels": np.zeros((4, 50, 60), np.uint16)}, {"require_data": True}, InputError, "no valid pixel"),
    "missing band": ({"descriptions": ("B02", "B03", "B04", "B11")}, {}, InputError, "lacks B08"),
    "no georeference": ({"crs": None, "transform": None}, {}, InputError, "--allow-no-georef"),
    "window below halo": ({}, {"window": 100}, UsageError, "use --window"),
    "unknown creation option": ({}, {"creation_options": {"COLOUR": "RED"}}, UsageError, "COLOUR"),
}


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("case", REFUSED)
def test_refusals_leave_nothing_behind(scene_file, bundle, tmp_path, case):
    scene, fields, error, message = REFUSED[case]
    path = scene_file(50, 60, **scene)
    with pytest.raises(error, match=message):
        classify([path], tmp_path / "map.tif", options(bundle, **fields))
    assert [entry.name for entry in tmp_path.iterdir() if not entry.name.startswith("scene.tif")] == []


def test_a_scene_without_data_is_an_empty_map_and_a_warning(scene_file, bundle, tmp_path, caplog):
    report = classify(
        [scene_file(50, 60, pixels=np.zeros((4, 50, 60), np.uint16))], tmp_path / "map.tif", options(bundle)
    )
    assert (read(tmp_path / "map.tif") == 255).all()
    assert [entry.pixels for entry in report.classes] == [0] * 9
    assert "scene.tif has no valid pixel" in caplog.text


def test_an_existing_output_is_not_touched(scene_file, bundle, tmp_path):
    (tmp_path / "map.tif").write_bytes(b"mine")
    with pytest.raises(StorageError, match="--overwrite"):
        classify([scene_file(50, 60)], tmp_path / "map.tif", options(bundle))
    assert (tmp_path / "map.tif").read_bytes() == b"mine"
    classify([tmp_path / "scene.tif"], tmp_path / "map.tif", options(bundle, overwrite=True))
    assert read(tmp_path / "map.tif").shape == (10, 50, 60)


def test_a_network_that_gives_nan_is_refused(scene_file, bundle, tmp_path, monkeypatch):
    monkeypatch.setattr(
        Predictor, "predict_logits", lambda _self, raw, *_: torch.full((len(raw), 9, *raw.shape[2:]), torch.nan)
    )
    with pytest.raises(Exception, match="not finite"):
        classify([scene_file(50, 60)], tmp_path / "map.tif", options(bundle))
    assert [entry.name for entry in tmp_path.iterdir()] == ["scene.tif"]


@pytest.mark.parametrize("blend", [0, 16])
def test_tiles_without_data_are_not_shown_to_the_network(scene_file, bundle, tmp_path, blend):
    pixels = texture(300, 900)
    pixels[:, :, 200:700] = 0
    scene = scene_file(300, 900, pixels=pixels)
    classify([scene], tmp_path / "map.tif", options(bundle, window=192, halo=32, blend=blend))
    product = read(tmp_path / "map.tif")
    invalid = (pixels == 0).any(axis=0)
    assert ((product == 255) == invalid).all()
    assert (product[1:, ~invalid].sum(axis=0, dtype=int) == 250).all()


def test_an_input_that_is_rewritten_is_refused_and_no_mixture_is_kept(scene_file, bundle, tmp_path):
    scene, out = scene_file(700, 611), tmp_path / "map.tif"
    with pytest.raises(StorageError, match=r"scene\.tif was changed while it was read"):
        classify([scene], out, options(bundle, window=272), progress=rewriting(scene))
    assert not out.exists()
    assert classify([scene], out, options(bundle, window=272)).resumed_chunks == 0
    classify([scene], tmp_path / "same.tif", options(bundle, window=272))
    assert out.read_bytes() == (tmp_path / "same.tif").read_bytes()


def test_after_a_touch_the_same_command_goes_on(scene_file, bundle, tmp_path):
    scene, out = scene_file(1800, 200), tmp_path / "map.tif"

    def touch(done, _total):
        if done > 600 * 200:  # a chunk is told of while it is stored: the first one is by now
            os.utime(scene, (1, 1))

    with pytest.raises(StorageError, match="was changed while it was read"):
        classify([scene], out, options(bundle, window=272), progress=touch)
    assert classify([scene], out, options(bundle, window=272)).resumed_chunks > 0


def test_several_devices_share_the_work_and_give_the_same_bytes(scene_file, bundle, tmp_path, monkeypatch):
    scene = scene_file(1800, 200)
    classify([scene], tmp_path / "one.tif", options(bundle, window=272))
    cpu = torch.device("cpu")
    monkeypatch.setattr(job, "choose_placement", lambda *_: Placement(cpu, torch.float32, (cpu, cpu)))
    used = []

    def lanes_to(predictors, *, overlap):
        assert overlap
        used.extend(DeviceLane(predictor) for predictor in predictors)
        return used

    monkeypatch.setattr(chunk_loop, "lanes_to", lanes_to)
    classify([scene], tmp_path / "several.tif", options(bundle, window=272))
    assert len(used) == 3
    assert len({id(lane.predictor) for lane in used}) == 3
    assert (tmp_path / "several.tif").read_bytes() == (tmp_path / "one.tif").read_bytes()
