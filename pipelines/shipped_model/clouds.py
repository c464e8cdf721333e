"""Train the cloud head of a finished network; the network itself stays as it is.

    python pipelines/shipped_model/clouds.py --data DATA --run RUN --out BUNDLE

Prints first what a head says of regions that it was not trained on, then writes the bundle with a head trained on all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import numpy as np
import torch
from data import BANDS, by_place, training_patches, validation_patches
from numpy.typing import NDArray
from skies import CLEAR, UNKNOWN, Sky, clear_sky, cloudy_pairs, crop_of, with_painted_clouds
from student import shown_to
from torch import nn
from torch.nn import functional

from lulc.features import FeatureSpec
from lulc.io.product.bands import SKY
from lulc.legend import NODATA_CODE
from lulc.model.build import Architecture, build_network
from lulc.model.bundle import Bundle, load_bundle, write_bundle
from lulc.model.spectral_unet import CloudHead, SpectralUnet, WithClouds
from lulc.training.augment import Augment
from lulc.training.samples import LEVELS, Pieces
from lulc.training.settings import AugmentSettings

WIDTH = 32
"""Channels of the head."""

FOLDS = (
    ("ROIs1970_fall_136", "ROIs1868_summer_100", "ROIs1868_summer_31"),
    ("ROIs1158_spring_39", "ROIs1868_summer_102", "ROIs1868_summer_135"),
    ("ROIs1970_fall_85", "ROIs1158_spring_26"),
)
"""Regions of the cloudy pairs that are left out together."""

STEPS, BATCH, SIDE = 1500, 8, 128
RATE, DECAY = 3e-3, 0.02
WEIGHTS = (1.0, 2.0, 1.0)
"""Of clear, cloud and shadow in the loss. With 2 for shadow too, more shadows of clouds are found, but 1.5 to 3 times as many of hills are flagged."""

_PAIRS, _PAINTED = 0.4, 0.3
"""Shares of real pairs and of painted clouds among the samples; the rest is clear."""

AUGMENT = AugmentSettings(
    gain=0.08,
    band_gain=0.02,
    band_offset=0.002,
    haze=0.03,
    noise=0.002,
    atmosphere=0.3,
    sun_zenith=68,
    aerosol=0.3,
    holes=0,
)


class SkySamples:
    """Draws images with clouds, with painted clouds and without.

    Args:
        pairs: Real cloudy and clear images.
        clear: Images without clouds of many places; places are drawn alike.
        seed: Of the draws.
    """

    def __init__(self, pairs: Sequence[Sky], clear: Sequence[Sky], seed: int) -> None:
        self._pairs = [*by_place(pairs).values()]
        self._clear = [*by_place(clear).values()]
        self._random = np.random.default_rng(seed)

    def draw(self, count: int) -> list[Sky]:
        """So many squares of `SIDE`."""
        return [self._one() for _ in range(count)]

    def _one(self) -> Sky:
        kind = self._random.random()
        groups = self._pairs if kind < _PAIRS else self._clear
        group = groups[self._random.integers(len(groups))]
        square = crop_of(group[self._random.integers(len(group))], SIDE, self._random)
        painted = _PAIRS <= kind < _PAIRS + _PAINTED
        return with_painted_clouds(square, self._random) if painted else square


def as_pieces(skies: Sequence[Sky]) -> Pieces:
    """Images and codes as the augmentation takes them: codes from 1, 255 unknown."""
    codes = np.stack([np.where(sky.codes == UNKNOWN, NODATA_CODE, sky.codes + 1) for sky in skies]).astype(np.uint8)
    levels = np.array([LEVELS.index(sky.level) for sky in skies])
    return Pieces(1, np.stack([sky.image for sky in skies]), codes[:, None], levels)


def train_head(network: SpectralUnet, spec: FeatureSpec, samples: SkySamples) -> None:
    """Fit the cloud head of a network in place; nothing else of it changes."""
    torch.manual_seed(0)
    head = network.clouds = CloudHead(len(spec.channels), WIDTH)
    optimiser = torch.optim.AdamW(head.parameters(), lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=STEPS, pct_start=0.05)
    weights = torch.tensor(WEIGHTS)
    augment = Augment(AUGMENT, spec, BANDS, SIDE)
    network.eval()
    head.train()
    for step in range(STEPS):
        image, target = augment([as_pieces(samples.draw(BATCH))], step, torch.device("cpu"))
        with torch.no_grad():
            _, quarter = network.encoder(image)
        loss = functional.cross_entropy(head(image, quarter), target.codes, weights, ignore_index=NODATA_CODE)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    head.eval()


def sky_of(network: SpectralUnet, spec: FeatureSpec, reflectance: NDArray[np.float32]) -> NDArray[np.int64]:
    """What the head says of an image (9, height, width) of any size: `CLEAR`, `CLOUD` or `SHADOW` (height, width)."""
    answer = shown_to(WithClouds(network), spec, network.encoder.output_stride, reflectance)
    return answer[-len(SKY) :].argmax(axis=0)


def called_hidden(network: SpectralUnet, spec: FeatureSpec, skies: Sequence[Sky]) -> dict[str, float]:
    """Share of the pixels of each kind that the head calls cloud or shadow, and how many pixels of that kind there are."""
    hidden, total = np.zeros(len(SKY)), np.zeros(len(SKY))
    for sky in skies:
        found = sky_of(network, spec, sky.image) != CLEAR
        known = sky.codes != UNKNOWN
        total += np.bincount(sky.codes[known], minlength=len(SKY))
        hidden += np.bincount(sky.codes[known], weights=found[known], minlength=len(SKY))
    seen = [(name, share, count) for name, share, count in zip(SKY, hidden, total, strict=True) if count]
    shares = {f"{name} called hidden": share / count for name, share, count in seen}
    return shares | {f"{name} pixels": count for name, _, count in seen}


def left_out(
    bundle: Bundle, pairs: Sequence[Sky], clear: Sequence[Sky], others: Sequence[Sky]
) -> Iterator[tuple[str, dict[str, float]]]:
    """Figures of each region of the pairs, and of the clear places of validation, by heads trained without them."""
    network, spec = bundle.network, bundle.card.features
    assert isinstance(network, SpectralUnet)
    for regions in FOLDS:
        train_head(network, spec, SkySamples([sky for sky in pairs if sky.place not in regions], clear, 0))
        for region in regions:
            yield region, called_hidden(network, spec, [sky for sky in pairs if sky.place == region])
    for place, skies in by_place(others).items():
        yield place, called_hidden(network, spec, skies)


def with_head(architecture: Architecture, trained: nn.Module) -> tuple[Architecture, SpectralUnet]:
    """A network as described, with a fresh cloud head and the weights of one that has none."""
    wider = architecture.model_copy(update={"options": {**architecture.options, "clouds": WIDTH}})
    network = build_network(wider)
    assert isinstance(network, SpectralUnet)
    network.load_state_dict(trained.state_dict(), strict=False)
    return wider, network


@click.command()
@click.option("--data", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True)
@click.option("--run", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True)
@click.option("--measure/--no-measure", default=True, help="Also train and measure without each fold of regions.")
def main(data: Path, run: Path, out: Path, *, measure: bool) -> None:
    """Write a bundle whose network has a cloud head."""
    trained = load_bundle(run)
    architecture, network = with_head(trained.card.architecture, trained.network)
    bundle = Bundle(trained.card, network)
    pairs = cloudy_pairs(data)
    clear = [clear_sky(patch) for patch in training_patches(data)]
    others = [clear_sky(patch) for patch in validation_patches(data)]
    metrics = dict(trained.card.metrics)
    if measure:
        metrics["cloud_head"] = dict(left_out(bundle, pairs, clear, others))
        for name, found in metrics["cloud_head"].items():
            click.echo(f"{name}: " + ", ".join(f"{what} {value:.4g}" for what, value in found.items()))
    train_head(network, trained.card.features, SkySamples(pairs, clear, 0))
    stated = trained.card.model_dump(exclude={"weights_sha256", "weights_bytes", "architecture", "metrics"})
    write_bundle(out, network, architecture=architecture, metrics=metrics, **stated)
    click.echo(f"{out}: cloud head of {sum(weight.numel() for weight in network.clouds.parameters())} weights")


if __name__ == "__main__":
    main()
