"""`lulc change` of maps without activations: labels are compared, and nothing pretends to be a probability."""

import csv
import json

import numpy as np
import pytest
import rasterio
from affine import Affine
from click.testing import CliRunner

from lulc.cli.main import cli
from lulc.errors import InputError, UsageError
from lulc.io.cog.check import cog_problems
from lulc.tasks.change.change import map_change
from lulc.tasks.change.options import ChangeOptions
from tests.support.evaluation_samples import COARSE, CROSSWALK, PLACE, labels, product, shares

VALUES = np.array([10, 30, 50, 80], np.uint8)
CODES = {10: 1, 30: 3, 50: 5, 80: 8}


def two_dates(folder, after_place=PLACE):
    rng = np.random.default_rng(0)
    before = rng.choice(VALUES, (20, 30)).repeat(10, axis=0).repeat(10, axis=1)
    after = np.where(rng.random(before.shape) < 0.1, rng.choice(VALUES, before.shape), before).astype(np.uint8)
    before[:10], after[:, :5] = 0, 0
    labels(folder / "before.tif", before)
    labels(folder / "after.tif", after, transform=after_place)
    return before, after


def run(*arguments):
    return CliRunner().invoke(cli, ["change", *map(str, arguments)])


def test_every_differing_label_is_a_change(tmp_path):
    before, after = two_dates(tmp_path)
    done = run(
        tmp_path / "before.tif",
        tmp_path / "after.tif",
        tmp_path / "c.tif",
        "--legend",
        "worldcover",
        "--out",
        tmp_path / "r",
    )
    assert done.exit_code == 0, done.output
    both = (before > 0) & (after > 0)
    with rasterio.open(tmp_path / "c.tif") as found:
        assert found.descriptions == ("class", "before", "after")
        changed, first, second = found.read()
    codes = [np.vectorize(lambda value: CODES.get(value, 255))(values) for values in (before, after)]
    np.testing.assert_array_equal(first, np.where(both, codes[0], 255))
    np.testing.assert_array_equal(second, np.where(both, codes[1], 255))
    np.testing.assert_array_equal(changed, np.where(both, (codes[0] - 1) * 11 + codes[1], 255))
    table = json.loads((tmp_path / "r" / "report.json").read_text())
    assert (table["decided_by"], table["expected"], table["adjusted"]) == ("labels", None, None)
    assert table["as_counted"]["changed_ha"] == pytest.approx((before != after)[both].sum() * 0.01)
    assert "threshold" not in table
    for text in (done.output, (tmp_path / "r" / "report.md").read_text(), " ".join(table["notes"])):
        assert "no probability of change exists" in text
        assert "differences include the errors of both maps" in text
    assert "xpected" not in (tmp_path / "r" / "report.md").read_text()
    with (tmp_path / "r" / "matrix.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert "expected_ha" not in rows[0]
    assert sum(int(row["pixels"]) for row in rows) == both.sum()
    assert cog_problems(tmp_path / "c.tif") == []


def test_the_second_map_may_lie_on_another_grid(tmp_path):
    before, _ = two_dates(tmp_path)
    shifted = labels(
        tmp_path / "shifted.tif", np.roll(before, -30, axis=1), transform=PLACE @ Affine.translation(30, 0)
    )
    report = map_change(tmp_path / "before.tif", shifted, tmp_path / "c.tif", ChangeOptions(legend="worldcover"))
    assert report.counted.changed == 0
    assert report.counted.hectares.sum() == pytest.approx((before[:, 30:] > 0).sum() * 0.01)
    half = labels(tmp_path / "half.tif", before, transform=PLACE @ Affine.translation(0.3, 0.3))
    report = map_change(tmp_path / "before.tif", half, tmp_path / "d.tif", ChangeOptions(legend="worldcover"))
    assert report.counted.changed == pytest.approx(0, abs=1e-9)


class TestWhichMaps:
    @pytest.fixture
    def maps(self, tmp_path):
        product(tmp_path / "with.tif", shares(seed=1))
        product(tmp_path / "without.tif", shares(seed=2), activations="none")
        product(tmp_path / "too.tif", shares(seed=3), activations="none")
        return tmp_path

    def test_two_maps_without_activations_are_compared_by_labels(self, maps):
        report = map_change(maps / "without.tif", maps / "too.tif", maps / "c.tif")
        differ = shares(seed=2).argmax(axis=0) != shares(seed=3).argmax(axis=0)
        assert report.counted.changed == pytest.approx(differ.sum() * 0.01)
        assert report.expected is None

    @pytest.mark.parametrize("names", [("with", "without"), ("without", "with")])
    def test_one_of_each_is_refused_unless_asked_for(self, maps, names):
        paths = [maps / f"{name}.tif" for name in names]
        with pytest.raises(
            InputError, match=r"without\.tif has no activations.*, or compare labels alone with --labels"
        ):
            map_change(*paths, maps / "c.tif")
        assert not (maps / "c.tif").exists()
        report = map_change(*paths, maps / "c.tif", ChangeOptions(labels=True))
        assert report.expected is None
        assert "probability of change" not in rasterio.open(maps / "c.tif").descriptions

    def test_a_coarser_legend(self, maps):
        (maps / "coarse.toml").write_text(COARSE)
        (maps / "crosswalk.toml").write_text(CROSSWALK)
        options = ChangeOptions(to=maps / "coarse.toml", crosswalk=maps / "crosswalk.toml")
        report = map_change(maps / "without.tif", maps / "too.tif", maps / "c.tif", options)
        assert report.classes == ("water", "forest")
        kept = (shares(seed=2).argmax(axis=0) < 3) & (shares(seed=3).argmax(axis=0) < 3)
        assert report.pixels.sum() == kept.sum()

    def test_legends_and_options_that_do_not_fit(self, maps):
        two_dates(maps)
        pair, out = (maps / "before.tif", maps / "after.tif"), maps / "c.tif"
        with pytest.raises(
            UsageError, match=r"before\.tif was not made by lulc; give the legend of its classes with --legend"
        ):
            map_change(*pair, out)
        with pytest.raises(UsageError, match="--mmu needs activations, and labels alone are compared; leave it out"):
            map_change(*pair, out, ChangeOptions(legend="worldcover", mmu=2))
        with pytest.raises(UsageError, match="know their classes; leave out --legend and --nodata"):
            map_change(maps / "without.tif", maps / "too.tif", out, ChangeOptions(legend="worldcover"))
        with pytest.raises(InputError, match="have different classes: fine and worldcover"):
            map_change(maps / "without.tif", pair[1], out, ChangeOptions(legend="worldcover"))
        with pytest.raises(UsageError, match=r"44 classes.*--to corine-1"):
            map_change(*pair, out, ChangeOptions(legend="corine-3"))

    def test_values_that_the_legend_lacks_leave_nothing(self, maps):
        before, _ = two_dates(maps)
        before[50:60] = 77
        labels(maps / "odd.tif", before)
        there = sorted(maps.iterdir())
        done = run(maps / "odd.tif", maps / "after.tif", maps / "c.tif", "--legend", "worldcover")
        assert done.exit_code == 3
        assert "odd.tif holds 77, which legend worldcover does not know (3,000 pixels); give --nodata 77" in done.output
        assert sorted(maps.iterdir()) == there
        done = run(maps / "odd.tif", maps / "after.tif", maps / "c.tif", "--legend", "worldcover", "--nodata", 77)
        assert done.exit_code == 0, done.output


def test_maps_without_common_data_are_refused(tmp_path):
    before, _ = two_dates(tmp_path)
    labels(tmp_path / "empty.tif", np.zeros_like(before))
    with pytest.raises(InputError, match="have no pixel with data in both"):
        map_change(
            tmp_path / "before.tif", tmp_path / "empty.tif", tmp_path / "c.tif", ChangeOptions(legend="worldcover")
        )
    assert not (tmp_path / "c.tif").exists()
