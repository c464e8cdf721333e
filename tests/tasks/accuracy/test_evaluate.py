import json
import logging
import tracemalloc

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.warp import transform
from sklearn.metrics import confusion_matrix, f1_score

from lulc.errors import ConfigError, InputError, StorageError, UsageError
from lulc.io.report.writer import JSON, MARKDOWN, write_report
from lulc.legend import load_legend
from lulc.tasks.accuracy.agreement_report import PICTURES
from lulc.tasks.accuracy.evaluate import evaluate_map
from lulc.tasks.accuracy.options import EvaluateOptions
from lulc.tasks.accuracy.pair import choose_crosswalks
from tests.support.evaluation_samples import COARSE as COARSE_TOML
from tests.support.evaluation_samples import CROSSWALK, FINE, PLACE, coarse_values, labels, product, shares

FILES = (JSON, MARKDOWN, *PICTURES)


@pytest.fixture
def coarse(tmp_path):
    path = tmp_path / "coarse.toml"
    path.write_text(COARSE_TOML)
    return path


@pytest.fixture
def crosswalk(tmp_path):
    path = tmp_path / "crosswalk.toml"
    path.write_text(CROSSWALK)
    return path


@pytest.fixture
def steps():
    return shares()


@pytest.fixture
def fine_map(tmp_path, steps):
    return product(tmp_path / "map.tif", steps)


@pytest.fixture
def options(coarse, crosswalk):
    return EvaluateOptions(legend=coarse, crosswalk=(crosswalk,), block_px=32)


@pytest.fixture
def reference(tmp_path, steps):
    return labels(tmp_path / "reference.tif", coarse_values(steps))


class TestAClassThatMayBeSeveral:
    """Esri's rangeland is Dynamic World's grass or shrub: a map that says either is right."""

    @pytest.fixture
    def files(self, tmp_path):
        """Random classes of both legends, a third of them changed; value and class of Dynamic World by Esri's value."""
        rng, shape = np.random.default_rng(11), (96, 128)
        world = rng.choice(9, shape)
        esri_of = np.array([1, 2, 11, 4, 5, 11, 7, 8, 9])  # of water .. snow & ice; grass and shrub are both 11
        esri = np.where(rng.random(shape) < 0.3, rng.choice(esri_of, shape), esri_of[world])
        labels(tmp_path / "world.tif", world.astype(np.uint8))
        labels(tmp_path / "esri.tif", esri.astype(np.uint8))
        return tmp_path / "world.tif", tmp_path / "esri.tif", float((esri_of[world] == esri).mean())

    @pytest.mark.parametrize("to", [None, "dynamic-world"])
    def test_both_are_right(self, files, to):
        world, esri, expected = files
        options = EvaluateOptions(map_legend="dynamic-world-gee", legend="esri", block_px=32)
        with pytest.raises(ConfigError, match="no crosswalk between"):
            evaluate_map(world, esri, options)
        options = EvaluateOptions(map_legend="dynamic-world", legend="esri", block_px=32, to=to)
        shifted = world.with_name("shifted.tif")
        with rasterio.open(world) as file:
            labels(shifted, file.read(1) + 1)
        report = evaluate_map(shifted, esri, options)
        assert report.matrix.overall == pytest.approx(expected)
        assert report.matrix.total == 96 * 128
        assert "grass or shrub & scrub" in report.legend.names
        assert "grass or shrub & scrub count as one class" in report.notes
        swapped = EvaluateOptions(map_legend="esri", legend="dynamic-world", block_px=32, to=to)
        assert evaluate_map(esri, shifted, swapped).matrix.overall == pytest.approx(expected)


