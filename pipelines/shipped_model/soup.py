"""Average the weights of runs that started from the same trained network.

    python pipelines/shipped_model/soup.py RUN [RUN ...] OUT

On places that none has seen, the mean of the weights is better than each run, at the cost of one (Wortsman et al. 2022,
arXiv:2203.05482; Rame et al. 2022, arXiv:2205.09739). Runs that started from ImageNet apart cannot be averaged: their
layers do not correspond.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
import torch
from torch import Tensor

from lulc.features import FeatureSpec
from lulc.model.bundle import Card, load_bundle, write_bundle
from lulc.model.spectral_unet import SpectralUnet


def mean_weights(states: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Mean of each tensor; counters are those of the first.

    Raises:
        ValueError: The networks differ.
    """
    first = states[0]
    for other in states[1:]:
        if {name: tensor.shape for name, tensor in other.items()} != {
            name: tensor.shape for name, tensor in first.items()
        }:
            raise ValueError("the runs are not of one network")
    return {
        name: torch.stack([state[name] for state in states]).mean(dim=0) if tensor.is_floating_point() else tensor
        for name, tensor in first.items()
    }


def in_terms_of(network: SpectralUnet, given: FeatureSpec, wanted: FeatureSpec) -> None:
    """Let a network that sees channels normalised as `given` take them normalised as `wanted`, in place.

    Its first convolutions have no bias; the batch norms behind them take up the constant part. It answers as before, but
    for pixels whose filters reach beyond the image.
    """
    scale = torch.tensor(wanted.std) / torch.tensor(given.std)
    shift = (torch.tensor(wanted.mean) - torch.tensor(given.mean)) / torch.tensor(given.std)
    first = [network.encoder.stem, network.decoder.stem, *([network.spectral[0]] if network.spectral else [])]
    with torch.no_grad():
        for convolution, norm, _ in first:
            norm.running_mean -= (convolution.weight.sum(dim=(2, 3)) * shift).sum(dim=1)
            convolution.weight *= scale[:, None, None]


def average(runs: Sequence[Path], out: Path) -> Card:
    """Write the mean of some runs as a bundle with the card of the first, which names all."""
    bundles = [load_bundle(run) for run in runs]
    card = bundles[0].card
    for bundle in bundles[1:]:
        in_terms_of(bundle.network, bundle.card.features, card.features)  # type: ignore[arg-type]
    network = bundles[0].network
    network.load_state_dict(mean_weights([bundle.network.state_dict() for bundle in bundles]))
    stated = card.model_dump(exclude={"weights_sha256", "weights_bytes", "training", "architecture"})
    training = card.training | {"mean_of": [run.name for run in runs]}
    return write_bundle(out, network, architecture=card.architecture, training=training, **stated)


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
def main(runs: tuple[Path, ...], out: Path) -> None:
    """Write the mean of some runs."""
    average(runs, out)
    click.echo(f"{out}: mean of {len(runs)} runs")


if __name__ == "__main__":
    main()
