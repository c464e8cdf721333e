"""What the bands of a scene are called, and where each is."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from lulc.bands import sensor
from lulc.errors import InputError
from lulc.io.scene.platform import refuse_other_satellites
from lulc.io.scene.quality import Label, quality_name
from lulc.io.scene.source import ALPHA, Source, canonical_names


class SourceBand(NamedTuple):
    """Where a scene finds a band: indices of its source and of the band in it, from 0."""

    source: int
    band: int


def labels_of(sources: list[Source], bands: Sequence[str] | None) -> list[Label]:
    """What every band of a scene is called: by the user, else by the input.

    Args:
        sources: Of the scene, in order.
        bands: What the user calls them; None when nothing was said.

    Raises:
        InputError: The numbers do not fit, transparency is called a band, or the input is of another satellite.
    """
    labels = [
        (number, band, label) for number, source in enumerate(sources) for band, label in enumerate(source.labels)
    ]
    if bands is None:
        refuse_other_satellites(sources)
        return labels
    opaque = [label for label in labels if label[2] != ALPHA]
    named = opaque if len(bands) == len(opaque) else labels
    if len(bands) != len(named):
        raise InputError(
            f"--bands names {len(bands)} bands, the input has {len(labels)}", "name each one; - skips a band"
        )
    for (number, band, label), name in zip(named, bands, strict=True):
        if label == ALPHA and name != "-":
            raise InputError(
                f"{sources[number].origin.path}: its band {band + 1} is transparency, not {name}",
                "leave it out of --bands, or write - for it",
            )
    return [(number, band, name) for (number, band, _), name in zip(named, bands, strict=True)]


def bands_by_name(
    sources: list[Source], labels: list[Label], *, named: bool
) -> tuple[dict[str, SourceBand], tuple[str, ...]]:
    """Where each named band is, and the labels that name nothing.

    Args:
        sources: Of the scene, in order.
        labels: From `labels_of`.
        named: The user gave them.

    Raises:
        InputError: A band is there twice, none is named, or the user names what is no band.
    """
    found: dict[str, SourceBand] = {}
    unnamed = []
    names = canonical_names([label for _, _, label in labels], sensor())
    for (number, band, label), name in zip(labels, names, strict=True):
        if name is None and (quality_name(label) or label == ALPHA):
            continue
        if name is None:
            unnamed.append(label or f"band {band + 1}")
        elif name in found:
            raise InputError(
                f"{sources[number].origin.path}: {name} is there twice",
                "give each band once, or name them with --bands",
            )
        else:
            found[name] = SourceBand(number, band)
    if named:
        strange = [label for label in unnamed if label != "-"]
        if strange:
            raise InputError(
                f"--bands names {', '.join(strange)}, which is no band of {sensor().name}",
                "use names such as B02 and B8A, or -",
            )
    if not found:
        raise _without_bands(sources[0].origin.path, unnamed, [label for _, _, label in labels if label])
    return found, tuple(unnamed)


def _without_bands(path: Path, unnamed: Sequence[str], said: Sequence[str]) -> InputError:
    """The refusal of an input of which no label names a spectral band."""
    if not unnamed:
        return InputError(f"{path} holds {', '.join(said)} alone", "give the spectral bands too")
    return InputError(
        f"{path} does not name its bands: it has {', '.join(unnamed)}", "name them in order with --bands B02,B03,..."
    )
