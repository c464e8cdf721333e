"""Agreement with the teacher when the radiometry of the validation images is moved, for one or more runs.

    python pipelines/shipped_model/robustness.py --data DATA RUN [RUN ...]

The teacher's labels stay those of the untouched images. The shifts come from the family that the jitter of training
draws from, so this favours runs with jitter: it tells what the jitter buys, not how real products differ.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import torch
from data import BANDS, Tiles, validation_sources
from evaluate import Student, confusion, predict
from numpy.typing import NDArray

from lulc.bands import sensor
from lulc.training.augment import ATMOSPHERE

PATH_REFLECTANCE, TRANSMITTANCE = np.array([ATMOSPHERE[name] for name in BANDS], np.float32).T
_WAVELENGTH = {band.name: band.wavelength_nm for band in sensor().bands}
HAZE = np.array([(_WAVELENGTH[name] / 490) ** -1.5 for name in BANDS], np.float32)
"""Relative brightness of thin haze per band: falls with wavelength."""

_SOURCES = ("stgallen_val", "eurosat_val", "aber")
_WINDOW = 480


def shifts(level: str) -> dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Gain and offset per band of every test, for images of ``level``."""
    ones, zeros = np.ones_like(HAZE), np.zeros_like(HAZE)
    if level == "L2A":
        other_level = (TRANSMITTANCE, PATH_REFLECTANCE)
    else:
        other_level = (1 / TRANSMITTANCE, -PATH_REFLECTANCE / TRANSMITTANCE)
    return {
        "as is": (ones, zeros),
        "other level": other_level,
        "haze 0.03": (ones, 0.03 * HAZE),
        "darker 12 %": (0.88 * ones, zeros),
        "brighter 12 %": (1.12 * ones, zeros),
    }


def shifted(tiles: Tiles, gain: NDArray[np.float32], offset: NDArray[np.float32]) -> Tiles:
    """The same tiles with other radiometry; nodata stays nodata."""
    moved = tiles.images * gain[:, None, None] + 10000 * offset[:, None, None]
    valid = (tiles.images != 0).any(axis=1, keepdims=True)
    return replace(tiles, images=np.where(valid, moved.clip(1, 65535), 0).astype(np.uint16))


def cut(tiles: Tiles) -> Tiles:
    """At most `_WINDOW` pixels of a scene from its middle, to save time."""
    row, col = ((size - min(size, _WINDOW)) // 2 for size in tiles.images.shape[-2:])
    part = (..., slice(row, row + _WINDOW), slice(col, col + _WINDOW))
    return replace(tiles, images=tiles.images[part], percent=tiles.percent[part])


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--data", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True)
@click.option("--threads", default=2, show_default=True)
def main(runs: tuple[Path, ...], data: Path, threads: int) -> None:
    """Print the mean agreement over three validation sources per run and test."""
    torch.set_num_threads(threads)
    sources = [cut(tiles) for tiles in validation_sources(data) if tiles.name in _SOURCES]
    for run in runs:
        student = Student.of(run)
        for test in shifts("L2A"):
            scores = []
            for tiles in sources:
                gain, offset = shifts(str(tiles.level[0]))[test]
                counts = confusion(predict(student, shifted(tiles, gain, offset)))
                scores.append(np.trace(counts) / counts.sum())
            each = " ".join(f"{score:.3f}" for score in scores)
            click.echo(f"{run.name:28s} {test:14s} {np.mean(scores):.3f}  ({each})")


if __name__ == "__main__":
    main()
