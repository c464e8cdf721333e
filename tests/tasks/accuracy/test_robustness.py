"""Robustness of networks whose behaviour is known, on scenes whose differences are known."""

import json

import numpy as np
import pytest
import torch

from lulc.errors import InputError, ModelError
from lulc.grid import Window
from lulc.io.product.reader import open_product
from lulc.io.scene.scene import open_scene
from lulc.model.build import total_stride
from lulc.model.bundle import load_bundle
from lulc.model.device import choose_placement
from lulc.model.receptive_field import measure_receptive_field
from lulc.tasks.accuracy.image_changes import shift
from lulc.tasks.accuracy.options import RobustnessOptions
from lulc.tasks.accuracy.robustness import measure_robustness
from lulc.tasks.accuracy.window_classes import WindowClassifier
from lulc.tasks.classify.classify import classify
from lulc.tasks.classify.options import ClassifyOptions
from tests.support.pixelwise import write_pixelwise_bundle
from tests.support.whole_runs import BANDS, texture

FP32 = RobustnessOptions(precision="fp32", device="cpu")
SPRING, SUMMER = ({"ACQUISITION_DATE": day, "LEVEL": "L2A"} for day in ("2021-04-01", "2021-07-01"))


@pytest.fixture(scope="module")
def pixelwise(tmp_path_factory):
    return write_pixelwise_bundle(tmp_path_factory.mktemp("bundles") / "pixelwise")


def classifier(model):
    bundle = load_bundle(model)
    field = measure_receptive_field(bundle.network, 4, total_stride(bundle.network))
    return WindowClassifier(bundle, BANDS, field, choose_placement("cpu", "fp32"))


def kept(report):
    return {name: change.mean for name, change in report.changes.items()}


class TestWindows:
    @pytest.mark.parametrize("window", [Window(0, 0, 64, 64), Window(64, 128, 64, 40), Window(128, 0, 22, 64)])
    def test_classes_are_those_of_the_map(self, bundle, scene_file, tmp_path, window):
        path = scene_file(150, 168)
        classify(path, tmp_path / "map.tif", ClassifyOptions(model=bundle, precision="fp32", device="cpu", threads=1))
        classes = classifier(bundle)
        with open_scene(path) as scene, open_product(tmp_path / "map.tif") as product:
            found = classes(classes.read(scene, window))[window.slices(classes.around(window))]
            assert (found == product.classes(window)).mean() > 0.999  # equal but for rounding

    def test_a_shift_by_the_stride_changes_nothing(self, bundle, scene_file):
        """The margin holds all that a pixel of the window sees, and the shifted image shows the same ground."""
        window, classes = Window(64, 64, 64, 64), classifier(bundle)
        with open_scene(scene_file(150, 168)) as scene:
            image, inside = classes.read(scene, window), window.slices(classes.around(window))
        plain, shifted = classes(image)[inside], shift(8).classes(classes, image)[inside]
        assert len(np.unique(plain)) > 1
        assert (plain == shifted).mean() > 0.999

    def test_what_lies_beyond_the_margin_does_not_count(self, bundle):
        classes = classifier(bundle)
        around = classes.around(Window(0, 0, 64, 64))
        image = texture(around.height, around.width).astype(np.float32) / 10_000
        bright = np.pad(image, ((0, 0), (8, 8), (8, 8)), constant_values=1.0)
        inner = np.s_[8:-8, 8:-8]
        edge = -around.row
        core = np.s_[edge:-edge, edge:-edge]
        assert (classes(image)[core] == classes(bright)[inner][core]).mean() > 0.999

    def test_any_size_is_taken(self, bundle):
        image = texture(37, 51).astype(np.float32) / 10_000
        image[:, 3, 4] = np.nan
        codes = classifier(bundle)(image)
        assert codes.shape == (37, 51)
        assert codes[3, 4] == 255
        assert ((codes >= 1) & (codes <= 9)).sum() == codes.size - 1


