"""The band study: folds, combinations, a study that is killed and goes on, and one real training of a tiny network."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner
from PIL import Image
from scipy.stats import binomtest

from lulc.cli.main import cli
from lulc.errors import ConfigError, InputError, Interrupted, StorageError, UsageError
from lulc.patches.dataset import open_patch_set
from lulc.patches.image import EUROSAT_MS
from lulc.patches.learn.settings import PatchSettings, SplitSettings
from lulc.patches.learn.split import read_split
from lulc.patches.options import StudyOptions
from lulc.patches.study import bands as band_study
from lulc.patches.study.bands import choose_combinations, split_folds, study_bands
from lulc.patches.study.bands_report import BandRow, Combination, FoldScore

BANDS = ("B02", "B03", "B04", "B08")
CLASSES = ("crop", "tree")
NATURAL = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12")
SIDE = 16


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Two classes of ten patches that differ in B08 alone; two of the trees have the same pixels."""
    folder = tmp_path_factory.mktemp("set")
    rng = np.random.default_rng(0)
    for name, infrared in zip(CLASSES, (3000, 1000), strict=True):
        (folder / name).mkdir()
        for number in range(10):
            pixels = rng.normal(800, 60, (len(BANDS), SIDE, SIDE))
            pixels[3] += infrared
            target = folder / name / f"{name}_{number}.tif"
            profile = {"count": 4, "height": SIDE, "width": SIDE, "dtype": "uint16", "crs": "EPSG:32632"}
            transform = rasterio.Affine(10, 0, 5e5 + 1e4 * number, 0, -10, 5e6)
            with rasterio.open(target, "w", driver="GTiff", transform=transform, **profile) as file:
                file.write(pixels.astype(np.uint16))
                file.descriptions = BANDS
    (folder / "tree" / "tree_9.tif").write_bytes((folder / "tree" / "tree_8.tif").read_bytes())
    return folder


def settings(**fit):
    table = {
        "name": "tiny",
        "data": "nowhere",
        "network": {"name": "cnn6", "dropout": 0},
        "augment": {"haze": 0, "band_offset": 0},
        "fit": {"epochs": 8, "batch": 4, "ema": 0, "precision": "fp32", "device": "cpu", "keep": "last", **fit},
        "samples": {"workers": 1},
    }
    return PatchSettings.model_validate(table)


class Trainer:
    """Stands in for `train_patches`: finds a patch by B08 alone, notes what it was asked, and can be killed."""

    def __init__(self, stop_at=None):
        self.calls, self.stop_at = [], stop_at

    def __call__(self, asked, folder, *, resume, progress):
        assert resume
        if len(self.calls) == self.stop_at:
            raise Interrupted("stopped by SIGTERM", "run the same command again to continue")
        folder.mkdir()
        (folder / "settings.json").write_text("{}")
        split = read_split(asked.split.file)
        self.calls.append((asked.use, folder.name, split))
        progress(10, 10, 0.5)
        per_class = {}
        for name in sorted({patch.partition("/")[0] for patch in split.names}):
            tested = sum(part == "test" and patch.startswith(name) for patch, part in split.names.items())
            found = tested if "B08" in asked.use or name != "tree" else 0
            per_class[name] = {"recall": round(found / tested, 4) if tested else None, "patches": tested}
        total = sum(one["patches"] for one in per_class.values())
        found = sum((one["recall"] or 0) * one["patches"] for one in per_class.values())
        scores = {"accuracy": found / total, "patches": total, "per_class": per_class}
        return SimpleNamespace(metrics={"val": {}, "test": scores}, seconds=1.5)


@pytest.fixture
def trainer(monkeypatch):
    stand_in = Trainer()
    monkeypatch.setattr(band_study, "train_patches", stand_in)
    return stand_in


