"""How much of a map lies under clouds and under their shadows, as flagged in its band `clouds`."""

import logging
from collections.abc import Mapping
from pathlib import Path

from lulc.io.product.areas import sky_areas
from lulc.io.product.bands import CLEAR

_log = logging.getLogger(__name__)

_MANY = 0.01
"""Share of a map under clouds and shadows that is told as a warning."""


def tell_clouds(product: Path, remedy: str) -> dict[str, float]:
    """Shares of a map's valid pixels under clouds and under their shadows, 0..1; empty where none are flagged.

    They are counted in the file, so those of resumed and of sharded runs are right too. Many are one warning.

    Args:
        product: The published map.
        remedy: What to do about many, in a few words.

    Raises:
        InputError: Its pixels break the format.
        StorageError: A block cannot be read.
    """
    shares = {entry.name: entry.share for entry in sky_areas(product) if entry.code != CLEAR}
    if sum(shares.values()) > _MANY:
        _log.warning("%s: %s of the map; %s", product.name, shares_text(shares), remedy)
    return shares


def shares_text(shares: Mapping[str, float]) -> str:
    """Shares 0..1 by name, for people: `cloud 12.5% and shadow 3.0%`."""
    return " and ".join(f"{name} {share:.1%}" for name, share in shares.items())