class TestChanges:
    def test_a_network_of_one_pixel_keeps_all_when_the_frame_changes(self, pixelwise, scene_file):
        report = measure_robustness(pixelwise, scene_file(300, 200, tags=SPRING), FP32)
        found = kept(report)
        assert found["shift 1 px"] == found["shift 2 px"] == found["turn 90"] == 1
        assert found["other level"] < 1
        assert {change.matrix.total for change in report.changes.values()} == {300 * 200}

    def test_light_changes_what_it_changes_pixel_by_pixel(self, pixelwise, scene_file):
        report = measure_robustness(pixelwise, scene_file(300, 200), FP32)
        image, classes = texture(300, 200).astype(np.float32) / 10_000, classifier(pixelwise)
        for name, factor in (("gain 0.9", 0.9), ("gain 1.1", 1.1)):
            assert 0 < kept(report)[name] < 1
            expected = (classes(image) == classes(np.float32(factor) * image)).mean()
            assert kept(report)[name] == pytest.approx(expected, abs=1e-4)

    def test_a_strided_network_does_not_keep_all(self, bundle, scene_file):
        report = measure_robustness(bundle, scene_file(150, 168), FP32)
        found = kept(report)
        assert [*found] == ["shift 1 px", "shift 2 px", "shift 4 px", "turn 90", "gain 0.9", "gain 1.1"]
        assert max(found.values()) < 1
        flip = report.to_json()["changes"][0]["commonest_flip"]
        matrix = report.changes["shift 1 px"].matrix
        one, other = (matrix.names.index(name) for name in flip["classes"])
        both = matrix.counts + matrix.counts.T
        np.fill_diagonal(both, 0)
        assert flip["pixels"] == both[one, other] == both.max() > 0

    def test_no_data_is_not_counted(self, bundle, scene_file):
        pixels = texture(150, 168)
        pixels[:, 20:60, 30:100] = 0
        report = measure_robustness(bundle, scene_file(150, 168, pixels=pixels), FP32)
        assert {change.matrix.total for change in report.changes.values()} == {150 * 168 - 40 * 70}

    def test_scenes_smaller_than_a_window_and_than_the_receptive_field(self, bundle, scene_file):
        report = measure_robustness(bundle, scene_file(20, 31), FP32)
        assert {change.matrix.total for change in report.changes.values()} == {20 * 31}

    def test_windows_are_samples_of_a_larger_scene(self, pixelwise, scene_file):
        seen = []
        options = FP32.model_copy(update={"windows": 4})
        path = scene_file(1030, 1300)
        report = measure_robustness(pixelwise, path, options, progress=lambda *step: seen.append(step))
        assert report.scenes[0].windows == 4
        assert report.changes["turn 90"].matrix.total == 4 * 256**2
        assert seen == [(number * 256**2, 4 * 256**2) for number in (1, 2, 3, 4)]

    def test_several_scenes_have_a_mean_and_a_worst(self, bundle, scene_file):
        flat = np.full((4, 64, 64), 900, np.uint16)
        paths = [scene_file(64, 64, name="flat.tif", pixels=flat), scene_file(150, 168, name="rough.tif")]
        report = measure_robustness(bundle, paths, FP32)
        change = report.changes["shift 1 px"]
        assert change.mean == pytest.approx(np.mean([each.kept for each in change.comparisons]))
        assert change.worst.scenes == (str(paths[1]),)
        assert "| rough.tif " in report.to_markdown()
        table = json.loads(json.dumps(report.to_json(), allow_nan=False))
        assert table["changes"][0]["worst_scenes"] == [str(paths[1])]
        assert len(table["comparisons"]) == 2 * len(table["changes"])


class TestSeasons:
    def pair(self, scene_file, **second):
        """Two dates of one place; a quarter of the second one looks like something else."""
        spring = np.full((4, 128, 128), 900, np.uint16)
        summer = spring.copy()
        summer[:, :64, :64] = np.array([300, 500, 400, 5000])[:, None, None]
        given = {"pixels": summer, "tags": SUMMER} | second
        return [
            scene_file(128, 128, name="spring.tif", pixels=spring, tags=SPRING),
            scene_file(128, 128, name="summer.tif", **given),
        ]

    def test_two_dates_keep_what_is_equal(self, pixelwise, scene_file):
        paths = self.pair(scene_file)
        report = measure_robustness(pixelwise, paths, FP32)
        season = report.changes["season"]
        assert season.mean == 0.75
        assert season.worst.scenes == tuple(map(str, paths))
        assert report.not_measured == ()
        assert "| 2021-04-01 and 2021-07-01 | 0.7500 | 16,384 |" in report.to_markdown()

    def test_pixels_without_data_on_either_date_are_left_out(self, pixelwise, scene_file):
        pixels = np.full((4, 128, 128), 900, np.uint16)
        pixels[:, :, 100:] = 0
        report = measure_robustness(pixelwise, self.pair(scene_file, pixels=pixels), FP32)
        assert report.changes["season"].mean == 1
        assert report.changes["season"].matrix.total == 128 * 100

    @pytest.mark.parametrize(
        "second",
        [{"tags": SPRING}, {"tags": {}}, {"crs": "EPSG:32632"}, {"transform": None, "crs": None}],
        ids=["same date", "no date", "other grid", "no place"],
    )
    def test_what_is_no_other_date_of_the_place_is_no_season(self, pixelwise, scene_file, second):
        report = measure_robustness(pixelwise, self.pair(scene_file, **second), FP32)
        assert "season" not in report.changes
        assert any(reason.startswith("season: it takes scenes of two dates") for reason in report.not_measured)


class TestRefused:
    def test_a_scene_without_data_in_its_windows(self, bundle, scene_file):
        path = scene_file(64, 64, pixels=np.zeros((4, 64, 64), np.uint16))
        with pytest.raises(InputError, match=r"scene\.tif has no valid pixel in its sample windows"):
            measure_robustness(bundle, path, FP32)

    def test_a_scene_without_a_band(self, scene_file):
        with pytest.raises(InputError, match="lacks B05, B06, B07, B11, B12"):
            measure_robustness("dw9-s2-10m", scene_file(64, 64), FP32)

    def test_a_network_that_gives_no_number(self, bundle):
        broken = load_bundle(bundle)
        torch.nn.init.constant_(broken.network.segmentation_head[0].bias, float("nan"))
        field = measure_receptive_field(broken.network, 4, 8)
        classes = WindowClassifier(broken, BANDS, field, choose_placement("cpu", "fp32"))
        with pytest.raises(ModelError, match="not finite"):
            classes(np.full((4, 64, 64), 0.1, np.float32))


def test_the_level_that_was_not_shown_is_said(bundle, scene_file):
    report = measure_robustness(bundle, scene_file(64, 64), FP32)
    assert report.not_measured[0] == "other level of scene.tif: the scene does not say its level"
    assert "- other level of scene.tif" in report.to_markdown()


def test_the_shipped_model_on_a_real_scene(data):
    path = data / "scenes" / "aquileia_20190416_l2a_12band.tif"
    report = measure_robustness("dw9-s2-10m", path, FP32.model_copy(update={"windows": 1}))
    assert all(0.9 < share < 1 for share in kept(report).values())
    assert "other level" in report.changes
