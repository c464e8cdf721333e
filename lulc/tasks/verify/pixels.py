"""Invariants of every pixel of a map, read block by block."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lulc.errors import InputError
from lulc.grid import Window
from lulc.io.product.bands import CLOUDS, CONFIDENCE, FAMILIARITY, MARGIN, SET_BITS, SET_SIZE, TRUST_TAG
from lulc.io.product.reader import ProductReader
from lulc.io.product.rounding import ACTIVATION_STEPS
from lulc.legend import NODATA_CODE

_SLACK = 1e-6
"""Of activations stored as float32."""


class PixelChecks:
    """Looks at every pixel of an open product.

    Args:
        product: Opened sound, so that codes and sums of activations are refused while they are read.

    Attributes:
        pixels: Pixels looked at.
        valid: Those with data.
    """

    def __init__(self, product: ProductReader) -> None:
        self._product, self.pixels, self.valid = product, 0, 0
        trusted = [name.strip() for name in product.tags.get(TRUST_TAG, "").split(",") if name.strip()]
        self._trusted = trusted
        lacking = [name for name in trusted if name not in product.extra_bands]
        if lacking:
            raise _contradiction(product.path, f"LULC_TRUST names the band {lacking[0]}, which it lacks")
        if ("LULC_CLOUDS" in product.tags and "flagged" in product.tags["LULC_CLOUDS"]) != product.flags_clouds:
            raise _contradiction(product.path, "LULC_CLOUDS and its bands disagree on whether clouds are flagged")

    def run(self) -> None:
        """Look at all blocks.

        Raises:
            InputError: The first pixels that contradict the format, with their place.
            StorageError: A block cannot be read.
        """
        for window in self._product.block_rows():
            self._look(window)

    def _look(self, window: Window) -> None:
        product = self._product
        stored = product.stored(window) if product.has_activations else product.classes(window)[None]
        classes: NDArray[np.uint8] = stored[0].astype(np.uint8, copy=False)
        activations = stored[1:] if product.has_activations else None
        valid = classes != NODATA_CODE
        self.pixels += valid.size
        self.valid += int(valid.sum())
        if activations is not None and not product.minimum_unit:
            self._check_class(window, classes, activations, valid)
        if product.flags_clouds:
            product.sky(window)  # refuses codes that are none
        bands = {name: product.band(name, window) for name in product.extra_bands if name != CLOUDS.name}
        for name, band in bands.items():
            if (band != NODATA_CODE)[~valid].any():
                raise self._at(window, f"band {name} has values where the class has no data")
        if self._trusted:
            trusted = {name: bands[name].astype(np.float32)[valid] for name in self._trusted}
            self._check_trust(window, trusted, classes[valid], None if activations is None else activations[:, valid])

    def _check_class(
        self, window: Window, classes: NDArray[np.uint8], activations: NDArray[np.generic], valid: NDArray[np.bool_]
    ) -> None:
        """The class is the one with the largest activation."""
        given = np.take_along_axis(activations, np.where(valid, classes - 1, 0).astype(np.intp)[None], axis=0)[0]
        slack = 0 if self._product.bytewise else _SLACK
        if (given.astype(np.float32) < activations.max(axis=0).astype(np.float32) - slack)[valid].any():
            raise self._at(window, "the class of a pixel is not the one with the largest activation")

    def _check_trust(
        self,
        window: Window,
        bands: dict[str, NDArray[np.float32]],
        given: NDArray[np.uint8],
        activations: NDArray[np.generic] | None,
    ) -> None:
        """The bands of trust follow from the activations, and familiarity is a share; all of pixels with data alone."""
        if activations is not None and not self._product.minimum_unit:
            ordered = np.sort(activations.astype(np.float32), axis=0)
            first, second = ordered[-1], ordered[-2] if len(ordered) > 1 else np.zeros_like(ordered[-1])
            for name, expected in ((CONFIDENCE.name, first), (MARGIN.name, first - second)):
                if name in bands and (np.abs(bands[name] - expected) > _SLACK).any():
                    raise self._at(window, f"band {name} is not what the activations give")
        most = float(ACTIVATION_STEPS if self._product.bytewise else 1 + _SLACK)
        if FAMILIARITY.name in bands and not ((bands[FAMILIARITY.name] >= 0) & (bands[FAMILIARITY.name] <= most)).all():
            raise self._at(window, f"band {FAMILIARITY.name} holds what is no share")
        if SET_SIZE.name in bands:
            self._check_sets(window, bands, given)

    def _check_sets(self, window: Window, bands: dict[str, NDArray[np.float32]], given: NDArray[np.uint8]) -> None:
        """A set holds as many classes as it says, and the one that is given."""
        names = [name for name in bands if name.startswith("set ") and name != SET_SIZE.name]
        bits = np.stack([bands[name].astype(np.uint8) for name in names])
        held = np.unpackbits(bits[..., None], axis=-1, count=SET_BITS, bitorder="little")
        if (held.sum(axis=(0, 2)) != bands[SET_SIZE.name]).any():
            raise self._at(window, "the size of a set is not the number of its classes")
        of_class = given.astype(np.intp) - 1
        if (
            not self._product.minimum_unit
            and not held[of_class // SET_BITS, np.arange(given.size), of_class % SET_BITS].all()
        ):
            raise self._at(window, "a set lacks the class that is given")

    def _at(self, window: Window, what: str) -> InputError:
        return _contradiction(self._product.path, f"{what}, in rows {window.row}-{window.row_end}")


def _contradiction(path: Path, what: str) -> InputError:
    return InputError(f"{path}: {what}", "it was changed since lulc wrote it, or is damaged: make it again")
