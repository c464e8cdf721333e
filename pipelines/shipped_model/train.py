"""Make the training sets and runs of the shipped model, and the mean of the runs that start from one.

    python pipelines/shipped_model/train.py --data DATA --work DIR

`runs.toml` says which. What DIR holds already is kept, so a killed command goes on where it was. DIR needs the bundle
`version-1.1` first (README.md says how to get it).
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from prepare import SetOptions, make_set
from soup import average

from lulc.config import read_config
from lulc.training.scenes import train_scenes
from lulc.training.settings import TrainSettings

HERE = Path(__file__).parent
BASE = HERE.parents[1] / "configs" / "train" / "dw9-s2-10m.toml"
MEAN_OF = ("plain-0", "distilled-1", "distilled-2", "plain-1", "crops-1", "europe-1")
"""Runs whose weights are averaged: the first, and those that started from it."""


def settings_of(changes: Mapping[str, Any], work: Path, data: Path) -> TrainSettings:
    """The configuration of a run: the shipped one with the changes of `runs.toml`, keys as in `fit.steps`."""
    given = {key.replace(".", "__"): value for key, value in changes.items() if "." in key}
    if "start" in changes:
        given["network__start"] = str(work / changes["start"])
    return read_config(TrainSettings, BASE, data=data, **given)


def run_all(data: Path, work: Path) -> Path:
    """Make what is missing, in order; returns the bundle of the mean."""
    plan = tomllib.loads((HERE / "runs.toml").read_text())
    for name, changes in plan["runs"].items():
        folder, chosen = work / "sets" / changes["set"], plan["sets"][changes["set"]]
        if not folder.exists():
            students = [work / student for student in chosen.get("students", ())]
            click.echo(make_set(data, folder, SetOptions(**chosen | {"students": students})))
        if not (work / name / "model.safetensors").exists():
            train_scenes(settings_of(changes, work, folder), work / name, resume=True)
    average([work / name for name in MEAN_OF], work / "mean")
    return work / "mean"


@click.command()
@click.option("--data", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True)
@click.option("--work", type=click.Path(path_type=Path, file_okay=False), required=True)
def main(data: Path, work: Path) -> None:
    """Train the shipped model, all but its cloud head."""
    work.mkdir(parents=True, exist_ok=True)
    click.echo(f"{run_all(data, work)}: next clouds.py, then publish.py")


if __name__ == "__main__":
    main()
