"""The model bundle: a folder or zip archive with `card.json` and `model.safetensors`, without executable content.

Sizes, names and the SHA-256 of the weights are checked before a byte of the weights is parsed.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from pydantic import ConfigDict, Field, model_validator
from torch import Tensor, nn

from lulc.config import Table, parse_config, parse_json
from lulc.errors import ConfigError, ModelError, raised_as
from lulc.features import FeatureSpec
from lulc.io.product.bands import SKY
from lulc.legend import Legend
from lulc.model.build import Architecture, build_network
from lulc.model.bundle_files import CARD, WEIGHTS, has_member, locate, opened_member, read_checked, read_member
from lulc.model.spectral_unet import SpectralUnet, WithClouds
from lulc.model.trust.familiarity import FAMILIARITY, MOST_BYTES, Familiarity
from lulc.model.weights import Network, Shapes, built_for, read_shapes
from lulc.resources import SHIPPED_MODEL

_MAX_CARD_BYTES = 1 << 20
_MAX_WEIGHT_BYTES = 4 << 30
_PIECE_BYTES = 1 << 20
_MAX_BESIDE_BYTES = 1 << 30


class BundleCard(Table):
    """Common fields of the card of every bundle.

    Attributes:
        kind: Kind of model: `segmentation` or `patches`.
        name: Short name.
        version: Version of the weights.
        summary: One sentence on what the model does.
        features: Input channels and their normalisation.
        legend: Class codes, names and colours, in the order of the network's outputs.
        input_levels: Product levels the model was trained for, such as `L1C`.
        resolution_m: Pixel size it was trained at, metres.
        temperature: Divisor of the logits that calibrates the probabilities.
        weights_sha256: SHA-256 of the weights file.
        weights_bytes: Size of the weights file.
        good_at: Known strengths.
        bad_at: Known weaknesses.
        training: Training data, split and recipe.
        metrics: Measured figures.
        attribution: Sentences that products made with the model must carry.
        licence: Licence of the weights.
    """

    kind: str
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,60}$")
    version: str
    summary: str
    features: FeatureSpec
    legend: dict[str, Any]
    input_levels: tuple[str, ...] = ()
    resolution_m: float | None = Field(default=None, gt=0)
    temperature: float = Field(default=1.0, gt=0)
    weights_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    weights_bytes: int = Field(gt=0, le=_MAX_WEIGHT_BYTES)
    good_at: tuple[str, ...] = ()
    bad_at: tuple[str, ...] = ()
    training: dict[str, Any] = Field(default_factory=dict)
    metrics: dict[str, Any] = Field(default_factory=dict)
    attribution: tuple[str, ...] = ()
    licence: str = ""

    @property
    def classes(self) -> Legend:
        """Legend of the model.

        Raises:
            ConfigError: The legend of the card is not valid.
        """
        return Legend.from_table(self.legend, f"legend of the card of {self.name}")

    def check_network(self, in_channels: int, classes: int) -> None:
        """Refuse a network that does not fit the features or the legend.

        Raises:
            ValueError: The numbers of channels or classes differ.
        """
        channels = len(self.features.channels)
        if in_channels != channels:
            raise ValueError(f"the network takes {in_channels} channels, the features are {channels}")
        if classes != len(self.classes):
            raise ValueError(f"the network gives {classes} classes, the legend has {len(self.classes)}")


class Card(BundleCard):
    """Card of a model that classifies every pixel; the schema of `card.json`.

    Attributes:
        architecture: Network and its arguments.
        familiarity_sha256: SHA-256 of the statistics of its training; empty for a model without.
    """

    kind: Literal["segmentation"] = "segmentation"
    architecture: Architecture
    familiarity_sha256: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")

    @model_validator(mode="after")
    def _check(self) -> Self:
        self.check_network(self.architecture.in_channels, self.architecture.classes)
        return self


class CommonCard(BundleCard):
    """Card of a model of any kind, with the fields that all kinds share.

    Attributes:
        architecture: Network and its arguments.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    architecture: dict[str, Any]


AnyCard = TypeVar("AnyCard", bound=BundleCard)

