"""Read the chips of a training set from scenes and labels, and write them one by one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lulc.crosswalk import Crosswalk
from lulc.errors import InputError
from lulc.features import FeatureSpec
from lulc.footprints import pixel_locations
from lulc.grid import Grid, Window
from lulc.indices import spectral_index
from lulc.io.labels.labels import Labels
from lulc.io.labels.training_set import Chip, SetCard, label_pixels, write_pair, write_set_lists
from lulc.io.scene.scene import Scene
from lulc.legend import NODATA_CODE
from lulc.run import Run
from lulc.split import SPLITS
from lulc.tasks.dataset.chip_plan import ChipPlan, ChipSplit, named, read_label
from lulc.tasks.dataset.label_pairs import Pair, open_pair
from lulc.tasks.dataset.options import PrepareOptions

_SHOWN = 4


_LEAST_STD = 1e-6


class ChannelStatistics:
    """Running mean and variance per channel.

    Chips are merged by Chan et al. 1983, which is exact also where the mean is large against the deviation.
    """

    def __init__(self) -> None:
        self._count: NDArray[np.float64] = np.zeros(1)
        self._mean: NDArray[np.float64] = np.zeros(1)
        self._squares: NDArray[np.float64] = np.zeros(1)

    def feed(self, planes: NDArray[np.float32]) -> None:
        """Add the finite values of a chip, float32 (channels, height, width)."""
        values = planes.reshape(len(planes), -1).astype(np.float64)
        finite = np.isfinite(values)
        count = finite.sum(axis=1).astype(np.float64)
        mean = np.where(finite, values, 0).sum(axis=1) / np.maximum(count, 1)
        squares = (np.where(finite, values - mean[:, None], 0) ** 2).sum(axis=1)
        total = self._count + count
        shift = mean - self._mean
        self._squares = self._squares + squares + shift**2 * self._count * count / np.maximum(total, 1)
        self._mean = self._mean + shift * count / np.maximum(total, 1)
        self._count = total

    def result(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation of each channel, in the units of the channels; a deviation of 0 becomes 1."""
        deviation = np.sqrt(self._squares / np.maximum(self._count, 1))
        std = np.where(deviation > _LEAST_STD, deviation, 1.0)
        return tuple(np.round(self._mean, 7).tolist()), tuple(np.round(std, 7).tolist())


