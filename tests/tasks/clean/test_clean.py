"""`lulc clean` on real files: bytes, bands, tags, resumes, refusals, and what other commands make of its maps."""

import json

import numpy as np
import pytest
import rasterio
from affine import Affine

from lulc.errors import InputError, Interrupted, StorageError, UsageError
from lulc.grid import Window
from lulc.io.product.bands import CLOUDS, ExtraBand
from lulc.io.product.reader import open_product
from lulc.io.product.writer import ProductWriter
from lulc.serve.map_view import MapView
from lulc.tasks.change.change import map_change
from lulc.tasks.clean.clean import clean
from lulc.tasks.clean.options import CleanOptions
from lulc.tasks.describe.info import describe_product
from lulc.tasks.describe.map_report import report_map
from lulc.tasks.mosaic.mosaic import mosaic
from lulc.tasks.mosaic.options import MosaicOptions
from tests.support.evaluation_samples import COARSE, CROSSWALK, FINE, product, shares
from tests.support.product_samples import LEGEND, grid_of, pixels, write
from tests.tasks.clean.test_sweep import areas_of, by_plain_loop

HEIGHT, WIDTH = 1100, 300


def speckled(height=HEIGHT, width=WIDTH, *, activations="uint8", seed=0):
    """A product with specks of other classes, which have the largest activation there: (1 + K | 1, height, width)."""
    rng = np.random.default_rng(seed)
    data = pixels(height, width, activations=activations, seed=seed)
    moved = np.flatnonzero((rng.random((height, width)) < 0.05) & (data[0] != 255))
    flat = data.reshape(len(data), -1)
    if activations == "none":
        flat[0, moved] = rng.integers(1, 10, moved.size)
    else:
        flat[1:, moved] = np.roll(flat[1:, moved], 3, axis=0)
        flat[0, moved] = flat[1:, moved].argmax(axis=0) + 1
    return data


@pytest.fixture(scope="module")
def map_(tmp_path_factory):
    path = tmp_path_factory.mktemp("clean") / "map.tif"
    data = speckled()
    sky = np.where(data[0] == 255, 255, np.arange(WIDTH) % 3).astype(np.uint8)
    looks = np.where(data[0] == 255, 255, 4).astype(np.uint8)
    extra = [CLOUDS, ExtraBand("source", "code", "number of the map", ((1, "a.tif"), (4, "b & c.tif")))]
    write(path, np.concatenate([data, sky[None], looks[None]]), extra=extra, activations="uint8")
    return path


def read(path):
    with rasterio.open(path) as source:
        return source.read()


@pytest.mark.parametrize(
    "options",
    [
        {"mmu": "0.3ha"},
        {"mmu": "25ha", "mmu_by": "majority", "connectivity": 4},
        {"smooth": "bayes", "mmu": "20px"},
        {"merge": ("crops,grass=open",), "smooth": "bayes", "smooth_window": 3, "mmu": 1},
    ],
)
def test_any_strips_and_panels_give_the_same_file(map_, tmp_path, monkeypatch, options):
    clean(map_, tmp_path / "whole.tif", CleanOptions(**options))
    monkeypatch.setattr("lulc.tasks.clean.unit_pass.STRIP_PIXELS", 1)
    clean(map_, tmp_path / "rows.tif", CleanOptions(**options))
    monkeypatch.setattr("lulc.tasks.clean.unit_pass.MOST_RUNS", 900)
    monkeypatch.setattr("lulc.tasks.clean.source._SLAB_ROWS", 37)
    monkeypatch.setattr("lulc.tasks.clean.smooth._COLUMNS", 101)
    clean(map_, tmp_path / "slabs.tif", CleanOptions(**options))
    whole = (tmp_path / "whole.tif").read_bytes()
    assert whole == (tmp_path / "rows.tif").read_bytes() == (tmp_path / "slabs.tif").read_bytes()


@pytest.mark.parametrize("connectivity", [4, 8])
def test_the_unit_is_the_rule_and_changes_classes_alone(map_, tmp_path, connectivity):
    report = clean(map_, tmp_path / "out.tif", CleanOptions(mmu="0.3ha", connectivity=connectivity))
    before, after = read(map_), read(tmp_path / "out.tif")
    _, hectares = areas_of(np.full(HEIGHT, 0.01), WIDTH, 0.3)
    expected, patches, islands = by_plain_loop(before[0], before[1:10], hectares, 0.3, connectivity=connectivity)
    np.testing.assert_array_equal(after[0], expected)
    np.testing.assert_array_equal(after[1:], before[1:])
    assert (report.small_patches, report.islands) == (patches, islands)
    assert report.removed_patches == patches - report.island_patches
    changed = np.count_nonzero(before[0] != after[0])
    assert report.changed_pixels == changed > 1000
    assert report.changed_hectares == pytest.approx(changed * 0.01)
    for entry, code in zip(report.classes, range(1, 10), strict=True):
        assert (entry.pixels_before, entry.pixels_after) == ((before[0] == code).sum(), (after[0] == code).sum())
        assert entry.hectares_after == pytest.approx(entry.pixels_after * 0.01)


