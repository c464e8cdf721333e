"""The sweep: strips of rows, from top to bottom, join to the patches of the whole map.

Behind the sweep line lie the groups whose turn has not come, because they, or what they wait for, touch a patch that goes on beyond the
line. All others are done and forgotten, so memory does not grow with the height of the map, apart from the verdicts.
"""

from typing import NamedTuple

import numpy as np

from lulc.io.product.runs import Indices, touching
from lulc.tasks.clean.groups import Groups
from lulc.tasks.clean.pieces import LARGE, Borders, Contacts, Line, StripPieces, contact_length, sorted_contacts
from lulc.tasks.clean.unit import Integers

_NO_LINE = Line(np.zeros(0, np.intp), np.zeros(0, np.intp), np.zeros(0, np.uint8), np.zeros(0, np.intp))


class Strip(NamedTuple):
    """What the sweep takes of a strip.

    Attributes:
        pieces: Its pieces.
        sums: int64 (K, n) their summed activations; (0, n) by majority.
        contacts: What touches what inside the strip.
        borders: Of small pieces with large ones.
    """

    pieces: StripPieces
    sums: Integers
    contacts: Contacts
    borders: Borders


class Sweep:
    """Joins strips, which are fed from top to bottom.

    Args:
        groups: Where patches below the unit go.
        corners: True where pixels touch that share a corner alone.
    """

    def __init__(self, groups: Groups, *, corners: bool) -> None:
        self._groups, self._corners, self._line = groups, corners, _NO_LINE

    def feed(self, strip: Strip) -> None:
        """Add the next strip, and let groups have their turns that can."""
        groups, pieces = self._groups, strip.pieces
        begin = groups.extend(pieces, strip.sums)
        groups.touch(strip.contacts, strip.borders, begin)
        top, bottom = (_counted(pieces.line(row), begin) for row in (0, len(pieces.codes) - 1))
        into = self._stitch(top)
        on_line = np.where(bottom.piece == LARGE, LARGE, into[bottom.piece])
        on_line[~np.append(groups.alive, False)[on_line]] = LARGE
        groups.finish_patches(on_line[on_line != LARGE])
        groups.settle()
        number = np.append(groups.compact(), LARGE)  # of a large one too
        self._line = bottom._replace(piece=number[on_line])

    def end(self) -> None:
        """After the last strip: what is left has its turn."""
        self._groups.finish_patches(np.zeros(0, np.intp))
        self._groups.settle()
        self._groups.verdicts.resolve()

    def _stitch(self, top: Line) -> Indices:
        """Join the patches of the line with those of the row below it; returns where every group has gone."""
        groups, line = self._groups, self._line
        above, below, length = self._across(top)
        one, other = (line.piece[above], line.codes[above]), (top.piece[below], top.codes[below])
        same = one[1] == other[1]
        groups.touch(
            *sorted_contacts((one[0][~same], one[1][~same]), (other[0][~same], other[1][~same]), length[~same])
        )
        first, second = one[0][same], other[0][same]
        small = (first != LARGE) & (second != LARGE)
        large = np.zeros(groups.size + 1, np.bool_)
        large[first[second == LARGE]] = large[second[first == LARGE]] = True
        into = groups.join(first[small], second[small])
        large[into[large[:-1]]] = True
        groups.finish(large[:-1])
        return np.append(into, LARGE)

    def _across(self, top: Line) -> tuple[Indices, Indices, Integers]:
        """Runs of the line and of the row below it that touch, and how long."""
        line = self._line
        pitch = int(max(line.ends.max(initial=0), top.ends.max(initial=0))) + 1
        starts, ends = np.concatenate([line.starts, top.starts + pitch]), np.concatenate([line.ends, top.ends + pitch])
        above, below = touching(starts, ends, pitch, corners=self._corners)
        below = below - line.starts.size
        length = contact_length(
            line.starts[above], line.ends[above], top.starts[below], top.ends[below], corners=self._corners
        )
        return above, below, length


def _counted(line: Line, begin: int) -> Line:
    """A line whose pieces count from `begin`."""
    return line._replace(piece=np.where(line.piece == LARGE, LARGE, line.piece + begin))
