"""The merge rule: groups of small patches go into their neighbours, the smallest first.

A group takes, as a whole, one of the classes of the groups and large patches that touch it, and joins those of that class. By
`activation` it is the class of the greatest mean activation over the group's pixels, by `majority` that of the longest
shared border, counted in pairs of pixels that touch; in a tie the first of the legend. A group that becomes part of a large patch, or
reaches the unit, is done.

The smallest group of all has its turn first, then the smallest of what is left; of equal ones the one with the first pixel in
row order. Many turns at once give the same result. A turn depends on the group and on the classes of its neighbours alone. A neighbour
that is larger has its turn later, and until then it keeps its class: others that join it make it larger still. So every group that is
smaller than all its neighbours may have its turn now, and no two of these touch. The same holds
for a group behind the sweep line, once all that it touches is complete: nothing that comes later can change its turn.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lulc.io.product.runs import Indices
from lulc.tasks.clean.pieces import Borders, Codes, Contacts, StripPieces, components, each_once
from lulc.tasks.clean.unit import Integers
from lulc.tasks.clean.verdicts import Verdicts

Flags = NDArray[np.bool_]


@dataclass(slots=True)
class Counts:
    """What was found of patches below the unit.

    Attributes:
        patches: Their number.
        islands: Groups of them that touch nothing else, and stay.
        island_patches: The patches in these.
    """

    patches: int = 0
    islands: int = 0
    island_patches: int = 0


class Groups:
    """Groups of small patches that have no place yet, by their numbers in tables.

    Args:
        classes: K.
        least: Area of a group that is not below the unit.
        majority: Choose the class of the longest border, not that of the greatest activation.

    Attributes:
        counts: What was found so far.
        verdicts: What became of the pieces.
        complete: bool (n,) False for a patch that may go on beyond the sweep line.
        alive: bool (n,) False for groups that have gone into others, or are done.
    """

    def __init__(self, classes: int, least: int, *, majority: bool) -> None:
        self.counts, self.verdicts = Counts(), Verdicts()
        self._kinds, self._least, self._majority = classes, least, majority
        none = np.zeros(0, np.int64)
        self._ids, self._areas, self._firsts, self._patches = none, none, none, none
        self._sums = np.zeros((0 if majority else classes, 0), np.int64)
        self._classes = np.zeros(0, np.uint8)
        self.complete, self.alive = np.zeros(0, np.bool_), np.zeros(0, np.bool_)
        self._contacts = Contacts(np.zeros(0, np.intp), np.zeros(0, np.intp), none)
        self._borders = Borders(np.zeros(0, np.intp), np.zeros(0, np.uint8), none)

    @property
    def size(self) -> int:
        """Length of the tables."""
        return self._ids.size

    def extend(self, pieces: StripPieces, sums: Integers) -> int:
        """Append the pieces of a strip as patches that are not complete; returns the number of the first.

        Args:
            pieces: The strip.
            sums: int64 (K, n) summed activations of its pieces; (0, n) by majority.
        """
        begin, count = self.size, pieces.count
        self._ids = np.concatenate([self._ids, self.verdicts.extend(count) + np.arange(count)])
        self._areas = np.concatenate([self._areas, pieces.sizes])
        self._firsts = np.concatenate([self._firsts, pieces.firsts])
        self._patches = np.concatenate([self._patches, np.zeros(count, np.int64)])
        self._sums = np.concatenate([self._sums, sums], axis=1)
        self._classes = np.concatenate([self._classes, pieces.classes])
        self.complete = np.concatenate([self.complete, np.zeros(count, np.bool_)])
        self.alive = np.concatenate([self.alive, np.ones(count, np.bool_)])
        return begin

    def touch(self, contacts: Contacts, borders: Borders, begin: int = 0) -> None:
        """Add contacts and borders, whose numbers count from `begin`."""
        first, second, length = self._contacts
        self._contacts = Contacts(
            np.concatenate([first, contacts.first + begin]),
            np.concatenate([second, contacts.second + begin]),
            np.concatenate([length, contacts.length]),
        )
        piece, code, border = self._borders
        self._borders = Borders(
            np.concatenate([piece, borders.piece + begin]),
            np.concatenate([code, borders.code]),
            np.concatenate([border, borders.length]),
        )

    def finish_patches(self, on_line: Indices) -> None:
        """Patches that do not reach the sweep line are complete.

        Args:
            on_line: Those that do.
        """
        done = self.alive & ~self.complete
        done[on_line] = False
        self.complete |= done
        self._patches[done] = 1
        self.counts.patches += int(np.count_nonzero(done))

    def join(self, first: Indices, second: Indices) -> Indices:
        """Let pairs become one group each; returns where every group has gone, (n,)."""
        into = np.arange(self.size)
        if not first.size:
            return into
        nodes, local = np.unique(np.concatenate([first, second]), return_inverse=True)
        count, label = components(nodes.size, local[: first.size], local[first.size :])
        lead = np.empty(count, np.intp)
        lead[label[::-1]] = nodes[::-1]
        gone, there = nodes[nodes != lead[label]], lead[label][nodes != lead[label]]
        into[gone] = there
        for table in (self._areas, self._patches, *self._sums):
            np.add.at(table, there, table[gone])
        np.minimum.at(self._firsts, there, self._firsts[gone])
        self.verdicts.join(self._ids[gone], self._ids[there])
        self.alive[gone] = False
        self._contacts = self._contacts._replace(first=into[self._contacts.first], second=into[self._contacts.second])
        self._borders = self._borders._replace(piece=into[self._borders.piece])
        return into

    def finish(self, large: Flags) -> None:
        """Close the groups that are part of a large patch, or reach the unit: to others they are large patches.

        Args:
            large: bool (n,) groups that are part of a large patch.
        """
        done = self.alive & (large | (self._areas >= self._least))
        self.verdicts.close(self._ids[done], self._classes[done])
        self.alive[done] = False
        first, second, length = self._contacts
        left, right = done[first], done[second]
        of_first, of_second = right & ~left, left & ~right
        piece, code, border = self._borders
        stays = ~done[piece]
        self._borders = Borders(
            np.concatenate([piece[stays], first[of_first], second[of_second]]),
            np.concatenate([code[stays], self._classes[second[of_first]], self._classes[first[of_second]]]),
            np.concatenate([border[stays], length[of_first], length[of_second]]),
        )
        open_ = ~left & ~right & (first != second)
        self._contacts = Contacts(first[open_], second[open_], length[open_])

    def settle(self) -> None:
        """Give every group its turn that can have it."""
        while (movers := self._movers()).size:
            self._move(movers)

    def compact(self) -> Indices:
        """Drop the groups that are done; returns the new number of every group, (n,), -1 for those dropped."""
        number = np.where(self.alive, np.cumsum(self.alive) - 1, -1)
        kept = np.flatnonzero(self.alive)
        self._ids, self._areas, self._firsts = self._ids[kept], self._areas[kept], self._firsts[kept]
        self._patches, self._sums, self._classes = self._patches[kept], self._sums[:, kept], self._classes[kept]
        self.complete, self.alive = self.complete[kept], self.alive[kept]
        first, second, length = self._contacts
        first, second = number[first], number[second]
        self._contacts = Contacts(*each_once(np.minimum(first, second), np.maximum(first, second), length))
        self._borders = Borders(*each_once(number[self._borders.piece], *self._borders[1:]))
        return number

    def _movers(self) -> Indices:
        """Complete groups that are smaller than all they touch, which is complete; those that touch nothing are closed."""
        first, second, _ = self._contacts
        area, pixel = self._areas, self._firsts
        smaller = (area[first] < area[second]) | ((area[first] == area[second]) & (pixel[first] < pixel[second]))
        waits = ~self.complete
        waits[first[~self.complete[second]]] = waits[second[~self.complete[first]]] = True
        waits[np.where(smaller, second, first)] = True
        alone = self.alive & self.complete
        alone[first] = alone[second] = alone[self._borders.piece] = False
        self._leave(np.flatnonzero(alone))
        return np.flatnonzero(self.alive & ~waits)

    def _leave(self, islands: Indices) -> None:
        """Leave groups as they are that touch nothing: their pieces keep the classes they had."""
        self.alive[islands] = False
        self.counts.islands += islands.size
        self.counts.island_patches += int(self._patches[islands].sum())

    def _move(self, movers: Indices) -> None:
        """Let groups that do not touch each other take their classes, and join their neighbours of these."""
        first, second, length = self._contacts
        place = np.full(self.size, -1, np.intp)
        place[movers] = np.arange(movers.size)
        mover, other, shared = (
            np.concatenate([part[place[first] >= 0], back[place[second] >= 0]])
            for part, back in ((first, second), (second, first), (length, length))
        )
        piece, code, border = (part[place[self._borders.piece] >= 0] for part in self._borders)
        chosen = self._chosen(
            movers,
            place[np.concatenate([mover, piece])],
            np.concatenate([self._classes[other], code]),
            np.concatenate([shared, border]),
        )
        self._classes[movers] = chosen
        large = np.zeros(self.size, np.bool_)
        large[piece[code == chosen[place[piece]]]] = True
        same = self._classes[other] == chosen[place[mover]]
        into = self.join(mover[same], other[same])
        large[into[large]] = True
        self.finish(large)

    def _chosen(self, movers: Indices, place: Indices, code: Codes, length: Integers) -> Codes:
        """Classes that groups take, uint8 (m,), from what each touches: its place among the movers, class and length."""
        score = np.zeros((movers.size, self._kinds), np.int64)
        cell = place * self._kinds + code - 1
        if self._majority:
            np.add.at(score.ravel(), cell, length)
        else:
            score.ravel()[cell] = (
                self._sums[code - np.uint8(1), movers[place]] + 1
            )  # a class of no activation is one, too
        chosen: Codes = (score.argmax(axis=1) + 1).astype(np.uint8)
        return chosen