def test_bands_tags_and_names_of_codes_are_kept(map_, tmp_path):
    clean(map_, tmp_path / "out.tif", CleanOptions(mmu="0.3ha"))
    with rasterio.open(map_) as before, rasterio.open(tmp_path / "out.tif") as after:
        assert after.descriptions == before.descriptions
        assert (after.scales, after.units, after.nodata) == (before.scales, before.units, 255)
        assert after.transform == before.transform
        assert len(after.overviews(1)) == len(before.overviews(1)) > 0
        tags = after.tags()
        kept = {name: text for name, text in before.tags().items() if name not in {"LULC_LEGEND", "LULC_ACTIVATIONS"}}
        assert kept.items() <= tags.items()
    assert tags["LULC_CLEANED"].endswith(": minimum mapping unit 0.3 ha, by activation, 8-connected")
    assert tags["LULC_CLEANED_FROM"] == "map.tif"
    assert len(tags["LULC_CLEANED_FROM_SHA256"]) == 64
    assert json.loads(tags["LULC_LEGEND"]) == LEGEND.to_table()
    assert (tmp_path / "out.tif.aux.xml").read_bytes() == map_.with_name("map.tif.aux.xml").read_bytes()
    assert describe_product(tmp_path / "out.tif").problems == ()


def test_classes_are_merged_by_their_sums(map_, tmp_path):
    report = clean(map_, tmp_path / "out.tif", CleanOptions(merge=("crops,grass,shrub & scrub=open",)))
    before, after = read(map_), read(tmp_path / "out.tif")
    valid = before[0] != 255
    sums = np.stack([before[1], before[2], before[3] + before[5] + before[6], *before[[4, 7, 8, 9]]])
    np.testing.assert_array_equal(after[1:8, valid], sums[:, valid])
    np.testing.assert_array_equal(after[1:8, valid].sum(axis=0, dtype=int), 250)
    top = np.take_along_axis(sums, np.minimum(after[:1], 7) - 1, 0)[0]
    assert (top == sums.max(axis=0))[valid].all()
    assert (after[:, ~valid] == 255).all()
    np.testing.assert_array_equal(after[8:], before[10:])
    assert [entry.name for entry in report.classes][2] == "open"
    assert report.small_patches is None
    assert 0 < report.changed_pixels < valid.sum()
    assert describe_product(tmp_path / "out.tif").problems == ()


@pytest.mark.parametrize("activations", ["uint8", "float32", "none"])
def test_another_legend_whose_crosswalk_ignores_a_class(tmp_path, activations):
    legend, crosswalk = tmp_path / "coarse.toml", tmp_path / "walk.toml"
    legend.write_text(COARSE)
    crosswalk.write_text(CROSSWALK)
    steps = shares(100, 120)
    if activations == "float32":
        data = np.concatenate([(steps.argmax(axis=0) + 1)[None], steps / 250]).astype(np.float32)
        tags = {"LULC_LEGEND": json.dumps(FINE.to_table())}
        with ProductWriter(tmp_path / "map.tif", grid_of(100, 120), FINE, activations="float32", tags=tags) as writer:
            writer.put(0, Window(0, 0, 100, 120), data)
    else:
        product(tmp_path / "map.tif", steps, activations=activations)
    report = clean(
        tmp_path / "map.tif",
        tmp_path / "out.tif",
        CleanOptions(to=legend, crosswalk=crosswalk, mmu="2px", mmu_by="majority"),
    )
    found = read(tmp_path / "out.tif")
    assert len(found) == (1 if activations == "none" else 3)
    assert any("snow" in note for note in report.notes)
    if activations == "none":
        assert any("renamed" in note for note in report.notes)
        np.testing.assert_array_equal(found[0] == 255, steps.argmax(axis=0) == 3)
        return
    sums = np.stack([steps[0], steps[1:3].sum(axis=0)]) / np.maximum(steps[:3].sum(axis=0), 1)
    whole = 250 if activations == "uint8" else 1
    np.testing.assert_allclose(found[1:] / whole, sums, atol=0.5 / 125)
    np.testing.assert_allclose(found[1:].sum(axis=0, dtype=float), whole, rtol=1e-6)


