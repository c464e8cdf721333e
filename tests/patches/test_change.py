"""Two dates of one place: a model that knows brightness, made-up scenes whose cells change, and a real wildfire."""

import json
import os
import shutil
import signal

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine
from click.testing import CliRunner
from PIL import Image
from rasterio.transform import from_origin

from lulc.cli.main import cli
from lulc.errors import InputError, Interrupted, StorageError, UsageError
from lulc.features import FeatureSpec
from lulc.grid import Grid, Shape, Window
from lulc.io.product.areas import class_areas
from lulc.io.product.reader import open_product
from lulc.patches.card import write_patch_model
from lulc.patches.cell_map import CellOptions, classify_grid
from lulc.patches.change import PatchChangeOptions, common_windows, compare_patches, compare_scenes
from lulc.patches.classifier import Classifier
from lulc.patches.networks import PatchArchitecture, build_patch_network
from lulc.tasks.accuracy.sample import SampleOptions, count_classes, sample_map
from lulc.tasks.change.change import ChangeOptions, map_change
from lulc.tasks.change.files import FILES
from lulc.tasks.change.report import change_report
from lulc.tasks.describe.info import describe_product

SIDE = 16
CLASSES = ("dark", "grey", "bright")
LEVELS = np.array([0.1, 0.3, 0.5])
UTM = "EPSG:32632"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A bundle for one band of reflectance; its weights do not matter, see `brightness`."""
    folder = tmp_path_factory.mktemp("model")
    architecture = PatchArchitecture(name="cnn6", in_channels=1, classes=len(CLASSES), side=SIDE)
    write_patch_model(
        folder,
        build_patch_network(architecture).eval(),
        name="brightness",
        version="1",
        summary="tells brightness apart",
        features=FeatureSpec(bands=("B08",), mean=(0.0,), std=(1.0,)),
        legend={
            "name": "brightness",
            "classes": [{"code": k, "name": name, "color": f"#{k}{k}0000"} for k, name in enumerate(CLASSES, 1)],
        },
        architecture=architecture,
        patch_side=SIDE,
    )
    return folder


def answer_by(monkeypatch, levels):
    """Let the model answer by the distance of a patch's mean reflectance from a level for each class."""

    def logits(_self, inputs):
        level = inputs.flatten(1).mean(dim=1, keepdim=True)
        return -60 * (level - torch.tensor(levels, dtype=torch.float32)).abs()

    monkeypatch.setattr(Classifier, "logits", logits)


@pytest.fixture(autouse=True)
def brightness(monkeypatch):
    answer_by(monkeypatch, LEVELS)


def write(path, reflectance, *, crs=UTM, west=500_000, north=5_000_000, size=10.0, names=("B08",)):
    pixels = np.rint(np.atleast_3d(reflectance.T).T * 10_000).astype(np.uint16)
    profile = {
        "count": len(pixels),
        "height": pixels.shape[1],
        "width": pixels.shape[2],
        "dtype": "uint16",
        "nodata": 0,
    }
    place = {} if crs is None else {"crs": crs, "transform": from_origin(west, north, size, size)}
    with rasterio.open(path, "w", driver="GTiff", **profile, **place) as target:
        target.write(pixels)
        target.descriptions = names
    return path


def ground(classes, side=SIDE):
    """Reflectance of cells of classes 0..2; -1 has no data."""
    levels = np.append(LEVELS, 0)[np.asarray(classes)]
    return np.kron(levels, np.ones((side, side)))


BEFORE = np.array([[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, -1, 1]])
AFTER = np.array([[0, 2, 1, 1], [2, 0, 1, 0], [2, 2, 1, -1]])


@pytest.fixture
def scenes(tmp_path):
    return write(tmp_path / "before.tif", ground(BEFORE)), write(tmp_path / "after.tif", ground(AFTER))


def options(model, **more):
    return PatchChangeOptions(model=model, device="cpu", **more)


def bands(path):
    with rasterio.open(path) as file:
        return file.read()


