"""TilePlan: the windows in which a scene is read and inferred. Integer geometry only; no files, no arrays.

Three rules keep the stitched map equal to one untiled forward pass:

* Every window starts at a multiple of the network's total stride, and the canvas ends at such a multiple. A window
  pulled back to the edge would start off the stride and differ everywhere.
* Every kept core is at least `halo` pixels away from the borders of its window. Around the scene the canvas holds
  mirrored pixels: the zeros that a network pads with would draw a frame of wrong classes along the scene's edge.
* Cores tile the scene: each pixel is kept exactly once.

A chunk is the unit of reading, inference and storage: some cores of one row, its sides whole output blocks. Chunks run
down one panel of columns after the other, so memory depends on neither the height nor the width of the scene.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, lcm, sqrt

from lulc.errors import UsageError
from lulc.grid import Shape, Window

BLOCK = 512
"""Side of the product's internal blocks, in pixels."""

_CORE_STEP = 128
_PANEL_WIDTH = 2048

_SLAB_PIXELS = 1 << 15
"""Pixels that are worked on at once: their planes stay in a core's cache. (Rounding nine classes: 0.030 s for a megapixel; with
slabs of 4096 pixels the calls themselves cost more, 0.048.)"""


@dataclass(frozen=True, slots=True)
class Tile:
    """One window of the network's input, and the part of its output that is kept.

    Attributes:
        read: Window that the network sees; may reach into the canvas around the scene.
        core: Window of the output that is kept; inside the scene.
        fade: Right and bottom margin over which the tile fades into its neighbours, pixels.
    """

    read: Window
    core: Window
    fade: int = 0

    @property
    def kept(self) -> Window:
        """Core and fading margin, clipped to the window that was read."""
        margin = Window(self.core.row, self.core.col, self.core.height + self.fade, self.core.width + self.fade)
        return margin.intersection(self.read)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Tiles that are read, inferred and stored as a unit.

    Attributes:
        index: Position in the order of work, counted from 0.
        core: Window of the product that the chunk fills.
        read: Window of the scene that its tiles need.
        tiles: Its tiles, left to right, then top to bottom.
    """

    index: int
    core: Window
    read: Window
    tiles: tuple[Tile, ...]


@dataclass(frozen=True, slots=True)
class TilePlan:
    """Division of a scene into tiles and chunks.

    Attributes:
        shape: Rows and columns of the scene.
        stride: Total stride of the network, pixels.
        core: Side of the kept square, pixels; a multiple of the stride and of 128.
        halo: Margin read around the core, pixels; a multiple of the stride.
        fade: Width of the cross-fade between neighbours, pixels, at most the halo; 0 cuts at the core's border.

    Raises:
        UsageError: The cross-fade is wider than the halo.
    """

    shape: Shape
    stride: int
    core: int
    halo: int
    fade: int = 0

    def __post_init__(self) -> None:
        if self.shape.size == 0:
            raise ValueError("a scene of no pixels has no plan")
        if self.stride < 1 or self.core < 1 or self.halo < 0:
            raise ValueError(f"stride and core must be positive, halo not negative: {self}")
        if self.core % lcm(self.stride, _CORE_STEP) or self.halo % self.stride:
            raise ValueError(f"core and halo must be multiples of the stride {self.stride}: {self}")
        if not 0 <= self.fade <= self.halo:
            raise UsageError(
                f"a blend of {self.fade} px is wider than the halo of {self.halo} px", "use a smaller --blend"
            )

    @classmethod
    def from_window(cls, shape: Shape, stride: int, window: int, halo: int, fade: int = 0) -> "TilePlan":
        """Plan with windows of at most `window` pixels a side.

        Args:
            shape: Rows and columns of the scene.
            stride: Total stride of the network, pixels.
            window: Largest side of a window, halo included, pixels.
            halo: Margin around the core, pixels; rounded up to the stride.
            fade: Width of the cross-fade, pixels.

        Raises:
            UsageError: The window leaves no core between its halos, or the cross-fade is wider than the halo.
        """
        step = lcm(stride, _CORE_STEP)
        halo = round_up(halo, stride)
        core = (window - 2 * halo) // step * step
        if core < step:
            raise UsageError(
                f"a window of {window} px leaves no core inside a halo of {halo} px",
                f"use --window {step + 2 * halo} or more, or a smaller --halo",
            )
        return cls(shape, stride, core, halo, fade)

    @property
    def window(self) -> int:
        """Side of a full window, halo included, pixels."""
        return self.core + 2 * self.halo

    @property
    def canvas(self) -> Window:
        """Window of one untiled pass: the scene, its end rounded up to whole strides, with a halo all around."""
        height, width = (round_up(side, self.stride) for side in (self.shape.height, self.shape.width))
        return Window(0, 0, height, width).grown(self.halo)

    @property
    def largest_window(self) -> Shape:
        """Rows and columns of the largest window of this plan, pixels."""
        return Shape(min(self.window, self.canvas.height), min(self.window, self.canvas.width))

    @property
    def chunk_shape(self) -> Shape:
        """Rows and columns of the largest chunk core, pixels: whole cores and whole blocks.

        It spans the scene's width when tiles fade.
        """
        side = lcm(self.core, BLOCK)
        columns = max(1, _PANEL_WIDTH // side)
        if self.fade:
            columns = ceil(self.shape.width / side)
        return Shape(side, side * columns)

    @property
    def cost(self) -> float:
        """Pixels that the network sees per pixel of the scene; 1 would be without halos."""
        return sum(tile.read.shape.size for chunk in self.chunks() for tile in chunk.tiles) / self.shape.size

    @property
    def chunk_count(self) -> int:
        """Number of chunks."""
        full = self.chunk_shape
        return ceil(self.shape.height / full.height) * ceil(self.shape.width / full.width)

    def chunks(self) -> Iterator[Chunk]:
        """Chunks in the order of work: down one panel of columns, then down the next."""
        full = self.chunk_shape
        scene = self.shape.window
        index = 0
        for col in range(0, self.shape.width, full.width):
            for row in range(0, self.shape.height, full.height):
                core = Window(row, col, full.height, full.width).intersection(scene)
                yield self._chunk(index, core, scene)
                index += 1

    def _chunk(self, index: int, core: Window, scene: Window) -> Chunk:
        tiles = tuple(
            self._tile(Window(row, col, self.core, self.core), scene)
            for row in range(core.row, core.row_end, self.core)
            for col in range(core.col, core.col_end, self.core)
        )
        first, last = tiles[0].read, tiles[-1].read
        read = Window(first.row, first.col, last.row_end - first.row, last.col_end - first.col)
        return Chunk(index, core, read.intersection(scene), tiles)

    def _tile(self, core: Window, scene: Window) -> Tile:
        return Tile(core.grown(self.halo).intersection(self.canvas), core.intersection(scene), self.fade)


def block_windows(shape: Shape, side: int) -> Iterator[Window]:
    """Windows of at most `side` pixels a side, row by row, that cover each pixel of the shape once."""
    yield from panel_windows(shape, side, max(shape.width, 1))


def spread_windows(shape: Shape, side: int, count: int) -> list[Window]:
    """At most `count` of the `block_windows` of a shape, evenly spread over its rows and columns, row by row.

    Where not all of them are wanted, thin ones at the lower and right edge are left out: they stand for little.

    Args:
        shape: Rows and columns to sample.
        side: Largest side of a window, pixels.
        count: Most windows, 1 or more; all of them where the shape has no more.
    """
    blocks = shape.blocks(side)
    if not blocks.size:
        return []
    if count < blocks.size:
        blocks = Shape(max(1, shape.height // side), max(1, shape.width // side))
    rows = min(max(1, round(sqrt(count * blocks.height / blocks.width))), blocks.height, count)
    cols = min(count // rows, blocks.width)
    rows = min(count // cols, blocks.height)
    return [
        Window(row * side, col * side, side, side).intersection(shape.window)
        for row in _spread(blocks.height, rows)
        for col in _spread(blocks.width, cols)
    ]


def _spread(length: int, count: int) -> list[int]:
    """So many of the numbers below `length`, each in the middle of its part."""
    return [(2 * part + 1) * length // (2 * count) for part in range(count)]


def panel_windows(shape: Shape, side: int, panel: int = 4096) -> Iterator[Window]:
    """Windows that cover each pixel once, down one panel of columns, then down the next.

    A product written in this order has few unfinished overview tiles at any time, however wide it is.

    Args:
        shape: Rows and columns to cover.
        side: Largest side of a window, pixels.
        panel: Width of a panel, pixels; a multiple of the side.
    """
    for first in range(0, shape.width, panel):
        for row in range(0, shape.height, side):
            for col in range(first, min(first + panel, shape.width), side):
                yield Window(row, col, side, side).intersection(shape.window)


def row_slabs(height: int, width: int) -> Iterator[slice]:
    """The rows of planes of this size, in slabs whose pixels stay in a core's cache."""
    rows = max(1, _SLAB_PIXELS // max(width, 1))
    for row in range(0, height, rows):
        yield slice(row, min(row + rows, height))


def round_up(value: int, step: int) -> int:
    """Smallest multiple of `step` that is not below `value`."""
    return -(-value // step) * step
