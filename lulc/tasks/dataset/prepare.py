"""`lulc prepare`: scenes and labels in, a training set out, split by place."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lulc.crosswalk import Crosswalk, load_crosswalk
from lulc.errors import InputError, StorageError
from lulc.features import FeatureSpec
from lulc.footprints import Footprints, pixel_places
from lulc.grid import Grid, Window
from lulc.indices import spectral_index
from lulc.io.figures.blocks import draw_blocks
from lulc.io.files.durable import write_whole
from lulc.io.files.gdal import gdal_cache
from lulc.io.files.staging import check_target, staged
from lulc.io.labels.labels import Labels
from lulc.io.labels.training_set import CHIP_LIST, SET_CARD, Chip, SetCard, label_pixels, write_pair, write_set_lists
from lulc.io.scene.scene import Scene
from lulc.legend import NODATA_CODE, load_legend
from lulc.run import Progress, Run, running, silent
from lulc.split import SPLITS, stratified_split
from lulc.tasks.dataset.channel_statistics import ChannelStatistics
from lulc.tasks.dataset.chip_plan import ChipPlan, named, plan_chips, read_label
from lulc.tasks.dataset.label_pairs import Pair, find_pairs, open_pair
from lulc.tasks.dataset.options import PrepareOptions
from lulc.tasks.dataset.report import PrepareReport

_SHOWN = 4
_OWN_FILES = (SET_CARD, CHIP_LIST, "images", "labels", "report.json", "report.md", "blocks.png")
_CACHE = 256 << 20


def prepare(
    scenes: Sequence[Path],
    labels: Sequence[Path],
    output: Path,
    options: PrepareOptions,
    *,
    progress: Progress = silent,
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
    _check_output(output, pairs, overwrite=options.overwrite)
    with gdal_cache(_CACHE), running(progress, f"nothing was written to {output}") as run:
        plan = plan_chips(pairs, options, crosswalk, run.check)
        split = split_chips(plan, options)
        with staged(output, overwrite=options.overwrite) as folder:
            folder.mkdir()
            writer = _Writer(folder, output.name, pairs, options, crosswalk, plan, split)
            card, chips = writer.write(run)
            report = PrepareReport.of(output, card, chips, plan, writer.masked, options, time.perf_counter() - started)
            write_whole(folder / "report.json", report.json_text().encode())
            write_whole(folder / "report.md", report.to_markdown().encode())
            kept = np.where(writer.written, split.splits, -1)
            draw_blocks(folder / "blocks.png", split.ground, kept, output.name)
    return report


def _check_output(output: Path, pairs: Sequence[Pair], *, overwrite: bool) -> None:
    """Refuse a folder that holds anything but a training set, or an input.

    Raises:
        StorageError: It exists and must not be replaced.
    """
    if output.exists() and not output.is_dir():
        raise StorageError(f"{output} is a file", "a training set is a folder; choose another name")
    check_target(output, overwrite=overwrite)
    if not output.exists():
        return
    inside = [
        path for pair in pairs for path in (pair.scene, pair.labels) if output.resolve() in path.resolve().parents
    ]
    strange = sorted(path.name for path in output.iterdir() if path.name not in _OWN_FILES)
    if inside or strange:
        held = str(inside[0]) if inside else strange[0]
        raise StorageError(f"{output} holds {held}, which is no part of a training set", "move it away first")


@dataclass(frozen=True)
class ChipSplit:
    """Which split each chip of a plan goes to.

    Attributes:
        splits: Index into `SPLITS`: int64 (n,).
        blocks: Block of ground: int64 (n,).
        ground: Where the chips lie.
        rivals: For chips near a split that comes before theirs, the chips of that split.
    """

    splits: NDArray[np.int64]
    blocks: NDArray[np.int64]
    ground: Footprints
    rivals: dict[int, NDArray[np.int64]]


def split_chips(plan: ChipPlan, options: PrepareOptions) -> ChipSplit:
    """Split the chips of a plan by blocks of ground.

    Where splits meet, labels of training chips give way to validation and test chips, and those of validation chips to
    test chips.

    Raises:
        InputError: Too few blocks.
    """
    ground = Footprints.joined(plan.footprints)
    blocks = ground.blocks(options.block)
    pixels = np.array([candidate.pixels for candidate in plan.candidates], dtype=np.int64)
    splits = stratified_split(blocks, pixels, options.fractions, options.seed)
    train, val, test = range(3)
    rivals = {
        **ground.neighbours(splits == train, np.isin(splits, (val, test)), options.gap),
        **ground.neighbours(splits == val, splits == test, options.gap),
    }
    return ChipSplit(splits, blocks, ground, rivals)


@dataclass
class _Writer:
    """Second pass: read each chosen chip and write it."""

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

    def write(self, run: Run) -> tuple[SetCard, list[Chip]]:
        """Write all chips, then the card with the statistics of the training split."""
        names = named(self.pairs)
        chips: list[Chip] = []
        sources: list[dict[str, object]] = []
        bands: tuple[str, ...] = ()
        statistics, draft = ChannelStatistics(), None
        done, total = 0, sum(candidate.window.shape.size for candidate in self.plan.candidates)
        levels, sizes = set[str](), list[float]()
        for number, pair in enumerate(self.pairs):
            wanted = [place for place, candidate in enumerate(self.plan.candidates) if candidate.source == number]
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
                before = len(chips)
                for place in wanted:
                    window = self.plan.candidates[place].window
                    image, label = self._read(scene, labels, bands, window)
                    pixels = self._yield_to_rivals(place, scene.grid, label)
                    done += window.shape.size
                    if pixels:
                        name = f"{names[number]}_{window.row:05d}_{window.col:05d}"
                        write_pair(self.folder, draft, name, image, label, _chip_grid(scene.grid, window))
                        chips.append(self._chip(name, names[number], place, level, pixels))
                        if chips[-1].split == "train":
                            statistics.feed(image)
                    run.tick(done, total)
                sources.append(_described(scene, pair, len(chips) - before))
        self._check_splits(chips)
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

    def _yield_to_rivals(self, place: int, grid: Grid, label: NDArray[np.uint8]) -> tuple[int, ...]:
        """Mask labels near chips of another split; labelled pixels of each class, empty when too few are left."""
        window, rivals = self.plan.candidates[place].window, self.split.rivals.get(place)
        if rivals is not None:
            close = self.split.ground.too_close(rivals, *pixel_places(grid, window), self.options.gap)
            self.masked += int((close & (label[0] != NODATA_CODE)).sum())
            label[:, close] = NODATA_CODE
        pixels = label_pixels(label, len(self.crosswalk.target))
        if not sum(pixels) or sum(pixels) < self.options.min_labelled * window.shape.size:
            self.plan.drop(f"hardly any label farther than {self.options.gap:g} m from another split")
            return ()
        self.written[place] = True
        return pixels

    def _check_splits(self, chips: Sequence[Chip]) -> None:
        for name, fraction in zip(SPLITS, self.options.fractions, strict=True):
            if fraction and not any(chip.split == name for chip in chips):
                raise InputError(
                    f"the split leaves no chips for {name}", "use a smaller --block or --gap, or more scenes"
                )

    def _chip(self, name: str, source: str, place: int, level: str, pixels: tuple[int, ...]) -> Chip:
        candidate = self.plan.candidates[place]
        return Chip(
            name=name,
            split=SPLITS[self.split.splits[place]],
            source=source,
            row=candidate.window.row,
            col=candidate.window.col,
            height=candidate.window.height,
            width=candidate.window.width,
            block=int(self.split.blocks[place]),
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
