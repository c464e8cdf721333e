"""`lulc report --zones`: what is written, what spreadsheets get of it, and one line for each refusal."""

import csv
import json

import numpy as np
import pytest
import shapely
from click.testing import CliRunner
from PIL import Image

from lulc.cli.main import cli
from lulc.tasks.accuracy.options import SampleOptions
from lulc.tasks.accuracy.sample import sample_map
from lulc.tasks.describe.map_report import report_map
from lulc.tasks.describe.options import ReportOptions
from tests.support.point_samples import PLACE, label, mapped, truth, write_map
from tests.support.product_samples import grid_of, names, pixels, write
from tests.support.zone_samples import bounds_of, partition, write_zones

GRID = grid_of(300, 400)


def run(*arguments):
    return CliRunner().invoke(cli, ["report", *map(str, arguments)])


@pytest.fixture(scope="module")
def product(tmp_path_factory):
    path = tmp_path_factory.mktemp("map") / "map.tif"
    write(path, pixels(300, 400, seed=6))
    return path


@pytest.fixture(scope="module")
def sampled(tmp_path_factory):
    """A map with errors, and a sample of it that is labelled with the truth."""
    folder = tmp_path_factory.mktemp("sampled")
    ground = truth(seed=3)
    write_map(folder / "map.tif", mapped(ground))
    sample_map(folder / "map.tif", folder / "points.csv", SampleOptions(total=400, min_per_class=60))
    label(folder / "points.csv", ground)
    return folder, ground


def of_sampled(count, seed=0):
    return partition(bounds_of(grid_of(300, 400, transform=PLACE)), count, seed)


