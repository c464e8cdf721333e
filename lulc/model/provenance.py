"""Provenance tags of a map, and compatibility of a scene with a model."""

import json
from importlib.metadata import version

from lulc.bands import check_bands
from lulc.io.scene.scene import Scene
from lulc.model.bundle import BundleCard

_RESOLUTION_TOLERANCE = 1.5


def provenance(scene: Scene, card: BundleCard) -> dict[str, str]:
    """Provenance tags, `LULC_...`, of a map that a model made of a scene."""
    return {
        "LULC_VERSION": version("lulc"),
        "LULC_MODEL": f"{card.name} {card.version}",
        "LULC_MODEL_SHA256": card.weights_sha256,
        "LULC_LEGEND": json.dumps(card.legend, sort_keys=True),
        "LULC_INPUT": scene.info.name,
        "LULC_INPUT_KIND": input_kind(scene),
        "LULC_ACQUIRED": scene.info.acquired,
        "LULC_INPUT_SHA256": scene.fingerprint(times=False),
        "LULC_BANDS": ",".join(card.features.channels),
        "LULC_OFFSET": f"{scene.radiometry.offset:g} ({scene.radiometry.source})",
        "LULC_QUANTIFICATION": f"{scene.radiometry.quantification:g} ({scene.radiometry.source})",
        "LULC_TEMPERATURE": f"{card.temperature:g}",
        "LULC_ATTRIBUTION": " ".join(card.attribution),
    }


def required_names(scene: Scene, card: BundleCard) -> tuple[str, ...]:
    """Names of the bands and indices that a model reads from a scene, in reading order.

    Raises:
        InputError: The scene lacks one.
    """
    names = card.features.required(scene.names)
    check_names(scene, card, names)
    return names


def check_names(scene: Scene, card: BundleCard, names: tuple[str, ...]) -> None:
    """Refuse a scene that lacks a band or an index that a model is to read from it.

    Raises:
        InputError: It does; the message names them.
    """
    unnamed = ", or name its bands with --bands" if scene.info.unnamed else ""
    remedy = f"{card.name} needs {', '.join(names)}: give a scene with these bands{unnamed}"
    check_bands(scene.info.name, names, scene.names, remedy)


def input_kind(scene: Scene) -> str:
    """What a scene is, as its tag says it: kind of file, product level and acquisition, as far as they are known."""
    return " ".join(part for part in (scene.info.kind, scene.info.level, scene.info.acquired) if part)


def compatibility_warnings(scene: Scene, card: BundleCard) -> list[str]:
    """Warnings where the pixel size (metres) or product level of a scene differs from the model's training data."""
    notes = []
    size, level = scene.grid.pixel_size_m(), scene.info.level
    known = card.resolution_m
    if known and size and not 1 / _RESOLUTION_TOLERANCE <= size / known <= _RESOLUTION_TOLERANCE:
        notes.append(f"pixels are {size:.3g} m, {card.name} was trained at {known:g} m: expect errors")
    if level and card.input_levels and level not in card.input_levels:
        notes.append(f"the scene is {level}, {card.name} was trained for {', '.join(card.input_levels)}: expect errors")
    return notes
