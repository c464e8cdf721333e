"""Grad-CAM: which places speak for what a network answers.

Selvaraju et al. 2017 (doi:10.1109/ICCV.2017.74): the maps A of one layer, each weighted by the mean of the score's
gradient over it, are added; what is left above 0 speaks for the score. For a region of a segmentation the score is the
sum of the class's logits over it (Seg-Grad-CAM, Vinogradova et al. 2020, doi:10.1609/aaai.v34i10.7244).

HiResCAM (Draelos & Carin 2020, arXiv:2011.08891) multiplies the maps by the gradient place by place instead of by its mean:
what is hot then was used there, and not merely alike.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from lulc.errors import UsageError
from lulc.grid import Shape

Score = Callable[[Tensor], Tensor]
"""From the network's output to what is explained: one number for each input, (n,)."""

Method = Literal["grad-cam", "hirescam"]
"""How the gradient weighs the maps: by its mean over each, or place by place."""

METHOD_NAMES: dict[Method, str] = {"grad-cam": "Grad-CAM", "hirescam": "HiResCAM"}

_MAPS = 4
_UNREACHED = "appears to not have been used in the graph"


def grad_cam(network: nn.Module, layer: nn.Module, inputs: Tensor, score: Score) -> Tensor:
    """Heat of each input.

    Args:
        network: In evaluation mode: answers for one input must not depend on the others. Neither its weights nor their
            gradients change; whether they require gradients plays no part.
        layer: A part of it whose output is maps (n, c, rows, columns).
        inputs: Floating point (n, C, h, w), on the network's device.
        score: What is explained, such as `score_of_class(3)`.

    Returns:
        float32 (n, h, w): 1 where most speaks for the score, 0 where nothing does. All 0 when nothing does anywhere.

    Raises:
        UsageError: The layer gives no maps, or the score does not depend on it.
    """
    return heat_of(layer_map(network, layer, inputs, score), Shape(*inputs.shape[-2:]))


def layer_map(
    network: nn.Module, layer: nn.Module, inputs: Tensor, score: Score, method: Method = "grad-cam"
) -> Tensor:
    """The sum of the weighted maps as it is, signs included: float32 (n, rows, columns) of the layer.

    Arguments and errors as for `grad_cam`; `method` says how the maps are weighed.
    """
    from captum.attr import LayerGradCam, LayerGradientXActivation

    way = LayerGradCam if method == "grad-cam" else LayerGradientXActivation

    def scored(image: Tensor) -> Tensor:
        return score(network(image))

    with torch.inference_mode(mode=False), torch.enable_grad():
        own = inputs.detach().clone()  # a network that works in place must not change the caller's
        try:
            found = way(scored, layer).attribute(own)
        except AssertionError as error:  # captum: its hook was never called
            raise _useless(layer, "is not reached") from error
        except RuntimeError as error:
            if _UNREACHED not in str(error):
                raise
            raise _useless(layer, "does not move the answer") from error
    if not isinstance(found, Tensor) or found.ndim != _MAPS:
        raise _useless(layer, "does not give one set of maps")
    return found.detach().sum(dim=1).to(torch.float32)  # Grad-CAM's maps are added already


def heat_of(raw_nyx: Tensor, shape: Shape) -> Tensor:
    """What speaks for the score, as large as the image: float32 (n, height, width), each scaled by its maximum to 0..1.

    Args:
        raw_nyx: Result of `layer_map`.
        shape: Size of the image; the maps are brought to it bilinearly.
    """
    positive = functional.relu(raw_nyx)[:, None]
    large = functional.interpolate(positive, (shape.height, shape.width), mode="bilinear", antialias=True)[:, 0]
    most = large.amax(dim=(1, 2), keepdim=True)
    return torch.where(most > 0, large / most, 0.0).clamp(0, 1)


def mean_heat(raws: Sequence[Tensor], shape: Shape) -> Tensor:
    """Heat of several layers together: the mean of what `heat_of` makes of each, scaled again to 0..1."""
    mean = torch.stack([heat_of(raw, shape) for raw in raws]).mean(dim=0)
    most = mean.amax(dim=(1, 2), keepdim=True)
    return torch.where(most > 0, mean / most, 0.0).clamp(0, 1)


def score_of_class(position: int) -> Score:
    """Output of one class: for networks that answer (n, K)."""
    return lambda output: output[:, position]


def score_of_region(position: int, region_yx: Tensor) -> Score:
    """Sum of a class's logits over the pixels of a region: for networks that answer (n, K, h, w).

    Args:
        position: Of the class among the outputs.
        region_yx: bool (h, w), or (n, h, w) for a region of each input.
    """
    return lambda output: (output[:, position] * region_yx.to(output.device)).sum(dim=(-2, -1))


def _useless(layer: nn.Module, why: str) -> UsageError:
    return UsageError(f"the layer, a {type(layer).__name__}, {why}", "name one whose output is maps with --layer")