class TestCombinations:
    def test_of_all_bands(self):
        chosen, left_out = choose_combinations(EUROSAT_MS, None)
        assert [each.name for each in chosen] == [*EUROSAT_MS, "RGB", "CIR", "SWIR", "all"]
        named = {each.name: each.bands for each in chosen}
        assert named["RGB"] == ("B04", "B03", "B02")
        assert named["CIR"] == ("B08", "B04", "B03")
        assert named["SWIR"] == ("B12", "B08", "B04")
        assert (named["all"], named["B8A"], left_out) == (EUROSAT_MS, ("B8A",), ())

    def test_of_pictures_what_they_lack_is_left_out(self):
        chosen, left_out = choose_combinations(("B04", "B03", "B02"), None)
        assert [each.name for each in chosen] == ["B04", "B03", "B02", "RGB"]
        assert left_out == (
            "CIR is left out: the patches lack B08",
            "SWIR is left out: the patches lack B12, B08",
            "all is left out: it is the same as RGB",
        )

    def test_asked_for(self):
        chosen, left_out = choose_combinations(BANDS, ["B08", "B02+B08", "RGB", "B08"])
        assert [each.bands for each in chosen] == [("B08",), ("B02", "B08"), ("B04", "B03", "B02")]
        assert left_out == ()
        with pytest.raises(InputError, match="SWIR needs B12: the patches have B02, B03, B04, B08"):
            choose_combinations(BANDS, ["SWIR"])
        with pytest.raises(UsageError, match="there is no combination SWIRL; did you mean 'SWIR'"):
            choose_combinations(BANDS, ["SWIRL"])
        with pytest.raises(UsageError, match="there is no combination B02\\+B02"):
            choose_combinations(BANDS, ["B02+B02"])


class TestFolds:
    def test_every_patch_is_tested_once(self, tiny):
        patches = open_patch_set(tiny)
        twins = tuple(patch for patch in patches.patches if patch.name in {"tree/tree_8.tif", "tree/tree_9.tif"})
        splits = split_folds(patches, 5, SplitSettings(), [twins])
        tested = [patch.name for split in splits for patch in split.of(patches, "test")]
        assert sorted(tested) == [patch.name for patch in patches.patches]
        for split in splits:
            assert split.names.keys() == {patch.name for patch in patches.patches}
            assert len({split.names[twin.name] for twin in twins}) == 1
            per_class = [sum(patch.code == code for patch in split.of(patches, "test")) for code in (1, 2)]
            assert 1 <= min(per_class) <= max(per_class) <= 3
            assert len(split.of(patches, "val")) == 4
        assert [split.names for split in split_folds(patches, 5, SplitSettings(), [twins])] == [s.names for s in splits]
        assert split_folds(patches, 5, SplitSettings(seed=1), [twins])[0].names != splits[0].names

    def test_one_fold_is_the_split_of_the_settings(self, tiny):
        patches = open_patch_set(tiny)
        (split,) = split_folds(patches, 1, SplitSettings(train=0.5, val=0.2, test=0.3))
        assert split.counts() == {"train": 10, "val": 4, "test": 6}
        with pytest.raises(InputError, match="no patches fall into the split test"):
            split_folds(patches, 1, SplitSettings(train=0.8, val=0.2, test=0))

    def test_too_few(self, tiny):
        with pytest.raises(InputError, match="crop has 10 patches, too few for 11 folds"):
            split_folds(open_patch_set(tiny), 11, SplitSettings())


