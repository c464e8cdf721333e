"""`--verify-seams`: test a map for seams by inferring windows across them again."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lulc.grid import Window
from lulc.io.product.bands import CLEAR
from lulc.io.product.reader import ProductReader, open_product
from lulc.legend import NODATA_CODE
from lulc.model.inference import padded_window
from lulc.model.mean_of_dates import MeanOfDates
from lulc.model.quantise import sky_codes
from lulc.tasks.classify.chunk_loop import predictors_for
from lulc.tasks.classify.job import Job
from lulc.tasks.classify.series import Series
from lulc.tiling import TilePlan, round_up

_SEED = 20_180_825


@dataclass(frozen=True, slots=True)
class SeamReport:
    """Difference between the map and the same network run on shifted windows.

    Attributes:
        windows: Number of windows inferred again, each centred on a seam, half a window out of phase.
        pixels: Number of valid pixels compared.
        max_difference: Largest difference of an activation, 0..1; None for a product without activations. A uint8
            product cannot agree better than 1/250.
        flips_percent: Percentage of pixels whose class changes.
        flips_near_percent: The same within 16 px of a seam.
        flips_elsewhere_percent: The same farther away.
    """

    windows: int
    pixels: int
    max_difference: float | None
    flips_percent: float
    flips_near_percent: float
    flips_elsewhere_percent: float


_NEAR = 16


def seam_windows(plan: TilePlan, count: int) -> list[Window]:
    """Random windows centred on borders between cores, on the stride and inside the scene, with a fixed seed.

    Args:
        plan: Tiles of the scene.
        count: Number of windows; none are made when there is only one core.
    """
    rng = np.random.default_rng(_SEED)
    side = plan.core // 2 // plan.stride * plan.stride
    rows = _seams(plan.shape.height, plan.core)
    columns = _seams(plan.shape.width, plan.core)
    windows = []
    for _ in range(count if rows.size + columns.size else 0):
        across = bool(columns.size) and (not rows.size or bool(rng.integers(2)))
        row = rng.integers(plan.shape.height) if across else rng.choice(rows)
        column = rng.choice(columns) if across else rng.integers(plan.shape.width)
        windows.append(_around(plan, int(row), int(column), side))
    return windows


def _seams(length: int, core: int) -> NDArray[np.int64]:
    return np.arange(core, length, core)


def _around(plan: TilePlan, row: int, column: int, side: int) -> Window:
    half = side // 2
    top = max(0, (row - half) // plan.stride * plan.stride)
    left = max(0, (column - half) // plan.stride * plan.stride)
    wanted = Window(top, left, side, side)
    return wanted.intersection(Window(0, 0, plan.shape.height, plan.shape.width))


def verify_seams(series: Series, job: Job, product: Path, count: int) -> SeamReport:
    """Infer random windows across seams again and compare them with the product.

    Args:
        series: The input.
        job: The classification that made the product.
        product: The published product.
        count: Number of windows.

    Raises:
        InputError: The product breaks the format.
        LimitError: The device has not enough memory.
        StorageError: A block of the scene or of the product cannot be read.
    """
    windows = seam_windows(job.plan, count)
    tally, network = _Tally(), InferredAgain(series, job)
    with open_product(product) as stored:
        for window in windows:
            tally.add(network.probabilities(window), stored, window, _near_seam(job.plan, window))
        largest = tally.largest if stored.has_activations else None
    return SeamReport(
        windows=len(windows),
        pixels=tally.pixels,
        max_difference=largest,
        flips_percent=_percent(tally.flips, tally.pixels),
        flips_near_percent=_percent(tally.near_flips, tally.near),
        flips_elsewhere_percent=_percent(tally.flips - tally.near_flips, tally.pixels - tally.near),
    )


@dataclass
class _Tally:
    pixels: int = 0
    flips: int = 0
    near: int = 0
    near_flips: int = 0
    largest: float = 0.0

    def add(
        self, again_kyx: NDArray[np.float32], stored: ProductReader, window: Window, near_yx: NDArray[np.bool_]
    ) -> None:
        codes = stored.classes(window)
        valid = codes != NODATA_CODE
        flipped = (again_kyx.argmax(axis=0) + 1 != codes) & valid
        self.pixels += int(valid.sum())
        self.flips += int(flipped.sum())
        self.near += int((near_yx & valid).sum())
        self.near_flips += int((flipped & near_yx).sum())
        if stored.has_activations and valid.any():
            difference = np.abs(again_kyx - stored.activations(window))
            self.largest = max(self.largest, float(np.nanmax(difference)))


class InferredAgain:
    """Infers single windows of a scene, as a job would have.

    Args:
        series: The input.
        job: The planned classification.
    """

    def __init__(self, series: Series, job: Job) -> None:
        self._job, self._predictor = job, predictors_for(series, job)[0]

    def probabilities(self, window: Window) -> NDArray[np.float32]:
        """Probabilities of a window, float32 (K, height, width), 0..1, from one run of the network around it for each date."""
        job, predictor = self._job, self._predictor
        halo, stride = job.plan.halo, job.plan.stride
        top, left = (start // stride * stride - halo for start in (window.row, window.col))
        height, width = (
            round_up(end + halo - start, stride) for start, end in ((top, window.row_end), (left, window.col_end))
        )
        wanted = Window(top, left, height, width)
        inside = wanted.intersection(job.plan.shape.window)
        rows, columns = window.slices(wanted)
        seen: MeanOfDates | None = None
        for reader in job.readers:
            raw, valid = padded_window(reader.raw(inside), inside, wanted)
            planes = predictor.predict(raw[None], valid[None], reader.radiometry)[0, :, rows, columns]
            probabilities, shown = planes[: predictor.classes], valid[rows, columns]
            if reader.scene.by_network:
                shown = shown & (sky_codes(planes[predictor.ground :]).cpu().numpy() == CLEAR)
            seen = seen or MeanOfDates(probabilities)
            seen.add(probabilities, shown)
        assert seen is not None
        result: NDArray[np.float32] = seen.mean().cpu().numpy()
        return result


def _near_seam(plan: TilePlan, window: Window) -> NDArray[np.bool_]:
    rows = _seam_distance(np.arange(window.row, window.row_end), plan.core, plan.shape.height)
    columns = _seam_distance(np.arange(window.col, window.col_end), plan.core, plan.shape.width)
    return np.minimum.outer(rows, columns) < _NEAR


def _seam_distance(positions: NDArray[np.int64], core: int, length: int) -> NDArray[np.int64]:
    """Distance of rows or columns to the nearest border between cores, pixels."""
    seams = _seams(length, core)
    if not seams.size:
        return np.full(positions.shape, length)
    return np.asarray(np.abs(positions[:, None] - seams).min(axis=1))


def _percent(part: int, whole: int) -> float:
    return 100.0 * part / whole if whole else 0.0
