"""Pixels whose activations are the same bytes at both dates are decided once.

Where a model is sure, its activations are few different bytes: of a forest near Toulouse (`benchmarks/commands.py`) 4 % of the
pixels are left to decide. Of noise 99 % are left, and looking for equal ones adds a seventh to deciding all.
"""

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Indices = NDArray[np.intp]

_WORD = 8
_SLOTS = 2
"""Slots of the table for each pixel. Two kinds of pixels that meet in one slot cost time, never a digit."""

_MIXER = 0x9E3779B97F4A7C15
"""An odd number of 64 bits without a pattern (2**64 over the golden ratio)."""


def distinct_pairs(before: Bytes, after: Bytes) -> tuple[Indices, Indices]:
    """Choose pixels that stand for all, by a hash table in which each pixel looks for one that is equal.

    Args:
        before: uint8 (K, n) stored activations.
        after: The same of the later date.

    Returns:
        The chosen pixels, (m,), and for each pixel the position of the one that stands for it among them, (n,). Equal
        pixels may be chosen more than once.
    """
    words, count = _words(before, after), before.shape[1]
    bits = max(1, (_SLOTS * count).bit_length())
    mixed = np.zeros(count, np.uint64)
    for number, word in enumerate(words, start=1):
        mixed += word * np.uint64(pow(_MIXER, number, 1 << 64))
    slot = (mixed >> np.uint64(64 - bits)).astype(np.intp)
    table, own = np.empty(1 << bits, np.intp), np.arange(count)
    table[slot] = own
    leader = table[slot]
    for word in words:
        leader = np.where(word[leader] == word, leader, own)
    leads = leader == own
    position = np.cumsum(leads) - 1
    return np.flatnonzero(leads), position[leader]


def _words(before: Bytes, after: Bytes) -> NDArray[np.uint64]:
    """The bytes of each pixel in whole words: uint64 (words, n)."""
    classes, count = before.shape
    table = np.zeros((count, -(-2 * classes // _WORD) * _WORD), np.uint8)
    for column, plane in enumerate((*before, *after)):  # all at once takes five times as long
        table[:, column] = plane
    return np.ascontiguousarray(table.view(np.uint64).T)
