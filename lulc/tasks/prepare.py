"""`lulc prepare`: scenes and labels in, a training set out, split by place."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lulc.crosswalk import Crosswalk, load_crosswalk
from lulc.errors import InputError
from lulc.features import FeatureSpec
from lulc.grid import Grid, Window
from lulc.indices import spectral_index
from lulc.io.blocks_figure import draw_blocks
from lulc.io.durable import write_whole
from lulc.io.labels import Labels
from lulc.io.scene import Scene
from lulc.io.staging import check_target, staged
from lulc.io.training_set import Chip, SetCard, write_pair, write_set_lists
from lulc.legend import NODATA_CODE, load_legend
from lulc.split import SPLITS, Footprints, stratified_split
from lulc.tasks.channel_statistics import ChannelStatistics
from lulc.tasks.chip_plan import ChipPlan, named, plan_chips, read_label
from lulc.tasks.interruption import stop_on_signals
from lulc.tasks.label_pairs import Pair, find_pairs, open_pair
from lulc.tasks.prepare_options import PrepareOptions
from lulc.tasks.prepare_report import PrepareReport

Progress = Callable[[int, int], None]

_SHOWN = 4


def prepare(
    scenes: Sequence[Path],
    labels: Sequence[Path],
    output: Path,
    options: PrepareOptions,
    *,
    progress: Progress = lambda _done, _total: None,
) -> PrepareReport:
    """Cut scenes and labels into chips, split by place, and write them as a training set.

    The labels are read twice: first to know what each chip holds and to split, then to write. Memory does not grow
    with the scenes.

    Args:
        scenes: Scenes, or folders of chips.
        labels: One for all scenes, one for each, or folders of masks.
        output: Folder of the set.
        options: See `PrepareOptions`.
        progress: Told (done, total) pixels of chips written.

    Raises:
        LulcError: A scene or label is refused, the ground cannot be split, or writing failed. Nothing is left behind.
    """
    started = time.perf_counter()
    pairs = find_pairs(scenes, labels)
    target = options.target
    crosswalk = load_crosswalk(load_legend(options.legend), target, options.crosswalk)
    check_target(output, overwrite=options.overwrite)
    with stop_on_signals() as stop:
        plan = plan_chips(pairs, options, crosswalk)
        splits, blocks = split_chips(plan, options)
        with staged(output, overwrite=options.overwrite) as folder:
            folder.mkdir()
            writer = _Writer(folder, output.name, pairs, options, crosswalk, plan, splits, blocks)

            def told(done: int, total: int) -> None:
                progress(done, total)
                stop.raise_if_set()

            card, chips = writer.write(told)
            report = PrepareReport.of(output, card, chips, plan.dropped, options, time.perf_counter() - started)
            write_whole(folder / "report.json", report.json_text().encode())
            write_whole(folder / "report.md", report.to_markdown().encode())
            _draw(folder / "blocks.png", plan, splits, output.name)
    return report


def split_chips(plan: ChipPlan, options: PrepareOptions) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split (index into `SPLITS`, -1 dropped) and block of each chip of the plan.

    Where splits meet, training chips give way to validation and test chips, and validation chips to test chips.

    Raises:
        InputError: Too few blocks, or the gap leaves a split without chips.
    """
    ground = Footprints.joined(plan.footprints)
    blocks = ground.blocks(options.block)
    pixels = np.array([candidate.pixels for candidate in plan.candidates], dtype=np.int64)
    splits = stratified_split(blocks, pixels, options.fractions, options.seed)
    train, val, test = range(3)
    for weaker, stronger in ((train, (val, test)), (val, (test,))):
        close = ground.near(splits == weaker, np.isin(splits, stronger), options.gap)
        plan.drop(f"closer than {options.gap:g} m to a chip of another split", int(close.sum()))
        splits[close] = -1
    for split, fraction in enumerate(options.fractions):
        if fraction and not (splits == split).any():
            raise InputError(
                f"the split leaves no chips for {SPLITS[split]}", "use a smaller --block or --gap, or more scenes"
            )
    return splits, blocks