def test_smoothing_leaves_bytes_that_sum_up_and_their_argmax(map_, tmp_path):
    report = clean(map_, tmp_path / "out.tif", CleanOptions(smooth="bayes"))
    before, after = read(map_), read(tmp_path / "out.tif")
    valid = before[0] != 255
    np.testing.assert_array_equal(after[0] != 255, valid)
    np.testing.assert_array_equal(after[1:10, valid].sum(axis=0, dtype=int), 250)
    given = np.take_along_axis(after[1:10], np.minimum(after[:1], 9) - 1, 0)[0]
    np.testing.assert_array_equal(given[valid], after[1:10].max(axis=0)[valid])
    borders = [np.count_nonzero(np.diff(bands[0].astype(int), axis=1)) for bands in (before, after)]
    assert borders[1] < 0.6 * borders[0]
    assert report.changed_pixels == np.count_nonzero(before[0] != after[0])
    assert describe_product(tmp_path / "out.tif").problems == ()


def test_float_activations_are_kept_by_a_unit_and_become_bytes_when_smoothed(tmp_path):
    data = speckled(200, 260, activations="float32")
    share = np.where(data[0] == 255, 255, 0.5).astype(np.float32)
    write(
        tmp_path / "map.tif",
        np.concatenate([data, share[None]]),
        extra=[ExtraBand("confidence", "share", "probability")],
        activations="float32",
    )
    clean(tmp_path / "map.tif", tmp_path / "unit.tif", CleanOptions(mmu="30px"))
    found = read(tmp_path / "unit.tif")
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found[1:], read(tmp_path / "map.tif")[1:])
    clean(tmp_path / "map.tif", tmp_path / "smooth.tif", CleanOptions(smooth="bayes"))
    found = read(tmp_path / "smooth.tif")
    assert found.dtype == np.uint8
    assert set(np.unique(found[-1])) == {125, 255}
    for name in ("unit", "smooth"):
        assert describe_product(tmp_path / f"{name}.tif").problems == ()


def test_maps_without_activations_go_by_majority(tmp_path):
    write(tmp_path / "map.tif", speckled(200, 260, activations="none"))
    with pytest.raises(InputError, match=r"map\.tif has no activations.*--mmu-by majority"):
        clean(tmp_path / "map.tif", tmp_path / "out.tif", CleanOptions(mmu="30px"))
    with pytest.raises(InputError, match="no activations to smooth"):
        clean(tmp_path / "map.tif", tmp_path / "out.tif", CleanOptions(smooth="bayes"))
    clean(tmp_path / "map.tif", tmp_path / "out.tif", CleanOptions(mmu="30px", mmu_by="majority", connectivity=4))
    codes = read(tmp_path / "map.tif")[0]
    expected, *_ = by_plain_loop(codes, None, np.ones(codes.shape), 30, majority=True)
    np.testing.assert_array_equal(read(tmp_path / "out.tif"), expected[None])


def test_units_in_hectares_need_a_place(tmp_path):
    write(tmp_path / "map.tif", speckled(100, 120), grid=grid_of(100, 120, crs=None))
    with pytest.raises(InputError, match="--mmu 50px"):
        clean(tmp_path / "map.tif", tmp_path / "out.tif", CleanOptions(mmu="0.3ha"))
    report = clean(tmp_path / "map.tif", tmp_path / "out.tif", CleanOptions(mmu="30px"))
    assert report.changed_hectares is None
    assert report.classes[0].hectares_after is None


def test_degrees_count_with_their_ground(tmp_path):
    grid = grid_of(120, 100, Affine(1e-4, 0, 10, 0, -1e-4, 60), "EPSG:4326")
    data = speckled(120, 100)
    write(tmp_path / "map.tif", data, grid=grid)
    clean(tmp_path / "map.tif", tmp_path / "out.tif", CleanOptions(mmu="0.2ha", connectivity=4))
    hectares = np.outer(grid.pixel_areas_ha(), np.ones(100))
    expected, *_ = by_plain_loop(data[0], data[1:], hectares, 0.2)
    np.testing.assert_array_equal(read(tmp_path / "out.tif")[0], expected)