def read(folder):
    with (folder / "zones.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file)), json.loads((folder / "report.json").read_text())["zones"]


def test_all_files_say_the_same(product, tmp_path):
    zones = write_zones(tmp_path / "z.gpkg", partition(bounds_of(GRID), 8), district=[f"Béziers {n}" for n in range(8)])
    done = run(product, tmp_path / "out", "--zones", zones, "--zone-field", "district")
    assert done.exit_code == 0, done.output
    assert names(tmp_path / "out") == ["map.png", "report.json", "report.md", "zones.csv", "zones.png"]
    rows, table = read(tmp_path / "out")
    assert list(rows[0])[:5] == ["zone", "zone_ha", "mapped_ha", "mapped_share", "confidence"]
    assert list(rows[0])[5:7] == ["water_ha", "trees_ha"]
    for row, zone in zip(rows, table["zones"], strict=True):
        assert row["zone"] == zone["name"]
        assert float(row["mapped_ha"]) == pytest.approx(zone["mapped_ha"], abs=1e-4)
        shares = [float(value) for name, value in row.items() if name.endswith("_share") and name != "mapped_share"]
        assert sum(shares) == pytest.approx(1, abs=1e-5)
        assert sum(entry["hectares"] for entry in zone["classes"]) == pytest.approx(zone["mapped_ha"])
    text = (tmp_path / "out" / "report.md").read_text()
    assert "| Béziers 3 |" in text
    assert "is no estimate of area" in text
    assert Image.open(tmp_path / "out" / "zones.png").width > 1000
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert run(product, tmp_path / "out", "--zones", zones, "--zone-field", "district").exit_code == 5
    again = run(product, tmp_path / "out", "--zones", zones, "--zone-field", "district", "--overwrite")
    assert again.exit_code == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_names_never_become_formulas_nor_break_tables(product, tmp_path):
    odd = ["=SUM(A1:A9)", "+1", "-2", "@x", "a|b", 'c,"d"']
    zones = write_zones(tmp_path / "z.gpkg", partition(bounds_of(GRID), 6), name=odd)
    report_map(product, tmp_path / "out", ReportOptions(zones=zones))
    rows, table = read(tmp_path / "out")
    assert [row["zone"] for row in rows] == ["'=SUM(A1:A9)", "'+1", "'-2", "'@x", "a|b", 'c,"d"']
    assert [zone["name"] for zone in table["zones"]] == odd
    assert "| a\\|b " in (tmp_path / "out" / "report.md").read_text()


def test_many_zones_are_in_the_csv_and_the_largest_on_the_page(product, tmp_path):
    zones = write_zones(tmp_path / "z.gpkg", partition(bounds_of(GRID), 45))
    report_map(product, tmp_path / "out", ReportOptions(zones=zones))
    text = (tmp_path / "out" / "report.md").read_text()
    assert text.count("\n| zone ") == 31
    assert "The 30 zones of 45 with most mapped area; `zones.csv` holds all of them." in text
    assert len(read(tmp_path / "out")[0]) == 45


def test_overlaps_and_zones_beside_the_map_are_told(product, tmp_path):
    west, south, east, _ = bounds_of(GRID)
    shapes = [
        shapely.box(west, south, west + 1000, south + 1000),
        shapely.box(west + 500, south, west + 1500, south + 1000),
    ]
    zones = write_zones(tmp_path / "z.gpkg", [*shapes, shapely.box(east + 50, south, east + 90, south + 90)])
    done = run(product, tmp_path / "out", "--zones", zones)
    assert "zones overlap: 50 ha lie in more than one zone; each zone counts in full" in done.output
    assert "zones that lie beside the map: 1, such as 'zone 3'" in done.output
    rows, _ = read(tmp_path / "out")
    assert (rows[2]["mapped_ha"], rows[2]["water_share"]) == ("0.0000", "")


class TestSample:
    def test_zones_get_intervals_or_none(self, sampled, tmp_path):
        folder, _ = sampled
        zones = write_zones(tmp_path / "z.gpkg", of_sampled(12), crs="EPSG:32633")
        done = run(folder / "map.tif", tmp_path / "out", "--zones", zones, "--sample", folder / "points.csv")
        assert done.exit_code == 0, done.output
        rows, table = read(tmp_path / "out")
        known = [zone for zone in table["zones"] if zone["classes"][0]["adjusted_ha"] is not None]
        assert 0 < len(known) < 12
        assert f"zones with too few points for an estimate: {12 - len(known)} of 12" in done.output
        assert sum(int(row["points"]) for row in rows) == 400
        for zone in known:
            assert zone["points"] >= 20
            assert sum(entry["adjusted_ha"] for entry in zone["classes"]) == pytest.approx(zone["mapped_ha"])
            assert all(entry["low_ha"] <= entry["adjusted_ha"] <= entry["high_ha"] for entry in zone["classes"])
        assert all(
            row["water_adjusted_ha"] == "" for row, zone in zip(rows, table["zones"], strict=True) if zone not in known
        )
        text = (tmp_path / "out" / "report.md").read_text()
        assert "too few points" in text
        assert "need not add up to its estimate" in text
        assert "it assumes that the map errs in this zone as it does as a whole" in text

    def test_one_zone_of_all_is_the_estimate_of_the_map(self, sampled, tmp_path):
        from lulc.tasks.accuracy.estimate import estimate_areas

        folder, _ = sampled
        zones = write_zones(tmp_path / "z.gpkg", of_sampled(1), crs="EPSG:32633")
        options = ReportOptions(zones=zones, sample=folder / "points.csv")
        report = report_map(folder / "map.tif", tmp_path / "out", options).zones
        whole = estimate_areas(folder / "map.tif", folder / "points.csv")
        for k, share in enumerate(report.estimates[0].shares):
            expected = whole.hectares(k)
            assert share.value * report.areas.mapped_ha[0] == pytest.approx(expected.value, rel=1e-9)
            assert share.low * report.areas.mapped_ha[0] == pytest.approx(
                expected.low, rel=2e-2
            )  # no finite population here
            assert report.synthetic_ha[0, k] == pytest.approx(expected.value, rel=1e-9)

    def test_points_without_labels_or_of_another_map(self, sampled, product, tmp_path):
        folder, _ = sampled
        zones = write_zones(tmp_path / "z.gpkg", of_sampled(3), crs="EPSG:32633")
        sample_map(folder / "map.tif", tmp_path / "bare.csv", SampleOptions(total=200))
        done = run(folder / "map.tif", tmp_path / "out", "--zones", zones, "--sample", tmp_path / "bare.csv")
        assert done.exit_code == 3
        assert "200 of 200 points of" in done.output
        assert "have no label: 1, 2, 3, 4, 5 and 195 more; label them in the column reference" in done.output
        done = run(product, tmp_path / "out", "--zones", zones, "--sample", folder / "points.csv")
        assert done.exit_code == 3
        assert "was drawn from map.tif, not from" in done.output
        points = write_zones(tmp_path / "p.gpkg", [shapely.Point(0, 0)], reference=["water"])
        done = run(folder / "map.tif", tmp_path / "out", "--zones", zones, "--sample", points)
        assert "does not say how its points were drawn; draw points with lulc sample" in done.output
        assert not (tmp_path / "out").exists()


def test_refusals_are_one_line_and_leave_nothing(product, tmp_path):
    good = write_zones(tmp_path / "z.gpkg", partition(bounds_of(GRID), 3), district=["a", "b", "c"])
    far = write_zones(tmp_path / "far.gpkg", [shapely.box(0, 0, 1, 1)])
    for options, code, words in (
        (["--zones", good, "--zone-field", "distrct"], 3, "has no field 'distrct'; did you mean 'district'?"),
        (["--zones", far], 3, "the zone of"),
        (["--zones", tmp_path / "no.gpkg"], 3, "is not there"),
        (["--zone-field", "district"], 2, "--zone-field is of no use without --zones"),
        (["--sample", "points.csv"], 2, "--sample is of no use without --zones"),
        (["--legend", "worldcover"], 2, "was made by lulc and knows its classes; leave out --legend and --nodata"),
    ):
        done = run(product, tmp_path / "out", *options)
        assert done.exit_code == code, done.output
        assert words in done.output
        assert code == 2 or done.output.count("\n") == 1
        assert not (tmp_path / "out").exists()


def test_a_report_is_not_written_over_its_own_zones(product, tmp_path):
    (tmp_path / "out").mkdir()
    zones = write_zones(tmp_path / "out" / "zones.gpkg", partition(bounds_of(GRID), 3))
    (tmp_path / "out" / "zones.csv").write_text("mine")
    done = run(product, tmp_path / "out", "--zones", zones)
    assert done.exit_code == 5
    assert "zones.csv exists" in done.output
    assert (tmp_path / "out" / "zones.csv").read_text() == "mine"
    assert run(product, tmp_path / "out", "--overwrite").exit_code == 0
    assert (tmp_path / "out" / "zones.csv").read_text() == "mine"


def test_wide_legends_show_what_occurs(tmp_path):
    values = np.full((60, 80), 112, np.uint16)
    values[:, 40:] = 311
    from tests.support.evaluation_samples import labels

    labels(tmp_path / "clc.tif", values)
    zones = write_zones(tmp_path / "z.gpkg", [shapely.box(300_105, 4_899_600, 300_500, 4_900_000)])
    report_map(tmp_path / "clc.tif", tmp_path / "out", ReportOptions(zones=zones, legend="corine-3"))
    rows, _ = read(tmp_path / "out")
    assert sum(name.endswith("_share") for name in rows[0]) == 3
    assert "confidence" not in rows[0]
    assert sum(float(value) for name, value in rows[0].items() if name.endswith("_ha")) == pytest.approx(
        3 * float(rows[0]["mapped_ha"]), rel=1e-2
    )
