"""Which satellite a file comes from: other ones give the same names to other bands."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lulc.errors import InputError
from lulc.io.scene.source import Source

_TAGS = re.compile(
    r"(spacecraft|satellite|platform|sensor|mission|instruments?|constellation)(_?(name|id))?", re.IGNORECASE
)
_OTHERS = {
    "Landsat": re.compile(r"landsat.*|lnd0[4-9]|l[ceto]0[4-9].*|(oli|etm|tirs)\b.*|oli_tirs|hls_?l30.*", re.IGNORECASE),
    "Planet": re.compile(r"planet.*|ps(2|b)(\..*)?|dove.*|superdove|skysat.*|rapideye.*", re.IGNORECASE),
    "Sentinel-3": re.compile(r"sentinel-?3.*|s3[ab]|olci|slstr", re.IGNORECASE),
    "Sentinel-1": re.compile(r"sentinel-?1.*|s1[abc]|c-sar", re.IGNORECASE),
    "MODIS": re.compile(r"modis.*|m[oy]d\d\d.*|(terra|aqua).*", re.IGNORECASE),
    "another satellite": re.compile(
        r"spot.*|cbers.*|pleiades.*|worldview.*|gaofen.*|gf-?\d.*|aster.*|viirs.*|prisma|enmap|himawari.*|ahi|goes.*|abi|avhrr.*",
        re.IGNORECASE,
    ),
}
"""What tags call other satellites and their instruments, from the beginning to the end of the tag."""

_FILES = {
    "Landsat": re.compile(r"(hls\.l30\.|l[ceto]0[4-9]_|ga_ls\d|\d{8}_level2_lnd0[4-9]_)", re.IGNORECASE),
    "Planet": re.compile(r"(.*_psscene|\d{8}_\d{6}_.*analyticms|.*_ps2_)", re.IGNORECASE),
}
"""How the names of their files begin."""

_BANDS = {
    "Landsat": {"tirs1", "tirs2", "lwir11", "lwir12", "qa_pixel", "sr_b7"},
    "Planet": {"green_i", "greeni", "yellow"},
}
"""Labels of bands that Sentinel-2 does not have."""


def platform_of(tags: Mapping[str, Any]) -> str:
    """What tags or attributes say of satellite and instrument; empty when they say nothing."""
    return "; ".join(str(value) for name, value in tags.items() if _TAGS.fullmatch(str(name)))


def refuse_other_satellites(sources: Sequence[Source]) -> None:
    """Refuse a scene that says it is of another satellite than Sentinel-2.

    Raises:
        InputError: It is: its B05 may be near infrared.
    """
    for source in sources:
        other = _other(source)
        if other:
            raise InputError(
                f"{source.origin.path} is of {other}, not of Sentinel-2: the same names mean other bands there",
                "name each band as the Sentinel-2 band that it is like, with --bands",
            )


def _other(source: Source) -> str | None:
    stated = [part.strip() for part in source.origin.platform.split(";") if part.strip()]
    labels = {label.strip().lower() for label in source.labels if label}
    return (
        _first(name for name, pattern in _OTHERS.items() if any(pattern.fullmatch(part) for part in stated))
        or _first(name for name, pattern in _FILES.items() if pattern.match(source.origin.path.name))
        or _first(name for name, bands in _BANDS.items() if bands & labels)
    )


def _first(names: Iterable[str]) -> str | None:
    return next(iter(names), None)