class TestStudy:
    def test_rows(self, tiny, tmp_path, trainer):
        told = []
        study = study_bands(
            tiny,
            tmp_path / "out",
            settings=settings(),
            progress=lambda *step: told.append(step),
            options=StudyOptions(folds=2),
        )
        names = ["B08", "CIR", "all", "B02", "B03", "B04", "RGB"]
        assert [row.combination.name for row in study.rows] == names
        assert [row.correct for row in study.rows] == [20, 20, 20, 10, 10, 10, 10]
        assert {row.patches for row in study.rows} == {20}
        low, high = study.rows[3].interval
        expected = binomtest(10, 20).proportion_ci(method="wilson")
        assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-4)
        assert study.rows[0].recalls() == {"crop": 1, "tree": 1}
        assert study.rows[3].recalls() == {"crop": 1, "tree": 0}
        assert study.notes == ("SWIR is left out: the patches lack B12",)
        assert told[-1] == (140, 140, 0.5)
        assert len({str(sorted(split.names.items())) for _, _, split in trainer.calls}) == 2
        by_fold = {name: split.names for _, name, split in trainer.calls}
        assert by_fold["run-B02-1"] == by_fold["run-all-1"] != by_fold["run-all-2"]

    def test_files(self, tiny, tmp_path, trainer):
        study = study_bands(tiny, tmp_path / "out", settings=settings(), options=StudyOptions(folds=2))
        files = {path.name for path in (tmp_path / "out").iterdir()}
        assert files == {"bands.json", "bands.md", "bands.png", "folds"}
        page = (tmp_path / "out" / "bands.md").read_text()
        assert "| B08 " in page
        assert "98.57" in page
        assert "| combination | crop | tree |" in page
        assert (tmp_path / "out" / "bands.png").read_bytes().startswith(b"\x89PNG")
        folds = json.loads(json.dumps(study.to_json()))["rows"][0]["folds"]
        assert [sum(fold["found"][name][0] for fold in folds) for name in CLASSES] == [10, 10]
        assert study.to_text().splitlines()[1].split()[:3] == ["B08", "100.0", "%"]
        assert trainer.calls

    def test_a_killed_study_goes_on(self, tiny, tmp_path, trainer):
        out, whole = tmp_path / "out", tmp_path / "whole"
        trainer.stop_at = 5
        with pytest.raises(Interrupted):
            study_bands(tiny, out, settings=settings(), options=StudyOptions(folds=2))
        assert len(json.loads((out / "bands.json").read_text())["rows"]) == 3
        assert not (out / "bands.md").exists()
        trainer.stop_at = None
        resumed = study_bands(tiny, out, settings=settings(device="auto"), options=StudyOptions(folds=2, resume=True))
        assert len(trainer.calls) == 14
        assert len({name for _, name, _ in trainer.calls}) == 14
        assert resumed.rows == study_bands(tiny, whole, settings=settings(), options=StudyOptions(folds=2)).rows

    def test_more_combinations_later(self, tiny, tmp_path, trainer):
        study_bands(tiny, tmp_path, settings=settings(), options=StudyOptions(folds=2, combinations=["B08"]))
        study = study_bands(
            tiny,
            tmp_path,
            settings=settings(),
            options=StudyOptions(folds=2, combinations=["B08", "B02+B08"], resume=True),
        )
        assert [asked for asked, _, _ in trainer.calls] == [("B08",)] * 2 + [("B02", "B08")] * 2
        assert [row.combination.name for row in study.rows] == ["B02+B08", "B08"]

    def test_patches_that_have_lost_a_band(self, tiny, tmp_path, trainer):
        patches = shutil.copytree(tiny, tmp_path / "set")

        def study(**more):
            asked = StudyOptions(folds=2, combinations=["all"], **more)
            return study_bands(patches, tmp_path / "out", settings=settings(), options=asked)

        study()
        for path in patches.rglob("*.tif"):
            with rasterio.open(path) as file:
                pixels, profile = file.read()[1:], file.profile | {"count": 3}
            with rasterio.open(path, "w", **profile) as file:
                file.write(pixels)
                file.descriptions = BANDS[1:]
        with pytest.raises(ConfigError, match="all was begun with B02 B03 B04 B08; use another OUT"):
            study(resume=True)
        assert len(trainer.calls) == 2

    def test_a_patch_model_is_no_start(self, tiny, tmp_path, trainer):
        own = settings()
        own = own.model_copy(update={"network": own.network.model_copy(update={"start": "eurosat-rgb"})})
        study = study_bands(tiny, tmp_path, settings=own, options=StudyOptions(folds=2, combinations=["B08"]))
        assert study.notes[0].startswith("started from ImageNet, not from eurosat-rgb")
        assert study.network == "cnn6 from imagenet"
        assert trainer.calls

    def test_pictures_give_colours_only(self, tmp_path, trainer):
        for name in CLASSES:
            (tmp_path / "set" / name).mkdir(parents=True)
            for number in range(8):
                colors = np.random.default_rng([number, len(name), name == "crop"]).integers(
                    0, 255, (SIDE, SIDE, 3), np.uint8
                )
                Image.fromarray(colors).save(tmp_path / "set" / name / f"{name}_{number}.png")
        study = study_bands(tmp_path / "set", tmp_path / "out", settings=settings(), options=StudyOptions(folds=2))
        assert sorted(row.combination.name for row in study.rows) == ["B02", "B03", "B04", "RGB"]
        assert [note.split()[0] for note in study.notes] == ["CIR", "SWIR", "all"]
        with pytest.raises(InputError, match="CIR needs B08: the patches have B04, B03, B02"):
            study_bands(
                tmp_path / "set", tmp_path / "new", settings=settings(), options=StudyOptions(combinations=["CIR"])
            )
        assert trainer.calls

    def test_refused(self, tiny, tmp_path, trainer, monkeypatch):
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "thesis.txt").write_text("mine")
        for more in ({"resume": True}, {"overwrite": True}):
            with pytest.raises(StorageError, match="holds no band study"):
                study_bands(tiny, tmp_path / "mine", settings=settings(), options=StudyOptions(folds=2, **more))
        out = tmp_path / "out"
        study_bands(tiny, out, settings=settings(), options=StudyOptions(folds=2, combinations=["B08"]))
        with pytest.raises(StorageError, match="exists; continue it with --resume"):
            study_bands(tiny, out, settings=settings(), options=StudyOptions(folds=2))
        with pytest.raises(ConfigError, match="begun with other settings"):
            study_bands(tiny, out, settings=settings(batch=2), options=StudyOptions(folds=2, resume=True))
        with pytest.raises(ConfigError, match="begun with other patches or folds"):
            study_bands(tiny, out, settings=settings(), options=StudyOptions(folds=3, resume=True))
        with pytest.raises(UsageError, match="exclude each other"):
            study_bands(tiny, out, settings=settings(), options=StudyOptions(resume=True, overwrite=True))
        calls = len(trainer.calls)
        monkeypatch.setenv("WORLD_SIZE", "2")
        with pytest.raises(UsageError, match="one process"):
            study_bands(tiny, tmp_path / "new", settings=settings())
        assert len(trainer.calls) == calls
        assert not (tmp_path / "new").exists()
        assert (tmp_path / "mine" / "thesis.txt").read_text() == "mine"

    def test_overwrite(self, tiny, tmp_path, trainer):
        study_bands(tiny, tmp_path, settings=settings(), options=StudyOptions(folds=2, combinations=["B08"]))
        study = study_bands(
            tiny, tmp_path, settings=settings(), options=StudyOptions(folds=3, combinations=["B02"], overwrite=True)
        )
        assert [row.combination.name for row in study.rows] == ["B02"]
        assert len(trainer.calls) == 5

    def test_what_contradicts_the_names_is_told(self, data, tmp_path, trainer):
        real = data / "eurosat_ms.zip"
        asked = settings().model_copy(update={"bands": NATURAL})
        study = study_bands(
            real, tmp_path / "wrong", settings=asked, options=StudyOptions(folds=1, combinations=["B08"])
        )
        assert study.notes[0].startswith("the bands may be named wrongly: B10 (cirrus) should be the darkest band")
        asked = settings().model_copy(update={"bands": ("eurosat-ms",)})
        study = study_bands(
            real, tmp_path / "right", settings=asked, options=StudyOptions(folds=1, combinations=["B08"])
        )
        assert study.notes == ("the spectra bear out the names of the bands: 16 rules, 220 patches",)
        assert len(trainer.calls) == 2


