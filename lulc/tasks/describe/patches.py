"""Describe a set of labelled patches, and what would be wrong with it."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lulc.errors import LulcError
from lulc.patches.dataset import Patch, PatchSet, open_patch_set
from lulc.patches.image import PatchImage

_LOOKED_AT = 64


def patch_facts(
    path: Path, bands: Sequence[str] | None
) -> tuple[dict[str, Any], tuple[dict[str, Any], ...], tuple[str, ...]]:
    """Facts, a table of classes, and problems of class folders; at most 64 patches are opened.

    Args:
        path: Folder or zip archive.
        bands: Names of the bands in order, when the files do not state them.

    Raises:
        InputError: There are no class folders with patches.

    Raises:
        LimitError: There are too many patches.
    """
    data = open_patch_set(path, bands)
    counts = Counter(patch.code for patch in data.patches)
    images, refusals = _opened(data)
    looked_at = len(images) + len(refusals)
    facts: dict[str, Any] = {"patches": len(data.patches), "looked_at": looked_at}
    problems = [f"{len(refusals)} of {looked_at} looked at are refused; {refusals[0]}"] if refusals else []
    if images:
        facts |= {
            "sizes": sorted({"{1} x {2}".format(*image.values.shape) for image in images}),
            "bands": sorted({" ".join(image.names) for image in images}),
            "kind": sorted({"picture" if image.is_picture else "reflectance" for image in images}),
            "georeferenced": sum(image.grid.georeferenced for image in images),
        }
        problems += [f"patches differ in their {name}" for name in ("bands", "kind") if len(facts[name]) > 1]
    table = tuple({"code": code, "class": name, "patches": counts[code]} for code, name in enumerate(data.classes, 1))
    return facts, table, tuple(problems)


def _opened(data: PatchSet) -> tuple[list[PatchImage], list[str]]:
    """Images of some patches, spread over the set, and the reasons why others are refused."""
    images, refusals = [], []
    for patch in _spread(data.patches):
        try:
            images.append(data.read(patch))
        except LulcError as error:
            refusals.append(str(error))
    return images, refusals


def _spread(patches: tuple[Patch, ...]) -> list[Patch]:
    chosen = np.linspace(0, len(patches) - 1, min(_LOOKED_AT, len(patches))).round().astype(int)
    return [patches[number] for number in chosen]
