"""Change by labels alone, for maps without activations: every pixel whose classes differ has changed.

Nothing tells then how sure a class is. Where both maps err in 10 % of their pixels, up to a fifth of all pixels differ
though nothing changed.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lulc.errors import UsageError
from lulc.grid import Window
from lulc.io.product.maps import ClassMap, open_map
from lulc.io.product.on_grid import ProductOnGrid
from lulc.io.product.reader import ProductReader
from lulc.io.product.writer import ProductWriter
from lulc.legend import NODATA_CODE
from lulc.run import Run
from lulc.tasks.change.inputs import MapPair
from lulc.tasks.change.legend import transition_code
from lulc.tasks.change.options import ChangeOptions
from lulc.tasks.change.stored import change_writer, dated_bands
from lulc.tiling import panel_windows

CHUNK = 1024
"""Side of what is compared and stored at once, pixels: whole blocks of the product."""

_OF_PROBABILITIES = ("threshold", "change_rate", "mmu")

Codes = NDArray[np.uint8]
Reader = Callable[[Window], Codes]


class LabelChange:
    """The loop over chunks of two maps of labels.

    Args:
        pair: The two maps.
        options: What the values of the maps mean, and how the change map is stored.
        run: Its progress advances after each chunk.

    Attributes:
        resumed: Chunks taken over from an interrupted run.
        expected: None: there are no probabilities.
        settings: Nothing: labels that differ decide.

    Raises:
        UsageError: An option needs probabilities.
        InputError: The CRS tells no ground area.
    """

    def __init__(self, pair: MapPair, options: ChangeOptions, run: Run) -> None:
        for name in _OF_PROBABILITIES:
            if getattr(options, name) != type(options).model_fields[name].default:
                flag = f"--{name.replace('_', '-')}"
                raise UsageError(f"{flag} needs activations, and labels alone are compared", "leave it out")
        pair.pixel_areas_ha()
        self._pair, self._options, self._run = pair, options, run
        self.resumed = 0
        self.expected: NDArray[np.float64] | None = None
        self.settings: dict[str, float] = {}

    def writer(self, output: Path) -> ProductWriter:
        """The writer of the change map.

        Raises:
            LulcError: As `ProductWriter`.
        """
        decided_by = {"LULC_DECIDED_BY": "labels"}
        return change_writer(output, self._pair, self._options, dated_bands(self._pair.legend), decided_by, CHUNK)

    def store(self, writer: ProductWriter) -> None:
        """Compare what is not stored yet.

        Raises:
            LulcError: Reading or writing failed, a value is unknown, no pixel has data in both maps, or Interrupted.
        """
        finished, shape, done = frozenset(writer.finished), self._pair.grid.shape, 0
        self.resumed = len(finished)
        with self._readers() as (before, after):
            for index, window in enumerate(panel_windows(shape, CHUNK)):
                if index not in finished:
                    writer.put(index, window, transitions(before(window), after(window), len(self._pair.legend)))
                done += window.shape.size
                self._run.tick(done, shape.size)
        if not writer.holds_data():
            raise self._pair.no_data_error()

    @contextmanager
    def _readers(self) -> Iterator[tuple[Reader, Reader]]:
        """Read class codes of the comparison's legend on a window of its grid."""
        pair, relabel = self._pair, self._pair.crosswalk.relabel
        with ExitStack() as stack:

            def reader(path: Path) -> Reader:
                opened = stack.enter_context(open_map(path, self._options.legend, self._options.nodata))
                read = self._on_grid(opened)
                return lambda window: relabel(read(window))

            yield reader(pair.before.path), reader(pair.after.path)

    def _on_grid(self, opened: ClassMap) -> Reader:
        grid = self._pair.grid
        if isinstance(opened, ProductReader):
            return ProductOnGrid(opened.path, opened.legend, opened.grid, grid).classes
        return lambda window: opened.on_grid(grid, window)


def transitions(before: Codes, after: Codes, classes: int) -> Codes:
    """Bands of a change map by labels: uint8 (3, height, width), transition, class before, class after; 255 nodata.

    Args:
        before: Class codes 1..K, uint8 (height, width), 255 nodata.
        after: Likewise.
        classes: K, at most 15.
    """
    known = (before != NODATA_CODE) & (after != NODATA_CODE)
    bands = np.full((3, *before.shape), NODATA_CODE, np.uint8)
    bands[:, known] = transition_code(before[known], after[known], classes), before[known], after[known]
    return bands
