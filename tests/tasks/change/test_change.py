"""`lulc change` as a task: what the map says, on any grid, however it is cut, and after an interruption."""

import hashlib
import os
import signal

import numpy as np
import pytest
import rasterio
from affine import Affine

from lulc.errors import ConfigError, InputError, Interrupted, LulcError, StorageError, UsageError
from lulc.io.product.areas import PixelAreas
from lulc.io.product.reader import open_product
from lulc.legend import LandClass, Legend, load_legend
from lulc.tasks.accuracy.estimate import estimate_areas
from lulc.tasks.accuracy.options import SampleOptions
from lulc.tasks.accuracy.sample import sample_map
from lulc.tasks.change import change as task
from lulc.tasks.change.change import map_change
from lulc.tasks.change.legend import transition_legend
from lulc.tasks.change.mmu import large_patches
from lulc.tasks.change.options import ChangeOptions
from lulc.tasks.change.pixels import change_pixels
from lulc.tasks.describe.info import describe_product
from tests.support.change_samples import FINE, PATCHES, PLACE, changed, noisy, product, shares, sharp, write_pair
from tests.support.evaluation_samples import COARSE, CROSSWALK
from tests.support.point_samples import label, read_rows, write_map, write_rows
from tests.support.rewritten import rewriting

NEXT_ZONE = Affine(10.0, 0.0, -180_500.0, 0.0, -10.0, 4_933_500.0)


def bands(path):
    with rasterio.open(path) as source:
        return source.read()


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    return write_pair(tmp_path_factory.mktemp("pair"))


@pytest.fixture(scope="module")
def change(pair, tmp_path_factory):
    out = tmp_path_factory.mktemp("change") / "change.tif"
    map_change(*pair, out)
    return out


class TestMap:
    def test_planted_change_is_found_and_small_patches_are_not(self, pair, tmp_path):
        report = map_change(*pair, tmp_path / "change.tif")
        code, probability, confidence, before, after = bands(tmp_path / "change.tif")
        top = sharp(shares()).argmax(axis=0) + 1
        large, small = (top[place] for place in PATCHES.values())
        np.testing.assert_array_equal(before, top)
        np.testing.assert_array_equal(code, (before - 1) * 4 + after)
        np.testing.assert_array_equal(after[PATCHES["large"]], large % 4 + 1)
        np.testing.assert_array_equal(after[PATCHES["small"]], before[PATCHES["small"]])
        assert (probability[PATCHES["small"]] >= 125).all()  # it is said, though it is too small to be mapped
        assert (confidence[PATCHES["large"]] > 200).all()
        assert (before != after).sum() == large.size
        assert report.counted.changed == pytest.approx(5)
        assert report.changed_fraction == pytest.approx(large.size / top.size)
        map_change(*pair, tmp_path / "all.tif", ChangeOptions(mmu=0))
        assert (np.diff(bands(tmp_path / "all.tif")[3:].astype(int), axis=0) != 0).sum() == large.size + small.size

    def test_identical_maps_do_not_change(self, tmp_path):
        soft = shares()
        for name in ("before.tif", "after.tif"):
            product(tmp_path / name, soft)
        report = map_change(
            tmp_path / "before.tif", tmp_path / "after.tif", tmp_path / "change.tif", ChangeOptions(mmu=0)
        )
        assert report.counted.changed == 0
        assert report.expected.changed < 0.05 * report.expected.hectares.sum()

    def test_swapped_dates_transpose_the_matrices(self, pair, tmp_path):
        forth = map_change(*pair, tmp_path / "forth.tif")
        back = map_change(*reversed(pair), tmp_path / "back.tif")
        np.testing.assert_allclose(forth.counted.hectares, back.counted.hectares.T, atol=1e-9)
        np.testing.assert_allclose(forth.expected.hectares, back.expected.hectares.T, atol=1e-3)

    def test_expected_areas_keep_what_each_date_says(self, pair, tmp_path):
        report = map_change(*pair, tmp_path / "change.tif")
        for path, axis in zip(pair, (1, 0), strict=True):
            with open_product(path) as source:
                hectares = source.activations(source.grid.window).sum(axis=(1, 2), dtype=np.float64) * 0.01
            np.testing.assert_allclose(report.expected.hectares.sum(axis=axis), hectares, rtol=1e-5)
        assert report.expected.hectares.sum() == pytest.approx(600)

    def test_nodata_is_exactly_where_either_has_none(self, tmp_path):
        holes = (slice(0, 30), slice(0, 40)), (slice(20, 50), slice(30, 100))
        paths = write_pair(tmp_path, before_hole=holes[0], after_hole=holes[1])
        map_change(*paths, tmp_path / "change.tif")
        empty = np.zeros((200, 300), np.bool_)
        for hole in holes:
            empty[hole] = True
        found = bands(tmp_path / "change.tif") == 255
        for band in found:
            np.testing.assert_array_equal(band, empty)

    def test_a_soft_hint_is_no_change_unless_the_threshold_is_low(self, tmp_path):
        before = np.full((4, 64, 64), 25, np.uint8)
        before[0] = 175
        after = before.copy()
        after[0], after[2] = 85, 115  # the top class differs, four tenths have moved
        product(tmp_path / "before.tif", before)
        product(tmp_path / "after.tif", after)
        for threshold, share in ((0.5, 0.0), (0.3, 1.0)):
            options = ChangeOptions(threshold=threshold, overwrite=True)
            report = map_change(tmp_path / "before.tif", tmp_path / "after.tif", tmp_path / "c.tif", options)
            assert report.changed_fraction == share


