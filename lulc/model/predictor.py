"""Predictor: raw pixels in, class probabilities out, on one device."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lulc.bands import Radiometry
from lulc.model.build import total_stride
from lulc.model.bundle import Bundle, Card
from lulc.model.channels import network_channels
from lulc.model.device import Placement
from lulc.model.on_device import ModelOnDevice
from lulc.model.spectral_unet import REACH, SpectralUnet, WithClouds
from lulc.threads import usable_cores
from lulc.tiling import row_slabs

_LANES_OF_A_GPU = 3


class Predictor(ModelOnDevice[Card, nn.Module]):
    """A bundle on a device.

    Indices and normalisation run on the device, from the raw digital numbers. The network runs in `dtype`; logits,
    temperature and softmax are float32.

    Args:
        bundle: Card and network; stays as it is. One from `Bundle.with_clouds` tells clouds too.
        radiometry: How the scene's digital numbers become reflectance.
        names: Names of the raw planes that will be given, in order; `FeatureSpec.required` of the scene.
        placement: Device and precision.
        batch: Windows per forward pass, halved when the device runs out of memory; None for one.
        threads: CPU threads of the network; None for the cores that this process may use.

    Attributes:
        planes: Number of planes that `predict` gives: K, one of familiarity where the bundle tells it, and 3 more of a network that tells clouds.
        ground: Number of those before the clouds.
    """

    input_names = ("window", "windows")
    remedy = "use a smaller --window"

    def __init__(
        self,
        bundle: Bundle,
        radiometry: Radiometry,
        names: Sequence[str],
        placement: Placement,
        batch: int | None = None,
        threads: int | None = None,
    ) -> None:
        super().__init__(bundle.card, bundle.network, placement, batch or 1)
        self._radiometry, self._names = radiometry, tuple(names)
        self.planes = bundle.planes
        self.familiarity = None if bundle.familiarity is None else bundle.familiarity.to(self.device)
        self.ground = len(bundle.card.classes) + (self.familiarity is not None)
        self._threads = threads or usable_cores()
        self.workers = workers_on(placement, self._threads)

    @property
    def classes(self) -> int:
        """Number of classes K."""
        return len(self.card.classes)

    def share_threads(self) -> None:
        """Give each worker its part of the CPU threads, for all of this process."""
        if self.device.type == "cpu":
            torch.set_num_threads(max(1, self._threads // self.workers))

    def predict(
        self, raw_nchw: NDArray[np.generic], valid_nyx: NDArray[np.bool_], radiometry: Radiometry | None = None
    ) -> Tensor:
        """Probabilities of windows of one size.

        Args:
            raw_nchw: Raw digital numbers (n, len(names), height, width), any real dtype; sides are multiples of the
                network's stride.
            valid_nyx: bool (n, height, width). Invalid pixels reach the network as the training mean.
            radiometry: How these raw values become reflectance; None for that of the scene.

        Returns:
            float32 (n, planes, height, width) on the device: the classes, summing to 1 over K, familiarity, then `SKY`,
            summing to 1.

        Raises:
            LimitError: Out of memory even for a single window.
        """
        raw, valid = (torch.from_numpy(array).to(self.device) for array in (raw_nchw, valid_nyx))
        return self.in_batches(
            len(raw), lambda part: self.calibrated(self.logits(self.features(raw[part], valid[part], radiometry)))
        )

    def predict_logits(
        self, raw_nchw: Tensor, valid_nyx: Tensor, radiometry: Radiometry | None = None, margin: int = 0
    ) -> Tensor:
        """What `calibrated` turns into the probabilities of `predict`, from tensors on the device; else as `predict`.

        Who keeps a part of a window alone converts that part alone, and leaves out a margin from `spare`.
        """
        return self.in_batches(
            len(raw_nchw), lambda part: self.logits(self.features(raw_nchw[part], valid_nyx[part], radiometry), margin)
        )

    def spare(self, halo: int) -> int:
        """Outer pixels of a halo that the network sees and need not answer for; 0 for all networks but our own."""
        if not isinstance(self.network, SpectralUnet | WithClouds):
            return 0
        return max(0, (halo - REACH) // total_stride(self.network) * total_stride(self.network))

    def calibrated(self, logits: Tensor) -> Tensor:
        """Probabilities of the classes, familiarity, and `SKY`; the card's temperature concerns the classes alone."""
        of_classes = logits[:, : self.classes]
        parts = [super().calibrated(of_classes)]
        if self.familiarity is not None:
            parts.append(self.familiarity(of_classes))
        if self.planes > self.ground:
            parts.append(torch.softmax(logits[:, self.classes :].to(torch.float32), dim=1))
        return torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]

    def calibrated_one(self, logits_pyx: Tensor) -> Tensor:
        """Probabilities of one window, or of a part of it: float32 (planes, height, width)."""
        with torch.inference_mode():
            return self.calibrated(logits_pyx[None])[0]

    def features(self, raw_nchw: Tensor, valid_nyx: Tensor, radiometry: Radiometry | None = None) -> Tensor:
        """Normalised channels of the network: `dtype`, channels last, 0 where not valid."""
        spec, radiometry = self.card.features, radiometry or self._radiometry
        height, width = valid_nyx.shape[1:]
        shape = (len(raw_nchw), len(spec.channels), height, width)
        channels = torch.empty(shape, dtype=self.dtype, device=self.device, memory_format=torch.channels_last)
        for rows in row_slabs(height, width) if self.device.type == "cpu" else (slice(None),):
            planes = {name: raw_nchw[:, position, rows] for position, name in enumerate(self._names)}
            network_channels(spec, planes, radiometry, valid_nyx[:, rows], out=channels[:, :, rows])
        return channels


def workers_on(placement: Placement, threads: int | None = None) -> int:
    """Windows inferred at the same time on one device, with so many CPU threads (None: the cores that this process may use).

    Two in bfloat16 on a CPU: the network is then so fast that a core would otherwise idle while the other reads or writes
    (measured: 6.7 s against 4.1 s). In float32 one window keeps all cores busy, and two only take more memory. Three on a GPU:
    one goes up, one is computed, one comes down.
    """
    if placement.device.type == "cuda":
        return _LANES_OF_A_GPU
    fast = placement.device.type == "cpu" and placement.dtype != torch.float32
    return min(2, threads or usable_cores()) if fast else 1
