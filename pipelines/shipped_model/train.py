"""Train, validate and save the small U-Net that ships with lulc.

    python pipelines/shipped_model/train.py --data DATA --out RUN --bundle lulc/model/pretrained/dw9-s2-10m

``--data`` is a folder laid out like the project's shared data folder (its README describes the sources). The run is left
as ``model.safetensors``, ``arch.json``, ``norm.json`` and ``metrics.json``; ``--bundle`` also writes the lulc model bundle.
"""

from __future__ import annotations

import copy
import math
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import torch
from augment import Batch, Jitter, Sampler
from data import training_sources
from evaluate import report
from network import INDICES, Inputs, load_imagenet_lite0, measure_features, save_run, unet
from publish import publish
from torch import Tensor, nn
from torch.nn import functional

from lulc.model.build import build_network, total_stride
from lulc.model.receptive_field import measure_reach

SHARES: dict[str, float] = {
    "stgallen_train": 0.38,
    "eurosat_train": 0.24,
    "aquileia": 0.14,
    "australia": 0.06,
    "world_train": 0.18,
}
"""How often each source is drawn."""

JITTERS: dict[str, Jitter] = {"full": Jitter(), "mild": Jitter.mild(), "off": Jitter.off()}
"""Strengths of the radiometric augmentation to choose from."""


