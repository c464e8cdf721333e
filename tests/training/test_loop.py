"""The loop: learns, stops early, resumes as if unbroken, keeps the best weights."""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from lulc.errors import ConfigError, InputError, Interrupted, ModelError, StorageError, UsageError
from lulc.io.labels.training_set import open_training_set
from lulc.model.bundle import load_bundle
from lulc.training.ema import EMA
from lulc.training.loop import StepLoss, schedule
from lulc.training.run_folder import RunFolder
from lulc.training.scenes import train_scenes
from lulc.training.segmentation import Segmentation
from lulc.training.settings import FitSettings
from tests.support.command import forking
from tests.support.training_sets import make_set, settings

ROOT = Path(__file__).parents[2]


def losses(folder):
    return {line["step"]: line["loss"] for line in RunFolder(folder).history() if "loss" in line}


def weights(folder):
    return load_bundle(folder).network.state_dict()


def assert_same_run(one, other):
    assert losses(one) == pytest.approx(losses(other), abs=1e-6)
    torch.testing.assert_close(weights(one), weights(other), rtol=0, atol=1e-6)


@pytest.fixture(scope="module")
def unbroken(blob_set, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "unbroken"
    return folder, train_scenes(settings(blob_set), folder)


def test_it_learns(blob_set, tmp_path):
    report = train_scenes(settings(blob_set, fit__steps=60, fit__validate_every=60, fit__ema=0.9), tmp_path / "run")
    assert report.metrics["agreement"] > 0.9
    assert report.metrics["macro_f1"] > 0.9


def test_it_leaves_a_bundle_with_a_full_card(unbroken, blob_set):
    folder, report = unbroken
    card = load_bundle(folder).card
    assert card.name == "tiny"
    assert card.features.channels == blob_set.card.features.channels
    assert card.temperature == pytest.approx(report.temperature, abs=1e-4)
    assert card.training["recipe"]["fit"]["steps"] == 6
    assert card.training["split"]["chips"] == {"train": 9, "val": 3, "test": 0}
    assert set(card.metrics["per_class"]) == {"water", "trees", "bare"}
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((folder / "settings.json").read_text())["fit"]["seed"] == 0


def test_two_runs_with_one_seed_are_one(unbroken, blob_set, tmp_path):
    train_scenes(settings(blob_set), tmp_path / "again")
    assert_same_run(unbroken[0], tmp_path / "again")


@pytest.mark.parametrize("after", [1, 2, 3, 5])
def test_an_interrupted_run_continues_as_if_unbroken(unbroken, blob_set, tmp_path, after):
    run = tmp_path / "broken"

    def stop(done, _steps, _loss):
        if done == after:
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(Interrupted):
        train_scenes(settings(blob_set), run, progress=stop)
    assert not (run / "card.json").exists()
    train_scenes(settings(blob_set), run, resume=True)
    assert_same_run(unbroken[0], run)


def test_resuming_a_finished_run_changes_nothing(unbroken, blob_set):
    folder, _ = unbroken
    before = weights(folder)
    train_scenes(settings(blob_set), folder, resume=True)
    torch.testing.assert_close(weights(folder), before, rtol=0, atol=0)


def test_early_stop(blob_set, tmp_path):
    tiny = {"fit__learning_rate": 1e-9, "fit__patience": 2, "fit__validate_every": 1, "fit__steps": 50, "fit__ema": 0}
    report = train_scenes(settings(blob_set, **tiny), tmp_path / "run")
    assert report.stopped_early
    assert report.steps < 50


def test_a_run_whose_samples_all_miss_the_labels_is_refused(tmp_path):
    """One labelled pixel in a chip of 512 px, which three crops of 64 px of this seed do not meet."""
    data = make_set(tmp_path / "set", sides=(64, 512), val=1)
    label = np.load(data.path / "labels" / "chip_1.npy")
    only = np.full_like(label, 255)
    only[0, 300, 300] = label[0, 300, 300]
    np.save(data.path / "labels" / "chip_1.npy", only)
    with pytest.raises(InputError, match="no sample of 3 steps held a labelled pixel"):
        train_scenes(settings(data, fit__steps=3, fit__batch=1, fit__seed=1), tmp_path / "run")
    assert not (tmp_path / "run" / "card.json").exists()


def test_no_loss_is_reported_before_the_first_measurement(blob_set, tmp_path):
    told = []
    train_scenes(settings(blob_set), tmp_path / "run", progress=lambda *step: told.append(step))
    assert [loss is None for _, _, loss in told] == [True, True, False, False, False, False]


def test_the_step_whose_loss_is_not_finite_is_named(blob_set, tmp_path, monkeypatch):
    real = Segmentation.loss

    def spoilt(task, network, batch, step):
        found = real(task, network, batch, step)
        return StepLoss(found.value * math.nan, labelled=True) if step == 3 else found

    monkeypatch.setattr(Segmentation, "loss", spoilt)
    with pytest.raises(ModelError, match="is nan at step 4;"):
        train_scenes(
            settings(blob_set, fit__steps=30, fit__validate_every=30, fit__checkpoint_every=30), tmp_path / "run"
        )


def test_a_loss_that_is_not_finite_is_an_error(blob_set, tmp_path):
    with pytest.raises(ModelError, match="loss or a weight is"):
        train_scenes(settings(blob_set, fit__learning_rate=1e3, fit__steps=40, fit__clip=0), tmp_path / "run")


def test_a_run_gone_wrong_keeps_its_last_good_checkpoint(blob_set, tmp_path):
    run = tmp_path / "run"
    wild = {"fit__learning_rate": 1e3, "fit__steps": 40, "fit__clip": 0, "fit__validate_every": 100}
    with pytest.raises(ModelError, match="loss or a weight is"):
        train_scenes(settings(blob_set, fit__checkpoint_every=1, **wild), run)
    state = RunFolder(run).load_checkpoint()
    assert state is None or all(tensor.isfinite().all() for tensor in state["network"].values())


def test_a_batch_too_small_for_batch_norm_is_one_line(blob_set, tmp_path):
    deep = {"network": {"name": "DeepLabV3Plus", "encoder": "resnet18"}, "fit__batch": 1}
    with pytest.raises(ConfigError, match=r"raise fit\.batch"):
        train_scenes(settings(blob_set, **deep), tmp_path / "run")


def test_soft_labels_train_too(soft_set, tmp_path):
    report = train_scenes(settings(soft_set, fit__steps=60, fit__validate_every=60, fit__ema=0.9), tmp_path / "run")
    assert report.metrics["agreement"] > 0.9
    assert report.metrics["against"] == "most probable class of the soft labels"


def test_channels_can_be_chosen(blob_set, tmp_path):
    train_scenes(settings(blob_set, network__bands=["B04", "B08"], network__indices=[]), tmp_path / "run")
    assert load_bundle(tmp_path / "run").card.features.channels == ("B04", "B08")
    with pytest.raises(ConfigError, match="no B11"):
        train_scenes(settings(blob_set, network__bands=["B11"]), tmp_path / "other")


def test_it_starts_from_a_bundle_with_other_channels(unbroken, blob_set, tmp_path):
    report = train_scenes(
        settings(blob_set, network__bands=["B04", "B08"], network__indices=[], network__start=str(unbroken[0])),
        tmp_path / "run",
    )
    assert "from tiny" in report.start
    taken, _, total = report.start.split()[:3]
    assert taken == total


def test_the_learning_rate_rises_and_falls():
    rates = [schedule(step, FitSettings(steps=100, warm_up=0.1)) for step in range(100)]
    assert rates[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert rates[10] == 1.0
    assert rates[55] == pytest.approx(0.5)
    assert all(later < earlier for earlier, later in pairwise(rates[10:]))
    assert 0 < rates[-1] < 0.001 + 1 / 90


def test_the_average_trails_and_has_a_short_memory_at_first():
    network = torch.nn.Linear(1, 1, bias=False)
    average = EMA(network, 0.99)
    start = float(network.weight.detach())
    with torch.no_grad():
        network.weight.add_(1.0)
    average.update_parameters(network)
    assert float(average.module.weight) == pytest.approx(start + 0.9)
    for _ in range(1, 2000):
        average.update_parameters(network)
    assert float(average.module.weight) == pytest.approx(start + 1)


def test_the_average_is_the_formula_to_the_bit_and_counts_nothing():
    """Weights and batch-norm statistics; the counter of batches stays as it was. A resumed average goes on alike."""
    network = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.BatchNorm2d(3))
    average, resumed = EMA(network, 0.9), EMA(network, 0.9)
    floats = {name: tensor.clone() for name, tensor in network.state_dict().items() if tensor.is_floating_point()}
    for update in range(120):
        with torch.no_grad():
            network(torch.randn(2, 2, 5, 5))
            for weight in network.parameters():
                weight.add_(torch.randn_like(weight))
        average.update_parameters(network)
        decay = min(0.9, (1 + update) / (10 + update))
        for name, tensor in floats.items():
            tensor.lerp_(network.state_dict()[name], 1 - decay)
        if update == 30:
            resumed.resume(average.module.state_dict(), update + 1)
        elif update > 30:
            resumed.update_parameters(network)
    for found in (average.module.state_dict(), resumed.module.state_dict()):
        assert all(torch.equal(found[name], tensor) for name, tensor in floats.items())
        assert found["1.num_batches_tracked"] == 0


def test_without_decay_the_average_is_the_network():
    network = torch.nn.Linear(2, 2)
    average = EMA(network, 0.0)
    with torch.no_grad():
        network.weight.mul_(3)
    average.update_parameters(network)
    assert torch.equal(average.module.weight, network.weight)


def train_on(path, run):
    """What processes of these tests do."""
    data = open_training_set(path)
    train_scenes(settings(data, fit__checkpoint_every=1, fit__steps=8), run, resume=True)


def train_alone(path, run):
    torch.set_num_threads(1)
    train_on(path, run)


def start(blob_set, run):
    process = forking().Process(target=train_alone, args=(blob_set.path, run))
    process.start()
    return process


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.kill
def test_a_killed_run_continues_as_if_unbroken(blob_set, tmp_path):
    whole = start(blob_set, tmp_path / "whole")  # with as many threads as the killed ones
    run = tmp_path / "killed"
    kills = 0
    for delay in (0.0, 0.15, 0.3):
        process = start(blob_set, run)
        while process.is_alive() and not (run / "checkpoint.pt").exists():
            time.sleep(0.01)
        time.sleep(delay)
        kills += process.is_alive()
        process.kill()
        process.join()
    process = start(blob_set, run)
    process.join(timeout=120)
    whole.join(timeout=120)
    assert (whole.exitcode, process.exitcode) == (0, 0)
    assert kills >= 2
    assert_same_run(tmp_path / "whole", run)


SCRIPT = """
import sys
from pathlib import Path
from tests.training.test_loop import train_on
train_on(Path(sys.argv[1]), Path(sys.argv[2]))
"""


@pytest.mark.slow
@pytest.mark.process
def test_two_processes_train_one_model(blob_set, tmp_path):
    script = tmp_path / "run.py"
    script.write_text(SCRIPT)
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [*torchrun, str(script), str(blob_set.path), str(tmp_path / "two")]
    done = subprocess.run(command, env=environment, stderr=subprocess.PIPE, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    noted = losses(tmp_path / "two")
    assert list(noted) == [3, 6, 8]
    assert all(math.isfinite(loss) for loss in noted.values())
    assert load_bundle(tmp_path / "two").card.metrics["pixels"] > 0


def test_a_refused_start_leaves_the_run_before_it_alone(unbroken, blob_set, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(unbroken[0], run)
    for wrong in ({"network__encoder": "resnet5O"}, {"network__options": {"foo": 1}}, {"network__bands": ["B11"]}):
        with pytest.raises((ConfigError, ModelError)):
            train_scenes(settings(blob_set, **wrong), run, overwrite=True)
    assert (run / "model.safetensors").exists()
    with pytest.raises(ModelError):
        train_scenes(settings(blob_set, network__encoder="resnet5O"), tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_another_set_at_the_same_path_is_not_the_same_run(blob_set, tmp_path):
    data = tmp_path / "set"
    shutil.copytree(blob_set.path, data)
    moved = open_training_set(data)
    train_scenes(settings(moved), tmp_path / "run")
    text = (data / "chips.csv").read_text()
    (data / "chips.csv").write_text(text.replace("chip_5,train", "chip_5,test"))
    with pytest.raises(ConfigError, match="was trained with set"):
        train_scenes(settings(open_training_set(data)), tmp_path / "run", resume=True)


@pytest.mark.parametrize("state", [{}, [1], {"progress": {"step": "x"}}, {"progress": {"step": 10**6}}])
def test_a_strange_checkpoint_is_one_line(unbroken, blob_set, tmp_path, state):
    run = tmp_path / "run"
    shutil.copytree(unbroken[0], run)
    torch.save(state, run / "checkpoint.pt")
    with pytest.raises(StorageError, match=r"cannot continue from .*checkpoint\.pt"):
        train_scenes(settings(blob_set), run, resume=True)


@pytest.mark.parametrize("places", [{"WORLD_SIZE": "abc"}, {"WORLD_SIZE": "2"}, {"WORLD_SIZE": "2", "RANK": "5"}])
def test_a_strange_world_is_refused(blob_set, tmp_path, monkeypatch, places):
    for name, value in places.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match="environment says"):
        train_scenes(settings(blob_set), tmp_path / "run")


def test_networks_whose_answer_is_smaller_are_refused(blob_set, tmp_path):
    small = {"network": {"name": "PSPNet", "encoder": "resnet18", "encoder_depth": 5}}
    with pytest.raises(ConfigError, match="answers 64 px with"):
        train_scenes(settings(blob_set, **small), tmp_path / "run")