@dataclass
class ChipWriter:
    """Reads each chip of a plan and writes it: the second pass over scenes and labels.

    Attributes:
        folder: Folder of the set.
        name: Name of the set.
        pairs: Scenes with their labels.
        options: Options of the run.
        crosswalk: From the legend of the labels to that of the set.
        plan: The planned chips.
        split: The split of each chip.
        masked: Number of labelled pixels that were masked because chips of another split are near.
        written: True for chips that were written, bool (n,).
    """

    folder: Path
    name: str
    pairs: Sequence[Pair]
    options: PrepareOptions
    crosswalk: Crosswalk
    plan: ChipPlan
    split: ChipSplit
    masked: int = 0

    def __post_init__(self) -> None:
        self.written = np.zeros(len(self.plan.candidates), dtype=bool)
        self._done = 0

    def write(self, run: Run) -> tuple[SetCard, list[Chip]]:
        """Write all chips, then the card with the channel statistics of the training split.

        Raises:
            InputError: A scene lacks a band, or a split gets no chips.
            StorageError: Reading or writing failed.
            Interrupted: A signal has arrived.
        """
        chips: list[Chip] = []
        sources: list[dict[str, object]] = []
        statistics, draft, sizes = ChannelStatistics(), None, list[float]()
        for number, (pair, name) in enumerate(zip(self.pairs, named(self.pairs), strict=True)):
            wanted = [index for index, candidate in enumerate(self.plan.candidates) if candidate.source == number]
            if not wanted:
                continue
            with open_pair(pair, self.options) as (scene, labels):
                draft = draft or self._draft(self.options.bands_of(scene.names, scene.info.name), labels)
                self._refuse_other_bands(scene, draft)
                sizes.append(pixel_size(scene.grid))
                written = [chip for chip in self._chips(scene, labels, wanted, name, draft, statistics, run) if chip]
            chips += written
            sources.append(_described(scene, pair, len(written)))
        self._check_splits(chips)
        assert draft is not None
        card = self._card(draft, statistics, chips, sources, sizes)
        write_set_lists(self.folder, card, chips)
        return card, chips

    def _chips(
        self,
        scene: Scene,
        labels: Labels,
        wanted: Sequence[int],
        source: str,
        draft: SetCard,
        statistics: ChannelStatistics,
        run: Run,
    ) -> Iterator[Chip | None]:
        """Write the chips of one scene; None for one that keeps too few labels."""
        level = self.options.level or scene.info.level
        total = sum(candidate.window.shape.size for candidate in self.plan.candidates)
        for index in wanted:
            window = self.plan.candidates[index].window
            image, label = self._read(scene, labels, draft.features.bands, window)
            pixels = self._yield_to_rivals(index, scene.grid, label)
            self._done += window.shape.size
            chip = None
            if pixels:
                name = f"{source}_{window.row:05d}_{window.col:05d}"
                write_pair(self.folder, draft, name, image, label, _chip_grid(scene.grid, window))
                chip = self._chip(name, source, index, level, pixels)
                if chip.split == "train":
                    statistics.feed(image)
            yield chip
            run.tick(self._done, total)

    def _refuse_other_bands(self, scene: Scene, draft: SetCard) -> None:
        own, bands = self.options.bands_of(scene.names, scene.info.name), draft.features.bands
        if set(own) != set(bands):
            raise InputError(
                f"{scene.info.name} offers {', '.join(own)}, the first scene {', '.join(bands)}", "choose with --select"
            )

    def _card(
        self,
        draft: SetCard,
        statistics: ChannelStatistics,
        chips: Sequence[Chip],
        sources: Sequence[dict[str, object]],
        sizes: Sequence[float],
    ) -> SetCard:
        """The card of the whole set."""
        mean, std = statistics.result()
        features = FeatureSpec(bands=draft.features.bands, indices=self.options.indices, mean=mean, std=std)
        levels = {self.options.level or str(source["level"]) for source in sources}
        return draft.model_copy(
            update={
                "features": features,
                "levels": tuple(sorted(levels - {""})),
                "summary": _summary(chips, sources, self.options),
                "sources": tuple(sources),
                "resolution_m": _one_size(sizes),
            }
        )

    def _draft(self, bands: tuple[str, ...], labels: Labels) -> SetCard:
        channels = (*bands, *self.options.indices)
        options = self.options
        return SetCard(
            name=self.name,
            features=FeatureSpec(
                bands=bands, indices=options.indices, mean=(0.0,) * len(channels), std=(1.0,) * len(channels)
            ),
            planes=channels,
            legend=options.target.to_table(),
            labels="shares" if labels.kind == "shares" else "codes",
            files=options.files,
            split={
                "by": "blocks of ground",
                "block": options.block,
                "gap": options.gap,
                "fractions": options.fractions,
                "seed": options.seed,
            },
        )

    def _read(
        self, scene: Scene, labels: Labels, bands: tuple[str, ...], window: Window
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        reflectance = scene.reflectance(bands, window)
        planes = dict(zip(bands, reflectance, strict=True))
        for name in self.options.indices:
            if name in scene.names:
                planes[name] = scene.reflectance([name], window)[0]
            else:
                planes[name] = spectral_index(name)(planes).astype(np.float32)
        label = read_label(scene, labels, window, self.crosswalk)
        label[:, ~np.isfinite(reflectance).all(axis=0)] = NODATA_CODE
        return np.stack(list(planes.values())), label

    def _yield_to_rivals(self, index: int, grid: Grid, label: NDArray[np.uint8]) -> tuple[int, ...]:
        """Mask labels near chips of another split.

        Returns:
            Labelled pixels of each class; empty when too few are left.
        """
        window, rivals = self.plan.candidates[index].window, self.split.rivals.get(index)
        if rivals is not None:
            close = self.split.ground.too_close(rivals, *pixel_locations(grid, window), self.options.gap)
            self.masked += int((close & (label[0] != NODATA_CODE)).sum())
            label[:, close] = NODATA_CODE
        pixels = label_pixels(label, len(self.crosswalk.target))
        if not sum(pixels) or sum(pixels) < self.options.min_labelled * window.shape.size:
            self.plan.drop(f"hardly any label farther than {self.options.gap:g} m from another split")
            return ()
        self.written[index] = True
        return pixels

    def _check_splits(self, chips: Sequence[Chip]) -> None:
        for name, fraction in zip(SPLITS, self.options.fractions, strict=True):
            if fraction and not any(chip.split == name for chip in chips):
                raise InputError(
                    f"the split leaves no chips for {name}", "use a smaller --block or --gap, or more scenes"
                )

    def _chip(self, name: str, source: str, index: int, level: str, pixels: tuple[int, ...]) -> Chip:
        candidate = self.plan.candidates[index]
        return Chip(
            name=name,
            split=SPLITS[self.split.splits[index]],
            source=source,
            row=candidate.window.row,
            col=candidate.window.col,
            height=candidate.window.height,
            width=candidate.window.width,
            block=int(self.split.blocks[index]),
            level=level,
            weight=1.0,
            pixels=pixels,
        )


def _described(scene: Scene, pair: Pair, chips: int) -> dict[str, object]:
    return {
        "scene": scene.info.name,
        "labels": pair.labels.name,
        "fingerprint": scene.fingerprint(),
        "level": scene.info.level,
        "acquired": scene.info.acquired,
        "quantification": scene.radiometry.quantification,
        "offset": scene.radiometry.offset,
        "chips": chips,
    }


def _summary(chips: Sequence[Chip], sources: Sequence[dict[str, object]], options: PrepareOptions) -> str:
    """One sentence on the set, for the card of a model."""
    scenes = [str(source["scene"]) for source in sources]
    labels = sorted({str(source["labels"]) for source in sources})
    more = f" and {len(scenes) - _SHOWN} more" if len(scenes) > _SHOWN else ""
    shown = f"{', '.join(scenes[:_SHOWN])}{more}"
    return (
        f"{len(chips)} chips of {options.chip} px from {shown}; labels {options.legend} ({', '.join(labels[:_SHOWN])})"
    )


def _chip_grid(grid: Grid, window: Window) -> Grid | None:
    if grid.crs is None or grid.gcps:
        return None
    return grid.part(window)


def pixel_size(grid: Grid) -> float:
    """Side of a square of the ground area of a pixel in the middle row, metres; NaN without georeference."""
    hectares = grid.pixel_areas_ha()
    return float(np.sqrt(hectares[len(hectares) // 2] * 10_000))


def _one_size(sizes: Sequence[float]) -> float | None:
    """Pixel size that all scenes share, metres, to a hundredth; None when they have none or differ."""
    if not sizes or not np.isfinite(sizes).all() or max(sizes) > 1.01 * min(sizes):
        return None
    return round(float(np.mean(sizes)), 3)
