"""`lulc prepare`: scenes and labels in, a spatially split training set out."""

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lulc.crosswalk import load_crosswalk
from lulc.errors import StorageError
from lulc.io.figures.blocks import draw_blocks
from lulc.io.files.atomic import staged
from lulc.io.files.gdal import gdal_cache
from lulc.io.files.outputs import check_target
from lulc.io.files.paths import AnyPath, AnyPaths, as_path, as_paths
from lulc.io.labels.training_set import CHIP_LIST, SET_CARD
from lulc.io.report.writer import JSON, MARKDOWN, write_report
from lulc.legend import load_legend
from lulc.run import Progress, running, silent
from lulc.tasks.dataset.chip_plan import plan_chips, split_chips
from lulc.tasks.dataset.chip_writer import ChipWriter
from lulc.tasks.dataset.label_pairs import Pair, find_pairs
from lulc.tasks.dataset.options import PrepareOptions
from lulc.tasks.dataset.report import PrepareReport

_PICTURE = "blocks.png"
_OWN_FILES = (SET_CARD, CHIP_LIST, "images", "labels", JSON, MARKDOWN, _PICTURE)
_CACHE = 256 << 20


def prepare(
    scenes: AnyPaths,
    labels: AnyPaths,
    output: AnyPath,
    options: PrepareOptions,
    *,
    progress: Progress = silent,
) -> PrepareReport:
    """Cut scenes and labels into chips, split them spatially, and write them as a training set.

    The labels are read twice: first to count the classes of each chip and to split, then to write. Memory does not grow
    with the scenes.

    Args:
        scenes: Scenes, or folders of chips.
        labels: One for all scenes, one for each, or folders of masks.
        output: Folder of the set.
        options: See `PrepareOptions`.
        progress: Called with the pixels of chips written, and of all chips.

    Raises:
        InputError: A scene or label is refused, or the ground cannot be split.
        UsageError: The numbers of scenes and labels do not fit.
        ConfigError: A legend or the crosswalk is refused.
        StorageError: Reading or writing failed, or the output exists. Nothing is left behind.
        Interrupted: A signal came. Nothing is left behind.
    """
    scenes, labels, output = as_paths(scenes), as_paths(labels), as_path(output)
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
            writer = ChipWriter(folder, output.name, pairs, options, crosswalk, plan, split)
            card, chips = writer.write(run)
            report = PrepareReport.of(output, card, chips, plan, writer.masked, options, time.perf_counter() - started)
            kept = np.where(writer.written, split.splits, -1)
            picture = {_PICTURE: lambda path: draw_blocks(path, split.ground, kept, output.name)}
            write_report(report, folder, picture)
    return report


def _check_output(output: Path, pairs: Sequence[Pair], *, overwrite: bool) -> None:
    """Refuse an output folder that holds foreign files or an input.

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
