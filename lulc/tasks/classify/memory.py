"""Predicted and measured main memory of a run, bytes."""

import ctypes
import resource
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lulc.tiling import BLOCK, TilePlan

if TYPE_CHECKING:  # commands without a network do not load torch
    from lulc.io.scene.scene import Scene
    from lulc.tasks.classify.series import Series

_INTERPOLATED = 24 << 20
"""Bytes a plane that interpolation onto another grid takes at once: its neighbours, and sums in float64."""

_MAX_CACHE = 512 << 20
_MIN_CACHE = 32 << 20


def gdal_cache_bytes(plan: TilePlan, series: "Series", planes: int) -> int:
    """Size of GDAL's block cache, bytes, at which every source block is decoded once while chunks run down a panel.

    The rows of blocks that two chunks share must still be cached for the second one. A smaller cache decodes them again
    (measured: 5.6 times slower reading).

    Args:
        plan: Tiles and chunks of the scene.
        series: The input.
        planes: Number of planes that are read of each date.
    """
    needed = sum(_shared_bytes(plan, date.scene, planes) for date in series.dates)
    return min(max(needed, _MIN_CACHE), _MAX_CACHE)


def _shared_bytes(plan: TilePlan, scene: "Scene", planes: int) -> int:
    """Size of the blocks of one scene that two chunks share, bytes."""
    block = scene.block_shape
    width = min(plan.chunk_shape.width, plan.shape.width) + 2 * max(block.width, plan.halo)
    width = max(width, block.width)
    rows = 2 * plan.halo + 2 * block.height
    return rows * width * planes * scene.dtype.itemsize


def predict_peak(
    plan: TilePlan,
    series: "Series",
    names: tuple[str, ...],
    planes: int,
    pixel_bytes: int,
    network_bytes: int,
    in_flight: int,
) -> int:
    """Predict the peak of main memory of a run, bytes: what the process holds now, and what the run adds.

    Args:
        plan: Tiles and chunks of the scene.
        series: The input.
        names: Bands and indices that are read.
        planes: Number of the network's outputs.
        pixel_bytes: Bytes of a pixel of the product, all bands.
        network_bytes: Main memory of all windows that are inferred at once, bytes.
        in_flight: Chunks that begin while an earlier one is waited for.
    """
    window = plan.largest_window.size
    core = max(chunk.core.shape.size for chunk in plan.chunks())
    probabilities = (3 if plan.fade or series.counted else 1) * window * planes * 4
    writing = (3 + in_flight) * core * pixel_bytes
    overviews = pixel_bytes * plan.shape.width * BLOCK
    margins = len(series.dates) * planes * 4 * plan.fade * (plan.shape.width + plan.window)
    return (
        _used_bytes()
        + _reading_bytes(plan, series, len(names), 2 + in_flight)
        + network_bytes
        + probabilities
        + (_sums_bytes(plan, planes) if series.counted else 0)
        + writing
        + overviews
        + margins
        + gdal_cache_bytes(plan, series, len(names))
    )


def _reading_bytes(plan: TilePlan, series: "Series", planes: int, chunks: int) -> int:
    """So many chunks as they are read, bytes. A date on another grid is read as reflectance, float32, and interpolated."""
    read = max(chunk.read.shape.size for chunk in plan.chunks())
    warped = any(not date.grid.same_as(series.grid) for date in series.dates)
    depth = 4 if warped else max(date.scene.dtype.itemsize for date in series.dates)
    return chunks * read * (planes * depth + 1) + (warped and _INTERPOLATED * planes)


def _sums_bytes(plan: TilePlan, planes: int) -> int:
    """Sums of probabilities and of dates of the tiles of one chunk, and two tiles on their way, float32, bytes."""
    chunk = max(sum(tile.core.shape.size for tile in chunk.tiles) for chunk in plan.chunks())
    return (chunk + 2 * plan.largest_window.size) * (planes + 1) * 4


def _used_bytes() -> int:
    """Main memory that this process uses, bytes: what glibc keeps of probing the network is given back, since it is used again."""
    if sys.platform.startswith("linux") and hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)
    return resident_bytes()


def resident_bytes() -> int:
    """Resident main memory of this process, bytes."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return peak_resident_bytes()
    return pages * resource.getpagesize()


def peak_resident_bytes() -> int:
    """Peak resident main memory of this process, bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would also count the process that started this one
        line = next(line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
