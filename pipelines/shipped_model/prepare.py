"""Write the sources of the shipped model as an lulc training set with soft labels.

    python pipelines/shipped_model/prepare.py --data DATA --out SET

`DATA` is laid out like the project's shared data folder. The set is what `lulc train configs/train/dw9-s2-10m.toml` takes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click
import numpy as np
from coarse import COARSE, coarser
from data import BANDS, CLASSES, LABEL_NODATA, SURVEY, Patch, by_place, training_patches, validation_patches
from distil import IMAGINED, imagined, taught, unlabelled
from student import Student
from thin import THIN, painted_things

from lulc.features import FeatureSpec
from lulc.io.labels.training_set import Chip, SetCard, label_pixels, write_pair, write_set_lists
from lulc.legend import load_legend
from lulc.model.channels import REFLECTANCE

PLACE_EXPONENT = 0.5
"""A place is drawn by its labelled pixels to this power: large places do not drown small ones, nor the reverse."""

SAME_EVERYWHERE = 0.98
"""Part of one class above which a place teaches little more than one of its chips."""

SHARES = {SURVEY: 0.03, IMAGINED: 0.35, THIN: 0.25, COARSE: 0.4}
"""How often mosaics of survey points, imagined images, images with thin things, and coarser images are drawn, of all samples."""

IMAGINED_IMAGES = 1600

SUMMARY = (
    "EuroSAT MS (Helber et al. 2019, MIT), patches of St Gallen, scenes of Aquileia and Australia, chips of 54 places on six "
    "continents; labels are class probabilities of the Dynamic World model (Brown et al. 2022, Apache-2.0)"
)
ATTRIBUTION = (
    "Contains modified Copernicus Sentinel data 2015-2023.",
    (
        "This dataset is produced for the Dynamic World Project by Google in partnership with National Geographic Society "
        "and the World Resources Institute."
    ),
)


@dataclass(frozen=True)
class SetOptions:
    """What differs between training sets.

    Attributes:
        stands_for: Sources whose patches come from all over Europe count as so many places.
        doubted_crops: Keep the crops that `data.py` doubts.
        students: Model bundles. With some, labels are the mean of the teacher and of them, and images that were made
            from others are added.
        thin_things: How many images with painted thin things are added.
        coarser: Add the images at coarser resolutions.
    """

    stands_for: Mapping[str, int] = field(default_factory=lambda: {"stgallen": 4, "eurosat_train": 9})
    doubted_crops: bool = False
    students: Sequence[Path] = ()
    thin_things: int = 0
    coarser: bool = False


PLAIN = SetOptions()


def place_weights(places: Mapping[str, list[Patch]], options: SetOptions = PLAIN) -> dict[str, float]:
    """How often each place is drawn, before scaling."""
    weights = {}
    for place, patches in places.items():
        counts = sum((np.array(label_pixels(_label(patch), len(CLASSES))) for patch in patches), np.zeros(len(CLASSES)))
        even = counts.max() > SAME_EVERYWHERE * counts.sum()
        many = options.stands_for.get(place, 1)
        weights[place] = many * float((counts.sum() / many) ** PLACE_EXPONENT) / (4 if even else 1)
    fixed = {place: share for place, share in SHARES.items() if place in places}
    others = sum(weight for place, weight in weights.items() if place not in fixed)
    return weights | {place: others * share / (1 - sum(fixed.values())) for place, share in fixed.items()}


def measure_features(places: Mapping[str, list[Patch]], options: SetOptions = PLAIN) -> FeatureSpec:
    """Mean and deviation of every band over the valid training pixels, each place weighted as it is drawn."""
    count, weights = len(BANDS), place_weights(places, options)
    first, second, total = np.zeros(count), np.zeros(count), 0.0
    for place, patches in places.items():
        pixels = np.concatenate([patch.image[:, patch.usable] for patch in patches], axis=1).astype(np.float64)
        planes = dict(zip(BANDS, pixels / 10000, strict=True))
        plain = FeatureSpec(bands=BANDS, indices=(), mean=(0.0,) * count, std=(1.0,) * count)
        channels = np.stack(plain.normalised(planes, REFLECTANCE, lambda plane: plane))
        weight = weights[place]
        first += weight * channels.mean(axis=1)
        second += weight * (channels**2).mean(axis=1)
        total += weight
    mean, second = first / total, second / total
    deviation = np.sqrt(second - mean**2)
    rounded = [tuple(round(float(value), 6) for value in values) for values in (mean, deviation)]
    return FeatureSpec(bands=BANDS, indices=(), mean=rounded[0], std=rounded[1])


def _label(patch: Patch) -> np.ndarray:
    return np.where(patch.usable, patch.percent, LABEL_NODATA).astype(np.uint8)


def distilled(patches: list[Patch], data: Path, models: Sequence[Path]) -> list[Patch]:
    """The patches with labels of the teacher and of students, and further images that students alone have labelled."""
    students = [Student.of(model) for model in models]
    seen = [patch for patch in patches if patch.place != SURVEY]
    surveyed = [patch for patch in patches if patch.place == SURVEY]
    further = [*unlabelled(data, students), *imagined(seen, students, IMAGINED_IMAGES, np.random.default_rng(0))]
    return [*(taught(patch, students) for patch in seen), *surveyed, *further]


def write_chips(
    out: Path, card: SetCard, places: Mapping[str, list[Patch]], split: str, block: int, weights: Mapping[str, float]
) -> Iterator[Chip]:
    """Write the patches of a split; yields their lines of the list of chips."""
    for number, (place, patches) in enumerate(places.items(), block):
        weight, area = weights[place], sum(patch.usable.sum() for patch in patches)
        for patch in patches:
            reflectance = patch.image.astype(np.float32) / 10000
            reflectance[:, (patch.image == 0).all(axis=0)] = np.nan
            label = _label(patch)
            chip = Chip(
                name=f"{place}_{patch.level}_{patch.name}",
                split=split,
                source=place,
                row=0,
                col=0,
                height=label.shape[1],
                width=label.shape[2],
                block=number,
                level=patch.level,
                weight=weight * float(patch.usable.sum() / area),
                pixels=label_pixels(label, len(label)),
            )
            write_pair(out, card, chip.name, reflectance, label)
            yield chip


def make_set(data: Path, out: Path, options: SetOptions = PLAIN) -> str:
    """Write a training set of the shipped model; returns a line on what it holds."""
    patches = training_patches(data, doubted_crops=options.doubted_crops)
    seen = [patch for patch in patches if patch.place != SURVEY]
    painted = painted_things(seen, options.thin_things, np.random.default_rng(0))
    taught_by = distilled(patches, data, options.students) if options.students else patches
    train = by_place([*taught_by, *painted, *(coarser(seen) if options.coarser else ())])
    val = by_place(validation_patches(data))
    out.mkdir(parents=True)
    card = SetCard(
        name="dw9-sources",
        summary=SUMMARY,
        features=measure_features(train, options),
        planes=BANDS,
        legend=load_legend("dynamic-world").to_table(),
        labels="shares",
        resolution_m=10.0,
        levels=("L1C", "L2A"),
        sources=tuple({"name": place, "chips": len(patches)} for place, patches in (*train.items(), *val.items())),
        split={"by": "place", "val": list(val)},
        attribution=ATTRIBUTION,
    )
    chips = [
        *write_chips(out, card, train, "train", 0, place_weights(train, options)),
        *write_chips(out, card, val, "val", len(train), place_weights(val)),
    ]
    write_set_lists(out, card, chips)
    return f"{out}: {len(chips)} chips of {len(train)} places to train on and {len(val)} to validate on"


@click.command()
@click.option("--data", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True)
def main(data: Path, out: Path) -> None:
    """Write the plain training set; train.py makes the others."""
    click.echo(make_set(data, out))


if __name__ == "__main__":
    main()