class TestCutting:
    @pytest.mark.whole
    def test_however_it_is_cut_the_map_is_the_same(self, tmp_path, monkeypatch):
        first = shares(700, 600, seed=3)
        product(tmp_path / "before.tif", first, hole=(slice(100, 140), slice(0, 60)))
        product(tmp_path / "after.tif", noisy(np.roll(first, 7, axis=2), spread=30))
        paths = tmp_path / "before.tif", tmp_path / "after.tif"
        options = ChangeOptions(threshold=0.35, mmu=0.3)
        map_change(*paths, tmp_path / "whole.tif", options)
        expected = self.directly(paths, options)
        np.testing.assert_array_equal(bands(tmp_path / "whole.tif"), expected)
        changed_px = (expected[3] != expected[4]).mean()
        assert 0.02 < changed_px < 0.9
        monkeypatch.setattr(task, "CHUNK", 512)
        monkeypatch.setattr(task, "_BYTE_ROWS", 37)
        monkeypatch.setattr("lulc.tasks.change.pixels._PIECE", 1001)
        monkeypatch.setattr("lulc.tasks.change.pixels._CACHED", 99)
        map_change(*paths, tmp_path / "cut.tif", options)
        np.testing.assert_array_equal(bands(tmp_path / "cut.tif"), expected)

    def directly(self, paths, options):
        """The whole map at once, from arrays."""
        dates = []
        for path in paths:
            with open_product(path) as source:
                dates.append(source.activations(source.grid.window))
        row_ha = np.full(len(dates[0][0]), 0.01)
        weights = np.broadcast_to(row_ha[:, None], dates[0].shape[1:])
        pixels, _ = change_pixels(*dates, options.change_rate, options.threshold, weights)
        areas = PixelAreas(row_ha, np.ones(weights.shape[1]))
        return pixels.bands(large_patches(pixels.changed, areas, options.mmu), 4)

    @pytest.mark.whole
    def test_interrupted_it_continues_to_the_same_bytes(self, tmp_path, monkeypatch):
        monkeypatch.setattr(task, "CHUNK", 512)
        first = shares(1100, 600)
        product(tmp_path / "before.tif", first)
        product(tmp_path / "after.tif", noisy(np.roll(first, 9, axis=1)))
        run = tmp_path / "before.tif", tmp_path / "after.tif"
        whole = map_change(*run, tmp_path / "whole.tif")
        out = tmp_path / "change.tif"
        with pytest.raises(Interrupted, match="run the same command again"):
            map_change(*run, out, progress=lambda _done, _all: os.kill(os.getpid(), signal.SIGTERM))
        assert not out.exists()
        report = map_change(*run, out)
        assert report.resumed_chunks >= 1
        assert sha256(out) == sha256(tmp_path / "whole.tif")
        np.testing.assert_allclose(report.expected.hectares, whole.expected.hectares, rtol=1e-12)
        assert not (tmp_path / "change.tif.lulc").exists()