COMMANDS = {"segmentation": "lulc classify", "patches": "lulc patches"}
"""Commands that use a model, by its kind."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A card, its network (evaluation mode, CPU, float32), and statistics of its training; `familiarity` is these where it is told."""

    card: Card
    network: nn.Module
    statistics: Familiarity | None = None
    familiarity: Familiarity | None = None

    @property
    def planes(self) -> int:
        """Planes of a pixel: its K classes, its familiarity where it is told, and `SKY` where clouds are told."""
        clouds = len(SKY) if isinstance(self.network, WithClouds) else 0
        return len(self.card.classes) + (self.familiarity is not None) + clouds

    def with_temperature(self, temperature: float) -> "Bundle":
        """The same model with another temperature."""
        return replace(self, card=self.card.model_copy(update={"temperature": temperature}))

    def with_familiarity(self) -> "Bundle":
        """The same model, which tells the familiarity of pixels if it has the statistics for it."""
        return replace(self, familiarity=self.statistics)

    def with_clouds(self) -> "Bundle":
        """The same model, whose network tells clouds too.

        Raises:
            ModelError: It has no cloud head.
        """
        if not (self.card.architecture.sees_clouds and isinstance(self.network, SpectralUnet)):
            raise ModelError(
                f"{self.card.name} has no cloud head, which --clouds network needs",
                "leave --clouds out, or give --clouds scl, qa60 or model",
            )
        return replace(self, network=WithClouds(self.network))


def read_beside(model: str | Path, name: str) -> bytes | None:
    """Read a further file of a bundle; None when there is none of that name.

    Raises:
        ModelError: There is no bundle, or the file cannot be read.
    """
    path = locate(model)
    return read_member(path, name, _MAX_BESIDE_BYTES) if has_member(path, name) else None


def card_kind(model: str | Path) -> str:
    """Kind of a bundle: `segmentation` or `patches`.

    Raises:
        ModelError: There is no bundle, or its card is not JSON.
    """
    path = locate(model)
    with raised_as(ModelError, f"{path}: {CARD} is not valid", "fetch the bundle again", ValueError):
        table = parse_json(read_member(path, CARD, _MAX_CARD_BYTES))
    return str(table.get("kind", "segmentation")) if isinstance(table, dict) else ""


def read_card(model: str | Path) -> Card:
    """Read the card of a segmentation model; the weights are not opened.

    Raises:
        ModelError: There is no bundle, it is of another kind, or its card is not valid.
    """
    return read_card_as(Card, model)


def read_card_as(schema: type[AnyCard], model: str | Path) -> AnyCard:
    """Read the card of a bundle of one kind; the weights are not opened.

    Raises:
        ModelError: As for `read_card`.
    """
    path, kind = locate(model), card_kind(model)
    wanted = schema.model_fields["kind"].default
    if wanted in COMMANDS and kind != wanted and kind in COMMANDS:
        raise ModelError(f"{path} is a model for {COMMANDS[kind]}", f"give one for {COMMANDS[wanted]}")
    try:
        card = parse_json(read_member(path, CARD, _MAX_CARD_BYTES))
        return parse_config(schema, card, f"{path}: {CARD} is not valid")
    except ConfigError as error:
        raise ModelError(error.problem, error.remedy) from error


def network_for(model: str | Path, card: BundleCard, build: Callable[[], Network]) -> Network:
    """Build the network that the stored weights are meant for; it has weights of its own.

    Args:
        model: The bundle.
        card: Its card.
        build: Builds the network that the card describes.

    Raises:
        ModelError: The weights are damaged, or fit another network.
    """
    try:
        return built_for(_stored_shapes(model), build, card.name)
    except ModelError:
        check_weights(model, card)  # damage explains more than a misfit
        raise


def check_weights(model: str | Path, card: BundleCard) -> None:
    """Check the weights file of a bundle against the size and SHA-256 in its card, piece by piece.

    Raises:
        ModelError: The file is missing, or is not the one that the card describes.
    """
    path, digest, size = locate(model), hashlib.sha256(), 0
    with opened_member(path, WEIGHTS, card.weights_bytes) as file:
        while part := file.read(_PIECE_BYTES):
            digest.update(part)
            size += len(part)
    _refuse_other(path, card, size, digest.hexdigest())


