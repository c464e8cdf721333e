import dataclasses
import json

import numpy as np
import pytest
from affine import Affine

from lulc.errors import InputError
from lulc.io.labels.points import read_points, write_points
from lulc.io.product.reader import open_product
from lulc.io.report.writer import JSON, MARKDOWN, write_report
from lulc.legend import Legend
from lulc.tasks.accuracy.agreement_report import PICTURES
from lulc.tasks.accuracy.area_report import NOT_A_SAMPLE
from lulc.tasks.accuracy.estimate import estimate_areas
from lulc.tasks.accuracy.options import EstimateOptions, SampleOptions
from lulc.tasks.accuracy.sample import sample_map
from tests.support.point_samples import LEGEND, PLACE, label, mapped, read_rows, truth, write_map, write_rows

REAL = truth()
CODES = mapped(REAL)
VALID = CODES != 255


@pytest.fixture
def case(tmp_path):
    """A map, and points of it labelled with the truth."""
    product, points = write_map(tmp_path / "map.tif", CODES), tmp_path / "points.csv"
    sample_map(product, points, SampleOptions(total=600))
    label(points, REAL)
    return product, points


def change(path, **columns):
    """Set columns of the first point."""
    rows = read_rows(path)
    rows[0] |= columns
    write_rows(path, rows)


class TestEstimate:
    def test_near_the_truth(self, case):
        report = estimate_areas(*case)
        found = report.estimates
        real = (CODES == REAL)[VALID].mean()
        assert found.overall.low < real < found.overall.high
        for place in range(3):
            hectares = 0.01 * np.count_nonzero(REAL[VALID] == place + 1)
            assert report.hectares(place).low < hectares < report.hectares(place).high
            assert report.counted[place] == pytest.approx(0.01 * np.count_nonzero(place + 1 == CODES))
        assert found.sampled_area == pytest.approx(0.01 * VALID.sum())
        assert report.remarks == ()

    def test_rows_of_the_matrix_are_the_areas_of_the_map(self, case):
        report = estimate_areas(*case)
        np.testing.assert_allclose(
            report.estimates.proportions.sum(axis=1) * report.estimates.sampled_area, report.counted
        )

    @pytest.mark.parametrize("degrees", [False, True])
    @pytest.mark.whole
    def test_unbiased_over_many_samples(self, tmp_path, degrees):
        """From map to report: a wrong weight anywhere would shift the mean."""
        changes = {"crs": "EPSG:4326", "transform": Affine(0.05, 0, 10, 0, -0.05, 70)} if degrees else {}
        product, points = write_map(tmp_path / "map.tif", CODES, **changes), tmp_path / "points.csv"
        found = []
        for seed in range(40):
            sample_map(product, points, SampleOptions(total=300, seed=seed, overwrite=True))
            label(points, REAL)
            report = estimate_areas(None, points)
            found.append([report.hectares(place).value for place in range(3)])
        with open_product(product) as opened:
            per_pixel = opened.grid.pixel_areas_ha()[:, None] * VALID
        real = [float((per_pixel * (code == REAL)).sum()) for code in (1, 2, 3)]
        error = np.std(found, axis=0) / np.sqrt(len(found))
        np.testing.assert_array_less(np.abs(np.mean(found, axis=0) - real), 4 * error)

    @pytest.mark.parametrize("suffix", ["gpkg", "geojson"])
    def test_formats_say_the_same(self, case, tmp_path, suffix):
        product, points = case
        other = tmp_path / f"other.{suffix}"
        with open_product(product) as opened:
            write_points(other, read_points(points), opened.grid)
        first, second = estimate_areas(product, points), estimate_areas(product, other)
        assert first.to_json() | {"points": ""} == second.to_json() | {"points": ""}

    def test_the_map_can_be_left_out(self, case):
        product, points = case
        assert estimate_areas(None, points).estimates.overall == estimate_areas(product, points).estimates.overall

    def test_codes_and_names_in_any_case_are_labels(self, case):
        product, points = case
        before = estimate_areas(product, points).estimates
        rows = read_rows(points)
        for place, row in enumerate(rows):
            row["reference"] = (
                str(LEGEND.names.index(row["reference"]) + 1) if place % 2 else f" {row['reference'].upper()} "
            )
        write_rows(points, rows)
        assert estimate_areas(product, points).estimates.overall == before.overall

    def test_another_column(self, case):
        product, points = case
        rows = [{**row, "second": row["map_class"]} for row in read_rows(points)]
        write_rows(points, rows)
        assert estimate_areas(product, points, EstimateOptions(attribute="second")).estimates.overall.value == 1

    def test_another_map_on_another_grid(self, case, tmp_path):
        """Strata of the first map, classes of a second one on a finer grid."""
        _, points = case
        better = mapped(REAL, share=0.02, seed=9)
        better[~VALID] = 1
        finer = write_map(
            tmp_path / "finer.tif", better.repeat(2, axis=0).repeat(2, axis=1), transform=PLACE @ Affine.scale(0.5)
        )
        with pytest.raises(InputError, match=r"drawn from map\.tif"):
            estimate_areas(finer, points)
        report = estimate_areas(finer, points, EstimateOptions(other_map=True))
        real = (better == REAL)[VALID].mean()
        assert report.estimates.overall.low < real < report.estimates.overall.high
        assert not report.strata_are_classes
        assert "another map" in report.to_markdown()


