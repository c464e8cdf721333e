"""Weights of a bundle: their shapes are known from a short header, and no network is built that they do not fill."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from math import prod
from typing import IO, TypeVar

import torch
from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from lulc.errors import ModelError

Shapes = Mapping[str, tuple[int, ...]]
"""Shape of each tensor by its name."""

Network = TypeVar("Network", bound=nn.Module)

_LENGTH_BYTES = 8
_MOST_HEADER_BYTES = 16 << 20
_TIMES, _MORE = 4, 50_000_000
"""Weights that a network may have while it is built, by those that are stored; idle layers are dropped afterwards."""


class _TooManyWeightsError(Exception):
    """A network has far more weights than its bundle stores."""


def read_shapes(file: IO[bytes]) -> Shapes:
    """Shapes of the tensors in a safetensors file, from its header.

    Raises:
        ValueError, TypeError, KeyError, AttributeError, RecursionError: It is no such header.
    """
    size = int.from_bytes(file.read(_LENGTH_BYTES), "little")
    if size > _MOST_HEADER_BYTES:
        raise ValueError(f"its header has {size} bytes")
    table = json.loads(file.read(size))
    stated = {name: entry for name, entry in table.items() if name != "__metadata__"}
    return {name: tuple(int(side) for side in entry["shape"]) for name, entry in stated.items()}


def built_for(shapes: Shapes, build: Callable[[], Network], name: str) -> Network:
    """Build a network that stored weights are meant for.

    One with far more weights than are stored is built without memory first, to see whether it drops the rest.

    Args:
        shapes: Of the stored tensors.
        build: Builds the network.
        name: Of the model, for messages.

    Raises:
        ModelError: The network differs from what is stored.
    """
    most = _TIMES * sum(map(prod, shapes.values())) + _MORE
    try:
        with _at_most(most):
            network = build()
    except _TooManyWeightsError:
        with torch.device("meta"):
            refuse_misfit(build(), shapes, name)
        network = build()
    refuse_misfit(network, shapes, name)
    return network


def refuse_misfit(network: nn.Module, shapes: Shapes, name: str) -> None:
    """Refuse weights with other names or shapes than a network's.

    Raises:
        ModelError: They differ; the message names the first that does.
    """
    own = {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}
    for key in own.keys() | shapes.keys():
        there, wanted = shapes.get(key), own.get(key)
        if there != wanted:
            raise ModelError(f"{name}: the weights do not fit the network: {key} is {there}, not {wanted}")


@contextmanager
def _at_most(weights: int) -> Iterator[None]:
    """Stop the building of a network in this thread when it has too many weights, before they take memory."""
    owner, count = threading.get_ident(), 0

    def registered(_module: nn.Module, _name: str, parameter: nn.Parameter | None) -> None:
        nonlocal count
        if parameter is not None and threading.get_ident() == owner:
            count += parameter.numel()
            if count > weights:
                raise _TooManyWeightsError

    hook = register_module_parameter_registration_hook(registered)
    try:
        yield
    finally:
        hook.remove()
