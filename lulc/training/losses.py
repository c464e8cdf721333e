"""Losses by name, summed; pixels that are not labelled never count."""

from math import ceil

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from lulc.legend import NODATA_CODE
from lulc.training.augment import Target
from lulc.training.settings import LossSettings


class SummedLoss(nn.Module):
    """A weighted sum of losses.

    Cross-entropy takes soft labels as they are; the others take the most probable class.

    Args:
        settings: Which losses.
        class_pixels: Training pixels of each class, for the class weights: int64 (K,).
    """

    weights: Tensor

    def __init__(self, settings: LossSettings, class_pixels: NDArray) -> None:  # type: ignore[type-arg]
        super().__init__()
        self._settings = settings
        self.register_buffer("weights", class_weights(settings, torch.from_numpy(class_pixels)))
        self._others: dict[str, nn.Module] = {
            name: _from_library(name, settings) for name in settings.terms if name not in _OWN
        }

    def forward(self, logits: Tensor, target: Target) -> Tensor:
        """Loss, a scalar: 0 (with a gradient of 0) when no pixel is labelled.

        Args:
            logits: (n, K, height, width).
            target: Labels of the same size.
        """
        logits = logits.float()
        total = logits.sum() * 0
        if not bool(target.known.any()):
            return total
        for name, weight in self._settings.terms.items():
            total = total + weight * self._term(name, logits, target)
        return total

    def _term(self, name: str, logits: Tensor, target: Target) -> Tensor:
        if name == "cross_entropy":
            return cross_entropy(logits, target, self.weights, self._settings.label_smoothing, self._settings.blur)
        if name == "focal":
            return focal(logits, target, self.weights, self._settings.gamma)
        loss: Tensor = self._others[name](logits, target.codes)
        return loss


_OWN = ("cross_entropy", "focal")
_LEAST_PROBABILITY = 1e-7


def _from_library(name: str, settings: LossSettings) -> nn.Module:
    from segmentation_models_pytorch import losses

    shared = {"mode": "multiclass", "ignore_index": NODATA_CODE}
    loss: nn.Module
    if name == "dice":
        loss = losses.DiceLoss(**shared)
    elif name == "tversky":
        loss = losses.TverskyLoss(**shared, alpha=settings.alpha, beta=1 - settings.alpha)
    else:
        loss = losses.LovaszLoss(**shared)
    return loss


def class_weights(settings: LossSettings, class_pixels: Tensor) -> Tensor:
    """Weight of each class, float32 (K,), with mean 1 over the classes that occur.

    `effective` weighs by 1 / effective number, (1 - beta) / (1 - beta^n) (Cui et al. 2019, doi:10.1109/CVPR.2019.00949).
    """
    if settings.class_weights == "none":
        return torch.ones(len(class_pixels))
    samples = class_pixels.double() / settings.unit
    seen = class_pixels > 0
    weights = torch.where(seen, (1 - settings.beta) / (1 - settings.beta ** samples.clamp_min(1e-3)), 0.0)
    return (weights / weights[seen].mean()).float()


def cross_entropy(logits: Tensor, target: Target, weights: Tensor, smoothing: float = 0.0, blur: float = 0.0) -> Tensor:
    """Weighted mean cross-entropy over labelled pixels, nat; hard or soft labels.

    A pixel of soft labels weighs what its most probable class weighs. (Weighing each share would bend the labels
    themselves: the small shares that a humble teacher gives to rare classes would outweigh all others.)

    Args:
        logits: (n, K, height, width).
        target: Labels of the same size.
        weights: Of the classes, (K,).
        smoothing: Share of each label that is spread over all classes.
        blur: Standard deviation of the Gaussian that probabilities are blurred by, pixels; 0 does not blur.
    """
    log_p = functional.log_softmax(logits, dim=1)
    if blur:
        log_p = blurred(log_p.exp(), blur).clamp_min(_LEAST_PROBABILITY).log()
    if target.shares is None:
        return functional.cross_entropy(
            log_p, target.codes, weights, ignore_index=NODATA_CODE, label_smoothing=smoothing
        )
    shares = target.shares * (1 - smoothing) + smoothing / logits.shape[1]
    weight = weights[target.codes.masked_fill(~target.known, 0)] * target.known
    loss = -(shares * log_p).sum(dim=1)
    return (loss * weight).sum() / weight.sum().clamp_min(torch.finfo(loss.dtype).tiny)


def blurred(planes: Tensor, deviation: float) -> Tensor:
    """Planes (n, K, height, width) after a Gaussian filter, mirrored at the edges.

    Args:
        planes: Such as probabilities; sums over K stay what they are.
        deviation: Of the Gaussian, pixels; it is cut at two deviations.
    """
    reach = min(ceil(2 * deviation), min(planes.shape[2:]) - 1)
    taps = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, device=planes.device) / deviation) ** 2)
    taps = (taps / taps.sum()).to(planes.dtype).repeat(planes.shape[1], 1, 1, 1)
    padded = functional.pad(planes, (reach, reach, reach, reach), mode="reflect")
    along = functional.conv2d(padded, taps, groups=planes.shape[1])
    return functional.conv2d(along, taps.transpose(2, 3), groups=planes.shape[1])


def focal(logits: Tensor, target: Target, weights: Tensor, gamma: float) -> Tensor:
    """Focal loss (Lin et al. 2017) over softmax probabilities: the mean of (1 - p)^gamma * -log p, weighted by class."""
    safe = target.codes.masked_fill(~target.known, 0)
    log_p = functional.log_softmax(logits, dim=1).gather(1, safe[:, None])[:, 0]
    weight = weights[safe] * target.known
    loss = -(weight * (1 - log_p.exp()).clamp_min(0) ** gamma * log_p).sum()
    return loss / weight.sum().clamp_min(torch.finfo(loss.dtype).tiny)