def cell_maps(first, second, folder, model, **more):
    """What `lulc patches predict --grid` makes of both scenes by themselves."""
    paths = folder / "map_a.tif", folder / "map_b.tif"
    for scene, path in zip((first, second), paths, strict=True):
        classify_grid([scene], path, CellOptions(model=model, device="cpu", **more))
    return paths


class TestScenes:
    def test_map(self, scenes, model, tmp_path):
        report = compare_scenes(*scenes, tmp_path / "out.tif", options(model))
        code, probability, confidence, before, after = bands(tmp_path / "out.tif")
        known = (BEFORE >= 0) & (AFTER >= 0)
        np.testing.assert_array_equal(before, np.where(known, BEFORE + 1, 255))
        np.testing.assert_array_equal(after, np.where(known, AFTER + 1, 255))
        np.testing.assert_array_equal(code, np.where(known, 3 * BEFORE + AFTER + 1, 255))
        np.testing.assert_array_equal(probability == 255, ~known)
        assert probability[known & (BEFORE != AFTER)].min() * 0.004 > 0.99
        assert probability[known & (BEFORE == AFTER)].max() * 0.004 < 0.01
        assert confidence[known].min() * 0.004 > 0.99
        with open_product(tmp_path / "out.tif") as product:
            assert tuple(product.grid.transform)[:6] == (160, 0, 500_000, 0, -160, 5_000_000)
            assert product.legend.names[2] == "dark to bright"
            tags = product.tags
        assert (tags["LULC_KIND"], tags["LULC_BEFORE"], tags["LULC_AFTER"]) == ("change-map", "before.tif", "after.tif")
        assert (tags["LULC_BEFORE_CELL"], tags["LULC_AFTER_STEP"], tags["LULC_MMU_HA"]) == ("16", "16", "0")
        assert (report.before, report.after) == scenes
        assert describe_product(tmp_path / "out.tif").problems == ()

    def test_hectares(self, scenes, model, tmp_path):
        report = compare_scenes(*scenes, tmp_path / "out.tif", options(model), folder=tmp_path / "report")
        np.testing.assert_array_equal(report.pixels, [[2, 0, 2], [1, 3, 0], [0, 0, 2]])
        np.testing.assert_allclose(report.counted.hectares, 2.56 * report.pixels)
        np.testing.assert_allclose(report.expected.hectares, 2.56 * report.pixels, atol=0.1)
        assert sorted(path.name for path in (tmp_path / "report").iterdir()) == sorted(FILES)
        written = json.loads((tmp_path / "report" / "report.json").read_text())
        assert (written["before"], written["as_counted"]["changed_ha"]) == (str(scenes[0]), pytest.approx(3 * 2.56))
        assert report.to_markdown().startswith("# Change from before.tif to after.tif")

    def test_unsure_differences_do_not_count(self, model, tmp_path):
        between = np.full((2 * SIDE, 2 * SIDE), 0.205)
        between[:, :SIDE] = 0.5
        after = np.full(between.shape, 0.195)
        first, second = write(tmp_path / "a.tif", between), write(tmp_path / "b.tif", after)
        report = compare_scenes(first, second, tmp_path / "out.tif", options(model))
        assert [report.pixels.trace(), report.pixels.sum()] == [2, 4]
        report = compare_scenes(first, second, tmp_path / "low.tif", options(model, threshold=0.2))
        assert [report.pixels.trace(), report.pixels.sum()] == [0, 4]

    def test_common_part_of_overlapping_scenes(self, scenes, model, tmp_path):
        """The later scene begins two cells further south and three pixels outside to the west, a fifth of a pixel askew."""
        whole = ground(AFTER)
        wider = np.concatenate([np.full((len(whole), 3), 0.5), whole], axis=1)[2 * SIDE :]
        moved = write(tmp_path / "moved.tif", wider, west=500_000 - 30 + 2, north=5_000_000 - 20 * SIDE)
        report = compare_scenes(scenes[0], moved, tmp_path / "out.tif", options(model))
        assert [report.pixels.trace(), report.pixels.sum()] == [2, 2]
        with rasterio.open(tmp_path / "out.tif") as file:
            assert tuple(file.transform)[2:6:3] == (500_000, 5_000_000 - 20 * SIDE)
            assert file.read(5).tolist() == [[3, 3, 255, 255]]
        back = compare_scenes(moved, scenes[0], tmp_path / "back.tif", options(model))
        assert [back.pixels.trace(), back.pixels.sum()] == [2, 2]

    def test_warnings_are_in_the_report(self, scenes, model, tmp_path, monkeypatch):
        monkeypatch.setattr(
            "lulc.patches.cell_map.compatibility_warnings", lambda scene, _card: [f"{scene.info.name} is odd"]
        )
        report = compare_scenes(*scenes, tmp_path / "out.tif", options(model))
        assert report.notes == ("before.tif is odd", "after.tif is odd")


