"""Agreement near the borders between classes, where a pixel's shift in place looks like an error in class."""

import numpy as np
from numpy.typing import NDArray

from lulc.legend import NODATA_CODE


def edge_masks(
    map_codes: NDArray[np.uint8], reference_codes: NDArray[np.uint8]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Where the map's class occurs in the reference's 3 x 3 pixels, where these are of one class, and where both have one.

    Args:
        map_codes: uint8 (height, width), 255 without data.
        reference_codes: The same with a margin of one pixel on each side, (height + 2, width + 2); 255 beyond the scene.

    Returns:
        Three masks, bool (height, width). Near: the map's class is one of the nine. Inside: the nine are labelled and
        of one class. Compared: map and reference have a class; where they have not, the other two are False.

    Raises:
        ValueError: The reference does not have that margin.
    """
    height, width = map_codes.shape
    if reference_codes.shape != (height + 2, width + 2):
        raise ValueError(f"a reference of {reference_codes.shape} has no margin around a map of {map_codes.shape}")
    centre = reference_codes[1:-1, 1:-1]
    compared = (map_codes != NODATA_CODE) & (centre != NODATA_CODE)
    near, inside = np.zeros_like(compared), compared.copy()
    for row in range(3):
        for col in range(3):
            neighbour = reference_codes[row : row + height, col : col + width]
            near |= neighbour == map_codes
            inside &= neighbour == centre
    return near & compared, inside, compared