@dataclass
class _Writer:
    """Second pass: read each chosen chip and write it."""

    folder: Path
    name: str
    pairs: Sequence[Pair]
    options: PrepareOptions
    crosswalk: Crosswalk
    plan: ChipPlan
    splits: NDArray[np.int64]
    blocks: NDArray[np.int64]

    def write(self, progress: Progress) -> tuple[SetCard, list[Chip]]:
        """Write all chips, then the card with the statistics of the training split."""
        names = named(self.pairs)
        chips: list[Chip] = []
        sources: list[dict[str, object]] = []
        bands: tuple[str, ...] = ()
        statistics, draft = ChannelStatistics(), None
        done, total = 0, int((self.splits >= 0).sum())
        levels, sizes = set[str](), list[float]()
        for number, pair in enumerate(self.pairs):
            wanted = [
                place
                for place, candidate in enumerate(self.plan.candidates)
                if candidate.source == number and self.splits[place] >= 0
            ]
            if not wanted:
                continue
            with open_pair(pair, self.options) as (scene, labels):
                own = self.options.bands_of(scene.names, scene.info.name)
                bands = bands or own
                if set(own) != set(bands):
                    raise InputError(
                        f"{scene.info.name} offers {', '.join(own)}, the first scene {', '.join(bands)}",
                        "choose with --select",
                    )
                draft = draft or self._draft(bands, labels)
                level = self.options.level or scene.info.level
                levels.add(level)
                sizes.append(pixel_size(scene.grid))
                sources.append(_described(scene, pair, len(wanted)))
                for place in wanted:
                    candidate = self.plan.candidates[place]
                    image, label = self._read(scene, labels, bands, candidate.window)
                    split = SPLITS[self.splits[place]]
                    name = f"{names[number]}_{candidate.window.row:05d}_{candidate.window.col:05d}"
                    write_pair(self.folder, draft, name, image, label, _chip_grid(scene.grid, candidate.window))
                    if split == "train":
                        statistics.feed(image)
                    chips.append(self._chip(name, names[number], place, level))
                    done += candidate.window.shape.size
                    progress(done, done * total // len(chips))
        if draft is None:
            raise AssertionError
        mean, std = statistics.result()
        card = draft.model_copy(
            update={
                "features": FeatureSpec(bands=bands, indices=self.options.indices, mean=mean, std=std),
                "levels": tuple(sorted(levels - {""})),
                "summary": _summary(chips, sources, self.options),
                "sources": tuple(sources),
                "resolution_m": _one_size(sizes),
            }
        )
        write_set_lists(self.folder, card, chips)
        return card, chips

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

    def _chip(self, name: str, source: str, place: int, level: str) -> Chip:
        candidate = self.plan.candidates[place]
        return Chip(
            name=name,
            split=SPLITS[self.splits[place]],
            source=source,
            row=candidate.window.row,
            col=candidate.window.col,
            height=candidate.window.height,
            width=candidate.window.width,
            block=int(self.blocks[place]),
            level=level,
            weight=1.0,
            pixels=candidate.pixels,
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
    """A sentence for the card of a model."""
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
    """Side of a pixel of the same ground area in the middle of a raster, metres; NaN without georeference."""
    hectares = grid.pixel_areas_ha()
    return float(np.sqrt(hectares[len(hectares) // 2] * 10_000))


def _one_size(sizes: Sequence[float]) -> float | None:
    """The pixel size that all scenes share, to a hundredth; None when they have none or differ."""
    if not sizes or not np.isfinite(sizes).all() or max(sizes) > 1.01 * min(sizes):
        return None
    return round(float(np.mean(sizes)), 3)


def _draw(path: Path, plan: ChipPlan, splits: NDArray[np.int64], title: str) -> None:
    ground = Footprints.joined(plan.footprints)
    draw_blocks(path, ground, splits, title)
