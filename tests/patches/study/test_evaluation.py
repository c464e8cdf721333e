"""Scores against scikit-learn; a tiny model tried on patches whose labels are partly wrong, on purpose."""

import csv
import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from pydantic import ValidationError
from scipy.stats import binomtest
from sklearn import metrics

from lulc.cli.main import cli
from lulc.errors import InputError, ModelError, StorageError, UsageError
from lulc.features import FeatureSpec
from lulc.metrics.calibration import Reliability
from lulc.patches.card import write_patch_model
from lulc.patches.classifier import Classifier
from lulc.patches.dataset import Patch, open_patch_set
from lulc.patches.learn.split import PatchSplit
from lulc.patches.networks import PatchArchitecture, build_patch_network
from lulc.patches.options import PatchEvaluateOptions
from lulc.patches.study.evaluation import FILES, evaluate_patches
from lulc.patches.study.evaluation_report import PatchEvaluation
from lulc.patches.study.predictions import Predictions, without_temperature

COLORS = {"blue": (30, 40, 200), "green": (40, 180, 60), "red": (200, 50, 40)}
SIDE = 16


def random_predictions(patches=400, classes=6, seed=0):
    """Predictions that are mostly right; the last class has no patch and the first one is never predicted."""
    rng = np.random.default_rng(seed)
    actual = rng.integers(1, classes, patches).astype(np.uint8)
    logits = rng.normal(size=(patches, classes))
    logits[np.arange(patches), actual - 1] += 1.5
    logits[:, 0] -= 9
    shares = (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).astype(np.float32)
    names = tuple(f"class {letter}" for letter in "ABCDEF"[:classes])
    return Predictions(
        [Patch(f"{names[code - 1]}/{k}.jpg", code) for k, code in enumerate(actual)], actual, shares, names
    )


def report_of(predictions):
    return PatchEvaluation(
        model="model 1.0",
        data="data.zip",
        split="test",
        matrix=predictions.matrix,
        top2_accuracy=predictions.top_accuracy(2),
        pairs=predictions.pairs(6),
        surest=tuple(predictions.mistakes(predictions.wrong[:10])),
        calibration=predictions.calibration(),
    )