class TestChecks:
    @pytest.mark.parametrize(
        ("columns", "message"),
        [
            ({"row": "7"}, "have changed"),
            ({"stratum": "1.0", "row": "0"}, "have changed"),
            ({"id": "2"}, "point 2 more than once"),
            ({"id": "9999"}, "9999, which was not drawn"),
            ({"reference": "watre"}, "did you mean 'water'"),
            ({"reference": "4"}, "label '4'"),
            ({"reference": ""}, "1 of 600 points .* have no label: 1;"),
            ({"row": "x"}, "'row' holds 'x' in row 1"),
            ({"col": "1.5"}, "'col' holds '1.5'"),
            ({"lon": "inf"}, "'lon' holds"),
        ],
    )
    def test_changed_points_are_refused(self, case, columns, message):
        product, points = case
        change(points, **columns)
        with pytest.raises(InputError, match=message):
            estimate_areas(product, points)

    def test_points_added_or_gone(self, case):
        product, points = case
        rows = read_rows(points)
        write_rows(points, [*rows, rows[0]])
        with pytest.raises(InputError, match="more than once"):
            estimate_areas(product, points)
        write_rows(points, rows[3:])
        with pytest.raises(InputError, match=r"lacks 3 of the 600 points .*: 1, 2, 3; put them back"):
            estimate_areas(product, points)

    def test_missing_points_may_be_allowed_and_are_said(self, case):
        product, points = case
        rows = read_rows(points)[3:]
        rows[0]["reference"] = ""
        write_rows(points, rows)
        report = estimate_areas(product, points, EstimateOptions(allow_missing=True))
        assert sum(report.labelled.values()) == 596
        text = report.to_markdown()
        assert "3 of the 600 points drawn are not in the file" in text
        assert "points without a label: 1;" in text

    def test_a_stratum_without_labels_is_said(self, case):
        product, points = case
        rows = read_rows(points)
        for row in rows:
            row["reference"] = "" if row["stratum"] == "3" else row["reference"]
        write_rows(points, rows)
        report = estimate_areas(product, points, EstimateOptions(allow_missing=True))
        assert report.estimates.unsampled == (3,)
        assert f"'built' has no labelled point: its {report.counted[2]:,.1f} ha are left out" in report.to_markdown()
        assert report.estimates.sampled_area == pytest.approx(sum(report.counted[:2]))

    def test_one_label_in_a_stratum_is_said(self, case):
        product, points = case
        rows = read_rows(points)
        built = [row for row in rows if row["stratum"] == "3"]
        for row in built[1:]:
            row["reference"] = ""
        write_rows(points, rows)
        report = estimate_areas(product, points, EstimateOptions(allow_missing=True))
        assert "'built' has one labelled point" in report.to_markdown()
        assert report.to_json()["overall_accuracy"]["se"] is None

    def test_no_labels_at_all(self, tmp_path):
        product = write_map(tmp_path / "map.tif", CODES)
        sample_map(product, tmp_path / "points.gpkg")
        for allowed in (False, True):
            with pytest.raises(InputError, match=r"no point of .* has a label"):
                estimate_areas(product, tmp_path / "points.gpkg", EstimateOptions(allow_missing=allowed))

    def test_a_map_that_does_not_cover_the_points(self, case, tmp_path):
        _, points = case
        part = write_map(tmp_path / "part.tif", CODES[:200])
        with pytest.raises(InputError, match=r"points of .* lie where .*part\.tif has no data: "):
            estimate_areas(part, points, EstimateOptions(other_map=True))

    def test_another_legend(self, case, tmp_path):
        _, points = case
        strange = Legend("x", "x", (*LEGEND.classes[:2], dataclasses.replace(LEGEND.classes[2], name="city")))
        path = write_map(tmp_path / "strange.tif", CODES, legend=strange)
        with pytest.raises(InputError, match="other classes"):
            estimate_areas(path, points, EstimateOptions(other_map=True))