class TestGrids:
    def test_shifted_pixels_are_compared_with_their_own(self, tmp_path):
        first = sharp(shares())
        product(tmp_path / "before.tif", first)
        moved = Affine(10.0, 0.0, PLACE.c + 200, 0.0, -10.0, PLACE.f - 150)
        product(tmp_path / "after.tif", changed(first)[:, 15:, 20:], transform=moved)
        map_change(tmp_path / "before.tif", tmp_path / "after.tif", tmp_path / "change.tif")
        with rasterio.open(tmp_path / "change.tif") as source:
            assert source.shape == (185, 280)
            assert source.transform == moved
            before, after = source.read([4, 5])
        assert ((before != after).sum(), (before == 255).sum()) == (500, 0)

    def test_another_zone(self, tmp_path):
        first = np.full((4, 200, 300), 5, np.uint8)
        first[0, :, :150] = first[1, :, 150:] = 235
        product(tmp_path / "before.tif", first)
        later = np.full((4, 700, 700), 5, np.uint8)
        later[2] = 235
        product(tmp_path / "after.tif", later, crs="EPSG:32632", transform=NEXT_ZONE)
        report = map_change(tmp_path / "before.tif", tmp_path / "after.tif", tmp_path / "change.tif")
        with rasterio.open(tmp_path / "change.tif") as source:
            assert source.crs.to_epsg() == 32631
            codes = source.read(1)
        assert set(np.unique(codes)) <= {3, 7, 255}
        assert report.counted.changed == pytest.approx(0.01 * (codes != 255).sum())

    def test_degrees_have_areas_too(self, tmp_path):
        degrees = {"crs": "EPSG:4326", "transform": Affine(0.00018, 0, 13.3, 0, -0.000125, 45.8)}
        first = sharp(shares())
        product(tmp_path / "before.tif", first, **degrees)
        product(tmp_path / "after.tif", changed(first), **degrees)
        report = map_change(tmp_path / "before.tif", tmp_path / "after.tif", tmp_path / "change.tif")
        with open_product(tmp_path / "change.tif") as source:
            pixel = source.grid.pixel_areas_ha()[50]
        assert report.counted.changed == pytest.approx(
            500 * pixel, rel=1e-3
        )  # 24 px of 0.0195 ha are below half a hectare


class TestLegends:
    def test_to_sums_activations(self, tmp_path):
        """Two kinds of forest that change into each other are one class: no change."""
        (tmp_path / "coarse.toml").write_text(COARSE)
        (tmp_path / "crosswalk.toml").write_text(CROSSWALK)
        first = np.full((4, 100, 100), 5, np.uint8)
        first[1] = 235
        later = np.full_like(first, 5)
        later[2, :, :60], later[0, :, 60:] = 235, 235
        product(tmp_path / "before.tif", first)
        product(tmp_path / "after.tif", later)
        paths = tmp_path / "before.tif", tmp_path / "after.tif"
        options = ChangeOptions(to=tmp_path / "coarse.toml", crosswalk=tmp_path / "crosswalk.toml")
        report = map_change(*paths, tmp_path / "change.tif", options)
        assert report.classes == ("water", "forest")
        np.testing.assert_allclose(report.counted.hectares, [[0, 0], [40, 60]], atol=1e-9)
        assert any("snow" in note for note in report.notes)
        with pytest.raises(UsageError, match="--to NAME"):
            map_change(*paths, tmp_path / "x.tif", ChangeOptions(crosswalk=tmp_path / "crosswalk.toml"))
        with pytest.raises(ConfigError, match="corine-1"):
            map_change(*paths, tmp_path / "x.tif", ChangeOptions(to="corine-1"))

    def test_more_than_15_classes_are_refused(self, tmp_path):
        many = Legend("many", "Many", tuple(LandClass(code, f"class {code}", "#808080") for code in range(1, 17)))
        steps = np.zeros((16, 64, 64), np.uint8)
        steps[0] = 250
        for name in ("before.tif", "after.tif"):
            product(tmp_path / name, steps, legend=many)
        with pytest.raises(UsageError, match=r"16 classes.*--to corine-1"):
            map_change(tmp_path / "before.tif", tmp_path / "after.tif", tmp_path / "change.tif")


def other(**legend):
    return Legend("other", "Other", tuple(LandClass(e.code, f"my {e.name}", e.color) for e in FINE), **legend)