class TestNumbers:
    """Against scikit-learn, which leaves undefined scores out of means as here."""

    predictions = random_predictions()
    report = report_of(predictions)
    codes = range(1, 7)

    def test_confusion_has_actual_classes_as_rows(self):
        expected = metrics.confusion_matrix(self.predictions.actual, self.predictions.predicted, labels=self.codes)
        assert np.array_equal(self.report.counts, expected)
        assert self.report.to_json()["confusion"] == {
            "rows": "actual",
            "columns": "predicted",
            "counts": expected.tolist(),
        }
        assert not np.array_equal(expected, expected.T)

    def test_classes(self):
        expected = metrics.classification_report(
            self.predictions.actual,
            self.predictions.predicted,
            labels=self.codes,
            output_dict=True,
            zero_division=np.nan,
        )
        for found, code in zip(self.report.to_json()["classes"], self.codes, strict=True):
            scores = expected[str(code)]
            assert found["patches"] == scores["support"]
            for ours, theirs in {"precision": "precision", "recall": "recall", "f1": "f1-score"}.items():
                wanted = None if np.isnan(scores[theirs]) else pytest.approx(scores[theirs], abs=1e-12)
                assert found[ours] == wanted, (found["name"], ours)

    def test_counts_of_each_class(self):
        tables = metrics.multilabel_confusion_matrix(
            self.predictions.actual, self.predictions.predicted, labels=self.codes
        )
        names = "true_negatives", "false_positives", "false_negatives", "true_positives"
        for found, table in zip(self.report.to_json()["classes"], tables, strict=True):
            assert [found[name] for name in names] == table.ravel().tolist()

    def test_means(self):
        actual, predicted = self.predictions.actual, self.predictions.predicted
        known = [code for code in self.codes if code in actual or code in predicted]
        found = self.report.to_json()
        assert found["accuracy"] == pytest.approx(metrics.accuracy_score(actual, predicted))
        with pytest.warns(UserWarning, match="y_pred contains classes"):
            balanced = metrics.balanced_accuracy_score(actual, predicted)
        assert found["balanced_accuracy"] == pytest.approx(balanced)
        macro = metrics.f1_score(actual, predicted, labels=known, average="macro")
        assert found["macro_f1"] == pytest.approx(macro)

    def test_top_two(self):
        expected = metrics.top_k_accuracy_score(
            self.predictions.actual, self.predictions.probabilities, k=2, labels=self.codes
        )
        assert self.report.top2_accuracy == pytest.approx(expected)
        assert random_predictions(classes=2).top_accuracy(2) == 1

    def test_interval(self):
        right = int(metrics.accuracy_score(self.predictions.actual, self.predictions.predicted, normalize=False))
        expected = binomtest(right, 400).proportion_ci(method="wilson")
        assert self.report.accuracy_interval == pytest.approx((expected.low, expected.high), abs=1e-5)

    def test_probabilities(self):
        found, shares = self.report.calibration, self.predictions.probabilities.astype(np.float64)
        one_hot = np.eye(6)[self.predictions.actual - 1]
        assert found.brier == pytest.approx(((shares - one_hot) ** 2).sum(axis=1).mean(), rel=1e-6)
        shares /= shares.sum(axis=1, keepdims=True)  # float32 sums to 1 within 1e-7
        assert found.nll == pytest.approx(
            metrics.log_loss(self.predictions.actual, shares, labels=self.codes), rel=1e-5
        )

    def test_confused_pairs(self):
        pairs, counts = self.report.pairs, self.report.counts
        assert sum(pair.count for pair in pairs) == counts.sum() - np.trace(counts)
        assert [pair.count for pair in pairs] == sorted((pair.count for pair in pairs), reverse=True)
        first = pairs[0]
        names = self.predictions.classes
        assert counts[names.index(first.actual), names.index(first.predicted)] == first.count
        assert first.header == f"{first.actual} taken for {first.predicted}: {first.count} of {first.of}"
        assert len(first.examples) == 6
        for pair in pairs:
            sureness = [example.confidence for example in pair.examples]
            assert sureness == sorted(sureness, reverse=True)
            assert {(example.actual, example.predicted) for example in pair.examples} == {(pair.actual, pair.predicted)}

    def test_surest_mistakes(self):
        found = self.report.surest
        wrong = self.predictions.predicted != self.predictions.actual
        expected = np.sort(self.predictions.probabilities.max(axis=1)[wrong])[::-1][:10]
        assert [one.confidence for one in found] == pytest.approx(expected.tolist())
        assert all(one.of_actual < one.confidence for one in found)

    def test_text_says_what_is_not_defined(self):
        row = next(line for line in self.report.to_text().splitlines() if line.startswith("| class F"))
        assert [cell.strip() for cell in row.split("|")[6:-1]] == ["0.0000", "-", "0.0000", "0"]
        assert "-: not defined" in self.report.to_text()

    def test_json_is_json(self):
        assert json.loads(json.dumps(self.report.to_json(), allow_nan=False))["patches"] == 400


def test_temperature_is_taken_back():
    logits = torch.from_numpy(np.random.default_rng(1).normal(0, 8, (50, 5)))
    for temperature in (0.4, 1.7):
        found = without_temperature(torch.softmax(logits / temperature, 1).numpy().astype(np.float32), temperature)
        assert np.allclose(found, torch.softmax(logits, 1).numpy(), atol=1e-5)