class TestCutCells:
    """40 x 24 pixels in cells of 16: the last row of cells lies inside by half, and so does the last column."""

    EDGE, INSIDE_HA = "0.5,0.5", 0.01 * 40 * 24

    @pytest.fixture
    def cut(self, tmp_path):
        return write(tmp_path / "a.tif", np.full((40, 24), 0.1)), write(tmp_path / "b.tif", np.full((40, 24), 0.5))

    def check(self, report, path):
        assert report.pixels[0, 2] == report.pixels.sum() == 6
        for way in (report.counted, report.expected):
            assert way.hectares.sum() == pytest.approx(self.INSIDE_HA)
            assert way.changed == pytest.approx(self.INSIDE_HA, rel=1e-3)
        with open_product(path) as product:
            assert product.tags["LULC_EDGE"] == self.EDGE
            assert count_classes(product).hectares.sum() == pytest.approx(self.INSIDE_HA)
        assert sum(one.hectares for one in class_areas(path)) == pytest.approx(self.INSIDE_HA)

    def test_they_count_for_what_lies_inside(self, cut, model, tmp_path):
        self.check(compare_scenes(*cut, tmp_path / "out.tif", options(model)), tmp_path / "out.tif")

    def test_lulc_change_of_two_cell_maps_says_the_same(self, cut, model, tmp_path):
        compare_scenes(*cut, tmp_path / "out.tif", options(model))
        maps = cell_maps(*cut, tmp_path, model)
        self.check(map_change(*maps, tmp_path / "by_hand.tif", ChangeOptions(mmu=0)), tmp_path / "by_hand.tif")
        np.testing.assert_array_equal(bands(tmp_path / "by_hand.tif"), bands(tmp_path / "out.tif"))

    def test_points_of_it_count_the_same(self, cut, model, tmp_path):
        compare_scenes(*cut, tmp_path / "out.tif", options(model))
        drawn = sample_map(tmp_path / "out.tif", tmp_path / "p.csv", SampleOptions(total=6, min_per_class=6))
        assert sum(entry.hectares for entry in drawn.design.strata) == pytest.approx(self.INSIDE_HA)

    @pytest.mark.parametrize(
        ("shape", "west", "edge", "inside_px"),
        [
            ((40, 24), 0, (0.5, 0.5), 40 * 24),
            ((48, 20), 0, (0.5, 0.25), 40 * 20),  # each scene cuts one side
            ((64, 64), 0, (0.5, 0.5), 40 * 24),  # the later one reaches beyond
            ((24, 64), 0, (0.5, 0.5), 24 * 24),
            ((40, 24), -8, (0.5, 1.0), 40 * 16),  # half a cell to the west: its cells do not fall on those before
            ((40, 24), 4, (0.5, 0.5), 40 * 20),
        ],
    )
    def test_maps_of_different_extent(self, cut, model, tmp_path, shape, west, edge, inside_px):
        """What is counted is the ground that both scenes show, up to the cells that its western edge cuts."""
        other = write(tmp_path / "c.tif", np.full(shape, 0.5), west=500_000 + 10 * west)
        maps = cell_maps(cut[0], other, tmp_path, model)
        report = map_change(*maps, tmp_path / "out.tif", ChangeOptions(mmu=0))
        with open_product(tmp_path / "out.tif") as product:
            assert product.tags.get("LULC_EDGE", "1,1") == "{:g},{:g}".format(*edge)
        lost_px = 40 * west if west > 0 else 0
        assert report.counted.hectares.sum() == pytest.approx(0.01 * (inside_px + lost_px))
        assert report.expected.hectares.sum() == pytest.approx(0.01 * (inside_px + lost_px))

    def test_the_minimum_mapping_unit_counts_the_part_inside(self, cut, model, tmp_path):
        """All six cells are 9.6 ha, not 15.4."""
        for mmu, cells in ((9.6, 6), (9.7, 0)):
            report = compare_scenes(*cut, tmp_path / f"{mmu}.tif", options(model, mmu=mmu))
            assert report.pixels[0, 2] == cells

    def test_a_minimum_of_many_cells(self, model, tmp_path):
        """Up to 1024 whole cells: a sliver at the edge does not lower the limit."""
        for name, value in (("a.tif", 0.1), ("b.tif", 0.5)):
            write(tmp_path / name, np.full((33, 33), value), size=160)
        scenes = tmp_path / "a.tif", tmp_path / "b.tif"
        inside, cell = 33 * 33 * 2.56, 16 * 16 * 2.56
        assert compare_scenes(*scenes, tmp_path / "1.tif", options(model, mmu=inside)).pixels[0, 2] == 9
        assert compare_scenes(*scenes, tmp_path / "2.tif", options(model, mmu=1024 * cell)).pixels[0, 2] == 0
        with pytest.raises(UsageError, match=r"is 1025 pixels of these maps; use at most --mmu 6.711e\+05"):
            compare_scenes(*scenes, tmp_path / "3.tif", options(model, mmu=1024.5 * cell))

    def test_a_damaged_tag(self, cut, model, tmp_path):
        maps = cell_maps(*cut, tmp_path, model)
        for damaged in ("half", "2,1", "nan,1", "1"):
            with rasterio.open(maps[1], "r+", IGNORE_COG_LAYOUT_BREAK="YES") as file:
                file.update_tags(LULC_EDGE=damaged)
            with pytest.raises(InputError, match=r"map_b\.tif has an invalid tag LULC_EDGE"):
                map_change(*maps, tmp_path / "out.tif")


