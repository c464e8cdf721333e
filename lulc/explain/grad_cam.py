"""Grad-CAM: which pixels support the output of a network.

Selvaraju et al. 2017 (doi:10.1109/ICCV.2017.74): the maps A of one layer are weighted by the mean of the score's
gradient over each map, and added. What is left above 0 supports the score. For a region of a segmentation the score is
the sum of the class's logits over the region (Seg-Grad-CAM, Vinogradova et al. 2020, doi:10.1609/aaai.v34i10.7244).

HiResCAM (Draelos & Carin 2020, arXiv:2011.08891) multiplies the maps by the gradient at each location instead of its
mean. A hot pixel then did influence the score, and does not merely look similar.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from lulc.errors import UsageError
from lulc.explain.options import Method
from lulc.grid import Shape

Score = Callable[[Tensor], Tensor]
"""From the network's output to the explained score: one number for each input, (n,)."""

METHOD_NAMES: dict[Method, str] = {"grad-cam": "Grad-CAM", "hirescam": "HiResCAM"}

_MAPS = 4
_UNUSED_LAYER = "appears to not have been used in the graph"


def layer_map(
    network: nn.Module, layer: nn.Module, inputs: Tensor, score: Score, method: Method = "grad-cam"
) -> Tensor:
    """Weighted sum of the maps of a layer, signs included.

    Args:
        network: Network in evaluation mode: its output for one input must not depend on the others. Its weights and
            their gradients do not change. The weights need not require gradients.
        layer: Layer of the network whose output is maps (n, c, rows, columns).
        inputs: Floating point (n, C, height, width), on the network's device.
        score: Score to explain, such as `score_of_class(3)`.
        method: Weights of the maps.

    Returns:
        float32 (n, rows, columns) at the resolution of the layer.

    Raises:
        UsageError: The layer gives no maps, or the score does not depend on it.
    """
    from captum.attr import LayerGradCam, LayerGradientXActivation

    attribution = LayerGradCam if method == "grad-cam" else LayerGradientXActivation

    def scored(image: Tensor) -> Tensor:
        return score(network(image))

    with torch.inference_mode(mode=False), torch.enable_grad():
        own = inputs.detach().clone()  # a network that works in place must not change the caller's
        try:
            found = attribution(scored, layer).attribute(own)
        except AssertionError as error:  # captum: its hook was never called
            raise _layer_error(layer, "is not reached") from error
        except RuntimeError as error:
            if _UNUSED_LAYER not in str(error):
                raise
            raise _layer_error(layer, "does not influence the output") from error
    if not isinstance(found, Tensor) or found.ndim != _MAPS:
        raise _layer_error(layer, "does not give one set of maps")
    return found.detach().sum(dim=1).to(torch.float32)  # Grad-CAM's maps are added already


def heat_of(raw_nyx: Tensor, shape: Shape) -> Tensor:
    """Heat at the size of the image: float32 (n, height, width), each scaled by its maximum to 0..1.

    It is 1 at the strongest support of the score and 0 without support; all 0 when no pixel supports it.

    Args:
        raw_nyx: Result of `layer_map`, float32 (n, rows, columns).
        shape: Rows and columns of the image; the maps are interpolated bilinearly.
    """
    positive = functional.relu(raw_nyx)[:, None]
    large = functional.interpolate(positive, (shape.height, shape.width), mode="bilinear", antialias=True)[:, 0]
    most = large.amax(dim=(1, 2), keepdim=True)
    return torch.where(most > 0, large / most, 0.0).clamp(0, 1)


def mean_heat(raws: Sequence[Tensor], shape: Shape) -> Tensor:
    """Mean of the heat of several layers, scaled again to 0..1: float32 (n, height, width).

    Args:
        raws: Results of `layer_map`, float32 (n, rows, columns) each.
        shape: Rows and columns of the image.
    """
    mean = torch.stack([heat_of(raw, shape) for raw in raws]).mean(dim=0)
    most = mean.amax(dim=(1, 2), keepdim=True)
    return torch.where(most > 0, mean / most, 0.0).clamp(0, 1)


def score_of_class(index: int) -> Score:
    """Score of one class, for networks with output (n, K)."""
    return lambda output: output[:, index]


def score_of_region(index: int, region_yx: Tensor) -> Score:
    """Sum of a class's logits over a region, for networks with output (n, K, height, width).

    Args:
        index: Index of the class among the outputs.
        region_yx: True inside the region, bool (height, width), or (n, height, width) for a region of each input.
    """
    return lambda output: (output[:, index] * region_yx.to(output.device)).sum(dim=(-2, -1))


def _layer_error(layer: nn.Module, why: str) -> UsageError:
    return UsageError(f"the layer, a {type(layer).__name__}, {why}", "name one whose output is maps with --layer")