def test_nothing_confused():
    shares = np.eye(3, dtype=np.float32)
    report = report_of(
        Predictions([Patch(f"{k}/a.png", k) for k in (1, 2, 3)], np.uint8([1, 2, 3]), shares, tuple("abc"))
    )
    assert (report.accuracy, report.pairs, report.surest) == (1, (), ())
    assert "No patch was taken for another class." in report.to_markdown()
    assert Reliability(3).result() is None


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Plain patches, of which 3 red ones lie in `green`; a model that knows colours, with its split."""
    folder = tmp_path_factory.mktemp("patches")
    rng = np.random.default_rng(0)
    for name, color in COLORS.items():
        (folder / "data" / name).mkdir(parents=True)
        for number in range(12):
            shown = COLORS["red"] if name == "green" and number < 3 else color
            pixels = np.clip(np.array(shown) + rng.normal(0, 12, (SIDE, SIDE, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / "data" / name / f"{name}_{number}.png")
    write_model(folder / "model", folder / "data")
    names = [f"{name}/{name}_{number}.png" for name in COLORS for number in range(14)]  # two of each are not there
    parts = {name: "test" if int(name[:-4].rpartition("_")[2]) % 2 == 0 else "train" for name in names}
    PatchSplit(parts).write(folder / "model" / "split.csv")
    return folder


def write_model(path, data, temperature=2.0, classes=tuple(COLORS)):
    """A bundle whose last layer is solved for, from colours: no training."""
    torch.manual_seed(0)
    architecture = PatchArchitecture(name="cnn6", in_channels=3, classes=len(classes), side=SIDE)
    network = build_patch_network(architecture).eval()
    card = {
        "name": "colours",
        "version": "1.0",
        "summary": "tells colours apart",
        "features": FeatureSpec(bands=("B04", "B03", "B02"), mean=(0.4, 0.4, 0.4), std=(0.3, 0.3, 0.3)),
        "legend": {
            "name": "colours",
            "classes": [{"code": k, "name": name, "color": "#808080"} for k, name in enumerate(classes, 1)],
        },
        "architecture": architecture,
        "temperature": temperature,
        "patch_side": SIDE,
        "pictures": True,
    }
    write_patch_model(path, network, **card)
    from lulc.patches.card import load_patch_model

    images = open_patch_set(data)
    chosen = [patch for patch in images.patches if int(patch.name[:-4].rpartition("_")[2]) > 2]
    with torch.no_grad():
        seen = network.features(Classifier(load_patch_model(path), "cpu").inputs([images.read(p) for p in chosen]))
        wanted = 8 * torch.eye(len(classes))[[patch.code - 1 for patch in chosen]]
        solved = torch.linalg.lstsq(torch.cat([seen, torch.ones(len(chosen), 1)], 1), wanted).solution
        network.head[-1].weight.copy_(solved[:-1].T)
        network.head[-1].bias.copy_(solved[-1])
    write_patch_model(path, network, **card)
    return path


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


class TestWhole:
    def test_report(self, home, tmp_path):
        told = []
        report = evaluate_patches(
            home / "model",
            home / "data",
            PatchEvaluateOptions(out=tmp_path / "new" / "out"),
            progress=lambda *step: told.append(step),
        )
        # of the even numbers 0..12, two red ones lie in green, and number 12 is missing in each class
        assert report.counts.tolist() == [[6, 0, 0], [0, 4, 2], [0, 0, 6]]
        assert report.missing == 3
        assert [pair.header for pair in report.pairs] == ["green taken for red: 2 of 6"]
        assert {one.name for one in report.surest} == {"green/green_0.png", "green/green_2.png"}
        assert report.notes == ("3 of 21 patches that are listed as test are not in the data",)
        assert report.uncalibrated is not None
        assert report.uncalibrated.confidence > report.calibration.confidence
        assert told[-1] == (18 * SIDE**2, 18 * SIDE**2)
        assert sorted(path.name for path in (tmp_path / "new" / "out").iterdir()) == sorted(FILES)

    def test_files_say_the_same(self, home, tmp_path):
        report = evaluate_patches(home / "model", home / "data", PatchEvaluateOptions(out=tmp_path))
        numbers = json.loads((tmp_path / "report.json").read_text())
        assert numbers == json.loads(json.dumps(report.to_json()))
        assert "Patches; rows actual, columns predicted." in (tmp_path / "report.md").read_text()
        rows = rows_of(tmp_path / "predictions.csv")
        assert [row["name"] for row in rows] == sorted(row["name"] for row in rows)
        assert list(rows[0]) == ["name", "actual", "predicted", "confidence", *COLORS]
        assert np.mean([row["actual"] == row["predicted"] for row in rows]) == pytest.approx(report.accuracy)
        for row in rows:
            shares = {name: float(row[name]) for name in COLORS}
            assert row["predicted"] == max(shares, key=shares.get)
            assert float(row["confidence"]) == shares[row["predicted"]]
            assert sum(shares.values()) == pytest.approx(1, abs=1e-5)

    def test_a_former_report_stays_unless_asked(self, home, tmp_path):
        (tmp_path / "report.md").write_text("mine")
        with pytest.raises(StorageError, match=r"report\.md exists; use --overwrite"):
            evaluate_patches(home / "model", home / "data", PatchEvaluateOptions(out=tmp_path))
        assert [path.name for path in tmp_path.iterdir()] == ["report.md"]
        evaluate_patches(home / "model", home / "data", PatchEvaluateOptions(out=tmp_path, overwrite=True))
        assert (tmp_path / "report.md").read_text().startswith("# colours 1.0 on")

    def test_no_picture_of_mistakes_when_there_are_none(self, home, tmp_path):
        (tmp_path / "confused.png").write_bytes(b"of a former report")
        (tmp_path / "easy.csv").write_text("name,split\nred/red_0.png,test\nblue/blue_0.png,test\n")
        out = {"out": tmp_path, "overwrite": True}
        report = evaluate_patches(
            home / "model", home / "data", PatchEvaluateOptions(split_file=tmp_path / "easy.csv", **out)
        )
        assert report.accuracy == 1
        assert not (tmp_path / "confused.png").exists()
        assert report.notes == ("there are no patches of green: how many of these it finds is not known",)

    def test_all_says_what_was_trained_on(self, home):
        report = evaluate_patches(home / "model", home / "data", PatchEvaluateOptions(split="all"))
        assert report.matrix.total == 36
        assert report.notes[0].startswith("colours was trained on 18 of these 36 patches")

    def test_patches_that_chose_the_weights(self, home, tmp_path):
        model = copied(home / "model", tmp_path / "model")
        PatchSplit({f"red/red_{n}.png": "val" if n < 3 else "test" for n in range(12)}).write(model / "split.csv")
        notes = evaluate_patches(model, home / "data", PatchEvaluateOptions(split="val")).notes
        assert notes[-1] == "3 of these 3 patches chose the weights and the temperature of colours"

    def test_the_same_ground_in_another_format(self, home, tmp_path):
        for name in COLORS:
            (tmp_path / name).mkdir()
            with Image.open(home / "data" / name / f"{name}_5.png") as image:
                image.save(tmp_path / name / f"{name}_5.jpg")
        report = evaluate_patches(home / "model", tmp_path, PatchEvaluateOptions(split="all"))
        assert report.notes[0].startswith("colours was trained on 3 of these 3 patches, by their names")

    def test_turns(self, home):
        report = evaluate_patches(home / "model", home / "data", PatchEvaluateOptions(turns=True))
        assert report.notes[0].startswith("each answer is the mean over eight turns")
        assert (report.accuracy, report.uncalibrated) == (pytest.approx(16 / 18), None)

    def test_classes_are_told_by_name(self, home, tmp_path):
        """A set without the first class: its codes are not the model's."""
        for name in ("green", "red"):
            (tmp_path / "data" / name).mkdir(parents=True)
            for number in (4, 6):
                file = f"{name}/{name}_{number}.png"
                (tmp_path / "data" / file).write_bytes((home / "data" / file).read_bytes())
        report = evaluate_patches(home / "model", tmp_path / "data")
        assert report.counts.tolist() == [[0, 0, 0], [0, 2, 0], [0, 0, 2]]
        assert any("there are no patches of blue" in note for note in report.notes)

    def test_test_list_only(self, home, tmp_path):
        model = copied(home / "model", tmp_path / "model")
        PatchSplit({"red/red_1.png": "test"}).write(model / "split.csv")
        lacking = "there are no patches of blue, green: how many of these it finds is not known"
        assert evaluate_patches(model, home / "data").notes == (lacking,)
        notes = evaluate_patches(model, home / "data", PatchEvaluateOptions(split="all")).notes
        assert notes == ("colours lists its test patches only: it may have been trained on the other 35",)