class TestCommand:
    def test_a_map_of_change(self, scenes, model, tmp_path):
        words = ["patches", "change", *scenes, tmp_path / "out.tif", "--model", model, "--device", "cpu"]
        done = CliRunner().invoke(cli, [str(word) for word in words])
        assert done.exit_code == 0, done.output
        assert done.stdout.startswith("# Change from before.tif to after.tif")

    def test_in_classes_of_another_legend(self, scenes, model, tmp_path):
        classes = '[[classes]]\ncode = {}\nname = "{}"\ncolor = "#00000{}"\n'
        (tmp_path / "two.toml").write_text(
            'name = "two"\n' + "".join(classes.format(n, name, n) for n, name in ((1, "dim"), (2, "light")))
        )
        pairs = '[classes]\ndark = "dim"\ngrey = "dim"\nbright = "light"\n'
        (tmp_path / "walk.toml").write_text(f'source = "brightness"\ntarget = "two"\n{pairs}')
        more = {"to": tmp_path / "two.toml", "crosswalk": tmp_path / "walk.toml"}
        report = compare_scenes(*scenes, tmp_path / "out.tif", options(model, **more))
        np.testing.assert_array_equal(report.pixels, [[6, 2], [0, 2]])


class TestRefused:
    def test_images_without_a_place_of_two_sizes(self):
        grids = [Grid(None, Affine.identity(), Shape(side, side)) for side in (16, 32)]
        with pytest.raises(InputError, match="a and b are not georeferenced and differ in size or grid"):
            common_windows(*grids, ("a", "b"))

    def test_other_places(self, scenes, model, tmp_path):
        square = np.full((64, 64), 0.1)
        cases = {
            "have different CRS; bring them to one grid": write(tmp_path / "crs.tif", square, crs="EPSG:32633"),
            "have pixels of different size or direction; bring": write(tmp_path / "size.tif", square, size=20),
            "do not overlap; give two images of one place": write(tmp_path / "far.tif", square, west=600_000),
        }
        for words, other in cases.items():
            with pytest.raises(InputError, match=f"before.tif and {other.name} {words}"):
                compare_scenes(scenes[0], other, tmp_path / "out.tif", options(model))

    @pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
    def test_scenes_that_lie_nowhere(self, model, tmp_path):
        first = write(tmp_path / "a.tif", ground(BEFORE), crs=None)
        second = write(tmp_path / "b.tif", ground(AFTER), crs=None)
        with pytest.raises(InputError, match="do not say where they lie; give georeferenced scenes"):
            compare_scenes(first, second, tmp_path / "out.tif", options(model))

    def test_one_line_and_the_right_code(self, scenes, model, tmp_path):
        other, out = write(tmp_path / "crs.tif", np.full((64, 64), 0.1), crs="EPSG:32633"), tmp_path / "out.tif"
        cases = [
            (3, [other, out]),
            (3, [tmp_path / "none.tif", out]),
            (3, [tmp_path / "none.tif"]),
            (2, [scenes[1], out, "--threshold", "2"]),
            (2, [scenes[1], out, "--cell", "4"]),
            (2, [scenes[1], "--mmu", "5"]),  # without OUT
            (2, [scenes[1]]),  # larger than two patches
        ]
        for code, arguments in cases:
            words = ["patches", "change", scenes[0], *arguments, "--model", model]
            done = CliRunner().invoke(cli, [str(word) for word in words])
            said = [line for line in done.stderr.strip().splitlines() if not line.startswith(("Usage:", "Try "))]
            assert (done.exit_code, len([line for line in said if line])) == (code, 1), done.stderr
            assert not out.exists()

    def test_the_former_option_names_the_new_one(self, scenes, tmp_path):
        words = ["patches", "change", *map(str, scenes), str(tmp_path / "out.tif"), "--min-confidence", "0.8"]
        done = CliRunner().invoke(cli, words)
        assert (done.exit_code, len(done.stderr.strip().splitlines())) == (2, 1)
        assert "--threshold" in done.stderr

    def test_a_cell_map_and_another_map(self, scenes, model, tmp_path):
        """Cells of two sizes are told apart; a map of pixels is refused for its size."""
        first, _ = cell_maps(*scenes, tmp_path, model)
        classify_grid([scenes[1]], tmp_path / "wide.tif", CellOptions(model=model, cell=32, step=16, device="cpu"))
        report = map_change(first, tmp_path / "wide.tif", tmp_path / "out.tif")
        assert any("cells of different sizes" in note for note in report.notes)
        classify_grid([scenes[1]], tmp_path / "fine.tif", CellOptions(model=model, step=2, device="cpu"))
        with pytest.raises(InputError, match="pixels of 160 and 20 m"):
            map_change(first, tmp_path / "fine.tif", tmp_path / "x.tif")

    def test_outputs(self, scenes, model, tmp_path):
        with pytest.raises(UsageError, match="given twice"):
            compare_scenes(scenes[0], scenes[0], tmp_path / "out.tif", options(model))
        with pytest.raises(UsageError, match="is an input"):
            compare_scenes(*scenes, scenes[1], options(model, overwrite=True))
        (tmp_path / "out.tif").write_text("mine")
        with pytest.raises(StorageError, match="exists; use --overwrite"):
            compare_scenes(*scenes, tmp_path / "out.tif", options(model))
        assert (tmp_path / "out.tif").read_text() == "mine"
        compare_scenes(*scenes, tmp_path / "out.tif", options(model, overwrite=True))
        assert len(bands(tmp_path / "out.tif")) == 5

    def test_nothing_in_common_has_data(self, model, tmp_path):
        first = write(tmp_path / "a.tif", ground([[0, -1], [0, -1]]))
        second = write(tmp_path / "b.tif", ground([[-1, 0], [-1, 0]]))
        there = sorted(tmp_path.iterdir())
        with pytest.raises(InputError, match=r"a\.tif and \S+b\.tif have no pixel with data in both"):
            compare_scenes(first, second, tmp_path / "out.tif", options(model))
        assert sorted(tmp_path.iterdir()) == there


