"""Comparing a map with a reference that labels every pixel, in flat memory.

What comes out is agreement: the reference has errors of its own, and its pixels are no sample.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack

import numpy as np
from numpy.typing import NDArray

from lulc.errors import InputError
from lulc.grid import Window
from lulc.io.files.paths import AnyPath, as_path
from lulc.io.labels.labels import open_labels
from lulc.io.product.maps import open_map
from lulc.legend import NODATA_CODE
from lulc.metrics.bootstrap import block_intervals
from lulc.metrics.calibration import Reliability
from lulc.metrics.confusion import ConfusionMatrix, count_pairs_by_block
from lulc.metrics.edges import edge_masks
from lulc.run import Progress, silent
from lulc.tasks.accuracy.agreement_report import (
    CountedArea,
    EdgeAgreement,
    EvaluationReport,
    FlaggedAgreement,
    score_intervals,
)
from lulc.tasks.accuracy.options import EvaluateOptions
from lulc.tasks.accuracy.pair import Pair, choose_crosswalks, reference_legend

_log = logging.getLogger(__name__)


_WIDEST = 2048
_FEW_BLOCKS = 30
_HALF_STEP = 1 / 500
"""Activations are stored in steps of 1/250: a stored 0 is anything below half of one."""


def evaluate_map(
    map_path: AnyPath,
    reference_path: AnyPath,
    options: EvaluateOptions | None = None,
    *,
    progress: Progress = silent,
) -> EvaluationReport:
    """Compare a map with labels on any grid.

    Args:
        map_path: Product of lulc, or a class raster of the legend `map_legend`.
        reference_path: Label raster or label polygons; brought to the map's grid by nearest neighbour.
        options: How.
        progress: Called with the pixels done and in all.

    Raises:
        InputError: Not readable, a value that its legend lacks, or nothing to compare.
        ConfigError: No such legend or crosswalk.
        UsageError: A legend is needed and not given.
        StorageError: A damaged file.
    """
    map_path, reference_path = as_path(map_path), as_path(reference_path)
    options, start = options or EvaluateOptions(), time.monotonic()
    for path in (map_path, reference_path):
        if not path.exists():
            raise InputError(f"there is no {path}", "check the path")
    with ExitStack() as stack:
        of_map = options.map_legend or options.legend
        source = stack.enter_context(open_map(map_path, of_map, options.nodata, flag="--map-legend"))
        legend = reference_legend(reference_path, options.legend)
        crosswalks = choose_crosswalks(source.legend, legend, options.to, options.crosswalk)
        labels = open_labels(reference_path, legend, attribute=options.attribute, layer=options.layer)
        pair = Pair(source, stack.enter_context(labels), *crosswalks)
        tally = _Tally(pair, options)
        shape = source.grid.shape
        for window in _windows(source.grid.window, options.block_px):
            tally.add(window)
            progress(window.row * shape.width + window.col_end * window.height, shape.size)
        return tally.report(str(map_path), str(reference_path), start)


def _windows(whole: Window, block: int) -> Iterator[Window]:
    """Rows of blocks, cut into windows of whole blocks that are not too wide for memory."""
    width = block * max(1, _WIDEST // block)
    for row in range(0, whole.height, block):
        for col in range(0, whole.width, width):
            yield Window(row, col, block, width).intersection(whole)


class _Tally:
    """Counts of a comparison, window by window.

    Args:
        pair: Map and reference.
        options: Block size, seed, edges.
    """

    def __init__(self, pair: Pair, options: EvaluateOptions) -> None:
        self._pair, self._options, self._names = pair, options, pair.legend.names
        self._blocks: list[NDArray[np.int64]] = []
        self._edges: list[NDArray[np.int64]] = []
        self._row_ha = pair.grid.pixel_areas_ha()
        self._map_ha, self._reference_ha = np.zeros(len(self._names)), np.zeros(len(self._names))
        self._candidates = 0
        self._flagged = np.zeros((2, 2), np.int64)
        self._reliability = Reliability(len(self._names), floor=_HALF_STEP) if pair.has_activations else None

    def add(self, window: Window) -> None:
        """Count a window of whole blocks."""
        codes, activations = self._pair.map_codes(window)
        self._candidates += int(np.count_nonzero(codes != NODATA_CODE))
        block_of, blocks = _blocks_of(window, self._options.block_px)
        margin = int(self._options.edges)
        wide = self._pair.reference_codes(window, margin)
        reference = wide[margin : margin + window.height, margin : margin + window.width]
        self._blocks.append(count_pairs_by_block(codes, reference, len(self._names), block_of, blocks))
        if self._options.edges:
            masks = edge_masks(codes, wide)
            self._edges.append(_edge_counts(codes == reference, *masks, block_of, blocks))
        if self._reliability is not None and activations is not None:
            self._reliability.feed(activations, reference, codes)
        self._add_flagged(window, codes, reference)
        self._add_areas(window, codes, reference)

    def _add_flagged(self, window: Window, codes: NDArray[np.uint8], reference: NDArray[np.uint8]) -> None:
        """Count compared pixels by whether they are flagged, and whether both agree."""
        if self._pair.flags:
            compared = (codes != NODATA_CODE) & (reference != NODATA_CODE)
            pairs = 2 * self._pair.flagged(window)[compared] + (codes == reference)[compared]
            self._flagged += np.bincount(pairs, minlength=4).reshape(2, 2)

    def _flagged_agreement(self) -> FlaggedAgreement | None:
        if not self._pair.flags:
            return None
        with np.errstate(invalid="ignore"):
            elsewhere, flagged = self._flagged[:, 1] / self._flagged.sum(axis=1)
        return FlaggedAgreement(int(self._flagged[1].sum()), float(flagged), float(elsewhere))

    def _add_areas(self, window: Window, codes: NDArray[np.uint8], reference: NDArray[np.uint8]) -> None:
        compared = (codes != NODATA_CODE) & (reference != NODATA_CODE)
        rows = self._row_ha[window.row : window.row_end]
        hectares = np.broadcast_to(rows[:, None], codes.shape)[compared]
        self._map_ha += np.bincount(codes[compared] - 1, hectares, minlength=len(self._names))
        self._reference_ha += np.bincount(reference[compared] - 1, hectares, minlength=len(self._names))

    def report(self, subject: str, reference: str, start: float) -> EvaluationReport:
        """What all windows say.

        Args:
            subject: The map, as the user named it.
            reference: The reference, likewise.
            start: `time.monotonic()` of the beginning.

        Raises:
            InputError: No pixel has a class in both.
        """
        per_block = np.concatenate(self._blocks)
        matrix = ConfusionMatrix(per_block.sum(axis=0), self._names)
        if not matrix.total:
            raise InputError(
                f"no pixel has a class both in {subject} and in {reference}",
                "check that they overlap, and which classes the crosswalk ignores",
            )
        intervals, side = score_intervals(per_block, self._names, self._options.seed), self._options.block_px
        notes = self._pair.notes()
        if intervals.blocks < _FEW_BLOCKS:
            notes += (f"{intervals.blocks} blocks are few: the intervals are rough; smaller blocks make more of them",)
        for note in notes:
            _log.warning("%s", note)
        return EvaluationReport(
            subject=subject,
            reference=reference,
            legend=self._pair.legend,
            matrix=matrix,
            intervals=intervals,
            block=f"{side} x {side} px",
            seed=self._options.seed,
            candidates=self._candidates,
            calibration=self._reliability.result() if self._reliability else None,
            areas=self._areas(),
            edges=self._edge_agreement() if self._options.edges else None,
            flagged=self._flagged_agreement(),
            notes=notes,
            seconds=time.monotonic() - start,
        )

    def _areas(self) -> tuple[CountedArea, ...]:
        entries = zip(self._names, self._map_ha.tolist(), self._reference_ha.tolist(), strict=True)
        return tuple(CountedArea(*entry) for entry in entries) if np.isfinite(self._row_ha).all() else ()

    def _edge_agreement(self) -> EdgeAgreement:
        per_block = np.concatenate(self._edges)
        near, inside, inside_fraction = _edge_scores(per_block.sum(axis=0))
        found = block_intervals(per_block, _edge_scores, seed=self._options.seed)
        ends = list(zip(found.low.tolist(), found.high.tolist(), strict=True))
        return EdgeAgreement(near, ends[0], inside, ends[1], inside_fraction)


def _blocks_of(window: Window, block: int) -> tuple[NDArray[np.intp], int]:
    """Number of each pixel's block inside a window one block high, (1, width), and how many blocks there are."""
    numbers = np.arange(window.width, dtype=np.intp)[None] // block
    return numbers, int(numbers[0, -1]) + 1


def _edge_counts(
    same: NDArray[np.bool_],
    near: NDArray[np.bool_],
    inside: NDArray[np.bool_],
    compared: NDArray[np.bool_],
    block_of: NDArray[np.intp],
    blocks: int,
) -> NDArray[np.int64]:
    """Pixels of each block that are near, inside and the same, inside, and compared: int64 (blocks, 4)."""
    numbers = np.broadcast_to(block_of, same.shape)
    masks = (near, inside & same, inside, compared)
    return np.stack([np.bincount(numbers[mask], minlength=blocks) for mask in masks], axis=1)


def _edge_scores(counts: NDArray[np.int64]) -> tuple[float, float, float]:
    """Agreement of any in 3 x 3, agreement inside, fraction of pixels inside."""
    near, same, inside, compared = counts.tolist()
    unknown = float("nan")
    return (
        near / compared if compared else unknown,
        same / inside if inside else unknown,
        inside / compared if compared else unknown,
    )
