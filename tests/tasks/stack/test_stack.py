import json
import signal
import subprocess

import numpy as np
import pytest
import rasterio
import xarray as xr
from affine import Affine
from pydantic import ValidationError

from lulc.errors import ConfigError, InputError, Interrupted, LulcError, StorageError, UsageError
from lulc.indices import INDICES, spectral_index
from lulc.io.scene.scene import open_scene
from lulc.tasks.stack.options import StackOptions
from lulc.tasks.stack.recipe import Recipe, choose_recipe, load_recipe
from lulc.tasks.stack.stack import stack
from tests.support.memory import peak_bytes
from tests.support.rewritten import rewriting

BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B11", "B12")
PLACE = Affine(10, 0, 350_000.0, 0, -10, 5_070_000.0)
SUFFIXES = (".tif", ".nc", ".zarr")


def scene_file(path, bands=BANDS, shape=(300, 520), *, hole=None, seed=0, **changes):
    """A random Sentinel-2 scene with nodata 0, optionally with a hole."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(200, 6000, (len(bands), *shape)).astype(np.uint16)
    if hole is not None:
        pixels[:, *hole] = 0
    profile = {"driver": "GTiff", "dtype": "uint16", "nodata": 0, "crs": "EPSG:32633", "transform": PLACE, **changes}
    with rasterio.open(path, "w", count=len(bands), height=shape[0], width=shape[1], **profile) as raster:
        raster.write(pixels)
        raster.descriptions = bands
        raster.update_tags(REFLECTANCE_SCALE="10000", LEVEL="L2A")
    return pixels


@pytest.fixture
def scene(tmp_path):
    path = tmp_path / "scene.tif"
    scene_file(path, hole=np.s_[40:90, 100:300])
    return path


def content(path):
    """Channels by name, as stored."""
    if path.suffix == ".tif":
        with rasterio.open(path) as raster:
            return dict(zip(raster.descriptions, raster.read(), strict=True))
    engine = "zarr" if path.suffix == ".zarr" else "netcdf4"
    with xr.open_dataset(path, engine=engine, decode_coords="all", mask_and_scale=True) as cube:
        return {name: cube[name].values for name in cube.data_vars}


def left(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("suffix", SUFFIXES)
class TestEveryFormat:
    @pytest.mark.whole
    def test_bands_and_indices_of_the_preset(self, scene, tmp_path, suffix):
        out = tmp_path / f"out{suffix}"
        report = stack([scene], out, StackOptions(preset="stack14", chunk=256))
        found = content(out)
        assert report.channels == load_recipe("stack14").channels
        assert set(found) == set(report.channels)
        if suffix != ".zarr":  # which lists its arrays by name
            assert tuple(found) == report.channels
        with rasterio.open(scene) as raster:
            raw = raster.read().astype(np.float64)
        truth = {name: np.where(raw[0] == 0, np.nan, plane / 1e4) for name, plane in zip(BANDS, raw, strict=True)}
        for name, plane in found.items():
            expected = truth[name] if name in truth else spectral_index(name)(truth)
            np.testing.assert_allclose(plane, expected, rtol=0, atol=1e-6)
            assert plane.dtype == np.float32

    def test_report(self, scene, tmp_path, suffix):
        out = tmp_path / f"out{suffix}"
        report = stack([scene], out)
        assert (report.height, report.width, report.crs) == (300, 520, "EPSG:32633")
        assert report.pixels - report.valid_pixels == 50 * 200
        assert [share.pixels for share in report.sources] == [report.valid_pixels]
        assert report.output_bytes > 100_000
        assert json.loads(json.dumps(report.to_json()))["channels"] == list(BANDS)

    def test_filling_records_where_from(self, scene, tmp_path, suffix):
        other, out = tmp_path / "spring.tif", tmp_path / f"out{suffix}"
        spring = scene_file(other, hole=np.s_[60:, :150], seed=1)
        report = stack([scene], out, StackOptions(fill=(other,), select=("B04",), indices=("NDVI",), chunk=256))
        found = content(out)
        expected = np.ones((300, 520))
        expected[40:90, 100:300] = 2
        expected[60:90, 100:150] = 0
        np.testing.assert_array_equal(found["source"], expected)
        np.testing.assert_allclose(found["B04"][40:60, 100:300], spring[2, 40:60, 100:300] / 1e4, atol=1e-6)
        np.testing.assert_array_equal(np.isnan(found["NDVI"]), expected == 0)
        assert [share.pixels for share in report.sources] == [(expected == 1).sum(), (expected == 2).sum()]
        assert [share.name for share in report.sources] == ["scene.tif", "spring.tif"]

    @pytest.mark.whole
    def test_the_chunk_does_not_change_the_pixels(self, scene, tmp_path, suffix):
        first, second = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
        stack([scene], first, StackOptions(preset="stack14", chunk=256))
        stack([scene], second, StackOptions(preset="stack14", chunk=1024))
        here, there = content(first), content(second)
        for name, plane in here.items():
            np.testing.assert_array_equal(plane, there[name])

    def test_it_opens_as_a_scene_with_the_same_reflectance(self, scene, tmp_path, suffix):
        out = tmp_path / f"out{suffix}"
        other = tmp_path / "spring.tif"
        scene_file(other, seed=1)
        stack([scene], out, StackOptions(select=("B04", "B08"), indices=("NDVI",), fill=(other,)))
        with open_scene([out]) as again, open_scene([scene]) as before:
            assert again.radiometry.quantification == 1
            assert again.radiometry.offset == 0
            assert {"B04", "B08", "NDVI"} <= set(again.names)
            assert again.grid.same_as(before.grid)
            assert again.grid.transform == before.grid.transform
            raw, valid = again.read(["B04", "NDVI"], again.grid.window)
        assert valid.all()
        stored = content(out)
        np.testing.assert_array_equal(raw, [stored["B04"], stored["NDVI"]])

    def test_provenance(self, scene, tmp_path, suffix):
        out = tmp_path / f"out{suffix}"
        stack([scene], out, StackOptions(preset="stack14", offset=-100))
        if suffix == ".tif":
            with rasterio.open(out) as raster:
                tags = raster.tags()
        else:
            with xr.open_dataset(out, engine="zarr" if suffix == ".zarr" else "netcdf4") as cube:
                tags = cube.attrs
        assert tags["LULC_KIND"] == "stack"
        assert tags["LULC_INPUT"] == "scene.tif"
        assert len(tags["LULC_INPUT_SHA256"]) == 64
        assert tags["LULC_OFFSET"].startswith("-100 ")
        assert tags["LULC_PRESET"] == "stack14"
        assert tags["REFLECTANCE_SCALE"] == "1"

    def test_progress_ends_at_the_total(self, scene, tmp_path, suffix):
        told = []
        stack([scene], tmp_path / f"out{suffix}", StackOptions(chunk=256), progress=lambda *step: told.append(step))
        assert told[-1] == (300 * 520, 300 * 520)
        assert [done for done, _ in told] == sorted(done for done, _ in told)

    @pytest.mark.parametrize(
        ("make", "error"),
        [
            (lambda folder: {"select": ("B04", "B8A")}, InputError),
            (lambda folder: {"preset": "nothing"}, ConfigError),
            (lambda folder: {"indices": ("NDVO",)}, ConfigError),
            (lambda folder: {"select": ("potato",)}, UsageError),
            (lambda folder: {"preset": "stack14", "select": ("B04",)}, UsageError),
            (lambda folder: {"select": ("B04", "b4")}, UsageError),
            (lambda folder: {"select": (), "indices": ()}, UsageError),
            (lambda folder: {"fill": (folder / "far.tif",)}, InputError),
            (lambda folder: {"fill": (folder / "absent.tif",)}, LulcError),
        ],
    )
    def test_refusals_leave_nothing(self, scene, tmp_path, suffix, make, error):
        scene_file(tmp_path / "far.tif", transform=Affine(10, 0, 750_000, 0, -10, 5e6))
        before = left(tmp_path)
        with pytest.raises(error) as refusal:
            stack([scene], tmp_path / f"out{suffix}", StackOptions(**make(tmp_path)))
        assert "\n" not in str(refusal.value)
        assert left(tmp_path) == before

    def test_a_scene_without_data_leaves_nothing_when_data_are_asked_for(self, tmp_path, suffix):
        scene_file(tmp_path / "empty.tif", hole=np.s_[:, :])
        with pytest.raises(InputError, match="no valid pixel"):
            stack([tmp_path / "empty.tif"], tmp_path / f"out{suffix}", StackOptions(require_data=True))
        assert left(tmp_path) == ["empty.tif"]

    def test_a_scene_without_data_is_an_empty_stack_and_a_warning(self, tmp_path, suffix, caplog):
        scene_file(tmp_path / "empty.tif", hole=np.s_[:, :])
        stack([tmp_path / "empty.tif"], tmp_path / f"out{suffix}")
        with open_scene(tmp_path / f"out{suffix}") as written:
            assert not written.read(["B04"], written.grid.window).valid.any()
        assert "empty.tif has no valid pixel" in caplog.text

    def test_an_existing_output_is_kept(self, scene, tmp_path, suffix):
        out = tmp_path / f"out{suffix}"
        stack([scene], out, StackOptions(select=("B04",)))
        with pytest.raises(StorageError, match="--overwrite"):
            stack([scene], out)
        assert set(content(out)) == {"B04"}
        stack([scene], out, StackOptions(select=("B08",), overwrite=True))
        assert set(content(out)) == {"B08"}

    def test_a_damaged_scene_leaves_nothing(self, scene, tmp_path, suffix):
        with scene.open("r+b") as file:
            file.truncate(scene.stat().st_size // 2)
        with pytest.raises((StorageError, InputError)):
            stack([scene], tmp_path / f"out{suffix}", StackOptions(chunk=256))
        assert left(tmp_path) == ["scene.tif"]

    @pytest.mark.process
    def test_a_full_disk_leaves_nothing(self, scene, tmp_path, suffix):
        disk = tmp_path / "disk"
        disk.mkdir()
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk], check=False, capture_output=True
        )
        if mounted.returncode:
            pytest.skip("mounting is not allowed here")
        try:
            with pytest.raises(StorageError, match=r"cannot write|disk is full"):
                stack([scene], disk / f"out{suffix}", StackOptions(preset="stack14", chunk=256))
            assert left(disk) == []
        finally:
            subprocess.run(["umount", "--lazy", disk], check=True)


@pytest.mark.parametrize("given", SUFFIXES)
@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.whole
def test_a_stack_of_a_stack_is_the_same(scene, tmp_path, given, suffix):
    """Also reads NetCDF in threads while NetCDF is written, which HDF5 survives under one lock only."""
    first, second = tmp_path / f"first{given}", tmp_path / f"second{suffix}"
    stack([scene], first, StackOptions(preset="stack14", chunk=256))
    stack([first], second, StackOptions(preset="stack14", chunk=256))
    here, there = content(first), content(second)
    for name, plane in here.items():
        np.testing.assert_array_equal(plane, there[name])


class TestChoosing:
    def test_everything_the_scene_has_by_default(self, scene):
        with open_scene([scene]) as opened:
            assert choose_recipe(StackOptions(), opened).channels == BANDS

    def test_selected_bands_go_by_any_spelling(self, scene):
        with open_scene([scene]) as opened:
            recipe = choose_recipe(StackOptions(select=("nir", "b4"), indices=("ndvi",)), opened)
        assert recipe == Recipe(bands=("B08", "B04"), indices=("NDVI",))

    def test_indices_alone(self, scene, tmp_path):
        report = stack([scene], tmp_path / "out.tif", StackOptions(select=(), indices=tuple(INDICES)))
        assert report.channels == tuple(INDICES)

    def test_an_index_of_the_file_is_read_not_computed(self, tmp_path):
        path = tmp_path / "given.tif"
        with rasterio.open(
            path,
            "w",
            driver="GTiff",
            width=64,
            height=64,
            count=3,
            dtype="float32",
            crs="EPSG:32633",
            transform=PLACE,
            nodata=np.nan,
        ) as raster:
            raster.write(np.stack([np.full((64, 64), value, np.float32) for value in (0.1, 0.3, 0.9)]))
            raster.descriptions = ("B04", "B08", "NDVI")
            raster.update_tags(REFLECTANCE_SCALE="1")
        stack([path], tmp_path / "out.tif", StackOptions(select=("B04",), indices=("NDVI",)))
        assert (content(tmp_path / "out.tif")["NDVI"] == np.float32(0.9)).all()

    def test_names_given_for_a_file_without(self, tmp_path):
        path = tmp_path / "unnamed.tif"
        scene_file(path, bands=("", ""))
        with pytest.raises(InputError):
            stack([path], tmp_path / "out.tif")
        report = stack([path], tmp_path / "out.tif", StackOptions(bands=("B04", "B08"), indices=("NDVI",)))
        assert report.channels == ("B04", "B08", "NDVI")

    def test_a_preset_from_a_file(self, tmp_path):
        path = tmp_path / "mine.toml"
        path.write_text('bands = ["B04"]\nindices = ["ndvi"]\n')
        assert load_recipe(path).channels == ("B04", "NDVI")

    @pytest.mark.parametrize("text", ['bands = ["B04"]\ncolour = "red"\n', "bands = 3\n", 'indices = ["NDVO"]\n'])
    def test_a_bad_preset(self, tmp_path, text):
        path = tmp_path / "bad.toml"
        path.write_text(text)
        with pytest.raises(ConfigError):
            load_recipe(path)


class TestOutput:
    def test_unknown_suffix(self, scene, tmp_path):
        with pytest.raises(UsageError, match="chooses the format"):
            stack([scene], tmp_path / "out.png")

    def test_an_input_is_never_the_output(self, scene):
        with pytest.raises(UsageError, match="is an input"):
            stack([scene], scene, StackOptions(overwrite=True))

    @pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
    @pytest.mark.parametrize("suffix", SUFFIXES)
    def test_a_signal_ends_it_and_leaves_nothing(self, scene, tmp_path, name, suffix):
        def stop(_done, _total):
            signal.raise_signal(signal.Signals[name])

        handler = signal.getsignal(signal.Signals[name])
        with pytest.raises(Interrupted, match=f"stopped by {name}; nothing was written"):
            stack([scene], tmp_path / f"out{suffix}", StackOptions(chunk=256), progress=stop)
        assert left(tmp_path) == ["scene.tif"]
        assert signal.getsignal(signal.Signals[name]) is handler

    def test_no_such_folder(self, scene, tmp_path):
        with pytest.raises(StorageError, match="no folder"):
            stack([scene], tmp_path / "nowhere" / "out.tif")

    @pytest.mark.parametrize(
        "change", [{"chunk": 100}, {"chunk": 300}, {"fill": ["a.tif"] * 255}, {"quantification": 0}, {"colour": 1}]
    )
    def test_options_out_of_range(self, change):
        with pytest.raises(ValidationError):
            StackOptions(**change)


class TestRealScenes:
    def test_two_dates_of_one_place(self, data, tmp_path):
        first, second = (
            data / "scenes" / name
            for name in ("australia_20190105_l2a_10band.tif", "australia_20181201_l2a_12band.tif")
        )
        report = stack([first], tmp_path / "out.nc", StackOptions(fill=(second,), indices=("NDVI",)))
        assert len(report.sources) == 2
        assert report.valid_pixels > 0.98 * report.pixels
        ndvi = content(tmp_path / "out.nc")["NDVI"]
        assert 0.05 < np.nanmedian(ndvi) < 0.4

    @pytest.mark.whole
    def test_aberystwyth_is_scaled_by_a_thousand(self, data, tmp_path):
        stack([data / "scenes" / "aber_s2_20210527_10band.tif"], tmp_path / "out.tif", StackOptions(preset="stack14"))
        found = content(tmp_path / "out.tif")
        assert 0.02 < np.nanmedian(found["B04"]) < 0.1
        assert 0.4 < np.nanmedian(found["NDVI"]) < 0.95


_SCRIPT = """
import sys
from lulc.tasks.stack.options import StackOptions
from lulc.tasks.stack.stack import stack
stack([sys.argv[1]], sys.argv[2], StackOptions(indices=("NDVI",)))
"""


@pytest.mark.slow
@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.process
def test_memory_does_not_grow_with_the_scene(tmp_path, suffix):
    peaks = []
    for side in (3072, 5120):
        path = tmp_path / f"scene{side}.tif"
        scene_file(path, ("B04", "B08"), (side, side), tiled=True, blockxsize=512, blockysize=512)
        peaks.append(peak_bytes(_SCRIPT, path, tmp_path / f"out{side}{suffix}"))
        path.unlink()
    assert peaks[1] < 1.2 * peaks[0]
    assert peaks[1] < 0.6e9


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_scene_that_is_rewritten_is_refused_and_nothing_is_left(scene, tmp_path, suffix):
    fill = tmp_path / "fill.tif"
    scene_file(fill, seed=1)
    options = StackOptions(fill=(fill,), chunk=256)
    with pytest.raises(StorageError, match=r"fill\.tif was changed while it was read"):
        stack([scene], tmp_path / f"out{suffix}", options, progress=rewriting(fill))
    assert left(tmp_path) == ["fill.tif", "scene.tif"]