class TestNothingIsLeft:
    def test_a_run_leaves_the_map_alone(self, scenes, model, tmp_path):
        compare_scenes(*scenes, tmp_path / "out.tif", options(model))
        made = {path.name for path in tmp_path.iterdir()}
        assert made == {"before.tif", "after.tif", "out.tif", "out.tif.aux.xml", "out.qml"}

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_an_interruption_leaves_nothing(self, scenes, model, tmp_path, number):
        there = sorted(tmp_path.iterdir())
        told = []

        def stop(done, whole):
            told.append((done, whole))
            if 2 * done > whole:  # in the second scene
                os.kill(os.getpid(), number)

        with pytest.raises(Interrupted, match="nothing was written; run the same command again"):
            compare_scenes(*scenes, tmp_path / "out.tif", options(model), progress=stop)
        assert sorted(tmp_path.iterdir()) == there
        assert [done for done, _ in told] == sorted({done for done, _ in told})
        report = compare_scenes(*scenes, tmp_path / "out.tif", options(model))
        assert report.pixels.sum() == 10

    def test_an_interruption_of_the_comparison_keeps_what_lulc_change_keeps(self, scenes, model, tmp_path, monkeypatch):
        def interrupted(*arguments, **more):
            os.kill(os.getpid(), signal.SIGTERM)
            return change_report(*arguments, **more)

        with monkeypatch.context() as patch:
            patch.setattr("lulc.tasks.change.change.change_report", interrupted)
            with pytest.raises(Interrupted, match="finished parts are kept"):
                compare_scenes(*scenes, tmp_path / "out.tif", options(model))
        assert {path.name for path in tmp_path.iterdir()} == {"before.tif", "after.tif", "out.tif.lulc"}
        assert compare_scenes(*scenes, tmp_path / "out.tif", options(model)).pixels.sum() == 10


