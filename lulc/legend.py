"""Land-cover classes: their codes, names and colours, the same in rasters, tags and figures."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, StrictInt

from lulc.config import Table, parse_config, read_toml
from lulc.errors import ConfigError
from lulc.resources import config_path

NODATA_CODE = 255
"""Nodata value of the class band and of every activation band."""

_MAX_CLASSES = 250
_COLOR = re.compile(r"#[0-9a-fA-F]{6}")
_EXAMPLE = 'a legend is: name = "mine", then for each class [[classes]] code = 1, name = "water", color = "#419bdf"'


_Value = Annotated[StrictInt, Field(ge=-(2**31), lt=2**32)]


class _ClassTable(Table):
    code: StrictInt
    name: str
    color: str
    values: tuple[_Value, ...] = ()


class _LegendTable(Table):
    name: str
    title: str = ""
    classes: tuple[_ClassTable, ...]
    nodata_values: tuple[_Value, ...] = ()
    nodata_colors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LandClass:
    """One land-cover class.

    Attributes:
        code: Code in lulc's rasters, 1..250.
        name: Name, unique in its legend.
        color: Colour as `#rrggbb`.
        values: Pixel values of the class in third-party label rasters, such as 111 in CORINE; empty means `code`.

    Raises:
        ConfigError: The code is out of range, or the colour is not `#rrggbb`.
    """

    code: int
    name: str
    color: str
    values: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", tuple(self.values))
        if not 1 <= self.code <= _MAX_CLASSES:
            raise ConfigError(f"class {self.name!r} has code {self.code}", f"use 1..{_MAX_CLASSES}; 0 is never a class")
        if not (self.name.strip() and self.name.isprintable()):
            raise ConfigError(f"class {self.code} has the name {self.name!r}", "give a name of one printable line")
        if not _COLOR.fullmatch(self.color):
            raise ConfigError(f"class {self.name!r} has colour {self.color!r}", "write it as #rrggbb")

    @property
    def rgb(self) -> tuple[int, int, int]:
        """Red, green, blue, each 0..255."""
        value = int(self.color[1:], 16)
        return value >> 16, value >> 8 & 255, value & 255


@dataclass(frozen=True, slots=True)
class Legend:
    """Classes in the order of the network's outputs: code i + 1 belongs to output i.

    Attributes:
        name: Short name, that of its file in configs/legends.
        title: Full name.
        classes: In order of their codes.
        nodata_values: Pixel values that mean "not labelled" in third-party label rasters.
        nodata_colors: Colours that mean "not labelled" in colour masks.

    Raises:
        ConfigError: Codes are not 1, 2, 3, ..., there are no classes, or a name or pixel value occurs twice.
    """

    name: str
    title: str
    classes: tuple[LandClass, ...]
    nodata_values: tuple[int, ...] = ()
    nodata_colors: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not (self.name.strip() and self.name.isprintable()):
            raise ConfigError(f"a legend has the name {self.name!r}", "give a name of one printable line")
        codes = [entry.code for entry in self.classes]
        if not codes:
            raise ConfigError(f"legend {self.name!r} has no classes", "give at least one")
        if codes != list(range(1, len(codes) + 1)):
            raise ConfigError(f"legend {self.name!r} has codes {codes}", "number the classes 1, 2, 3, ...")
        for name in _repeated(entry.name for entry in self.classes):
            raise ConfigError(f"legend {self.name!r} has a name twice: {name!r}", "name each class once")
        values = [*(value for entry in self.classes for value in entry.values or (entry.code,)), *self.nodata_values]
        for value in _repeated(values):
            raise ConfigError(f"legend {self.name!r} has a pixel value twice: {value}", "give each value to one class")
        for color in self.nodata_colors:
            if not _COLOR.fullmatch(color):
                raise ConfigError(f"legend {self.name!r} has nodata_colors {color!r}", "write colours as #rrggbb")

    def __len__(self) -> int:
        return len(self.classes)

    def __iter__(self) -> Iterator[LandClass]:
        return iter(self.classes)

    @property
    def names(self) -> tuple[str, ...]:
        """Class names in order of their codes."""
        return tuple(entry.name for entry in self.classes)

    def code_of_value(self) -> dict[int, int]:
        """Map pixel values of label rasters to class codes; values that mean "not labelled" map to 255."""
        codes = {value: entry.code for entry in self.classes for value in entry.values or (entry.code,)}
        return codes | dict.fromkeys(self.nodata_values, NODATA_CODE)

    @classmethod
    def from_table(cls, table: object, source: str = "legend") -> "Legend":
        """Build a legend from a parsed legend file or from the legend of a model card.

        Args:
            table: As parsed from TOML or JSON.
            source: What to call it in messages.

        Raises:
            ConfigError: A key is missing, unknown or of the wrong type.
        """
        parsed = parse_config(_LegendTable, table, source, _EXAMPLE)
        try:
            return cls(
                name=parsed.name,
                title=parsed.title or parsed.name,
                classes=tuple(LandClass(entry.code, entry.name, entry.color, entry.values) for entry in parsed.classes),
                nodata_values=parsed.nodata_values,
                nodata_colors=parsed.nodata_colors,
            )
        except ConfigError as error:
            raise ConfigError(f"{source}: {error.problem}", error.remedy) from error

    def to_table(self) -> dict[str, Any]:
        """Plain form, as stored in model cards and products. Pixel values of third-party label rasters are left out."""
        classes = [{"code": entry.code, "name": entry.name, "color": entry.color} for entry in self.classes]
        return {"name": self.name, "title": self.title, "classes": classes}


def load_legend(name: str | Path) -> Legend:
    """Load a legend by the name of its file in configs/legends, or by path.

    Raises:
        ConfigError: No such file, or it is not a legend.
    """
    return Legend.from_table(read_toml("legends", name), str(config_path("legends", name)))


def _repeated(values: Iterable[Any]) -> list[Any]:
    return [value for value, times in Counter(values).items() if times > 1]
