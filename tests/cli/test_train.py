"""`lulc train` as a command."""

import json

import pytest
import torch
from click.testing import CliRunner

from lulc.cli.main import cli
from lulc.cli.terminal.console import Console
from lulc.cli.train import run_training
from lulc.training.options import TrainOptions
from lulc.training.scenes import TrainReport
from tests.support.training_sets import make_set

assert torch  # a module that trains networks
TINY = {
    "network.encoder_depth": 3,
    "network.options": "{decoder_channels=[16,16,16]}",
    "samples.crop": 64,
    "fit.steps": 1,
    "fit.batch": 2,
    "fit.precision": "fp32",
    "fit.device": "cpu",
}


@pytest.mark.whole
def test_a_run_of_one_step_says_what_came_of_it(tmp_path):
    make_set(tmp_path / "set", sides=(64,) * 4, val=1)
    changes = [part for key, value in TINY.items() for part in ("--set", f"{key}={value}")]
    given = ["train", "unet", tmp_path / "run", "--data", tmp_path / "set", "--tensorboard", tmp_path / "events"]
    done = CliRunner().invoke(cli, [*map(str, given), *changes, "--quiet", "--json"])
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert (report["output"], report["steps"], report["halo_bounded"]) == (str(tmp_path / "run"), 1, True)
    assert list((tmp_path / "events").glob("events.out.*"))


def test_the_report_for_people():
    score = {"f1": 0.5, "producers": 0.25, "users": 0.75, "pixels": 9}
    metrics = {"agreement": 0.5, "macro_f1": 0.25, "loss": 1.5, "per_class": {"water": score}}
    facts = {"output": "run", "steps": 3, "stopped_early": False, "parameters": 1234, "start": "random weights"}
    report = TrainReport(
        **facts, temperature=1.25, metrics=metrics, seconds=60.0, half_field=9, halo_bounded=False, mpx_per_s=0.5
    )
    lines = report.to_text().splitlines()
    assert lines[0] == "run: model of 1,234 weights, random weights"
    assert lines[1].startswith("trained    3 steps in 60 s (0.50 Mpx/s")
    assert lines[2] == "validation agreement 0.500, macro-F1 0.250, loss 1.500 nat"
    assert lines[3] == "temperature 1.25"
    assert any("water" in line and "9 px" in line for line in lines[4:])
    assert lines[-1].startswith("warning: this network looks at the whole window")


def test_of_several_processes_the_others_say_nothing(capsys):
    run_training(lambda **_: None, TrainOptions(), Console(0, 0, as_json=True))
    assert capsys.readouterr().out == ""