def test_a_resumed_run_ends_with_the_same_bytes(map_, tmp_path, monkeypatch):
    monkeypatch.setattr("lulc.tasks.clean.unit_pass.STRIP_PIXELS", 1)
    options = CleanOptions(mmu="0.3ha")
    clean(map_, tmp_path / "whole.tif", options)
    whole, out = 2 * HEIGHT * WIDTH, tmp_path / "out.tif"

    def stop(done, total):
        assert total == whole
        if done > whole / 2 + 512 * WIDTH:
            raise Interrupted("stopped")

    with pytest.raises(Interrupted):
        clean(map_, out, options, progress=stop)
    assert not out.exists()
    assert clean(map_, out, options).resumed_chunks == 2
    assert out.read_bytes() == (tmp_path / "whole.tif").read_bytes()
    with pytest.raises(StorageError, match="exists"):
        clean(map_, out, options)
    with pytest.raises(UsageError, match="is an input"):
        clean(map_, map_, CleanOptions(mmu="0.3ha", overwrite=True))
    assert {path.name for path in tmp_path.iterdir()} >= {"out.tif", "whole.tif"}
    assert not (tmp_path / "out.tif.lulc").exists()


@pytest.fixture(scope="module")
def cleaned(map_, tmp_path_factory):
    path = tmp_path_factory.mktemp("cleaned") / "unit.tif"
    clean(map_, path, CleanOptions(mmu="0.3ha"))
    return path


class TestOtherCommands:
    """A class need not have the largest activation in a map with a minimum mapping unit."""

    def test_reports_tell_the_activation_of_the_class_given(self, cleaned, tmp_path):
        bands = read(cleaned)
        report = report_map(cleaned, tmp_path / "out")
        assert "minimum mapping unit 0.3 ha" in report.facts["cleaned"]
        for code, sure in enumerate(report.confidence, start=1):
            expected = bands[code][bands[0] == code].mean() / 250
            assert sure == pytest.approx(expected, rel=1e-5)
        largest = bands[1:10].max(axis=0)[bands[0] == 1].mean() / 250
        assert report.confidence[0] < largest - 1e-4

    def test_a_page_tells_it_too(self, cleaned):
        bands, view = read(cleaned), MapView(cleaned)
        row, col = np.argwhere((bands[1:10].argmax(axis=0) + 1 != bands[0]) & (bands[0] != 255))[0]
        expected = bands[bands[0, row, col], row, col] / 250
        assert view.at(row, col).confidence == pytest.approx(expected, rel=1e-5)
        assert expected < bands[1:10, row, col].max() / 250
        view.close()

    def test_info_has_no_complaint_and_a_forged_map_one(self, cleaned, map_, tmp_path):
        assert describe_product(cleaned).problems == ()
        with open_product(cleaned) as opened:
            assert opened.minimum_unit == "0.3 ha"
        with open_product(map_) as opened:
            assert opened.minimum_unit == ""

    def test_mosaics_average_no_activations_of_it(self, cleaned, tmp_path):
        with pytest.raises(InputError, match=r"unit\.tif has a minimum mapping unit of 0\.3 ha.*another --method"):
            mosaic([cleaned], tmp_path / "m.tif")
        mosaic([cleaned], tmp_path / "m.tif", MosaicOptions(method="first"))
        np.testing.assert_array_equal(read(tmp_path / "m.tif")[0], read(cleaned)[0])

    def test_a_change_map_says_so(self, cleaned, map_, tmp_path):
        report = map_change(map_, cleaned, tmp_path / "c.tif")
        assert [note for note in report.notes if "unit.tif has a minimum mapping unit of 0.3 ha" in note]

    def test_smoothing_loses_an_earlier_unit_and_says_so(self, cleaned, tmp_path):
        report = clean(cleaned, tmp_path / "out.tif", CleanOptions(smooth="bayes"))
        assert any("give --mmu again" in note for note in report.notes)
        with rasterio.open(tmp_path / "out.tif") as made:
            assert "LULC_CLEANED_MMU" not in made.tags()
            assert made.tags()["LULC_CLEANED"].count("lulc ") == 2
            assert made.tags()["LULC_CLEANED_FROM"] == "unit.tif"
        again = clean(cleaned, tmp_path / "again.tif", CleanOptions(mmu="0.3ha"))
        assert again.changed_pixels == 0

    def test_change_maps_are_refused(self, map_, cleaned, tmp_path):
        map_change(map_, cleaned, tmp_path / "c.tif")
        with pytest.raises(InputError, match="is a map of change"):
            clean(tmp_path / "c.tif", tmp_path / "out.tif", CleanOptions(mmu="0.3ha", mmu_by="majority"))