class TestSameLegend:
    def test_equal_maps_agree(self, fine_map):
        report = evaluate_map(fine_map, fine_map, EvaluateOptions(block_px=32, edges=True))
        assert report.matrix.overall == 1
        assert report.matrix.total == report.candidates == 200 * 300
        assert report.intervals.overall.tolist() == [1, 1]
        assert report.edges.any_in_3x3 == report.edges.inside == 1
        assert report.legend.names == FINE.names

    def test_numbers_are_those_of_scikit_learn(self, tmp_path, steps, fine_map):
        other = product(tmp_path / "other.tif", np.roll(steps, 7, axis=2))
        report = evaluate_map(fine_map, other, EvaluateOptions(block_px=32))
        mapped, referenced = (s.argmax(axis=0).ravel() for s in (steps, np.roll(steps, 7, axis=2)))
        assert (report.matrix.counts == confusion_matrix(referenced, mapped).T).all()
        np.testing.assert_allclose(report.matrix.f1, f1_score(referenced, mapped, average=None))
        low, high = report.intervals.overall
        assert low < report.matrix.overall < high

    @pytest.mark.parametrize("block", [8, 64, 100, 4096])
    @pytest.mark.whole
    def test_blocks_change_intervals_alone(self, tmp_path, steps, fine_map, block):
        other = product(tmp_path / "other.tif", np.roll(steps, 7, axis=2))
        report = evaluate_map(fine_map, other, EvaluateOptions(block_px=block, edges=True))
        known = evaluate_map(fine_map, other, EvaluateOptions(block_px=32, edges=True))
        assert report.matrix == known.matrix
        assert report.edges.any_in_3x3 == known.edges.any_in_3x3
        assert report.edges.inside_share == known.edges.inside_share
        assert report.calibration.ece == pytest.approx(known.calibration.ece)
        assert report.intervals.blocks == -(-200 // block) * -(-300 // block)

    def test_no_data_and_unlabelled_are_not_compared(self, tmp_path, steps):
        holed = product(tmp_path / "holed.tif", steps, hole=np.s_[:50, :60])
        other = product(tmp_path / "other.tif", steps, hole=np.s_[100:, :])
        report = evaluate_map(holed, other, EvaluateOptions(block_px=32))
        assert report.candidates == 200 * 300 - 50 * 60
        assert report.matrix.total == 100 * 300 - 50 * 60
        assert report.calibration.pixels == report.matrix.total

    def test_areas_as_counted(self, fine_map):
        areas = evaluate_map(fine_map, fine_map).areas
        assert sum(area.map_ha for area in areas) == pytest.approx(200 * 300 * 0.01)
        assert [area.map_ha for area in areas] == [area.reference_ha for area in areas]

    def test_no_place_no_areas(self, tmp_path, steps):
        path = product(tmp_path / "nowhere.tif", steps, crs=None, transform=Affine.identity())
        report = evaluate_map(path, path, EvaluateOptions(block_px=32))
        assert report.matrix.overall == 1
        assert report.areas == ()
        assert "Area as counted" not in report.to_markdown()


class TestCrosswalk:
    def test_activations_are_summed_before_the_largest_is_taken(self, tmp_path, coarse, crosswalk):
        """Pine 0.3 and oak 0.3 lose to lake 0.4 one by one, and win as forest."""
        steps = np.full((4, 40, 40), np.array([100, 75, 75, 0])[:, None, None], np.uint8)
        reference = labels(tmp_path / "reference.tif", np.full((40, 40), 21, np.uint8))
        options = EvaluateOptions(legend=coarse, crosswalk=(crosswalk,), block_px=8)
        summed = evaluate_map(product(tmp_path / "map.tif", steps), reference, options)
        assert summed.matrix.counts.tolist() == [[0, 0], [0, 1600]]
        assert summed.calibration.confidence == pytest.approx(0.6)
        relabelled = evaluate_map(product(tmp_path / "bare.tif", steps, activations="none"), reference, options)
        assert relabelled.matrix.counts.tolist() == [[0, 1600], [0, 0]]
        assert relabelled.calibration is None
        assert "relabelled" in relabelled.notes[0]

    def test_against_plain_arithmetic(self, steps, fine_map, reference, options):
        report = evaluate_map(fine_map, reference, options)
        water, forest = steps[0].astype(int), steps[1].astype(int) + steps[2]
        referenced = np.where(coarse_values(steps) == 10, 0, 1)
        expected = confusion_matrix(referenced.ravel(), (forest > water).ravel()).T
        ties = np.count_nonzero(water == forest)
        assert ties < 0.01 * steps[0].size
        assert np.abs(report.matrix.counts - expected).max() <= ties

    def test_ignored_classes_are_told(self, steps, fine_map, reference, options, caplog):
        with caplog.at_level(logging.WARNING):
            report = evaluate_map(fine_map, reference, options)
        snow = int((steps.argmax(axis=0) == 3).sum())
        expected = f"ignored by the map's crosswalk, counted by their next best class: snow ({snow:,} px)"
        assert expected in report.notes
        assert expected in caplog.text

    def test_edges_do_not_count_ignored_pixels_twice(self, fine_map, reference, options):
        plain = evaluate_map(fine_map, reference, options)
        assert evaluate_map(fine_map, reference, options.model_copy(update={"edges": True})).notes == plain.notes

    def test_both_brought_to_a_third(self, fine_map, crosswalk, coarse):
        report = evaluate_map(fine_map, fine_map, EvaluateOptions(to=coarse, crosswalk=(crosswalk,), block_px=32))
        assert report.legend.name == "coarse"
        assert report.matrix.total > 0

    @pytest.mark.parametrize(
        ("of_map", "of_reference", "to", "found"),
        [
            ("dynamic-world", "worldcover", None, "dynamic-world"),
            ("worldcover", "dynamic-world", None, "dynamic-world"),
            ("corine-2", "corine-3", None, "corine-2"),
            ("corine-3", "corine-3", None, "corine-3"),
            ("corine-3", "corine-2", "corine-1", "corine-1"),
        ],
    )
    def test_shipped_ones_are_found(self, of_map, of_reference, to, found):
        pair = choose_crosswalks(load_legend(of_map), load_legend(of_reference), to, ())
        assert [crosswalk.source.name for crosswalk in pair] == [of_map, of_reference]
        assert {crosswalk.target.name for crosswalk in pair} == {found}

    def test_a_crosswalk_without_a_part(self, fine_map, crosswalk):
        with pytest.raises(ConfigError, match="has no part"):
            evaluate_map(fine_map, fine_map, EvaluateOptions(crosswalk=(crosswalk,)))

    def test_none_between_them(self, fine_map, reference, coarse):
        with pytest.raises(ConfigError, match=r"no crosswalk between fine \(map\) and coarse \(reference\)"):
            evaluate_map(fine_map, reference, EvaluateOptions(legend=coarse))


class TestOtherRasters:
    def test_a_class_raster_as_map(self, tmp_path, steps, reference, coarse):
        report = evaluate_map(reference, reference, EvaluateOptions(legend=coarse, block_px=32))
        assert report.matrix.overall == 1
        assert report.calibration is None

    def test_its_own_legend(self, tmp_path, steps, fine_map, reference, coarse, crosswalk):
        options = EvaluateOptions(map_legend=coarse, crosswalk=(crosswalk,), to=coarse, block_px=32)
        report = evaluate_map(reference, fine_map, options)
        assert "not counted: snow" in report.notes[0]
        assert report.legend.name == "coarse"

    def test_a_reference_on_another_grid(self, tmp_path, steps, fine_map, coarse, crosswalk):
        """Pixels of 20 m: each covers four of the map."""
        values = coarse_values(steps)[::2, ::2]
        path = labels(tmp_path / "wide.tif", values, transform=PLACE @ Affine.scale(2))
        options = EvaluateOptions(legend=coarse, crosswalk=(crosswalk,), block_px=32)
        report = evaluate_map(fine_map, path, options)
        full = labels(tmp_path / "full.tif", values.repeat(2, axis=0).repeat(2, axis=1))
        assert report.matrix == evaluate_map(fine_map, full, options).matrix

    def test_a_reference_that_covers_a_part(self, tmp_path, steps, fine_map, options):
        path = labels(
            tmp_path / "part.tif", coarse_values(steps)[50:120, 30:90], transform=PLACE @ Affine.translation(30, 50)
        )
        report = evaluate_map(fine_map, path, options)
        assert report.matrix.total <= 70 * 60
        assert report.candidates > 50_000

    def test_polygons(self, tmp_path, fine_map, options):
        """The left half of the map is water, in degrees; the column is the only one that fits."""
        grid_x, grid_y = [300_000, 301_500, 301_500, 300_000], [4_900_020, 4_900_020, 4_898_020, 4_898_020]
        ring = list(zip(*transform("EPSG:32631", "EPSG:4326", grid_x, grid_y), strict=True))
        place = {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}
        feature = {"type": "Feature", "geometry": place, "properties": {"cover": "water", "note": "x"}}
        path = tmp_path / "polygons.geojson"
        path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
        report = evaluate_map(fine_map, path, options.model_copy(update={"attribute": "cover"}))
        assert report.matrix.reference_totals[0] == pytest.approx(200 * 150, rel=0.01)
        assert report.matrix.reference_totals[1] == 0


class TestRefused:
    def test_a_reference_that_does_not_say_its_legend(self, fine_map, reference):
        with pytest.raises(UsageError, match="--legend"):
            evaluate_map(fine_map, reference)

    def test_a_map_that_does_not(self, fine_map, reference):
        with pytest.raises(UsageError, match="--map-legend"):
            evaluate_map(reference, fine_map)

    def test_not_there(self, fine_map, tmp_path):
        with pytest.raises(InputError, match=r"there is no .*absent\.tif"):
            evaluate_map(fine_map, tmp_path / "absent.tif")

    def test_nothing_in_common(self, tmp_path, steps, fine_map, options):
        far = labels(tmp_path / "far.tif", coarse_values(steps), transform=Affine(10, 0, 600_000, 0, -10, 5_500_000))
        with pytest.raises(InputError, match="no pixel has a class both in"):
            evaluate_map(fine_map, far, options)


class TestReport:
    @pytest.fixture
    def report(self, fine_map, reference, options):
        return evaluate_map(fine_map, reference, options.model_copy(update={"edges": True}))

    @pytest.mark.whole
    def test_same_seed_same_report(self, fine_map, reference, options):
        first, second, other = (
            evaluate_map(fine_map, reference, options.model_copy(update={"seed": seed})).to_json() for seed in (0, 0, 1)
        )
        for table in (first, second, other):
            del table["seconds"]
        assert first == second
        assert first["overall_agreement_interval"] != other["overall_agreement_interval"]

    def test_json_is_plain_and_complete(self, report):
        table = json.loads(json.dumps(report.to_json(), allow_nan=False))
        assert table["overall_agreement"] == report.matrix.overall
        assert table["confusion"]["counts"] == report.matrix.counts.tolist()
        assert [entry["name"] for entry in table["classes"]] == ["water", "forest"]
        assert set(table["disagreement"]) == {"quantity", "allocation", "exchange", "shift"}
        assert len(table["calibration"]["curve"]["confidence"]) <= 15
        assert table["edges"]["any_in_3x3"] >= table["overall_agreement"]
        assert table["interval"]["blocks"] == report.intervals.blocks

    def test_undefined_is_null(self, tmp_path, coarse, steps):
        water = labels(tmp_path / "water.tif", np.full((64, 64), 10, np.uint8))
        table = evaluate_map(water, water, EvaluateOptions(legend=coarse, block_px=32)).to_json()
        assert table["classes"][1]["f1"] is None
        assert table["classes"][1]["f1_interval"] == [None, None]
        assert table["macro"]["f1"] == 1

    def test_never_called_accuracy_nor_an_estimate(self, report):
        text = report.to_markdown()
        assert "agreement, not accuracy" in text
        for sentence in text.replace("agreement, not accuracy", "").split("\n"):
            assert "accuracy" not in sentence.lower() or "probability sample" in sentence
        assert "Area as counted (not an estimate of area)" in text
        assert "kappa" not in text.lower()
        assert not [name for name in report.to_json() if "accuracy" in name]

    def test_markdown_tables_are_whole(self, report):
        lines = [line for line in report.to_markdown().splitlines() if line.startswith("|")]
        assert len(lines) == (2 + 3) + (2 + 2) + (2 + 2)
        assert "nan" not in report.to_markdown()

    @pytest.mark.whole
    def test_many_classes_stay_out_of_the_page(self, tmp_path):
        classes = "\n".join(f'[[classes]]\ncode = {i}\nname = "class {i}"\ncolor = "#123456"' for i in range(1, 41))
        (tmp_path / "many.toml").write_text(f'name = "many"\n{classes}')
        values = np.random.default_rng(0).integers(1, 41, (64, 64)).astype(np.uint8)
        path = labels(tmp_path / "many.tif", values)
        report = evaluate_map(path, path, EvaluateOptions(legend=tmp_path / "many.toml", block_px=16))
        assert "Too wide" in report.to_markdown()
        write_report(report, tmp_path / "out", report.pictures())
        assert not (tmp_path / "out" / "reliability.png").exists()

    @pytest.mark.whole
    def test_files(self, report, tmp_path):
        folder = tmp_path / "a" / "b"
        written = write_report(report, folder, report.pictures())
        assert sorted(path.name for path in written) == sorted(FILES)
        assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
        assert json.loads((folder / "report.json").read_text())["pixels"] == report.matrix.total
        assert (folder / "report.md").read_text() == report.to_markdown()
        for name in ("confusion.png", "reliability.png"):
            assert (folder / name).read_bytes().startswith(b"\x89PNG")

    @pytest.mark.parametrize("name", FILES)
    @pytest.mark.whole
    def test_a_former_report_stays_unless_told(self, report, tmp_path, name):
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / name).write_text("mine")
        with pytest.raises(StorageError, match="--overwrite"):
            write_report(report, tmp_path / "out", report.pictures())
        assert (tmp_path / "out" / name).read_text() == "mine"
        write_report(report, tmp_path / "out", report.pictures(), overwrite=True)
        assert (tmp_path / "out" / name).read_bytes() != b"mine"

    def test_a_former_reliability_curve_goes(self, reference, coarse, tmp_path):
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "reliability.png").write_text("old")
        report = evaluate_map(reference, reference, EvaluateOptions(legend=coarse, block_px=32))
        write_report(report, tmp_path / "out", report.pictures(), overwrite=True)
        assert not (tmp_path / "out" / "reliability.png").exists()


