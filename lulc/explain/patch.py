"""Explain patches: which pixels support the predicted class, as a picture and as a raster."""

from difflib import get_close_matches

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from lulc.errors import ModelError, UsageError, did_you_mean
from lulc.explain.explanation import Explanation, planned_outputs, write_explanation
from lulc.explain.grad_cam import METHOD_NAMES, layer_map, mean_heat, score_of_class
from lulc.explain.options import ExplainOptions
from lulc.grid import Shape
from lulc.io.files.paths import AnyPath, as_path
from lulc.model.bundle import BundleCard
from lulc.patches.card import load_patch_model
from lulc.patches.classifier import Classifier
from lulc.patches.image import read_image
from lulc.patches.networks import PatchNetwork
from lulc.patches.predict import patch_notes


def explain_patch(
    path: AnyPath, output: AnyPath, options: ExplainOptions | None = None, *, name: str | None = None
) -> Explanation:
    """Show which pixels of a patch support a class.

    Args:
        path: JPEG, PNG or GeoTIFF.
        output: PNG to write; a georeferenced patch gets a GeoTIFF of the same name beside it.
        options: How; None for the defaults.
        name: Name of the patch in messages and tags; None takes its path.

    Raises:
        InputError: The patch is refused.
        LimitError: The patch is too large.
        ModelError: The model is refused, or gives values that are not finite.
        UsageError: An option is refused.
        StorageError: An output exists or cannot be written. Each output is whole or absent.
    """
    path, output = as_path(path), as_path(output)
    options = options or ExplainOptions()
    image = read_image(path, options.bands, name)
    files = planned_outputs(output, [path], image.grid, overwrite=options.overwrite)
    classifier = Classifier(load_patch_model(options.model), options.device, "fp32")
    card, network = classifier.card, classifier.network
    wanted = None if options.target is None else class_index(card, options.target)
    names = network.map_layers() if options.layer is None else (options.layer,)
    layers = [layer_named(network, name, " and ".join(network.map_layers())) for name in names]
    inputs = classifier.inputs([image])
    probabilities = classifier.probabilities(inputs)[0]
    check_finite(card, probabilities)
    best, ood_score = int(probabilities.argmax()), classifier.ood_score(image)
    wanted = best if wanted is None else wanted
    bare, score = BeforeSoftmax(network), score_of_class(wanted)
    raws = [layer_map(bare, each, inputs, score, options.method) for each in layers]
    heat = mean_heat(raws, Shape(*image.valid.shape))[0].cpu().numpy()
    found = Explanation(
        input=image.name,
        model=f"{card.name} {card.version}",
        answer=card.classes.names[best],
        confidence=float(probabilities[best]),
        explained=card.classes.names[wanted],
        explained_confidence=float(probabilities[wanted]),
        method=METHOD_NAMES[options.method],
        layer=" + ".join(names),
        maps=max((raw.shape[1], raw.shape[2]) for raw in raws),
        ood_score=ood_score,
        notes=tuple(patch_notes(image, card, ood_score)),
    )
    return write_explanation(found, card, files, heat, image, overwrite=options.overwrite)


class BeforeSoftmax(nn.Module):
    """A patch network without the log-softmax in which some heads end. Scores are explained before it."""

    def __init__(self, network: PatchNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        """Scores (n, classes) of images (n, channels, height, width)."""
        head = self.network.head
        if isinstance(head, nn.Sequential) and isinstance(head[-1], nn.LogSoftmax):
            head = head[:-1]
        scores: Tensor = head(self.network.features(image))
        return scores


def class_index(card: BundleCard, name: str) -> int:
    """Index of a class among the model's outputs, by name.

    Raises:
        UsageError: The model has no such class.
    """
    names = card.classes.names
    if name not in names:
        raise UsageError(f"{card.name} has no class {name!r}", did_you_mean(name, names))
    return names.index(name)


def layer_named(network: nn.Module, name: str, default: str) -> nn.Module:
    """Look up a layer of a network by its dotted name. The error message offers `default` instead.

    Raises:
        UsageError: The network has no such layer.
    """
    known = [each for each, _ in network.named_modules() if each]
    if name not in known:
        near = get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"leave --layer out, which means {default!r}"
        raise UsageError(f"the network has no layer {name!r}", hint)
    return network.get_submodule(name)


def check_finite(card: BundleCard, probabilities: NDArray[np.float32]) -> None:
    """Refuse probabilities that are not finite.

    Args:
        card: Card of the model, for the message.
        probabilities: float32 of any shape.

    Raises:
        ModelError: Some are not finite.
    """
    if not np.isfinite(probabilities).all():
        raise ModelError(f"{card.name} gives values that are not finite", "fetch the bundle again")
