"""Write the sources of the shipped model as an lulc training set with soft labels.

    python pipelines/shipped_model/prepare.py --data DATA --out SET [--without-world]

`DATA` is laid out like the project's shared data folder. The set is what `lulc train configs/train/dw9-s2-10m.toml` takes.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
from data import BANDS, LABEL_NODATA, Tiles, training_sources, validation_sources
from numpy.typing import NDArray

from lulc.features import FeatureSpec
from lulc.io.labels.training_set import Chip, SetCard, label_pixels, write_pair, write_set_lists
from lulc.legend import load_legend
from lulc.model.channels import REFLECTANCE

INDICES: tuple[str, ...] = ("NDVI", "NDTI", "NDBI", "NDMI", "NDSI")

SHARES: dict[str, float] = {
    "stgallen_train": 0.38,
    "eurosat_train": 0.24,
    "aquileia": 0.14,
    "australia": 0.06,
    "world_train": 0.18,
}
"""How often each source is drawn."""

SUMMARY = (
    "EuroSAT MS (Helber et al. 2019, MIT), St Gallen patches, Aquileia and Australia scenes, chips of nine places on four "
    "continents; labels are class probabilities of the Dynamic World model (Brown et al. 2022, Apache-2.0)"
)
ATTRIBUTION = (
    "Contains modified Copernicus Sentinel data 2015-2023.",
    (
        "This dataset is produced for the Dynamic World Project by Google in partnership with National Geographic Society "
        "and the World Resources Institute."
    ),
)


def measure_features(sources: list[Tiles]) -> FeatureSpec:
    """Mean and deviation of every channel over the valid training pixels, each source weighted by its share."""
    count = len(BANDS) + len(INDICES)
    plain = FeatureSpec(bands=BANDS, indices=INDICES, mean=(0.0,) * count, std=(1.0,) * count)
    total = sum(SHARES[source.name] for source in sources)
    first, second = np.zeros(count), np.zeros(count)
    for source in sources:
        valid = source.images.transpose(1, 0, 2, 3)[:, (source.images != 0).any(axis=1)].astype(np.float64) / 10000
        planes = dict(zip(BANDS, valid, strict=True))
        channels = plain.normalised(planes, REFLECTANCE, lambda plane: plane)
        first += SHARES[source.name] / total * np.array([np.nanmean(channel) for channel in channels])
        second += SHARES[source.name] / total * np.array([np.nanmean(channel**2) for channel in channels])
    deviation = np.sqrt(second - first**2)
    mean, std = (tuple(round(float(value), 6) for value in values) for values in (first, deviation))
    return FeatureSpec(bands=BANDS, indices=INDICES, mean=mean, std=std)


def chips_of(source: Tiles, split: str, block: int) -> list[tuple[Chip, NDArray[np.float32], NDArray[np.uint8]]]:
    """The tiles of a source as chips: reflectance with NaN where no data, percent with 255 where not usable."""
    weight = SHARES.get(source.name, 1.0) / len(source)
    found = []
    for number, (image, percent, usable) in enumerate(zip(source.images, source.percent, source.usable(), strict=True)):
        reflectance = image.astype(np.float32) / 10000
        reflectance[:, (image == 0).all(axis=0)] = np.nan
        label = np.where(usable, percent, LABEL_NODATA).astype(np.uint8)
        chip = Chip(
            name=f"{source.name}_{split}_{number:04d}",
            split=split,
            source=source.name,
            row=0,
            col=0,
            height=image.shape[1],
            width=image.shape[2],
            block=block,
            level=str(source.level[number]),
            weight=weight,
            pixels=label_pixels(label, len(percent)),
        )
        found.append((chip, reflectance, label))
    return found


@click.command()
@click.option("--data", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True)
@click.option("--world/--without-world", default=True, help="Take the chips outside Europe too.")
def main(data: Path, out: Path, *, world: bool) -> None:
    """Write the training set of the shipped model."""
    train, val = training_sources(data, world=world), validation_sources(data)
    out.mkdir(parents=True)
    card = SetCard(
        name="dw9-sources" if world else "dw9-sources-europe",
        summary=SUMMARY,
        features=measure_features(train),
        planes=BANDS,
        legend=load_legend("dynamic-world").to_table(),
        labels="shares",
        resolution_m=10.0,
        levels=("L1C", "L2A"),
        sources=tuple({"name": source.name, "chips": len(source)} for source in (*train, *val)),
        split={"by": "place", "val": [source.name for source in val]},
        attribution=ATTRIBUTION,
    )
    chips = []
    for block, (source, split) in enumerate([*((s, "train") for s in train), *((s, "val") for s in val)]):
        for chip, image, label in chips_of(source, split, block):
            write_pair(out, card, chip.name, image, label)
            chips.append(chip)
    write_set_lists(out, card, chips)
    click.echo(f"{out}: {len(chips)} chips")


if __name__ == "__main__":
    main()
