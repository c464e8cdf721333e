"""The report of `lulc prepare`: chips and class fractions per split, and dropped chips with reasons."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from lulc.io.labels.training_set import Chip, SetCard
from lulc.io.report.markdown import NONE, Blocks, markdown_table, page
from lulc.split import SPLITS
from lulc.tasks.dataset.chip_plan import ChipPlan
from lulc.tasks.dataset.options import PrepareOptions

_UNEVEN = 0.15
"""Largest difference between the fraction of labels of a split and the fraction asked for that needs no warning."""


@dataclass(frozen=True, slots=True)
class PrepareReport:
    """A training set in figures.

    Attributes:
        output: Its folder.
        legend: Name of its legend.
        classes: Class names.
        chips: Chips in each split.
        blocks: Blocks of ground in each split.
        pixels: Labelled pixels of each class in each split.
        dropped: Reason to number of chips left out.
        masked: Labelled pixels that were masked because they lie too close to another split.
        channels: Names, means and standard deviations of the channels over the training split.
        options: Options of the run.
        warnings: Warnings for the user.
        seconds: Wall time.
    """

    output: str
    legend: str
    classes: tuple[str, ...]
    chips: dict[str, int]
    blocks: dict[str, int]
    pixels: dict[str, tuple[int, ...]]
    dropped: dict[str, int]
    masked: int
    channels: dict[str, tuple[float, float]]
    options: dict[str, Any]
    warnings: tuple[str, ...]
    seconds: float

    @classmethod
    def of(
        cls,
        output: Path,
        card: SetCard,
        chips: Sequence[Chip],
        plan: ChipPlan,
        masked: int,
        options: PrepareOptions,
        seconds: float,
    ) -> Self:
        """The report of a set."""
        names = card.classes.names
        by_split = {split: [chip for chip in chips if chip.split == split] for split in SPLITS}
        pixels = {
            split: tuple(np.sum([chip.pixels for chip in mine], axis=0).tolist()) if mine else (0,) * len(names)
            for split, mine in by_split.items()
        }
        spec = card.features
        statistics = zip(spec.channels, spec.mean, spec.std, strict=True)
        return cls(
            output=str(output),
            legend=card.classes.name,
            classes=names,
            chips={split: len(mine) for split, mine in by_split.items()},
            blocks={split: len({chip.block for chip in mine}) for split, mine in by_split.items()},
            pixels=pixels,
            dropped=dict(plan.dropped),
            masked=masked,
            channels={name: (mean, std) for name, mean, std in statistics},
            options=options.model_dump(mode="json"),
            warnings=(*plan.notes, *_uneven(pixels, options), *_warnings(names, pixels, options)),
            seconds=round(seconds, 3),
        )

    def to_json(self) -> dict[str, Any]:
        """Plain form."""
        return asdict(self)

    def to_text(self) -> str:
        """Some lines for people."""
        width = max(map(len, self.classes))
        lines = [f"{self.output}: {sum(self.chips.values())} chips in {sum(self.blocks.values())} blocks of ground"]
        lines.append(f"{'':{width}}  " + "".join(f"{split:>9}" for split in SPLITS))
        lines.append(f"{'chips':{width}}  " + "".join(f"{self.chips[split]:>9,d}" for split in SPLITS))
        for k, name in enumerate(self.classes):
            lines.append(f"{name:{width}}  " + "".join(f"{self._fraction(split, k):>9}" for split in SPLITS))
        lines += self._left_out()
        return "\n".join([*lines, *(f"warning: {warning}" for warning in self.warnings)])

    def to_markdown(self) -> str:
        """The whole report, ending in a line break."""
        return page(self._blocks())

    def _blocks(self) -> Blocks:
        counts = [
            ["chips", *(f"{self.chips[split]:,d}" for split in SPLITS)],
            ["blocks", *(f"{self.blocks[split]:,d}" for split in SPLITS)],
            *([name, *(self._fraction(split, k) for split in SPLITS)] for k, name in enumerate(self.classes)),
        ]
        channels = [[name, f"{mean:.5f}", f"{std:.5f}"] for name, (mean, std) in self.channels.items()]
        yield [f"# Training set {Path(self.output).name}"]
        yield [
            "Legend {legend}; blocks of {block:g} m, {gap:g} m between splits; seed {seed}.".format(
                **{**self.options, "legend": self.legend}
            ),
            "`blocks.png` shows which ground went where.",
        ]
        yield markdown_table(["", *SPLITS], counts)
        yield ["Class rows are shares of the labelled pixels of each split."]
        yield ["## Left out"]
        yield [f"- {line}" for line in self._left_out() or ["nothing"]]
        yield ["## Channels (training split)"]
        yield markdown_table(["channel", "mean", "standard deviation"], channels)
        if self.warnings:
            yield ["## Warnings"]
            yield [f"- {warning}" for warning in self.warnings]

    def _left_out(self) -> list[str]:
        lines = [f"dropped {count} chips: {reason}" for reason, count in self.dropped.items()]
        if self.masked:
            lines.append(f"masked {self.masked:,d} labels closer than {self.options['gap']:g} m to another split")
        return lines

    def _fraction(self, split: str, k: int) -> str:
        pixels = self.pixels[split]
        return f"{pixels[k] / sum(pixels):.2%}" if pixels[k] else NONE


def _uneven(pixels: Mapping[str, tuple[int, ...]], options: PrepareOptions) -> list[str]:
    """Warn of splits that got far more or less than was asked: blocks are whole."""
    total = sum(sum(counts) for counts in pixels.values())
    fractions = {split: sum(pixels[split]) / total for split in SPLITS}
    if max(abs(got - asked) for got, asked in zip(fractions.values(), options.fractions, strict=True)) < _UNEVEN:
        return []
    got = ", ".join(f"{fraction:.0%} {split}" for split, fraction in fractions.items())
    return [f"the labels split into {got}: blocks are whole; a smaller --block follows --fractions more closely"]


def _warnings(names: Sequence[str], pixels: Mapping[str, tuple[int, ...]], options: PrepareOptions) -> tuple[str, ...]:
    """Warn of classes that a split does not have."""
    found = []
    for number, name in enumerate(names):
        if not any(counts[number] for counts in pixels.values()):
            found.append(f"{name} does not occur")
            continue
        lacking = [
            split
            for split, fraction in zip(SPLITS, options.fractions, strict=True)
            if fraction and not pixels[split][number]
        ]
        if lacking:
            found.append(f"{name} does not occur in {' and '.join(lacking)}: it lies in too few blocks")
    return tuple(found)
