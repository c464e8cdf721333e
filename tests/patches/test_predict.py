"""What patches show, and maps of the cells of a scene."""

import csv
import json
import shutil

import numpy as np
import pytest
import rasterio
import torch
from click.testing import CliRunner
from PIL import Image
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS

from lulc.cli.main import cli
from lulc.errors import InputError, LimitError, ModelError, StorageError, UsageError
from lulc.grid import Grid, Shape
from lulc.io.product.areas import class_areas
from lulc.io.product.reader import open_product
from lulc.io.scene.scene import open_scene
from lulc.patches.card import load_patch_model
from lulc.patches.cell_map import classify_grid
from lulc.patches.cells import Cells
from lulc.patches.classifier import Classifier, tta_views
from lulc.patches.image import read_image
from lulc.patches.options import CellOptions
from lulc.patches.pixels import _resized, as_trained, level_note, resized
from lulc.patches.predict import classify_files
from tests.support.patch_samples import CLASSES, SIDE, picture, write_bands
from tests.support.vision_server import VisionServer, says


def run(*arguments):
    return CliRunner().invoke(cli, ["patches", "predict", *map(str, arguments)])


@pytest.fixture(scope="module")
def model(trained):
    return trained[0]


@pytest.fixture
def classifier(model):
    return Classifier(load_patch_model(model), "cpu")


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """A scene of 3 x 4 cells and a bit more: rows of fields, lakes, towns; its right end has no data."""
    path = tmp_path_factory.mktemp("scene") / "scene.tif"
    height, width = 3 * SIDE + 5, 4 * SIDE + 9
    colors = np.zeros((height, width, 3))
    for row in range(height):
        kind = CLASSES[min(row // SIDE, 2)]
        if row % SIDE == 0:
            tiles = np.concatenate([picture(kind, 50 + column) for column in range(5)], axis=1)
        colors[row] = tiles[row % SIDE, :width]
    data = np.clip(np.rint(colors / 255 * 2750), 1, None).astype(np.uint16).transpose(2, 0, 1)
    data[:, :, 3 * SIDE :] = 0
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=height,
        width=width,
        count=3,
        dtype="uint16",
        nodata=0,
        crs=CRS.from_epsg(32632),
        transform=rasterio.Affine(10, 0, 400_000, 0, -10, 5_000_000),
    ) as file:
        file.write(data)
        file.descriptions = ("B04", "B03", "B02")
    return path


class TestFiles:
    def test_a_picture(self, tree, model):
        found = run(tree / "Lake" / "Lake_1.png", "--model", model)
        assert found.exit_code == 0
        assert "Lake_1.png: Lake " in found.output

    def test_json_lines_and_a_table(self, tree, model, tmp_path):
        found = run(tree / "Lake", tree / "Town", "--model", model, "--json", "--csv", tmp_path / "a.csv")
        lines = [json.loads(line) for line in found.output.splitlines()]
        assert len(lines) == 40
        assert sum(line["class"] in line["name"] for line in lines) >= 38
        assert all(sum(line["probabilities"].values()) == pytest.approx(1, abs=1e-3) for line in lines)
        rows = (tmp_path / "a.csv").read_text().splitlines()
        assert rows[0] == "name,class,confidence,ood_score,Field,Lake,Town"
        assert len(rows) == 41
        assert run(tree / "Lake", "--model", model, "--csv", tmp_path / "a.csv").exit_code == 5

    def test_reflectance_is_stretched_like_the_pictures(self, classifier, tmp_path):
        write_bands(tmp_path / "a.tif", "Town", 3)
        Image.fromarray(picture("Town", 3)).save(tmp_path / "a.png")
        bands, shown = read_image(tmp_path / "a.tif", ["eurosat-ms"]), read_image(tmp_path / "a.png")
        np.testing.assert_allclose(classifier.inputs([bands]), classifier.inputs([shown]), atol=0.02)
        assert np.abs(bands.colors().astype(int) - shown.colors()).max() <= 1

    def test_another_size_is_said(self, model, tmp_path):
        Image.fromarray(picture("Lake", 3, side=100)).save(tmp_path / "a.png")
        assert (
            "100 x 100 px, tiny was trained on 32 px: it was resized"
            in run(tmp_path / "a.png", "--model", model).output
        )

    def test_the_mean_of_eight_turns(self, classifier, model, tree):
        inputs = classifier.inputs([read_image(tree / "Town" / "Town_2.png")])
        alone = [classifier.probabilities(inputs)] + [classifier.probabilities(each) for each in tta_views(inputs)]
        eight = Classifier(load_patch_model(model), "cpu", turns=True).probabilities(inputs)
        assert len({each.numpy().tobytes() for each in tta_views(inputs)}) == 7
        np.testing.assert_allclose(eight, np.mean(alone, axis=0), atol=1e-6)

    def test_too_large_a_batch_is_halved_and_the_model_left_alone(self, model, tree, caplog):
        given = load_patch_model(model)
        classifier = Classifier(given, "cpu")
        inputs = classifier.inputs([read_image(path) for path in sorted(tree.rglob("*.png"))[:7]])
        whole = classifier.probabilities(inputs)
        small, limit = Classifier(given, "cpu"), 40

        def refuse(_network, images):
            if len(images[0]) > limit // 10:
                raise torch.OutOfMemoryError

        small.network.register_forward_pre_hook(refuse)
        small.batch = 8
        np.testing.assert_allclose(small.probabilities(inputs), whole, atol=1e-6)
        assert small.batch == 4
        assert "going on with 4 patches at a time" in caplog.text
        limit = 0
        with pytest.raises(LimitError, match="for one patch; use --device cpu"):
            small.probabilities(inputs)
        assert not given.network._forward_pre_hooks

    def test_batches_change_nothing(self, classifier, tree):
        files = sorted(tree.rglob("*.png"))[:10]
        rows = [
            np.stack([one.probabilities for one in classifier.classify(files, read_image, batch=size)])
            for size in (1, 3, 10)
        ]
        for other in rows[1:]:
            np.testing.assert_allclose(rows[0], other, atol=1e-5)


@pytest.fixture
def unlike(tmp_path):
    """A folder of two lakes and one patch that is unlike all that the model has seen."""
    folder = tmp_path / "unlike"
    folder.mkdir()
    for number in range(2):
        Image.fromarray(picture("Lake", 80 + number)).save(folder / f"{number}.png")
    Image.fromarray(255 - picture("Lake", 3)).save(folder / "white.png")
    return folder


@pytest.fixture
def old_model(model, tmp_path):
    """The model as a bundle from before there were out-of-distribution scores."""
    old = shutil.copytree(model, tmp_path / "old")
    table = json.loads((old / "card.json").read_text())
    del table["distribution"]
    (old / "card.json").write_text(json.dumps(table))
    return old


class TestUnlikeTheTrainingPatches:
    def test_a_run_says_which_and_warns_once(self, unlike, model, caplog):
        found = run(unlike, "--model", model, "--json")
        answers = {line["name"][-9:]: line for line in map(json.loads, found.stdout.splitlines())}
        white = answers.pop("white.png")
        assert white["ood_score"] > 2
        assert white["notes"][0].startswith("unlike the training patches of tiny in colour, contrast or texture")
        assert all(one["ood_score"] < 1 and not one["notes"] for one in answers.values())
        assert caplog.text.count("1 of 3 patches (33%) are unlike the training patches of tiny") == 1

    def test_in_text_and_table(self, unlike, model, tmp_path):
        found = run(unlike / "white.png", "--model", model, "--csv", tmp_path / "a.csv")
        first, note = found.stdout.splitlines()
        score = next(csv.DictReader((tmp_path / "a.csv").open()))["ood_score"]
        assert first.endswith(f", OOD score {float(score):.2f}")
        assert note.endswith(f"(OOD score {float(score):.2f}, limit 1): do not trust the class")

    def test_one_patch_is_said_by_its_note_alone(self, unlike, model, caplog):
        assert run(unlike / "white.png", "--model", model).exit_code == 0
        assert not caplog.text

    def test_an_old_bundle_says_nothing(self, unlike, old_model, scene, tmp_path, caplog):
        found = run(unlike, "--model", old_model, "--csv", tmp_path / "a.csv")
        assert found.exit_code == 0
        assert "OOD" not in found.output + caplog.text
        assert (tmp_path / "a.csv").read_text().startswith("name,class,confidence,Field,Lake,Town")
        assert "ood_score" not in json.loads(run(unlike / "0.png", "--model", old_model, "--json").stdout)
        report = classify_grid([scene], tmp_path / "map.tif", CellOptions(model=old_model))
        assert report.ood_fraction is None
        with open_product(tmp_path / "map.tif") as product:
            assert not product.extra_bands

    def test_a_broken_card_is_one_line(self, unlike, old_model, model):
        table = json.loads((model / "card.json").read_text())
        for key, value, said in (
            ("covariance", [[0.0] * 7] * 7, "the covariance must be positive definite"),
            ("mean", [0.5] * 7 + [float("nan")], "finite number"),
            ("limit", 0, "greater than 0"),
        ):
            broken = table | {"distribution": table["distribution"] | {key: value}}
            (old_model / "card.json").write_text(json.dumps(broken))
            found = run(unlike, "--model", old_model)
            assert (found.exit_code, found.output.count("\n"), said in found.output) == (4, 1, True), found.output

    def test_statistics_of_other_bands(self, unlike, old_model, model):
        table = json.loads((model / "card.json").read_text())
        five = {"mean": [0.5] * 5, "covariance": np.eye(5).tolist()}
        broken = table | {"distribution": table["distribution"] | five}
        (old_model / "card.json").write_text(json.dumps(broken))
        found = run(unlike, "--model", old_model)
        assert found.exit_code == 4
        assert "the distribution has 5 means, 3 bands have 7 statistics" in found.output

    def test_cells(self, scene, model, tmp_path):
        """The upper row of cells is far brighter than any training patch."""
        with rasterio.open(scene) as source, rasterio.open(tmp_path / "bright.tif", "w", **source.profile) as target:
            data = source.read()
            data[:, :SIDE] = np.where(data[:, :SIDE] == 0, 0, 2740)
            target.write(data)
            target.descriptions = source.descriptions
        report = classify_grid([tmp_path / "bright.tif"], tmp_path / "map.tif", CellOptions(model=model))
        assert "3 of 12 cells (25%) are unlike the training patches of tiny" in report.warnings[-1]
        assert report.ood_fraction == 0.25
        assert "25.0% with an OOD score above 1" in report.to_text()
        with open_product(tmp_path / "map.tif") as product:
            stored = product.band("ood_score", product.grid.window)
            assert product.tags["LULC_NOTE"] == report.warnings[-1]
        assert (stored[0, :3] == 250).all()
        assert (stored[1:, :3] < 250).all()
        assert (stored[:, 3:] == 255).all()


class TestFileRefusals:
    def test_one_line_and_its_code(self, model, tmp_path):
        (tmp_path / "a.jpg").write_bytes(b"hello")
        for path, said in ((tmp_path / "a.jpg", "is not an image"), (tmp_path / "none.jpg", "there is no")):
            found = run(path, "--model", model)
            assert (found.exit_code, found.output.count("\n")) == (3, 1)
            assert said in found.output

    def test_the_others_of_a_folder_go_on(self, model, tmp_path):
        for number in range(3):
            Image.fromarray(picture("Lake", number)).save(tmp_path / f"{number}.png")
        (tmp_path / "1b.png").write_bytes(b"hello")
        found = run(tmp_path, "--model", model)
        assert found.exit_code == 3
        assert found.output.count(": Lake") == 3
        assert "1b.png is not an image" in found.output

    def test_a_whole_batch_may_be_refused(self, classifier, tree, tmp_path):
        (tmp_path / "bad.png").write_bytes(b"hello")
        files = [tmp_path / "bad.png", tree / "Lake" / "Lake_0.png"]
        refused = []
        answers = [
            one.item
            for one in classifier.classify(
                files, read_image, refused=lambda item, error: refused.append((item, error.exit_code)), batch=1
            )
        ]
        assert (answers, refused) == (files[1:], [(files[0], 3)])

    def test_folders_that_are_no_patches(self, model, tmp_path):
        (tmp_path / "scene.SAFE").mkdir()
        (tmp_path / "scene.SAFE" / "MTD_MSIL2A.xml").touch()
        for name, code, said in (
            ("scene.SAFE", 2, "classify its cells with --grid"),
            ("none", 3, "holds no JPEG, PNG"),
        ):
            (tmp_path / name).mkdir(exist_ok=True)
            found = run(tmp_path / name, "--model", model)
            assert (found.exit_code, said in found.output) == (code, True), found.output

    def test_pixels_of_another_size_are_said(self, model, tmp_path):
        write_bands(tmp_path / "a.tif", described=True)
        with rasterio.open(tmp_path / "a.tif", "r+") as file:
            file.transform = rasterio.Affine(30, 0, 500_000, 0, -30, 5_000_000)
        found = run(tmp_path / "a.tif", "--model", model)
        assert "pixels are 30 m, tiny was trained at 10 m" in found.output

    def test_bands_that_lack(self, model, tmp_path):
        write_bands(tmp_path / "a.tif", names=("B02", "B08"), described=True)
        found = run(tmp_path / "a.tif", "--model", model)
        assert found.exit_code == 3
        assert "lacks B04, B03: it has B02, B08" in found.output

    def test_options_of_the_other_way(self, tree, model):
        assert "--cell belongs to --grid" in run(tree / "Lake", "--model", model, "--cell", 32).output
        assert run(tree / "Lake", "--model", model, "--ask", "http://localhost:1").exit_code == 2

    def test_a_table_does_not_replace_an_input(self, tree, model):
        file = tree / "Lake" / "Lake_1.png"
        for given in (file, tree / "Lake"):
            found = run(given, "--model", model, "--csv", file, "--overwrite")
            assert (found.exit_code, "is an input" in found.output) == (2, True)

    def test_a_patch_without_data_has_no_class(self, model, tmp_path):
        clear = np.zeros((32, 32, 4), np.uint8)
        clear[:10, :, 3] = 255
        Image.fromarray(clear).save(tmp_path / "a.png")
        found = run(tmp_path / "a.png", "--model", model)
        assert (found.exit_code, "has data in 31% of its pixels" in found.output) == (3, True)

    def test_weights_that_are_no_numbers(self, tree, model):
        broken = load_patch_model(model)
        with torch.no_grad():
            next(broken.network.parameters()).fill_(float("nan"))
        image = read_image(tree / "Lake" / "Lake_1.png")
        classifier = Classifier(broken, "cpu")
        with pytest.raises(ModelError, match="no numbers"):
            classifier.probabilities(classifier.inputs([image]))


class TestMissingPixels:
    def test_they_take_no_part_in_another_size(self):
        rng = np.random.default_rng(0)
        whole = np.broadcast_to(rng.uniform(0.1, 0.2, (1, 2, 1, 1)).astype(np.float32), (1, 2, 64, 64)).copy()
        holes = whole.copy()
        holes[:, :, ::4, ::4] = np.nan
        np.testing.assert_allclose(resized(holes, 32), resized(whole, 32), atol=1e-6)

    def test_counts_stay_whole_and_reflectance_does_not(self):
        values, valid = np.array([[[1, 2], [2, 4]]]), np.ones((2, 2), bool)
        assert _resized(values.astype(np.uint16), valid, 1)[0].tolist() == [[[2]]]
        assert _resized(values.astype(np.float32), valid, 1)[0].tolist() == [[[2.25]]]

    def test_too_few_leave_none(self):
        values = np.full((1, 1, 64, 64), np.nan, np.float32)
        values[..., :32] = 1
        found = resized(values, 32)[0, 0]
        assert np.isfinite(found[:, :15]).all()
        assert np.isnan(found[:, 17:]).all()


class TestCells:
    def test_they_cover_the_scene_and_stay_inside(self):
        for length, cell, step in ((100, 32, 32), (128, 32, 8), (33, 32, 7), (32, 32, 32), (1000, 64, 1)):
            cells = Cells(Grid(None, rasterio.Affine.identity(), Shape(length, length)), cell, step)
            starts = cells.starts(length)
            assert len(starts) == cells.coarse.shape.height == -(-length // step)
            assert starts.min() >= 0
            assert starts.max() + cell <= length
            covered = np.zeros(length, bool)
            for start in starts:
                covered[start : start + cell] = True
            assert covered.all()
            inner = np.arange(len(starts))[(starts > 0) & (starts < length - cell)]
            centres = starts[inner] + cell / 2
            assert np.all(np.abs(centres - (inner + 0.5) * step) <= 0.5)

    def test_a_step_that_leaves_ground_out(self):
        with pytest.raises(UsageError, match="--step 40 is not in"):
            Cells(Grid(None, rasterio.Affine.identity(), Shape(99, 99)), 32, 40)


class TestGrid:
    def test_classes_lie_where_they_are(self, scene, model, tmp_path):
        report = classify_grid([scene], tmp_path / "map.tif", CellOptions(model=model), quicklook=tmp_path / "map.png")
        with open_product(tmp_path / "map.tif") as product, rasterio.open(scene) as file:
            assert product.grid.transform == rasterio.Affine(320, 0, 400_000, 0, -320, 5_000_000)
            assert product.grid.crs == file.crs
            codes = product.classes(product.grid.window)
        assert codes.shape == (4, 5)
        assert codes[:3, :3].tolist() == [[1, 1, 1], [2, 2, 2], [3, 3, 3]]
        assert (codes[:, 3:] == 255).all()  # no data
        assert (report.rows, report.columns, report.cell, report.step) == (4, 5, SIDE, SIDE)
        assert sum(entry.pixels for entry in report.classes) == np.count_nonzero(codes != 255)
        assert (tmp_path / "map.png").stat().st_size > 10_000

    def test_a_cell_is_that_patch(self, scene, classifier, model, tmp_path):
        classify_grid([scene], tmp_path / "map.tif", CellOptions(model=model, step=16))
        with open_scene([scene]) as opened:
            cells = Cells(opened.grid, SIDE, 16)
        row, column = 3, 2
        top, left = int(cells.starts(101)[row]), int(cells.starts(137)[column])
        assert (top, left) == (40, 24)
        with rasterio.open(scene) as file:
            patch = file.read(window=((top, top + SIDE), (left, left + SIDE)))
            profile = file.profile | {"height": SIDE, "width": SIDE}
        with rasterio.open(tmp_path / "patch.tif", "w", **profile) as file:
            file.write(patch)
            file.descriptions = ("B04", "B03", "B02")
        answer = next(iter(classify_files([tmp_path / "patch.tif"], classifier)))
        with rasterio.open(tmp_path / "map.tif") as file:
            stored = file.read()[1:4, row, column] / 250
        np.testing.assert_allclose(stored, [answer.probabilities[name] for name in CLASSES], atol=0.005)

    def test_another_cell_than_the_patches(self, scene, model, tmp_path):
        report = classify_grid([scene], tmp_path / "map.tif", CellOptions(model=model, cell=24, step=8))
        assert (report.rows, report.columns) == (13, 18)

    def test_hectares_end_with_the_scene(self, scene, model, tmp_path):
        report = classify_grid([scene], tmp_path / "map.tif", CellOptions(model=model))
        inside = 101 * 96 * 0.01  # the first three columns of cells have data
        assert sum(entry.hectares for entry in report.classes) == pytest.approx(inside)
        counted = class_areas(tmp_path / "map.tif")
        assert [one.pixels for one in counted] == [one.pixels for one in report.classes]
        assert [one.hectares for one in counted] == pytest.approx([one.hectares for one in report.classes])

    def test_no_file_of_the_user_is_lost(self, scene, model, tmp_path):
        mine = tmp_path / "mine.png"
        mine.write_text("mine")
        options = CellOptions(model=model)
        with pytest.raises(StorageError, match="exists"):
            classify_grid([scene], tmp_path / "map.tif", options, quicklook=mine)
        for drawn, said in ((scene, "is an input"), (tmp_path / "map.tif", "given for two outputs")):
            with pytest.raises(UsageError, match=said):
                classify_grid([scene], tmp_path / "map.tif", CellOptions(model=model, overwrite=True), quicklook=drawn)
        assert mine.read_text() == "mine"
        assert not (tmp_path / "map.tif").exists()

    def test_a_known_order_of_bands(self, model, tmp_path):
        write_bands(tmp_path / "a.tif", "Town", 3)
        found = run(tmp_path / "a.tif", "--grid", tmp_path / "map.tif", "--bands", "eurosat-ms", "--model", model)
        assert found.exit_code == 0, found.output

    def test_refusals(self, scene, model, tmp_path):
        with pytest.raises(InputError, match="101 x 137 px; a cell takes 200"):
            classify_grid([scene], tmp_path / "map.tif", CellOptions(model=model, cell=200))
        with rasterio.open(scene) as source, rasterio.open(tmp_path / "empty.tif", "w", **source.profile) as target:
            target.write(0 * source.read())
            target.descriptions = source.descriptions
        with pytest.raises(InputError, match=r"empty\.tif has no cell with data"):
            classify_grid([tmp_path / "empty.tif"], tmp_path / "map.tif", CellOptions(model=model))
        with rasterio.open(tmp_path / "empty.tif", "r+") as target:
            target.gcps = [GroundControlPoint(0, 0, 13, 45), GroundControlPoint(9, 0, 13, 44)], CRS.from_epsg(4326)
        with pytest.raises(InputError, match=r"empty\.tif is placed by control points or RPCs; warp it"):
            classify_grid([tmp_path / "empty.tif"], tmp_path / "map.tif", CellOptions(model=model))
        with pytest.raises(UsageError, match="is an input"):
            classify_grid([scene], scene, CellOptions(model=model, overwrite=True))
        assert not (tmp_path / "map.tif").exists()
        found = run(scene, "--grid", tmp_path / "map.tif", "--model", model, "--csv", tmp_path / "a.csv")
        assert found.exit_code == 2

    def test_the_command(self, scene, model, tmp_path):
        found = run(scene, "--grid", tmp_path / "map.tif", "--model", model, "--json")
        assert found.exit_code == 0
        assert json.loads(found.output)["classes"][0]["name"] == "Field"
        assert run(scene, "--grid", tmp_path / "map.tif", "--model", model).exit_code == 5


class TestSecondOpinion:
    def test_beside_the_networks_answer(self, tree, model):
        said = json.dumps({"class": "Lake", "reason": "dark and smooth"})
        with VisionServer(says(said)) as server:
            found = run(tree / "Lake" / "Lake_1.png", "--model", model, "--ask", server.url, "--ask-model", "eyes")
        assert found.exit_code == 0, found.output
        assert "second opinion: Lake (agrees): dark and smooth" in found.output

    def test_in_a_table(self, tree, model, tmp_path):
        with VisionServer(says('{"class": "Lake", "reason": "blue, and flat"}')) as server:
            asked = ("--ask", server.url, "--ask-model", "eyes", "--csv", tmp_path / "a.csv")
            assert run(tree / "Lake" / "Lake_1.png", "--model", model, *asked).exit_code == 0
        row = next(csv.DictReader((tmp_path / "a.csv").open()))
        assert (row["opinion"], row["opinion_reason"], row["opinion_problem"]) == ("Lake", "blue, and flat", "")

    def test_a_server_that_is_not_there(self, tree, model):
        found = run(
            tree / "Lake" / "Lake_1.png",
            "--model",
            model,
            "--ask",
            "http://127.0.0.1:9/v1",
            "--ask-model",
            "eyes",
            "--json",
        )
        assert found.exit_code == 0
        assert json.loads(found.output)["opinion"]["problem"]
        assert json.loads(found.output)["class"] == "Lake"


class TestLevels:
    def test_surface_reflectance_is_shown_through_the_air(self, model):
        card = load_patch_model(model).card.model_copy(update={"input_levels": ("L1C",), "picture_white": 0.275})
        surface = np.full((3, 8, 8), 0.1, np.float32)  # B04, B03, B02
        shown = as_trained(surface, card, picture=False, level="L2A", name="x")
        expected = [(path + gain * 0.1) / 0.275 for path, gain in ((0.0221, 0.877), (0.0396, 0.807), (0.0666, 0.774))]
        np.testing.assert_allclose(shown[:, 0, 0], expected, rtol=0.03)
        plain = as_trained(surface, card, picture=False, level="L1C", name="x")
        np.testing.assert_allclose(plain, 0.1 / 0.275, rtol=1e-5)
        both = card.model_copy(update={"input_levels": ("L1C", "L2A")})
        np.testing.assert_array_equal(as_trained(surface, both, picture=False, level="L2A", name="x"), plain)
        assert level_note("L2A", card)
        assert not level_note("L1C", card)

    def test_pictures_and_reflectance_are_not_mixed(self, model):
        card = load_patch_model(model).card
        values = np.zeros((3, 8, 8), np.float32)
        with pytest.raises(InputError, match="was trained on reflectance"):
            as_trained(values, card.model_copy(update={"pictures": False}), picture=True, level="", name="x")
        with pytest.raises(InputError, match="pictures of unknown stretch"):
            as_trained(values, card.model_copy(update={"picture_white": None}), picture=False, level="", name="x")