class TestPatches:
    def test_two_patches(self, model, tmp_path):
        first = write(tmp_path / "a.tif", np.full((SIDE, SIDE), 0.1))
        second = write(tmp_path / "b.tif", np.full((SIDE, SIDE), 0.5))
        arguments = ["patches", "change", str(first), str(second), "--model", str(model)]
        done = CliRunner().invoke(cli, [*arguments, "--json"], catch_exceptions=False)
        found = json.loads(done.stdout)
        assert (found["before"]["class"], found["after"]["class"], found["changed"]) == ("dark", "bright", True)
        assert found["before"]["confidence"] > 0.99
        assert found["probability_of_change"] > 0.99
        text = CliRunner().invoke(cli, arguments, catch_exceptions=False).stdout.splitlines()
        assert text[0].startswith("before  ")
        assert text[2].startswith("changed: probability of change 1.000")

    def test_by_the_rule_of_maps(self, model, tmp_path):
        """Two unsure answers of two classes are no change, and one cell says of them what two patches say."""
        first = write(tmp_path / "a.tif", np.full((SIDE, SIDE), 0.205))
        second = write(tmp_path / "b.tif", np.full((SIDE, SIDE), 0.195))
        found = compare_patches(first, second, options(model))
        assert found.classes == ("grey", "dark")
        assert not found.changed
        assert "not changed: probability of change 0." in found.to_text()
        compare_scenes(first, second, tmp_path / "out.tif", options(model))
        assert 0.004 * bands(tmp_path / "out.tif")[1, 0, 0] == pytest.approx(found.probability, abs=0.01)

    def test_a_patch_unlike_the_training_patches_is_named(self, model, tmp_path):
        known = shutil.copytree(model, tmp_path / "known")
        table = json.loads((known / "card.json").read_text())
        distribution = {"mean": [0.1, 0, 0], "covariance": (1e-4 * np.eye(3)).tolist(), "limit": 4, "held_out": 9}
        (known / "card.json").write_text(json.dumps(table | {"distribution": distribution}))
        first = write(tmp_path / "a.tif", np.full((SIDE, SIDE), 0.1))
        second = write(tmp_path / "b.tif", np.full((SIDE, SIDE), 0.5))
        found = compare_patches(first, second, options(known))
        assert found.ood_scores == pytest.approx((0, 10), abs=0.01)  # 0.4 is 40 standard deviations, 4 are the limit
        assert [note[: len(f"{second} is unlike")] for note in found.notes] == [f"{second} is unlike"]
        assert found.to_json()["after"]["ood_score"] == pytest.approx(10, abs=0.01)
        assert ", OOD score 10.00" in found.to_text()
        assert compare_patches(first, second, options(model)).ood_scores == (None, None)

    def test_patches_of_two_places(self, model, tmp_path):
        first = write(tmp_path / "a.tif", np.full((SIDE, SIDE), 0.1))
        second = write(tmp_path / "b.tif", np.full((SIDE, SIDE), 0.1), west=700_000)
        with pytest.raises(InputError, match="do not overlap"):
            compare_patches(first, second, options(model))

    def test_a_picture_for_a_model_of_reflectance(self, model, tmp_path):
        for name, shade in (("a.png", 20), ("b.png", 200)):
            Image.new("RGB", (SIDE, SIDE), (shade, shade, shade)).save(tmp_path / name)
        with pytest.raises(InputError, match=r"a\.png"):
            compare_patches(tmp_path / "a.png", tmp_path / "b.png", options(model))


