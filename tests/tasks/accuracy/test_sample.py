import json
import tracemalloc

import numpy as np
import pytest
import rasterio
from rasterio.warp import transform

from lulc.errors import ConfigError, InputError, StorageError, UsageError
from lulc.grid import map_points
from lulc.io.labels.points import read_points
from lulc.io.product.areas import class_areas
from lulc.io.product.reader import open_product
from lulc.tasks.accuracy.options import SampleOptions
from lulc.tasks.accuracy.sample import _draw, count_classes, sample_map
from tests.support.point_samples import LEGEND, PLACE, mapped, truth, write_map


@pytest.fixture
def codes():
    return mapped(truth())


@pytest.fixture
def product(tmp_path, codes):
    return write_map(tmp_path / "map.tif", codes)


def population(path):
    with open_product(path) as product:
        return count_classes(product)


class TestPopulation:
    def test_counts_are_those_of_the_map(self, product, codes):
        found = population(product)
        assert found.pixels.tolist() == [np.count_nonzero(codes == code) for code in (1, 2, 3)]
        assert found.hectares.tolist() == pytest.approx([entry.hectares for entry in class_areas(product)])
        assert found.per_row.sum(axis=0).tolist() == found.pixels.tolist()

    def test_degrees(self, tmp_path, codes):
        place = rasterio.Affine(2e-3, 0, 13.0, 0, -2e-3, 46.0)
        path = write_map(tmp_path / "degrees.tif", codes, crs="EPSG:4326", transform=place)
        assert population(path).hectares.tolist() == pytest.approx([entry.hectares for entry in class_areas(path)])

    def test_fingerprint_is_of_the_classes_not_of_the_file(self, product, tmp_path, codes):
        again = write_map(tmp_path / "again.tif", codes, block=128, compress="deflate")
        assert population(again).fingerprint == population(product).fingerprint

    def test_fingerprint_changes_with_a_pixel_or_a_shift(self, product, tmp_path, codes):
        moved = write_map(tmp_path / "moved.tif", codes, transform=PLACE @ PLACE.translation(1, 0))
        codes[-1, -1] = codes[-1, -1] % 3 + 1
        changed = write_map(tmp_path / "changed.tif", codes)
        assert len({population(path).fingerprint for path in (product, moved, changed)}) == 3

    @pytest.mark.parametrize(
        ("value", "changes", "message"),
        [(9, {}, "code 9"), (255, {}, "no pixel with a class"), (1, {"crs": None}, "no CRS")],
    )
    def test_refusals(self, tmp_path, value, changes, message):
        path = write_map(tmp_path / "map.tif", np.full((64, 64), value, np.uint8), **changes)
        with pytest.raises(InputError, match=message):
            population(path)