REFUSALS = {
    "no activations": ({"activations": "none"}, {}, "no activations"),
    "another legend": ({"legend": other()}, {}, "fine and other"),
    "pixels of 20 m": ({"transform": PLACE @ Affine.scale(2)}, {}, "10 and 20 m"),
    "elsewhere": ({"transform": Affine(10.0, 0.0, 600_000.0, 0.0, -10.0, 4_000_020.0)}, {}, "do not overlap"),
    "nowhere": ({"crs": None}, {}, "no CRS"),
    "no data": ({"after_hole": (slice(None), slice(None))}, {}, "no pixel with data"),
    "a huge minimum": ({}, {"mmu": 50}, "use at most --mmu 10.24"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals_name_both_maps_and_leave_nothing(tmp_path, case):
    after, options, words = REFUSALS[case]
    paths = write_pair(tmp_path, **after)
    there = sorted(tmp_path.iterdir())
    with pytest.raises(LulcError, match=words) as caught:
        map_change(*paths, tmp_path / "change.tif", ChangeOptions(**options))
    message = str(caught.value)
    assert "after.tif" in message or case == "a huge minimum"
    assert "before.tif" in message or case in {"no activations", "nowhere", "a huge minimum"}
    assert sorted(tmp_path.iterdir()) == there


def test_a_map_is_not_compared_with_itself_nor_overwritten(pair, tmp_path):
    with pytest.raises(UsageError, match="both dates"):
        map_change(pair[0], pair[0], tmp_path / "change.tif")
    with pytest.raises(UsageError, match="is an input"):
        map_change(*pair, pair[1], ChangeOptions(overwrite=True))
    with pytest.raises(InputError, match="there is no"):
        map_change(pair[0], tmp_path / "absent.tif", tmp_path / "change.tif")


class TestAsAProduct:
    """From the change map to adjusted areas: sample, label, estimate."""

    def test_it_opens_and_is_described(self, change, pair, tmp_path):
        with open_product(change) as source:
            assert source.tags["LULC_KIND"] == "change-map"
            assert source.tags["LULC_BEFORE"] == "before.tif"
            assert not source.has_activations
            assert source.legend.names[1] == "lake to pine"
        found = describe_product(change)
        assert found is not None
        assert found.problems == ()
        with pytest.raises(InputError, match="change map itself"):
            map_change(change, pair[1], tmp_path / "again.tif")

    def test_from_sample_to_adjusted_areas(self, pair, tmp_path):
        mine, points = tmp_path / "change.tif", tmp_path / "points.csv"
        map_change(*pair, mine)
        drawn = sample_map(mine, points, SampleOptions(total=300, min_per_class=20))
        there = [line for line in drawn.to_text().splitlines() if " to " in line]
        assert 0 < len(there) < 12  # only transitions that occur
        rows = read_rows(points)
        for row in rows:
            row["reference"] = row["map_class"]
        wrong = next(row for row in rows if row["map_class"] == "pine")
        wrong["reference"] = "pine to oak"
        write_rows(points, rows)
        estimate = estimate_areas(mine, points)
        text = estimate.to_markdown()
        assert "pine to oak" in text
        assert "oak to lake" not in text
        report = map_change(*pair, mine, ChangeOptions(overwrite=True), reference=points)
        assert report.adjusted is not None
        assert report.estimate.estimates.overall == estimate.estimates.overall
        assert report.adjusted.hectares.sum() == pytest.approx(600, rel=1e-6)
        missed = report.adjusted.hectares[1, 2] - report.counted.hectares[1, 2]
        pines = sum(row["map_class"] == "pine" for row in rows)
        assert missed == pytest.approx(report.counted.hectares[1, 1] / pines, rel=1e-6)
        table = report.to_json()
        assert table["adjusted"]["matrix_low_ha"][1][2] < table["adjusted"]["matrix_ha"][1][2]
        assert "## Adjusted, hectares" in report.to_markdown()
        assert "pine,oak," in report.to_csv()

    def test_many_transitions_are_listed_not_tabled(self, tmp_path):
        """A matrix of 27 transitions cannot be read; its cells with points can."""
        legend = transition_legend(load_legend("dynamic-world"))
        codes = np.random.default_rng(0).choice(np.arange(1, 82, 3, dtype=np.uint8), (100, 100))
        write_map(tmp_path / "change.tif", codes, legend=legend)
        sample_map(tmp_path / "change.tif", tmp_path / "points.csv", SampleOptions(total=300, min_per_class=5))
        label(tmp_path / "points.csv", codes, legend)
        text = estimate_areas(tmp_path / "change.tif", tmp_path / "points.csv").to_markdown()
        assert "| map / reference" in text
        assert max(map(len, text.splitlines()[20:])) < 250
        assert (
            text.count("\n| snow & ice") == 5 * 3
        )  # accuracy, area, two matrices, design: three of its transitions each

    def test_points_that_do_not_fit_are_refused_before_the_work(self, pair, tmp_path):
        sample_map(pair[0], tmp_path / "of_a_date.csv", SampleOptions(total=100, min_per_class=20))
        (tmp_path / "of_nobody.csv").write_text("reference,lon,lat\nlake,3,44\n")
        cases = {
            "absent.csv": "absent",
            "of_a_date.csv": "with other classes",
            "of_nobody.csv": "how its points were drawn",
        }
        for name, words in cases.items():
            with pytest.raises(InputError, match=words):
                map_change(*pair, tmp_path / "change.tif", reference=tmp_path / name)
        assert not list(tmp_path.glob("change*"))


def test_a_map_that_is_rewritten_is_refused_and_no_mixture_is_kept(tmp_path):
    before, after = write_pair(tmp_path)
    with pytest.raises(StorageError, match="was changed while it was read"):
        map_change(before, after, tmp_path / "change.tif", progress=rewriting(after))
    assert not (tmp_path / "change.tif").exists()
