"""GDAL-style creation options (`--co NAME=VALUE`) of a product."""

from collections.abc import Mapping
from dataclasses import dataclass

from lulc.errors import UsageError
from lulc.io.cog.codec import Compression

KNOWN_OPTIONS = (
    "COMPRESS=ZSTD|DEFLATE|NONE, LEVEL (or ZSTD_LEVEL, ZLEVEL), BLOCKSIZE=128|256|512, BIGTIFF=YES|NO|IF_SAFER"
)

_CODECS: dict[str, Compression] = {"ZSTD": "zstd", "DEFLATE": "deflate", "NONE": "none"}
_LEVEL_NAMES = {"zstd": {"LEVEL", "ZSTD_LEVEL"}, "deflate": {"LEVEL", "ZLEVEL"}, "none": {"LEVEL"}}
_HIGHEST_LEVEL = {"zstd": 22, "deflate": 9, "none": 9}
_BIGTIFF = {"YES": True, "NO": False, "IF_SAFER": None}


@dataclass(frozen=True)
class Encoding:
    """Storage of the blocks of a file.

    Attributes:
        compression: `zstd`, `deflate` or `none`.
        effort: Compression level.
        block: Side of a block, pixels.
        bigtiff: 64-bit offsets: True for always, False for never, None for where the size needs them.
    """

    compression: Compression = "zstd"
    effort: int = 1
    block: int = 512
    bigtiff: bool | None = None


def encoding_of(options: Mapping[str, str]) -> Encoding:
    """Parse creation options; the letter case of names and values is ignored.

    Raises:
        UsageError: An option or its value is not known.
    """
    given = {name.upper(): str(value).upper() for name, value in options.items()}
    compression = _CODECS.get(given.pop("COMPRESS", "ZSTD"))
    if compression is None:
        raise _unknown("COMPRESS", options)
    effort, block, bigtiff = 1, 512, None
    for name, value in given.items():
        if name in _LEVEL_NAMES[compression] and _is_level(value, _HIGHEST_LEVEL[compression]):
            effort = int(value)
        elif name == "BLOCKSIZE" and value in {"128", "256", "512"}:
            block = int(value)
        elif name == "BIGTIFF" and value in _BIGTIFF:
            bigtiff = _BIGTIFF[value]
        else:
            raise _unknown(name, options)
    return Encoding(compression, effort, block, bigtiff)


def _is_level(value: str, highest: int) -> bool:
    return value.isascii() and value.isdecimal() and 1 <= int(value) <= highest


def _unknown(name: str, options: Mapping[str, str]) -> UsageError:
    value = {key.upper(): value for key, value in options.items()}[name]
    return UsageError(f"creation option {name}={value} is not known", f"known are {KNOWN_OPTIONS}")
