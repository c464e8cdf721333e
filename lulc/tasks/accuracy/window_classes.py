"""Classes that a model gives to windows of scenes, from reflectance that a caller may change before."""

import numpy as np
from numpy.typing import NDArray

from lulc.errors import LimitError, ModelError
from lulc.grid import Window
from lulc.io.scene.scene import Scene
from lulc.io.scene.source import Raster
from lulc.legend import NODATA_CODE
from lulc.model.bundle import Bundle
from lulc.model.channels import REFLECTANCE
from lulc.model.device import Placement
from lulc.model.inference import padded_window
from lulc.model.predictor import Predictor
from lulc.model.receptive_field import ReceptiveField
from lulc.tiling import round_up

_FALLBACK_HALO = 64
"""Halo of a network whose receptive field has no bound, pixels; no halo is exact there."""


class WindowClassifier:
    """A model that classifies reflectance of any height and width.

    Args:
        bundle: Card and network.
        names: Bands and indices that it is given, in order.
        field: Receptive field of the network.
        placement: Device and precision.

    Attributes:
        names: As given.
        stride: Total stride of the network, pixels.
    """

    def __init__(self, bundle: Bundle, names: tuple[str, ...], field: ReceptiveField, placement: Placement) -> None:
        self.names, self.stride = names, field.stride
        halo = field.halo if field.bounded else round_up(_FALLBACK_HALO, field.stride)
        self._margin = halo + field.stride
        self._predictor = Predictor(bundle, REFLECTANCE, names, placement)

    def around(self, window: Window) -> Window:
        """What is read for a window: whole strides, and a margin that a shift by less than a stride may cut.

        The half receptive field of every pixel of the window stays inside, if it has a bound. The window starts at a
        multiple of the stride; the margin may lie outside the scene.
        """
        height, width = (round_up(side, self.stride) for side in (window.height, window.width))
        return Window(window.row, window.col, height, width).grown(self._margin)

    def read(self, scene: Scene, window: Window) -> NDArray[np.float32]:
        """Reflectance of `around(window)`, mirrored outside the scene: float32 (names, height, width), NaN for no data.

        Raises:
            StorageError: The scene cannot be read there.
        """
        wanted = self.around(window)
        inside = wanted.intersection(scene.grid.window)
        values = scene.reflectance(self.names, inside)
        mirrored = padded_window(Raster(values, has_data(values)), inside, wanted).data
        return mirrored.astype(np.float32, copy=False)

    def __call__(self, image: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Most probable class of each pixel: uint8 (height, width), codes 1..K, 255 where a band has no data.

        Args:
            image: float32 (names, height, width), NaN where there is no data.

        Raises:
            ModelError: The network gives values that are not finite.
            LimitError: The device has not enough memory.
        """
        height, width = image.shape[-2:]
        padded = np.pad(image, ((0, 0), (0, -height % self.stride), (0, -width % self.stride)), mode="edge")
        valid = has_data(padded)
        try:
            probabilities = self._predictor.predict(padded[None], valid[None])[0]
        except LimitError as error:
            raise LimitError(error.problem, "use --device cpu") from error
        if not bool(probabilities.sum().isfinite()):
            raise ModelError(f"{self._predictor.card.name} gives values that are not finite", "use --precision fp32")
        codes: NDArray[np.uint8] = (probabilities.argmax(dim=0) + 1).cpu().numpy().astype(np.uint8)
        codes[~valid] = NODATA_CODE
        return codes[:height, :width]


def has_data(image: NDArray[np.float32]) -> NDArray[np.bool_]:
    """True where every band of reflectance (names, height, width) has data: bool (height, width)."""
    return np.asarray(np.isfinite(image).all(axis=0))