class TestSample:
    @pytest.mark.parametrize("suffix", ["gpkg", "geojson", "csv"])
    def test_points_lie_at_centres_of_pixels_of_their_class(self, product, codes, tmp_path, suffix):
        report = sample_map(product, tmp_path / f"points.{suffix}")
        points = read_points(tmp_path / f"points.{suffix}")
        assert points.design == report.design
        np.testing.assert_array_equal(codes[points.row, points.col], points.stratum)
        x, y = transform("EPSG:4326", "EPSG:32633", points.lon, points.lat)
        col, row = map_points(~PLACE, np.array(x), np.array(y))
        np.testing.assert_allclose([row, col], [points.row + 0.5, points.col + 0.5], atol=1e-4)
        np.testing.assert_allclose(points.hectares, 0.01)
        assert set(points.reference) == {""}

    def test_numbers_are_as_designed_and_no_pixel_twice(self, product, tmp_path):
        report = sample_map(product, tmp_path / "points.csv", SampleOptions(total=500, min_per_class=80))
        points = read_points(tmp_path / "points.csv")
        assert np.bincount(points.stratum)[1:].tolist() == [entry.points for entry in report.design.strata]
        assert report.design.points == 500
        assert min(entry.points for entry in report.design.strata) == 80
        assert len({*zip(points.row.tolist(), points.col.tolist(), strict=True)}) == 500
        assert sorted(points.number.tolist()) == list(range(1, 501))

    def test_one_seed_one_sample(self, product, tmp_path, codes):
        again = write_map(tmp_path / "again.tif", codes, block=128)
        for name, path, seed in (("a", product, 1), ("b", again, 1), ("c", product, 2)):
            sample_map(path, tmp_path / f"{name}.csv", SampleOptions(seed=seed))
        first, second, third = ((tmp_path / f"{name}.csv").read_text() for name in "abc")
        assert first == second
        assert first != third

    @pytest.mark.whole
    def test_every_pixel_has_the_same_chance(self, tmp_path):
        """4000 samples of 2 of 8 pixels, which lie in four rows of blocks."""
        codes = np.full((64, 16), 255, np.uint8)
        codes[[0, 1, 17, 17, 30, 40, 63, 63], [0, 5, 2, 3, 15, 7, 0, 15]] = 2
        codes[5, 5] = 1
        path = write_map(tmp_path / "few.tif", codes, block=16)
        times = np.zeros(codes.shape, int)
        with open_product(path) as product:
            found = count_classes(product)
            for seed in range(4000):
                points = _draw(product, found, (1, 2, 0), seed, progress=lambda _done, _total: None)
                times[points.row, points.col] += 1
        assert times[5, 5] == 4000
        assert times[codes == 2] == pytest.approx(np.full(8, 1000), abs=5 * np.sqrt(1000 * 0.75))
        assert times.sum() == 3 * 4000

    def test_the_first_points_are_a_random_sample_too(self, product, tmp_path):
        sample_map(product, tmp_path / "points.csv", SampleOptions(total=900))
        points = read_points(tmp_path / "points.csv")
        first = points.number <= 300
        assert abs(points.row[first].mean() - points.row.mean()) < 25
        assert np.bincount(points.stratum[first])[1:] / 300 == pytest.approx(
            np.bincount(points.stratum)[1:] / 900, abs=0.08
        )

    def test_rare_classes_give_all_they_have(self, tmp_path):
        codes = np.ones((64, 64), np.uint8)
        codes[0, :3] = 2
        report = sample_map(write_map(tmp_path / "map.tif", codes), tmp_path / "points.csv")
        assert [entry.points for entry in report.design.strata][1:] == [3, 0]

    def test_expected_accuracies_decide_the_size(self, product, tmp_path):
        def drawn(**options):
            return sample_map(product, tmp_path / "points.csv", SampleOptions(overwrite=True, **options))

        usual, surer = drawn(), drawn(expected_of={"Forêt, dense": 0.99, "water": 0.98})
        assert surer.design.points < usual.design.points / 3
        assert usual.expected_se == pytest.approx(0.01, abs=1e-3)
        coarse = drawn(target_se=0.02)
        assert coarse.expected_se <= 0.02
        assert usual.design.points / 4 <= coarse.design.points < usual.design.points / 3  # the minima take their share

    def test_report(self, product, tmp_path):
        report = sample_map(product, tmp_path / "points.gpkg")
        table = json.loads(json.dumps(report.to_json(), allow_nan=False))
        assert table["points"] == sum(entry["points"] for entry in table["strata"])
        assert table["strata"][0]["name"] == LEGEND.names[0]
        assert "Forêt, dense" in report.to_text()
        assert "reference" in report.to_text()

    def test_progress_counts_both_passes(self, product, tmp_path):
        told = []
        sample_map(product, tmp_path / "points.csv", progress=lambda done, total: told.append((done, total)))
        assert [done for done, _ in told] == sorted(done for done, _ in told)
        assert told[-1] == (2 * 300 * 400, 2 * 300 * 400)

    def test_memory_does_not_grow_with_the_map(self, tmp_path):
        peaks = []
        for height in (1024, 8192):
            codes = np.random.default_rng(0).integers(1, 4, (height, 1024)).astype(np.uint8)
            path = write_map(tmp_path / f"{height}.tif", codes, block=256)
            del codes
            tracemalloc.start()
            sample_map(path, tmp_path / f"{height}.csv")
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        assert peaks[1] < peaks[0] + 1_000_000


class TestRefusals:
    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            ({"total": 100}, UsageError, "ask for 150 or more"),
            ({"expected_of": {"watre": 0.9}}, ConfigError, "did you mean 'water'"),
            ({"expected_of": {"water": 1.0}}, ConfigError, "below 1"),
        ],
    )
    def test_options(self, product, tmp_path, options, error, message):
        with pytest.raises(error, match=message):
            sample_map(product, tmp_path / "points.csv", SampleOptions(**options))
        assert {path.name for path in tmp_path.iterdir()} == {"map.tif"}

    def test_a_suffix_that_is_none(self, product, tmp_path):
        with pytest.raises(UsageError, match=r"points\.shp"):
            sample_map(product, tmp_path / "points.shp")

    @pytest.mark.parametrize("name", ["points.csv", "points.design.json"])
    def test_nothing_is_overwritten_unasked(self, product, tmp_path, name):
        (tmp_path / name).write_text("old")
        with pytest.raises(StorageError, match="exists"):
            sample_map(product, tmp_path / "points.csv")
        assert (tmp_path / name).read_text() == "old"
        sample_map(product, tmp_path / "points.csv", SampleOptions(overwrite=True))
        assert read_points(tmp_path / "points.csv").design is not None

    def test_something_else_than_a_product(self, tmp_path):
        (tmp_path / "map.tif").write_text("no raster")
        with pytest.raises(InputError):
            sample_map(tmp_path / "map.tif", tmp_path / "points.csv")
