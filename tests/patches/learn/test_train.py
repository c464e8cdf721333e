"""Training: it learns, it resumes as if unbroken, it says what it left out; a damaged input is one line."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import rasterio
import torch
from click.testing import CliRunner

import lulc.training.train as module
from lulc.cli.main import cli
from lulc.config import read_config
from lulc.errors import ConfigError, InputError, Interrupted, ModelError, StorageError, UsageError
from lulc.legend import load_legend
from lulc.model.bundle import load_bundle
from lulc.patches.card import load_patch_model
from lulc.patches.dataset import open_patch_set
from lulc.patches.learn.duplicates import patch_signatures
from lulc.patches.learn.samples import Batch, PatchReader, PatchSamples
from lulc.patches.learn.settings import PatchSettings, recipe
from lulc.patches.learn.split import model_split
from lulc.patches.learn.task import cut_mixed, zoomed
from lulc.patches.learn.train import plan_patches, train_patches
from lulc.patches.learn.trained import legend_of
from lulc.patches.networks import build_patch_network
from lulc.resources import config_path, shipped_names
from lulc.tasks.describe.info import describe
from lulc.training.distributed import ProcessGroup
from tests.support.patch_samples import CLASSES, SIDE, settings_for, write_bands, write_tree, write_zip


class TestARun:
    def test_it_learns(self, trained):
        _, report = trained
        assert report.metrics["test"]["accuracy"] >= 0.9
        assert report.patches == {"train": 36, "val": 12, "test": 12}
        assert (report.leakage.same, report.leakage.near) == (0, 0)

    def test_what_it_leaves(self, trained, tmp_path):
        folder, report = trained
        names = {path.name for path in folder.iterdir()}
        assert {"card.json", "model.safetensors", "split.csv", "history.jsonl", "curves.png", "settings.json"} <= names
        card = load_patch_model(folder).card
        assert card.classes.names == CLASSES
        assert (card.pictures, card.picture_white, card.patch_side) == (True, 0.275, 32)
        assert card.metrics["test"]["accuracy"] == report.metrics["test"]["accuracy"]
        assert model_split(folder).counts() == report.patches
        packed = shutil.make_archive(str(tmp_path / "run"), "zip", folder)
        assert model_split(packed) == model_split(folder)
        lines = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
        assert sum("val_accuracy" in line for line in lines) == 4

    def test_it_is_no_model_for_scenes(self, trained):
        with pytest.raises(ModelError, match="is a model for lulc patches; give one for lulc classify"):
            load_bundle(trained[0])
        with pytest.raises(ModelError, match="is a model for lulc classify; give one for lulc patches"):
            load_patch_model("dw9-s2-10m")

    def test_it_is_not_replaced_unasked(self, trained, tree):
        with pytest.raises(StorageError, match="--resume"):
            train_patches(settings_for(tree), trained[0])

    def test_a_zip_gives_the_same_weights(self, tree, tmp_path):
        found = []
        for number, path in enumerate((tree, write_zip(tmp_path / "a.zip"))):
            train_patches(settings_for(path, fit__epochs=1), tmp_path / str(number))
            found.append((tmp_path / str(number) / "model.safetensors").read_bytes())
        assert found[0] == found[1]

    def test_half_weights_are_what_was_measured(self, tree, tmp_path):
        report = train_patches(settings_for(tree, fit__epochs=1, card__half=True), tmp_path / "run")
        card = load_patch_model(tmp_path / "run").card
        whole = sum(weight.numel() for weight in load_patch_model(tmp_path / "run").network.parameters())
        assert card.weights_bytes < 2.2 * whole
        assert card.metrics == json.loads(json.dumps(report.metrics))


class TestInfo:
    def test_what_a_set_is(self, tree, tmp_path):
        for path in (tree, write_zip(tmp_path / "set.zip")):
            found = describe([path])
            assert (found.kind, found.facts["patches"], found.facts["sizes"]) == ("patches", 60, [f"{SIDE} x {SIDE}"])
            assert [(row["class"], row["patches"]) for row in found.table] == [(name, 20) for name in CLASSES]
            assert found.problems == ()

    def test_what_is_wrong_with_it(self, tmp_path):
        tree = write_tree(tmp_path / "t", 4)
        (tree / "Lake" / "Lake_0.png").write_bytes(b"no image")
        write_bands(tree / "Town" / "z.tif", described=True)
        problems = describe([tree]).problems
        assert problems[0].startswith("1 of 13 looked at are refused; ")
        assert "Lake_0.png is not an image" in problems[0]
        assert problems[1:] == ("patches differ in their bands", "patches differ in their kind")

    def test_something_else_is_still_refused_as_a_scene(self, tmp_path):
        (tmp_path / "empty").mkdir()
        with pytest.raises(InputError, match="holds no raster files"):
            describe([tmp_path / "empty"])


class TestResume:
    def test_as_if_unbroken(self, tree, tmp_path, monkeypatch):
        settings = settings_for(tree, augment__zoom=0.2, augment__cutmix=0.5, network__dropout=0.3, fit__ema=0.9)
        train_patches(settings, tmp_path / "whole")
        calls = iter(range(1000))

        def stop_together(_group, _run):
            def check():
                if next(calls) == 7:
                    raise Interrupted("stopped", "resume")

            return check

        monkeypatch.setattr(module, "stop_together", stop_together)
        with pytest.raises(Interrupted):
            train_patches(settings, tmp_path / "broken")
        monkeypatch.undo()
        train_patches(settings, tmp_path / "broken", resume=True)
        whole, broken = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "broken"))
        assert whole == broken

    def test_other_settings_are_another_run(self, trained, tree):
        with pytest.raises(ConfigError, match=r"fit\.seed"):
            train_patches(
                settings_for(tree, fit__seed=5, card__picture_white=0.275, card__resolution_m=10.0),
                trained[0],
                resume=True,
            )


class TestBands:
    @pytest.fixture
    def bands(self, tmp_path):
        tree = tmp_path / "ms"
        for kind in CLASSES:
            (tree / kind).mkdir(parents=True)
            for number in range(6):
                write_bands(tree / kind / f"{number}.tif", kind, number)
        return tree

    def test_thirteen_from_three(self, bands, trained, tmp_path):
        settings = settings_for(
            bands, bands=["eurosat-ms"], use=["B08", "B04", "B03", "B02"], network__start=str(trained[0]), fit__epochs=1
        )
        with pytest.raises(InputError, match="B08 has one value in all patches"):
            train_patches(settings, tmp_path / "run")
        settings = settings_for(bands, bands=["eurosat-ms"], use=["B04", "B03", "B02"], fit__epochs=1)
        report = train_patches(settings, tmp_path / "run")
        card = load_patch_model(tmp_path / "run").card
        assert (card.features.bands, card.pictures) == (("B04", "B03", "B02"), False)
        assert report.leakage.shared_ground == report.patches["val"] + report.patches["test"]  # all lie on one place
        assert "lie partly on training ground" in report.to_text()

    @pytest.mark.parametrize("normalise", ["rescale", "statistics"])
    @pytest.mark.parametrize("blank", ["train", "val"])
    def test_patches_without_data_teach_nothing(self, bands, tmp_path, normalise, blank):
        rows = ["name,split"]
        for path in sorted(bands.glob("*/*.tif")):
            split = "val" if path.stem == "0" else "train"
            rows.append(f"{path.relative_to(bands)},{split}")
            if split == blank:
                with rasterio.open(path, "r+") as file:
                    file.write(np.zeros((13, SIDE, SIDE), np.uint16))
        (tmp_path / "split.csv").write_text("\n".join(rows))
        settings = settings_for(
            bands,
            bands=["eurosat-ms"],
            use=["B04", "B03", "B02"],
            network__normalise=normalise,
            split__file=str(tmp_path / "split.csv"),
        )
        with pytest.raises(InputError, match=f"no patch of the split '{blank}' has a pixel with data"):
            train_patches(settings, tmp_path / "run")
        assert not (tmp_path / "run").exists()

    def test_one_block_is_not_enough(self, bands, tmp_path):
        with pytest.raises(InputError, match=r"1 block, 3 splits need as many; use smaller blocks"):
            train_patches(settings_for(bands, bands=["eurosat-ms"], split__block_m=1000.0), tmp_path / "run")
        assert not (tmp_path / "run").exists()

    def test_a_band_that_is_not_there(self, bands, tmp_path):
        with pytest.raises(InputError, match="no B8; did you mean 'B8A'"):
            train_patches(settings_for(bands, bands=["eurosat-ms"], use=["B8"]), tmp_path / "run")

    def test_pictures_among_them(self, bands, tree, tmp_path):
        shutil.copytree(tree / "Town", bands / "Town", dirs_exist_ok=True)
        with pytest.raises(InputError, match="is a picture"):
            train_patches(settings_for(bands, bands=["eurosat-ms"]), tmp_path / "run")
        assert not (tmp_path / "run").exists()

    def test_other_patches_are_another_run(self, tmp_path):
        tree = write_tree(tmp_path / "t", 8)
        train_patches(settings_for(tree, fit__epochs=1), tmp_path / "run")
        split = (tmp_path / "run" / "split.csv").read_bytes()
        (tree / "Lake" / "Lake_3.png").rename(tree / "Lake" / "new.png")
        with pytest.raises(ConfigError, match="was trained on other patches"):
            train_patches(settings_for(tree, fit__epochs=1), tmp_path / "run", resume=True)
        assert (tmp_path / "run" / "split.csv").read_bytes() == split


class TestPlan:
    """What is decided before the first step."""

    def planned(self, tree, **changes):
        return plan_patches(settings_for(tree, **changes), ProcessGroup(torch.device("cpu")))

    @pytest.mark.parametrize(
        ("kind", "mean", "std"), [("imagenet", 0.485, 0.229), ("rescale", 0.0, 1.0), ("statistics", None, None)]
    )
    def test_normalisation(self, tree, kind, mean, std):
        features = self.planned(tree, network__normalise=kind).features
        assert features.bands[0] == "B04"
        if mean is None:
            assert 0.1 < features.mean[0] < 0.6
        else:
            assert (features.mean[0], features.std[0]) == (mean, std)

    def test_steps_may_be_given_in_place_of_epochs(self, tree):
        fit = self.planned(tree, fit__epochs=0, fit__steps=70, fit__batch=500).settings.fit
        assert (fit.steps, fit.batch) == (70, 36)

    def test_a_legend_that_knows_the_classes_in_order_is_taken(self):
        known = load_legend("eurosat")
        assert legend_of(known.names, "eurosat") is not None
        assert legend_of(known.names, "eurosat").to_table() == known.to_table()
        assert legend_of(known.names[:2], "eurosat").name == "patches"

    def test_several_processes_freeze_nothing(self, tree):
        group = ProcessGroup(torch.device("cpu"), rank=0, size=2)
        with pytest.raises(ConfigError, match=r"network\.freeze does not work under torchrun"):
            plan_patches(settings_for(tree, network__freeze="backbone"), group)

    def test_reflectance_among_pictures(self, tmp_path):
        tree = write_tree(tmp_path / "t", 4)
        write_bands(tree / "Town" / "z.tif", described=True)
        with pytest.raises(InputError, match=r"Town/z\.tif is reflectance, Field/Field_0\.png is a picture"):
            patch_signatures(open_patch_set(tree))
        reader = PatchReader(open_patch_set(tree), ("B04",), SIDE, 10, pictures=True)
        with pytest.raises(InputError, match=r"z\.tif is reflectance, other patches are a picture"):
            reader.read(open_patch_set(tree).patches)


def test_the_command(tree, tmp_path):
    """`lulc patches train`, for people and for programs."""
    small = ("network.name=cnn6", f"network.side={SIDE}", "fit.epochs=1", "fit.batch=36", "fit.device=cpu")
    changes = [word for change in (*small, "fit.precision=fp32", "augment.haze=0") for word in ("--set", change)]
    given = ["patches", "train", "cnn6", str(tmp_path / "run"), "--data", str(tree), *changes]
    done = CliRunner().invoke(cli, given)
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"{tmp_path / 'run'}: ")
    assert "confidences are not calibrated: that takes" in done.stdout
    done = CliRunner().invoke(cli, [*given, "--overwrite", "--json", "--quiet"])
    assert json.loads(done.stdout)["patches"] == {"train": 45, "val": 3, "test": 12}


def test_calibrated_confidences_need_no_remark(trained):
    report = trained[1]
    many = {split: scores | {"patches": 1000} for split, scores in report.metrics.items()}
    assert "confidences are not calibrated" in report.to_text()
    assert "confidences are not calibrated" not in replace(report, metrics=many).to_text()


class TestRefusals:
    def test_tensorboard_into_a_file(self, tree, tmp_path):
        (tmp_path / "events").write_text("mine")
        with pytest.raises(StorageError, match="events is a file"):
            train_patches(settings_for(tree), tmp_path / "run", tensorboard=tmp_path / "events")
        assert not (tmp_path / "run").exists()

    def test_a_run_among_the_patches(self, tmp_path):
        tree = write_tree(tmp_path / "t", 8)
        with pytest.raises(UsageError, match="lies inside the patches"):
            train_patches(settings_for(tree), tree / "run")
        assert not (tree / "run").exists()

    @pytest.mark.parametrize(
        ("key", "value", "error"),
        [
            ("card__legend", "eurosta", ConfigError),
            ("network__side", 8, ConfigError),
            ("use", ["B04", "B04"], ConfigError),
            ("fit__learning_rate", 1e300, ConfigError),
        ],
    )
    def test_before_anything_is_made(self, tree, tmp_path, key, value, error):
        with pytest.raises(error):
            train_patches(settings_for(tree, **{key: value}), tmp_path / "run")
        assert not (tmp_path / "run").exists()

    def test_a_batch_is_no_larger_than_the_patches(self, tree):
        assert settings_for(tree, fit__batch=100_000).fit.for_patches(36).batch == 36

    def test_a_damaged_patch(self, tmp_path):
        tree = write_tree(tmp_path / "t", 10)
        file = tree / "Lake" / "Lake_3.png"
        file.write_bytes(file.read_bytes()[:200])
        with pytest.raises(InputError, match=r"Lake_3\.png is damaged"):
            train_patches(settings_for(tree), tmp_path / "run")
        assert not (tmp_path / "run").exists()

    def test_an_unknown_key_and_network(self, tree):
        with pytest.raises(ConfigError, match="epoch; did you mean 'epochs'"):
            settings_for(tree, fit__epoch=3)
        with pytest.raises(ConfigError, match="there is no network"):
            settings_for(tree, network__name="resnt50")

    def test_imagenet_statistics_are_for_pictures(self, tmp_path):
        tree = tmp_path / "ms"
        for kind in CLASSES:
            (tree / kind).mkdir(parents=True)
            for number in range(6):
                write_bands(tree / kind / f"{number}.tif", kind, number, described=True)
        with pytest.raises(ConfigError, match="is for pictures"):
            train_patches(settings_for(tree, network__normalise="imagenet"), tmp_path / "run")


class TestRecipes:
    def test_other_data_get_another_name(self, tree, tmp_path):
        other = recipe("eurosat-rgb", tree, {}, "My Run!")
        assert (other.name, other.card.levels, other.card.attribution) == ("my-run", (), ())
        assert other.network.name == "lite0"
        same = recipe("eurosat-rgb", tmp_path / "eurosat_rgb.zip", {}, "run")
        assert (same.name, same.card.levels) == ("eurosat-rgb", ("L1C",))
        assert recipe("eurosat-rgb", tree, {"name": "mine"}, "run").name == "mine"

    def test_too_few_to_calibrate(self, trained):
        _, report = trained
        assert report.temperature == 1.0
        assert "confidences are not calibrated" in report.to_text()


class TestDraws:
    def test_every_patch_once_an_epoch(self, tree):
        patches = open_patch_set(tree).patches
        samples = PatchSamples(patches, 10, 0.0, 0)
        for epoch in range(3):
            seen = [patch.name for step in range(6) for patch in samples.draw(6 * epoch + step, range(10))]
            assert sorted(seen) == sorted(patch.name for patch in patches)
        assert samples.draw(0, range(10)) != samples.draw(6, range(10))

    def test_processes_share_a_step(self, tree):
        samples = PatchSamples(open_patch_set(tree).patches, 10, 0.0, 0)
        both = samples.draw(3, range(0, 10, 2)) + samples.draw(3, range(1, 10, 2))
        assert set(both) == set(samples.draw(3, range(10)))

    def test_balance_makes_classes_even(self, tree):
        data = open_patch_set(tree)
        few = [patch for patch in data.patches if patch.code != 2 or patch.name.endswith("_1.png")]
        drawn = PatchSamples(few, 3000, 1.0, 0).draw(0, range(3000))
        shares = np.bincount([patch.code for patch in drawn])[1:] / 3000
        np.testing.assert_allclose(shares, 1 / 3, atol=0.04)


class TestMixing:
    def test_shares_follow_the_area(self):
        image = torch.arange(4.0)[:, None, None, None].expand(4, 1, 20, 20).contiguous()
        shares = torch.eye(4)
        mixed, labels = cut_mixed(image, shares, torch.Generator().manual_seed(3))
        torch.testing.assert_close(labels.sum(dim=1), torch.ones(4))
        for patch in range(4):
            pixels = torch.bincount(mixed[patch].flatten().long(), minlength=4) / 400
            torch.testing.assert_close(labels[patch], pixels)

    def test_a_zoom_keeps_size_and_range(self):
        image = torch.rand(5, 2, 16, 16)
        closer = zoomed(image, 0.5, torch.Generator().manual_seed(0))
        assert closer.shape == image.shape
        assert float(closer.min()) >= float(image.min())
        assert float(closer.max()) <= float(image.max())
        assert not torch.equal(closer, image)

    def test_pieces_carry_their_class(self):
        batch = Batch(np.zeros((2, 3, 8, 8), np.float32), np.array([0, 4]))
        assert batch.pieces().label.reshape(2, -1)[:, 0].tolist() == [1, 5]


def test_colours_of_a_known_legend():
    known = legend_of(("Forest", "River"), "eurosat")
    assert [(entry.code, entry.color) for entry in known] == [(1, "#397d49"), (2, "#7fb9ea")]
    assert len({entry.color for entry in legend_of([str(k) for k in range(30)], "")}) == 30


def test_info_describes_a_patch_model(trained):
    found = describe([trained[0]])
    assert (found.kind, found.problems) == ("model", ())
    assert found.facts["for"] == "lulc patches"
    assert [row["class"] for row in found.table] == list(CLASSES)


@pytest.mark.parametrize("name", shipped_names("patches"))
def test_every_shipped_configuration_builds(name):
    settings = read_config(PatchSettings, config_path("patches", name))
    assert settings.name == name
    network = build_patch_network(settings.network.architecture(3, 10, 64)).eval()
    with torch.inference_mode():
        assert network(torch.zeros(1, 3, 64, 64)).shape == (1, 10)


def test_a_start_that_does_not_fit_says_which_network_would(trained, tree, tmp_path):
    other = settings_for(tree, network__name="resnet18", network__start=str(trained[0]))
    expected = (
        r'only 1 weights of tiny fit this network; they fit network\.name = "cnn6", network\.side = 32, network\.hidden'
    )
    with pytest.raises(ModelError, match=expected):
        train_patches(other, tmp_path / "run")