def test_common_windows():
    def grid(west, north, height, width):
        return Grid(rasterio.crs.CRS.from_string(UTM), from_origin(west, north, 10, 10), Shape(height, width))

    names = ("a", "b")
    first = grid(0, 1000, 50, 40)
    assert common_windows(first, first, names) == (first.window, first.window)
    second = grid(104, 902, 100, 10)
    assert common_windows(first, second, names) == (Window(10, 10, 40, 10), Window(0, 0, 40, 10))
    assert common_windows(second, first, names) == (Window(0, 0, 40, 10), Window(10, 10, 40, 10))
    inside = grid(-200, 1500, 200, 200)
    assert common_windows(first, inside, names) == (first.window, Window(50, 20, 50, 40))


def test_a_real_wildfire(data, model, tmp_path, monkeypatch):
    """Between the two Australian dates 43 % of the ground has burnt: near infrared has fallen by a quarter or more."""
    answer_by(monkeypatch, [0.08, 0.18, 0.5])
    folder = data / "scenes"
    dates = [folder / "australia_20181201_l2a_12band.tif", folder / "australia_20190105_l2a_10band.tif"]
    report = compare_scenes(*dates, tmp_path / "out.tif", options(model, cell=64, step=64, threshold=0.7))
    with rasterio.open(dates[0]) as before, rasterio.open(dates[1]) as after:
        infrared = [file.read(file.descriptions.index("B08") + 1).astype(float) for file in (before, after)]
        areas_ha = Grid(before.crs, before.transform, Shape(*before.shape)).pixel_areas_ha()
    burnt = (infrared[1] < 0.75 * infrared[0])[:512, :320].reshape(8, 64, 5, 64).mean(axis=(1, 3))
    assert (infrared[1] < 0.75 * infrared[0]).mean() == pytest.approx(0.43, abs=0.01)
    found = bands(tmp_path / "out.tif")
    assert (found.shape[1:], report.pixels.sum()) == ((9, 6), 54)
    assert report.counted.hectares.sum() == pytest.approx(358 * areas_ha.sum(), rel=1e-5)
    moved = report.pixels - np.diag(np.diag(report.pixels))
    assert moved[1, 0] == moved.sum()
    changed = found[3] != found[4]
    assert changed[:8, :5][burnt > 0.9].all()
    assert not changed[:8, :5][burnt < 0.3].any()
