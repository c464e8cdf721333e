"""The largest windows that fit into main memory, and how many are inferred at once."""

from dataclasses import dataclass
from math import inf

from lulc.errors import LimitError
from lulc.model.bundle import Bundle
from lulc.model.device import MOST_WINDOWS, Placement
from lulc.model.memory import held_bytes
from lulc.model.predictor import workers_on
from lulc.tasks.classify.memory import predict_peak
from lulc.tasks.classify.options import ClassifyOptions
from lulc.tasks.classify.series import Series
from lulc.tiling import TilePlan

DEFAULT_CORE = 1024
"""Side of the kept square when `--window` is not given, pixels; smaller ones are tried under `--max-memory`."""

_SMALLER_CORES = (DEFAULT_CORE, 512, 256, 128)
_WIDEST = 4
"""Bytes of the widest raw value."""


@dataclass(frozen=True, slots=True)
class Fit:
    """Windows that fit into main memory.

    Attributes:
        plan: Tiles and chunks of the scene.
        in_flight: Chunks that begin while an earlier one is waited for; 0 where windows fade into each other or dates are
            summed, so that none is finished by itself.
        window_bytes: Memory that the forward pass of one window takes on its device, bytes.
        peak_bytes: Predicted peak of main memory, bytes.
    """

    plan: TilePlan
    in_flight: int
    window_bytes: int
    peak_bytes: int


def fit_memory(
    series: Series,
    bundle: Bundle,
    options: ClassifyOptions,
    names: tuple[str, ...],
    margins: tuple[int, int],
    placement: Placement,
    stride: int,
    pixel_bytes: int,
) -> Fit:
    """Choose the largest windows that fit into the main memory that the run may take.

    Raises:
        LimitError: No window fits.
    """
    halo, fade = margins
    limit = options.max_memory or inf
    windows = [options.window] if options.window else [core + 2 * halo for core in _SMALLER_CORES]
    in_flight = 0 if fade or series.counted else _chunks_in_flight(placement, options)
    peak = 0
    for window in windows:
        plan = TilePlan.from_window(series.grid.shape, stride, window, halo, fade)
        network = held_bytes(bundle.network, len(bundle.card.features.channels), plan.largest_window, placement.dtype)
        busy = _host_bytes(plan, options, placement, network, len(names) * _WIDEST + pixel_bytes)
        peak = predict_peak(plan, series, names, bundle.planes, pixel_bytes, busy, in_flight)
        if peak <= limit:
            return Fit(plan, in_flight, network, peak)
    raise LimitError(
        f"this scene needs about {peak / 1e9:.2f} GB, --max-memory allows {limit / 1e9:.2f} GB",
        f"allow more, or use a smaller {'--halo' if options.halo and not options.window else '--window'}",
    )


def _chunks_in_flight(placement: Placement, options: ClassifyOptions) -> int:
    """Chunks of independent windows that begin ahead: one, so that no worker waits for the others; on GPUs one a lane."""
    return len(placement.each()) * workers_on(placement, options.threads) if placement.device.type == "cuda" else 1


def _host_bytes(
    plan: TilePlan, options: ClassifyOptions, placement: Placement, window_bytes: int, pixel_bytes: int
) -> int:
    """Main memory of the windows on their way, bytes: of the network itself, or of the buffers of its GPUs."""
    lanes = len(placement.each()) * workers_on(placement, options.threads)
    if placement.device.type != "cuda":
        return lanes * (options.batch or 1) * window_bytes
    return lanes * (options.batch or MOST_WINDOWS) * plan.largest_window.size * (pixel_bytes + 1)
