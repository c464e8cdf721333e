"""Train, validate and save the small U-Net that ships with lulc.

    python pipelines/shipped_model/train.py --data /path/to/data --out /path/to/result

``--data`` is a folder laid out like the project's shared data folder (its README describes the sources). The result is
``model.safetensors``, ``arch.json``, ``norm.json`` and ``metrics.json``; ``--bundle`` also writes a lulc model bundle.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import copy
import json
import math
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

import evaluate
from augment import Batch, Radiometry, Sampler, band_statistics
from data import BANDS, CLASSES, training_sources, validation_sources
from network import INDICES, Architecture, Inputs, half_receptive_field, load_imagenet_lite0, used_state

SHARES: dict[str, float] = {
    "stgallen_train": 0.38,
    "eurosat_train": 0.24,
    "aquileia": 0.14,
    "australia": 0.06,
    "world_train": 0.18,
}
"""How often each source is drawn."""

RADIOMETRY: dict[str, Radiometry] = {"full": Radiometry(), "mild": Radiometry.mild(), "off": Radiometry.off()}
"""Strengths of the radiometric augmentation to choose from."""


@dataclass(frozen=True)
class Schedule:
    """Length and step size of a training run."""

    steps: int
    batch: int
    learning_rate: float
    weight_decay: float
    warm_up: int
    ema: float
    seed: int

    def factor(self, step: int) -> float:
        """Fraction of the learning rate at ``step``: linear warm-up, then half a cosine."""
        if step < self.warm_up:
            return (step + 1) / self.warm_up
        progress = (step - self.warm_up) / max(1, self.steps - self.warm_up)
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
    image, target, weight, hole = (
        torch.from_numpy(a) for a in (batch.reflectance, batch.target, batch.weight, batch.hole)
    )
    with torch.autocast("cpu", torch.bfloat16):
        logits = network(inputs(image, hole))
    loss = soft_cross_entropy(logits, target, weight)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimiser.step()
    return float(loss.detach())


def fit(network: nn.Module, inputs: Inputs, sampler: Sampler, schedule: Schedule) -> nn.Module:
    """Train ``network`` and return its moving average; batches are drawn one ahead in a thread."""
    decayed = [p for p in network.parameters() if p.ndim > 1]
    plain = [p for p in network.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": schedule.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=schedule.learning_rate)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimiser, schedule.factor)
    average, recent, started = Average(network, schedule.ema), 0.0, time.monotonic()
    network.train()
    with ThreadPoolExecutor(1) as pool:
        upcoming = pool.submit(sampler.draw, schedule.batch)
        for step in range(schedule.steps):
            batch, upcoming = upcoming.result(), pool.submit(sampler.draw, schedule.batch)
            loss = train_step(network, inputs, batch, optimiser)
            scheduler.step()
            average.update(network)
            recent = loss if step == 0 else 0.95 * recent + 0.05 * loss
            if (step + 1) % 100 == 0:
                click.echo(f"step {step + 1}/{schedule.steps} loss {recent:.4f} {time.monotonic() - started:.0f} s", err=True)
    return average.network


def save(out: Path, network: nn.Module, architecture: Architecture, inputs: Inputs, metrics: dict[str, Any]) -> None:
    """Write weights, architecture, normalisation and metrics to ``out``."""
    out.mkdir(parents=True, exist_ok=True)
    save_file(used_state(network), out / "model.safetensors")
    features = [*BANDS, *(name for name, _, _ in INDICES if inputs.indices)]
    norm = {
        "features": features,
        "mean": [round(float(v), 6) for v in inputs.mean.flatten()],
        "std": [round(float(v), 6) for v in inputs.std.flatten()],
    }
    arch = {"class": architecture.class_name, "kwargs": architecture.kwargs(), "classes": list(CLASSES), "stride": 8}
    for name, content in (("arch", arch), ("norm", norm), ("metrics", metrics)):
        (out / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n")


def headline(metrics: dict[str, Any]) -> str:
    """One line of the numbers that decide between variants."""
    parts = [f"{name} {value:.4f}" for name, value in metrics["agreement"].items()]
    kl = sum(metrics["mean_kl"].values()) / len(metrics["mean_kl"])
    patches = metrics["eurosat_patch_majority"]["accuracy"]
    return f"mean {metrics['mean_agreement']:.4f} | {' | '.join(parts)} | KL {kl:.4f} | patches {patches:.3f}"


@click.command()
@click.option("--data", "data_dir", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True)
@click.option("--encoder", default="tu-resnet18", show_default=True)
@click.option("--decoder", default="64,32,16", show_default=True, help="Decoder channels.")
@click.option("--pretrained", type=click.Path(path_type=Path, dir_okay=False), help="ImageNet weights of EfficientNet-Lite0.")
@click.option("--steps", default=3000, show_default=True)
@click.option("--batch", default=16, show_default=True)
@click.option("--learning-rate", default=2e-3, show_default=True)
@click.option("--weight-decay", default=0.02, show_default=True)
@click.option("--ema", default=0.995, show_default=True)
@click.option("--world/--no-world", default=True, show_default=True, help="Train on the chips outside Europe too.")
@click.option("--indices/--no-indices", default=False, show_default=True, help="Five spectral indices as extra inputs.")
@click.option("--radiometry", type=click.Choice(list(RADIOMETRY)), default="full", show_default=True, help="Jitter.")
@click.option("--threads", default=2, show_default=True)
@click.option("--seed", default=0, show_default=True)
def main(
    data_dir: Path,
    out: Path,
    encoder: str,
    decoder: str,
    pretrained: Path | None,
    steps: int,
    batch: int,
    learning_rate: float,
    weight_decay: float,
    ema: float,
    world: bool,
    indices: bool,
    radiometry: str,
    threads: int,
    seed: int,
) -> None:
    """Train the shipped model and measure it."""
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    sources = training_sources(data_dir, world=world)
    inputs = Inputs(*band_statistics(sources, SHARES), indices=indices)
    channels = tuple(int(c) for c in decoder.split(","))
    architecture = Architecture(encoder, channels, in_channels=len(BANDS) + (len(INDICES) if indices else 0))
    network = architecture.build()
    if pretrained:
        load_imagenet_lite0(network, pretrained)
    schedule = Schedule(steps, batch, learning_rate, weight_decay, steps // 20, ema, seed)

    started = time.monotonic()
    trained = fit(network, inputs, Sampler(sources, SHARES, RADIOMETRY[radiometry], seed), schedule)
    seconds = time.monotonic() - started
    metrics, _ = evaluate.report(trained, inputs, validation_sources(data_dir))
    metrics["training"] = {
        "seconds": round(seconds),
        "steps": steps,
        "seed": seed,
        "world": world,
        "indices": indices,
        "radiometry": radiometry,
        "parameters": sum(v.numel() for v in used_state(trained).values()),
        "half_receptive_field": half_receptive_field(architecture.build()),
    }
    save(out, trained, architecture, inputs, metrics)
    click.echo(f"{out.name}: {headline(metrics)} | {seconds:.0f} s")


if __name__ == "__main__":
    main()