def test_a_fold_that_was_not_tested_is_no_row():
    row = BandRow(Combination("all", EUROSAT_MS), (FoldScore(1, 4, 3, {"a": (3, 4), "b": (0, 0)}, 1.0),))
    assert (row.accuracy, row.spelled, row.recalls()) == (0.75, "13 bands", {"a": 0.75, "b": None})


def test_real_training_finds_the_band_that_matters(tiny, tmp_path):
    own = tmp_path / "tiny.toml"
    own.write_text(
        'name = "tiny"\ndata = "none"\n[network]\nname = "cnn6"\n[fit]\nepochs = 8\nbatch = 5\nlearning_rate = 3e-3\n'
        'ema = 0.0\nprecision = "fp32"\ndevice = "cpu"\nkeep = "last"\n[samples]\nworkers = 1\n'
    )
    arguments = ["patches", "bands", str(tiny), str(tmp_path / "out"), "--config", str(own), "--folds", "2", "-q"]
    done = CliRunner().invoke(cli, [*arguments, "--combinations", "B02,B08", "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    rows = json.loads(done.stdout)["rows"]
    assert [row["combination"] for row in rows] == ["B08", "B02"]
    assert rows[0]["accuracy"] == 1
    assert rows[1]["accuracy"] < 0.85
    refused = CliRunner().invoke(cli, arguments)
    assert refused.exit_code == StorageError.exit_code
    assert len(refused.stderr.strip().splitlines()) == 1
    resumed = CliRunner().invoke(cli, [*arguments, "--resume", "--combinations", "B02,B08", "--json"])
    assert json.loads(resumed.stdout)["rows"] == rows