def copied(model, target):
    target.mkdir()
    for name in ("card.json", "model.safetensors"):
        (target / name).write_bytes((model / name).read_bytes())
    return target


class TestRefused:
    def test_unknown_class(self, home, tmp_path):
        for name in ("blu", "red"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "1.png").write_bytes((home / "data" / "red" / "red_1.png").read_bytes())
        with pytest.raises(InputError, match=r"colours has no class blu; did you mean 'blue'\?"):
            evaluate_patches(home / "model", tmp_path)

    def test_model_without_split(self, home, tmp_path):
        model = copied(home / "model", tmp_path / "model")
        with pytest.raises(InputError, match="does not say which patches it was trained on; give --split-file"):
            evaluate_patches(model, home / "data")
        assert "may be among them" in evaluate_patches(model, home / "data", PatchEvaluateOptions(split="all")).notes[0]

    def test_nothing_of_the_split(self, home, tmp_path):
        (tmp_path / "split.csv").write_text("name,split\nred/other.png,test\n")
        with pytest.raises(InputError, match=r"has none of the 1 patches that .*split\.csv lists as test; check DATA"):
            evaluate_patches(home / "model", home / "data", PatchEvaluateOptions(split_file=tmp_path / "split.csv"))
        with pytest.raises(InputError, match="lists no patches as val"):
            evaluate_patches(home / "model", home / "data", PatchEvaluateOptions(split="val"))

    def test_options(self, home):
        with pytest.raises(ValidationError, match="split"):
            evaluate_patches(home / "model", home / "data", PatchEvaluateOptions(split="tets"))
        with pytest.raises(UsageError, match="of no use with all"):
            evaluate_patches(
                home / "model", home / "data", PatchEvaluateOptions(split="all", split_file=home / "split.csv")
            )

    def test_folder(self, home, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(StorageError, match="file is a file"):
            evaluate_patches(home / "model", home / "data", PatchEvaluateOptions(out=tmp_path / "file" / "out"))

    def test_refusal_leaves_no_folder(self, home, tmp_path):
        with pytest.raises(InputError):
            evaluate_patches(home / "model", home / "nowhere", PatchEvaluateOptions(out=tmp_path / "out"))
        assert not (tmp_path / "out").exists()

    def test_damaged_patch(self, home, tmp_path):
        for name in COLORS:
            (tmp_path / name).mkdir()
            data = (home / "data" / name / f"{name}_4.png").read_bytes()
            (tmp_path / name / f"{name}_4.png").write_bytes(data[:60] if name == "red" else data)
        with pytest.raises(InputError, match=r"red_4\.png is damaged"):
            evaluate_patches(home / "model", tmp_path)

    def test_weights_that_are_no_numbers(self, home, tmp_path):
        from lulc.patches.card import load_patch_model

        model = load_patch_model(home / "model")
        torch.nn.init.constant_(model.network.head[-1].bias, float("nan"))
        card = model.card.model_dump(exclude={"weights_sha256", "weights_bytes"})
        write_patch_model(tmp_path / "model", model.network, **card)
        with pytest.raises(ModelError, match="colours answers with values that are no numbers"):
            evaluate_patches(tmp_path / "model", home / "data", PatchEvaluateOptions(split="all"))


class TestCommand:
    def test_text(self, home, tmp_path):
        done = CliRunner().invoke(
            cli, ["patches", "evaluate", str(home / "model"), str(home / "data"), "--out", str(tmp_path / "out")]
        )
        assert done.exit_code == 0, done.output
        assert "**Accuracy 88.89%** (16 of 18 patches; 95 % interval" in done.stdout
        assert "| green" in done.stdout

    def test_json(self, home):
        done = CliRunner().invoke(
            cli, ["patches", "evaluate", str(home / "model"), str(home / "data"), "--split", "all", "--json"]
        )
        assert json.loads(done.stdout)["patches"] == 36

    def test_refusal_is_one_line(self, home):
        done = CliRunner().invoke(cli, ["patches", "evaluate", str(home / "model"), str(home / "nowhere")])
        assert (done.exit_code, done.stderr.count("\n")) == (3, 1)


def test_eurosat_by_its_own_order_of_bands(home, data):
    """13-band files lack a picture's kind, and their names are not the model's."""
    with pytest.raises(InputError, match="has no class AnnualCrop"):
        evaluate_patches(
            home / "model", data / "eurosat_ms.zip", PatchEvaluateOptions(bands=["eurosat-ms"], split="all")
        )