class TestPointsOfOthers:
    @pytest.fixture
    def loose(self, case):
        """The same points without their design."""
        product, points = case
        points.with_name("points.design.json").unlink()
        return product, points

    def test_they_are_flagged_and_get_no_intervals(self, loose):
        report = estimate_areas(*loose)
        table = report.to_json()
        assert table["probability_sample"] is False
        assert table["notes"][0] == NOT_A_SAMPLE
        assert table["overall_accuracy"]["low"] is None
        assert table["overall_accuracy"]["value"] == pytest.approx((CODES == REAL)[VALID].mean(), abs=0.05)
        text = report.to_markdown()
        assert text.count("NOT A PROBABILITY SAMPLE") >= 1
        assert " to " not in text.split("## Where")[0].split("## Accuracy")[1]

    def test_they_need_a_map(self, loose):
        with pytest.raises(InputError, match="give the map"):
            estimate_areas(None, loose[1])

    def test_place_and_label_are_enough(self, loose):
        product, points = loose
        before = estimate_areas(product, points).estimates
        write_rows(points, [{name: row[name] for name in ("lon", "lat", "reference")} for row in read_rows(points)])
        np.testing.assert_array_equal(estimate_areas(product, points).estimates.counts, before.counts)


class TestReport:
    def test_json_is_plain_and_complete(self, case):
        table = json.loads(json.dumps(estimate_areas(*case).to_json(), allow_nan=False))
        assert table["probability_sample"] is True
        assert [entry["name"] for entry in table["classes"]] == list(LEGEND.names)
        assert np.sum(table["matrix_area_shares"]) == pytest.approx(1)
        assert np.sum(table["matrix_points"]) == table["labelled"] == 600
        assert {"area_estimated_ha", "area_counted_ha"} <= set(table["classes"][0])
        disagreement = table["quantity_disagreement"] + table["allocation_disagreement"]
        assert disagreement == pytest.approx(1 - table["overall_accuracy"]["value"])

    def test_counted_and_estimated_are_told_apart(self, case):
        text = estimate_areas(*case).to_markdown()
        for words in (
            "estimated, ha",
            "counted in the map, ha",
            "not an estimate of area",
            "weighted by area",
            "seed 0",
        ):
            assert words in text
        assert "kappa" not in text.lower()
        assert "nan" not in text.lower()
        assert text.endswith("|\n")

    def test_classes_that_nobody_has_are_left_out(self, tmp_path):
        codes = np.where(CODES == 3, 1, CODES).astype(np.uint8)
        product, points = write_map(tmp_path / "map.tif", codes), tmp_path / "points.csv"
        sample_map(product, points)
        label(points, np.where(REAL == 3, 1, REAL))
        assert "| built" not in estimate_areas(product, points).to_markdown().split("## Sample design")[0]


def test_a_class_that_no_point_shows_is_said(case):
    rows = read_rows(case[1])
    for row in rows:
        row["reference"] = "water" if row["reference"] == "built" else row["reference"]
    write_rows(case[1], rows)
    assert estimate_areas(*case).remarks == ("no point is labelled as 'built': producer's accuracy is not defined",)


def test_a_point_of_another_stratum_is_seen_among_missing_ones(case):
    rows = read_rows(case[1])
    here, lost = (next(row for row in rows if row["map_class"] == name) for name in ("built", "water"))
    lost["stratum"] = here["stratum"]
    write_rows(case[1], [row for row in rows if row is not rows[-1]])
    with pytest.raises(InputError, match="holds more points of a stratum than were drawn; only the labels may change"):
        estimate_areas(*case, EstimateOptions(allow_missing=True))


def test_rows_of_the_map_without_points_count_as_area_alone(tmp_path):
    """A map of several strips of rows, of which points of others lie in the first."""
    real = truth(1100, 60)
    product, points = write_map(tmp_path / "map.tif", mapped(real)), tmp_path / "points.csv"
    sample_map(product, points, SampleOptions(total=600))
    label(points, real)
    rows = [row for row in read_rows(points) if int(row["row"]) < 200]
    write_rows(points, rows)
    points.with_name("points.design.json").unlink()
    found = estimate_areas(product, points).estimates
    assert found.counts.sum() == len(rows)
    assert found.sampled_area == pytest.approx(0.01 * np.count_nonzero(mapped(real) != 255))


def test_a_report_of_areas_takes_the_place_of_one_of_agreement(case, tmp_path):
    folder = tmp_path / "report"
    folder.mkdir()
    for name in PICTURES:
        (folder / name).touch()
    report = estimate_areas(*case)
    write_report(report, folder, report.pictures(), overwrite=True)
    assert sorted(path.name for path in folder.iterdir()) == sorted([JSON, MARKDOWN])