@dataclass(frozen=True)
class Recipe:
    """Everything that tells one training run from another; the defaults made the shipped model.

    Attributes:
        encoder: of the U-Net; it must not pool globally.
        decoder: channels of the decoder, coarse to fine, comma-separated.
        imagenet: start the encoder from ImageNet (EfficientNet-Lite0 only).
        world: train on the chips outside Europe too.
        indices: give the network five spectral indices as extra channels.
        jitter: strength of the radiometric augmentation, a key of `JITTERS`.
        steps: optimiser steps.
        batch: 128-px canvases per step.
        learning_rate: peak of the recipe.
        weight_decay: of convolution weights; normalisation and biases have none.
        ema: decay of the moving average of weights.
        seed: of weights and batches.
    """

    encoder: str = "tu-tf_efficientnet_lite0"
    decoder: str = "64,32,16"
    imagenet: bool = True
    world: bool = True
    indices: bool = False
    jitter: str = "full"
    steps: int = 2000
    batch: int = 16
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    ema: float = 0.995
    seed: int = 0

    def decoder_channels(self) -> list[int]:
        """The decoder channels as numbers."""
        return [int(channels) for channels in self.decoder.split(",")]

    def factor(self, step: int) -> float:
        """Fraction of the learning rate at ``step``: linear warm-up, then half a cosine."""
        warm_up = max(1, self.steps // 20)
        if step < warm_up:
            return (step + 1) / warm_up
        progress = (step - warm_up) / max(1, self.steps - warm_up)
        return 0.5 * (1 + math.cos(math.pi * progress))


class Average:
    """Exponential moving average of a network's weights, with a short memory at the start."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(network).eval()
        self._decay, self._updates = decay, 0

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Move the average towards ``network``; batch-norm statistics are averaged like weights."""
        self._updates += 1
        decay = min(self._decay, (1 + self._updates) / (10 + self._updates))
        for mine, theirs in zip(self.network.state_dict().values(), network.state_dict().values(), strict=True):
            if mine.is_floating_point():
                mine.lerp_(theirs, 1 - decay)


def soft_cross_entropy(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Cross-entropy with class probabilities, averaged over pixels by weight."""
    loss = -(target * functional.log_softmax(logits.float(), dim=1)).sum(1)
    return (loss * weight).sum() / weight.sum().clamp_min(1)


def train_step(network: nn.Module, inputs: Inputs, batch: Batch, optimiser: torch.optim.Optimizer) -> float:
    """One optimiser step in bfloat16 autocast; returns the loss."""
    arrays = (batch.reflectance, batch.target, batch.weight, batch.hole)
    image, target, weight, hole = (torch.from_numpy(array) for array in arrays)
    with torch.autocast("cpu", torch.bfloat16):
        logits = network(inputs(image, hole))
    loss = soft_cross_entropy(logits, target, weight)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimiser.step()
    return float(loss.detach())


def fit(network: nn.Module, inputs: Inputs, sampler: Sampler, recipe: Recipe) -> nn.Module:
    """Train ``network`` and return its moving average; batches are drawn one ahead in a thread."""
    decayed = [p for p in network.parameters() if p.ndim > 1]
    plain = [p for p in network.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=recipe.learning_rate)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimiser, recipe.factor)
    average, recent, started = Average(network, recipe.ema), 0.0, time.monotonic()
    network.train()
    with ThreadPoolExecutor(1) as pool:
        upcoming = pool.submit(sampler.draw, recipe.batch)
        for step in range(recipe.steps):
            batch, upcoming = upcoming.result(), pool.submit(sampler.draw, recipe.batch)
            loss = train_step(network, inputs, batch, optimiser)
            scheduler.step()
            average.update(network)
            recent = loss if step == 0 else 0.95 * recent + 0.05 * loss
            if (step + 1) % 100 == 0:
                seconds = time.monotonic() - started
                click.echo(f"step {step + 1}/{recipe.steps} loss {recent:.4f} {seconds:.0f} s", err=True)
    return average.network


def run(recipe: Recipe, data_dir: Path, out: Path) -> dict[str, Any]:
    """Train by `recipe`, measure, save to ``out``; returns the metrics."""
    torch.manual_seed(recipe.seed)
    sources = training_sources(data_dir, world=recipe.world)
    spec = measure_features(sources, SHARES, INDICES if recipe.indices else ())
    architecture = unet(recipe.encoder, recipe.decoder_channels(), len(spec.channels))
    network = build_network(architecture).to(memory_format=torch.channels_last)
    if recipe.imagenet:
        load_imagenet_lite0(network)
    reach = measure_reach(network, len(spec.channels), total_stride(network))
    started = time.monotonic()
    trained = fit(network, Inputs(spec), Sampler(sources, SHARES, JITTERS[recipe.jitter], recipe.seed), recipe)
    seconds = round(time.monotonic() - started)
    metrics = report(trained, Inputs(spec), data_dir)
    metrics["network"] = {
        "parameters": sum(p.numel() for p in trained.parameters()),
        "half_receptive_field": reach.half_field,
        "stride": reach.stride,
    }
    metrics["recipe"] = {**asdict(recipe), "shares": SHARES, "seconds": seconds}
    save_run(out, trained, architecture, spec, metrics)
    return metrics


def headline(metrics: dict[str, Any]) -> str:
    """One line of the numbers that decide between variants."""
    parts = [f"{name} {value:.4f}" for name, value in metrics["agreement"].items()]
    divergence = sum(metrics["mean_kl"].values()) / len(metrics["mean_kl"])
    patches = metrics["eurosat_patch_majority"]["accuracy"]
    return f"mean {metrics['mean_agreement']:.4f} | {' | '.join(parts)} | KL {divergence:.4f} | patches {patches:.3f}"


_DEFAULT = Recipe()


@click.command(context_settings={"show_default": True})
@click.option("--data", "data_dir", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder of the run.")
@click.option("--bundle", type=click.Path(path_type=Path, file_okay=False), help="Also write a lulc bundle here.")
@click.option("--threads", default=2, help="CPU threads.")
@click.option("--encoder", default=_DEFAULT.encoder)
@click.option("--decoder", default=_DEFAULT.decoder, help="Decoder channels.")
@click.option("--imagenet/--scratch", default=_DEFAULT.imagenet, help="Start from ImageNet (EfficientNet-Lite0 only).")
@click.option("--world/--no-world", default=_DEFAULT.world, help="Train on the chips outside Europe too.")
@click.option("--indices/--no-indices", default=_DEFAULT.indices, help="Five spectral indices as extra channels.")
@click.option("--jitter", type=click.Choice(list(JITTERS)), default=_DEFAULT.jitter, help="Radiometric augmentation.")
@click.option("--steps", default=_DEFAULT.steps)
@click.option("--batch", default=_DEFAULT.batch)
@click.option("--learning-rate", default=_DEFAULT.learning_rate)
@click.option("--weight-decay", default=_DEFAULT.weight_decay)
@click.option("--ema", default=_DEFAULT.ema)
@click.option("--seed", default=_DEFAULT.seed)
def main(data_dir: Path, out: Path, bundle: Path | None, threads: int, **recipe: Any) -> None:  # noqa: ANN401 - Recipe
    """Train the shipped model and measure it."""
    torch.set_num_threads(threads)
    metrics = run(Recipe(**recipe), data_dir, out)
    click.echo(f"{out.name}: {headline(metrics)} | {metrics['recipe']['seconds']} s")
    if bundle:
        publish(out, bundle)


if __name__ == "__main__":
    main()
