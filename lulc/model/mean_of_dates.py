"""Mean of the probabilities of several dates, pixel by pixel over those that show the ground, and its product."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lulc.bands import Radiometry
from lulc.grid import Window
from lulc.io.product.bands import CLEAR
from lulc.io.scene.source import Raster
from lulc.model.inference import ChunkInference
from lulc.model.lane import Lane
from lulc.tiling import Chunk


class MeanOfDates:
    """Sum of the planes of one window over dates, and the number of dates that each pixel was seen on.

    Args:
        like_pyx: Planes of the window, float32 (planes, height, width), for their shape and device: probabilities, and
            familiarity where the model has it.
    """

    def __init__(self, like_pyx: Tensor) -> None:
        self._total = torch.zeros_like(like_pyx)
        self._looks = torch.zeros_like(like_pyx[0])

    def add(self, planes_pyx: Tensor, valid_yx: NDArray[np.bool_]) -> None:
        """Add one date.

        Args:
            planes_pyx: float32 (planes, height, width).
            valid_yx: bool (height, width); False where the date does not show the ground.
        """
        valid = torch.from_numpy(valid_yx).to(planes_pyx.device)
        self._total += planes_pyx.masked_fill(~valid, 0.0)
        self._looks += valid

    @property
    def looks(self) -> NDArray[np.uint8]:
        """Number of dates of each pixel: uint8 (height, width)."""
        return self._looks.to(torch.uint8).cpu().numpy()

    def mean(self) -> Tensor:
        """Mean planes, float32 (planes, height, width); 0 where no date shows the ground."""
        return self._total / self._looks.clamp(min=1)


class DatesInference:
    """Infers the dates of a chunk one after the other, then the product of their mean.

    Only the sums of one chunk are kept, however many dates there are; with a cross-fade also the margins of each date.
    The class is the argmax of the mean.

    Args:
        infer: Inference of so many dates.
    """

    def __init__(self, infer: ChunkInference) -> None:
        self._infer = infer
        self._parts: dict[Window, MeanOfDates] = {}

    def add(self, chunk: Chunk, pixels: Raster, radiometry: Radiometry, date: int, *, clear: bool) -> bool:
        """Add the next date of a chunk.

        Args:
            chunk: Next chunk of the plan.
            pixels: Raw planes (bands, height, width) and valid mask of `chunk.read`.
            radiometry: How the raw values of this date become reflectance.
            date: Number of the date, from 0.
            clear: Only what the network calls clear counts.

        Returns:
            True when the date shows a pixel of the chunk.

        Raises:
            ModelError: The network gives values of the sky that are not finite.
            LimitError: The device has not enough memory for one window.
        """
        seen: list[bool] = []

        def add(window: Window, planes: Tensor, lane: Lane) -> None:
            shown = pixels.valid[window.slices(chunk.read)]
            shown = shown & (self._infer.sky_of(planes, lane) == CLEAR) if clear else shown
            ground = planes[: lane.predictor.ground]
            if window not in self._parts:
                self._parts[window] = MeanOfDates(ground)
            self._parts[window].add(ground, shown)
            seen.append(bool(shown.any()))

        self._infer.begin_parts(chunk, pixels, add, radiometry, date)()
        return any(seen)

    def product(self, chunk: Chunk) -> NDArray[np.generic]:
        """Product of the dates that were added, which are then forgotten.

        Returns:
            uint8 or float32 (bands, height, width) of `chunk.core`: as `ChunkInference.begin`, and the number of dates
            last; 255 nodata.

        Raises:
            ModelError: The network gives values that are not finite.
        """
        product = self._infer.empty(chunk, extra=1)
        for window, seen in self._parts.items():
            looks = seen.looks
            part = product[:, *window.slices(chunk.core)]
            part[:-1] = self._infer.product_of(seen.mean(), looks > 0)
            part[-1][looks > 0] = looks[looks > 0]
        self._parts.clear()
        return product