def _refuse_other(path: Path, card: BundleCard, size: int, digest: str) -> None:
    if (size, digest) != (card.weights_bytes, card.weights_sha256):
        raise ModelError(f"{path}: {WEIGHTS} is not the file that {CARD} describes", "fetch the bundle again")


def _stored_shapes(model: str | Path) -> Shapes:
    """Names and shapes of the stored weights, from the header of their file."""
    path = locate(model)
    causes = (ValueError, TypeError, KeyError, AttributeError, RecursionError)
    with (
        opened_member(path, WEIGHTS, _MAX_WEIGHT_BYTES) as file,
        raised_as(ModelError, f"{path}: {WEIGHTS} is damaged", "fetch the bundle again", *causes),
    ):
        return read_shapes(file)


def read_weights(model: str | Path, card: BundleCard) -> bytes:
    """Read the weights file of a bundle, checked against the size and SHA-256 in its card.

    Raises:
        ModelError: The file is missing, or is not the one that the card describes.
    """
    path = locate(model)
    weights = read_member(path, WEIGHTS, card.weights_bytes)
    _refuse_other(path, card, len(weights), hashlib.sha256(weights).hexdigest())
    return weights


def load_bundle(model: str | Path = SHIPPED_MODEL) -> Bundle:
    """Load the card and network of a segmentation model.

    Raises:
        ModelError: There is no bundle, it is damaged, or its weights do not fit its network.
    """
    card = read_card(model)
    network = network_for(model, card, lambda: build_network(card.architecture))
    fill_weights(network, model, card)
    digest, path = card.familiarity_sha256, locate(model)
    statistics = read_checked(path, FAMILIARITY, digest, MOST_BYTES) if digest else None
    return Bundle(
        card, network, Familiarity.from_bytes(statistics, len(card.classes), card.name) if statistics else None
    )


def fill_weights(network: nn.Module, model: str | Path, card: BundleCard) -> None:
    """Load the weights of a bundle into a network built from its card. The network ends in evaluation mode, frozen.

    Raises:
        ModelError: The weights are damaged or do not fit.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    weights = read_weights(model, card)
    with raised_as(ModelError, f"{card.name}: the weights do not fit the network", "", RuntimeError, SafetensorError):
        network.load_state_dict(load(weights))
    network.eval().requires_grad_(requires_grad=False)


def write_bundle(
    folder: Path,
    network: nn.Module,
    familiarity: Familiarity | None = None,
    **card: Any,  # noqa: ANN401 - fields of Card
) -> Card:
    """Write a network and its card as a new bundle folder.

    Args:
        folder: Created with its parents; files of these names in it are replaced.
        network: Its state is stored in float32.
        familiarity: Statistics of its training, or None.
        card: Fields of `Card` other than the weights' size and the hashes.
    """
    state = {name: tensor.float() for name, tensor in network.state_dict().items()}
    (folder / FAMILIARITY).unlink(missing_ok=True)
    if familiarity is None:
        return write_bundle_as(Card, folder, state, **card)
    statistics = familiarity.to_bytes()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FAMILIARITY).write_bytes(statistics)
    return write_bundle_as(Card, folder, state, familiarity_sha256=hashlib.sha256(statistics).hexdigest(), **card)


def write_bundle_as(schema: type[AnyCard], folder: Path, state: Mapping[str, Tensor], **card: Any) -> AnyCard:  # noqa: ANN401
    """Write weights, in their own dtypes, and a card of one kind as a new bundle folder.

    Args:
        schema: Class of the card.
        folder: Created with its parents; files of these names in it are replaced.
        state: Tensors by name.
        card: Fields of the card other than the weights' size and hash.
    """
    from safetensors.torch import save

    weights = save({name: tensor.detach().cpu().contiguous() for name, tensor in state.items()})
    described = schema(weights_sha256=hashlib.sha256(weights).hexdigest(), weights_bytes=len(weights), **card)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / WEIGHTS).write_bytes(weights)
    text = json.dumps(described.model_dump(mode="json"), indent=2, ensure_ascii=False)
    (folder / CARD).write_text(text + "\n", encoding="utf-8")
    return described