def test_progress_runs_to_the_end(fine_map):
    told = []
    evaluate_map(fine_map, fine_map, EvaluateOptions(block_px=64), progress=lambda *done: told.append(done))
    assert told[-1] == (60_000, 60_000)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


@pytest.mark.whole
def test_memory_does_not_follow_the_height(tmp_path):
    peaks = []
    for height in (512, 2048):
        path = product(tmp_path / f"{height}.tif", shares(height, 512))
        tracemalloc.start()
        evaluate_map(path, path, EvaluateOptions(block_px=128))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0]


def test_real_scene_against_plain_arithmetic(data, tmp_path):
    """Labels of Aberystwyth against themselves moved by a pixel."""
    import rasterio

    source = data / "scenes" / "aber_s2_20210527_labels_4cls.tif"
    with rasterio.open(source) as raster:
        values, transform = raster.read(1), raster.transform
    classes = "".join(
        f'[[classes]]\ncode = {code}\nname = "{name}"\ncolor = "#000000"\n'
        for code, name in enumerate(("forest", "grass", "urban", "water"), 1)
    )
    (tmp_path / "aber.toml").write_text(f'name = "aber"\n{classes}')
    moved = labels(tmp_path / "moved.tif", np.roll(values, 1, axis=1), crs="EPSG:27700", transform=transform)
    report = evaluate_map(moved, source, EvaluateOptions(legend=tmp_path / "aber.toml", edges=True))
    assert report.matrix.overall == pytest.approx((np.roll(values, 1, axis=1) == values).mean(), abs=1e-12)
    assert report.edges.any_in_3x3 > 0.998
    assert report.edges.inside > report.matrix.overall


def test_a_map_without_a_place_is_refused(tmp_path, reference, coarse):
    np.save(tmp_path / "map.npy", np.full((200, 300), 10, np.uint8))
    with pytest.raises(InputError, match=r"map\.npy has no georeference; give a raster with a CRS as the map"):
        evaluate_map(tmp_path / "map.npy", reference, EvaluateOptions(legend=coarse, map_legend=coarse))
