"""What stored label values mean: pixel values to class codes, bands of shares to shares that sum to 1."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lulc.errors import InputError
from lulc.legend import NODATA_CODE, Legend

_SHOWN = 5


class UnknownValuesError(InputError):
    """Pixel values that a legend does not know.

    Attributes:
        values: The values.
    """

    def __init__(self, path: Path, legend: Legend, values: NDArray[Any], pixels: int) -> None:
        self.values = values
        some = values[:_SHOWN].tolist()
        shown = ", ".join(map(exact, some))
        super().__init__(
            f"{path} holds {shown}, which legend {legend.name} does not know ({pixels} pixels of one window)",
            "choose another --legend, or add the value to its nodata_values",
        )


def exact(value: float) -> str:
    """A pixel value for people: a whole number to its last digit."""
    return str(value) if isinstance(value, int) else f"{value:g}"


def codes_of(values: NDArray[Any], labelled: NDArray[np.bool_], legend: Legend, path: Path) -> NDArray[np.uint8]:
    """Class codes of pixel values: uint8 of the same shape, 255 where the value means "not labelled".

    Raises:
        UnknownValuesError: A value that the legend does not know.
    """
    table = sorted(legend.code_of_value().items())
    numbers, meant = np.array([value for value, _ in table]), np.array([code for _, code in table], np.uint8)
    found = values[labelled]
    index = np.searchsorted(numbers, found).clip(max=len(numbers) - 1)
    strange = numbers[index] != found
    if strange.any():
        raise UnknownValuesError(path, legend, np.unique(found[strange]), int(strange.sum()))
    codes = np.full(values.shape, NODATA_CODE, np.uint8)
    codes[labelled] = meant[index]
    return codes


def normalised_shares(values: NDArray[Any], labelled: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Shares that sum to 1: float32 (K, height, width), NaN where not labelled or where all are 0."""
    shares = values.astype(np.float32)
    total = shares.sum(axis=0)
    total[~labelled | ~(total > 0)] = np.nan
    result: NDArray[np.float32] = shares / total
    return result


def largest_share(shares: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Code of the class with the largest share, the first of equals: uint8 (height, width), 255 where not labelled."""
    missing = np.isnan(shares[0])
    codes = np.where(missing, np.float32(0), shares).argmax(axis=0) + 1
    return np.where(missing, NODATA_CODE, codes).astype(np.uint8)
