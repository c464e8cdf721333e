"""How faithful explanations of patches are: insertion less deletion (after Petsiuk et al. 2018, arXiv:1806.07421).

    python benchmarks/explanations.py --data EuroSAT.zip [--model eurosat-rgb] [--patches 192]

The hottest pixels are shown first (insertion) or erased first (deletion), what is missing once replaced by the patches'
mean and once by a blur of the patch; the mean probability of the model's answer over all shares of pixels, the one less
the other. 0 is what a map says that has nothing to do with the model.
"""

import argparse
from pathlib import Path

import lulc.patches  # sets how OpenMP threads wait, before torch  # noqa: F401

# isort: split
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from lulc.explain.grad_cam import Method, layer_map, mean_heat
from lulc.explain.patch import BeforeSoftmax
from lulc.grid import Shape
from lulc.patches.card import load_patch_model
from lulc.patches.classifier import Classifier
from lulc.patches.dataset import open_patch_set
from lulc.patches.learn.split import model_split
from lulc.resources import SHIPPED_PATCH_MODEL

STEPS = 16
BLURRED = 4
METHODS: tuple[Method, ...] = ("grad-cam", "hirescam")


class Examples:
    """Patches that the model was not trained on, and what it answers.

    Args:
        model: Patch model.
        data: Class folders or zip.
        count: Patches, drawn from the test split.
    """

    def __init__(self, model: str, data: Path, count: int) -> None:
        classifier, patches = Classifier(load_patch_model(model), "cpu", "fp32"), open_patch_set(data)
        split = model_split(model)
        held_back = split.of(patches, "test") if split else patches.patches
        drawn = np.random.default_rng(0).choice(len(held_back), min(count, len(held_back)), replace=False)
        self.inputs = classifier.inputs([patches.read(held_back[number]) for number in sorted(drawn)])
        self.network, self.logits = classifier.network, BeforeSoftmax(classifier.network)
        self._classifier = classifier
        self.answers = self.shares(self.inputs).argmax(dim=1)
        small = functional.adaptive_avg_pool2d(self.inputs, BLURRED)
        blur = functional.interpolate(small, self.inputs.shape[-2:], mode="bicubic", align_corners=False)
        self.replacements = (torch.zeros_like(self.inputs), blur)

    def shares(self, inputs: Tensor) -> Tensor:
        """Probabilities of all classes: float32 (n, K)."""
        return torch.from_numpy(self._classifier.probabilities(inputs))

    def of_answer(self, outputs: Tensor) -> Tensor:
        """The value of each patch's own answer."""
        return outputs.gather(1, self.answers[:, None])[:, 0]

    def heat(self, names: tuple[str, ...], method: Method) -> Tensor:
        """Explanations by the mean over some layers: float32 (n, h, w)."""
        layers: list[nn.Module] = [self.network.get_submodule(name) for name in names]
        raws = [layer_map(self.logits, layer, self.inputs, self.of_answer, method) for layer in layers]
        return mean_heat(raws, Shape(*self.inputs.shape[-2:]))

    def faithfulness(self, heat: Tensor) -> Tensor:
        """Insertion less deletion of each patch: float32 (n,)."""
        pixels = heat[0].numel()
        ties = 1e-6 * torch.rand(len(heat), pixels, generator=torch.Generator().manual_seed(0))
        rank = torch.argsort(torch.argsort(-heat.flatten(1) + ties, dim=1), dim=1).view_as(heat)[:, None]
        total = torch.zeros(len(heat))
        for step in range(STEPS + 1):
            hot = rank < pixels * step / STEPS
            for other in self.replacements:
                shown, erased = torch.where(hot, self.inputs, other), torch.where(hot, other, self.inputs)
                total += self.of_answer(self.shares(shown))
                total -= self.of_answer(self.shares(erased))
        return total / (STEPS + 1) / len(self.replacements)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default=SHIPPED_PATCH_MODEL)
    parser.add_argument("--patches", type=int, default=192)
    given = parser.parse_args()
    examples = Examples(given.model, given.data, given.patches)
    height, width = examples.inputs.shape[-2:]

    def tell(name: str, heat: Tensor) -> None:
        found = examples.faithfulness(heat)
        print(f"{name:<60} {found.mean():6.3f} +- {found.std() / len(found) ** 0.5:.3f}", flush=True)

    noise = torch.rand(len(examples.inputs), 1, 8, 8, generator=torch.Generator().manual_seed(1))
    tell("chance", functional.interpolate(noise, (height, width), mode="bilinear")[:, 0])
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    centre = -((rows - height / 2) ** 2 + (columns - width / 2) ** 2).float()
    tell("centre", centre.expand(len(examples.inputs), height, width))
    together = examples.network.map_layers()
    for method in METHODS:
        for names in (together, *((name,) for name in together), ("last_maps",)):
            tell(f"{method} {' + '.join(names)}", examples.heat(names, method))


if __name__ == "__main__":
    main()
