"""Crosswalks: mapping the classes of one legend to those of another."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field

from lulc.config import Table, parse_config, read_toml
from lulc.errors import ConfigError, did_you_mean
from lulc.legend import NODATA_CODE, LandClass, Legend
from lulc.resources import config_path, shipped_names

_EXAMPLE = 'a crosswalk is: source = "esri", target = "dynamic-world", then [classes] "built area" = "built"'


def _listed(value: object) -> object:
    """One class or several: a list of them."""
    if isinstance(value, str):
        return (value,)
    if not (isinstance(value, list | tuple) and value and all(isinstance(part, str) for part in value)):
        raise ValueError("must be the name of a class, or a list of names when it may be any of them")
    return tuple(value)


class _CrosswalkTable(Table):
    source: str
    target: str
    ignored: tuple[str, ...] = ()
    classes: dict[str, Annotated[tuple[str, ...], BeforeValidator(_listed)]] = Field(default={})


@dataclass(frozen=True, slots=True)
class Crosswalk:
    """A table from the classes of one legend to those of another.

    Attributes:
        source: Legend to translate from.
        target: Legend to translate to.
        codes: Target code of each source class, in the order of the source legend; 255 for an ignored class, and for
            one that may be any of several.
        several: Those several: target codes by source code.
        merged: Names of the target's classes that were merged because of such source classes; see `coarsened`.

    Raises:
        ConfigError: The codes do not name every source class once, or name a class that the target lacks.
    """

    source: Legend
    target: Legend
    codes: tuple[int, ...]
    several: dict[int, tuple[int, ...]] = field(default_factory=dict)
    merged: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        allowed = {*range(1, len(self.target) + 1), NODATA_CODE}
        if len(self.codes) != len(self.source) or not set(self.codes) <= allowed:
            raise ConfigError(f"crosswalk {self.source.name} to {self.target.name} does not name every class once")

    @property
    def is_identity(self) -> bool:
        """True when both legends have the same classes and no code changes."""
        return self.source.names == self.target.names and self.codes == tuple(range(1, len(self.source) + 1))

    @property
    def ignored(self) -> tuple[LandClass, ...]:
        """Source classes without a counterpart; those that may be any of several are not among them."""
        pairs = zip(self.source, self.codes, strict=True)
        return tuple(entry for entry, code in pairs if code == NODATA_CODE and entry.code not in self.several)

    @property
    def undecided(self) -> tuple[str, ...]:
        """Text on each source class that may be any of several target classes."""
        return tuple(
            f"{self.source.name}'s {self.source.names[code - 1]} may be {self._joined(targets)}"
            for code, targets in self.several.items()
        )

    def _joined(self, codes: Iterable[int]) -> str:
        return " or ".join(self.target.names[code - 1] for code in codes)

    def relabel(self, codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Translate class codes to the target legend.

        Args:
            codes: Codes of the source legend, uint8 of any shape; 255 where not labelled.

        Returns:
            Codes of the target legend, uint8 of the same shape; 255 where not labelled, ignored or undecided.
        """
        table = np.full(NODATA_CODE + 1, NODATA_CODE, np.uint8)
        table[1 : len(self.codes) + 1] = self.codes
        return table[codes]

    def sum_activations(self, activations: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Sum the activations of the source classes that make up each target class.

        Args:
            activations: Activations of the source legend, float (K, ...), summing to 1 over K; NaN where there is no
                data.

        Returns:
            Activations of the target legend, float32 (K', ...), summing to 1. The part of ignored classes is dropped
            and the rest rescaled. NaN where there is no data or ignored classes held everything.
        """
        summed = np.zeros((len(self.target), *activations.shape[1:]), np.float32)
        for code, activation in zip(self.codes, activations, strict=True):
            if code != NODATA_CODE:
                summed[code - 1] += activation
        total = summed.sum(axis=0)
        total[~(total > 0)] = np.nan
        rescaled: NDArray[np.float32] = summed / total
        return rescaled


def load_crosswalk(source: Legend, target: Legend, path: str | Path | None = None) -> Crosswalk:
    """Load the crosswalk between two legends.

    Args:
        source: Legend to translate from.
        target: Legend to translate to.
        path: TOML file; None takes the shipped crosswalk. Legends with the same classes need none.

    Raises:
        ConfigError: There is no such crosswalk, or it does not name every source class exactly once.
    """
    if path is None and source.names == target.names:
        return Crosswalk(source, target, tuple(range(1, len(source) + 1)))
    name = f"{source.name}-to-{target.name}"
    if path is None and name not in shipped_names("crosswalks"):
        known = ", ".join(shipped_names("crosswalks"))
        raise ConfigError(f"no crosswalk {name}", f"give one with --crosswalk FILE.toml; shipped are: {known}")
    return _parsed(path or name, source, target)


def crosswalk_ends(file: str | Path) -> tuple[str, str]:
    """Names of the source and target legend of a crosswalk file.

    Raises:
        ConfigError: No such file, or it is no crosswalk.
    """
    table = _table(file)
    return table.source, table.target


def coarsened(*crosswalks: Crosswalk) -> tuple[Crosswalk, ...]:
    """Crosswalks to one target, brought to a coarser one in which no source class is undecided.

    A source class that may be grass or shrub agrees with both. Counted as one of them it would contradict every map
    that is right, so the two are merged in all that is compared.

    Args:
        crosswalks: Crosswalks with the same target.

    Returns:
        The same crosswalks to a legend with fewer classes; unchanged when no class is undecided.

    Raises:
        ConfigError: All classes would become one.
    """
    target, groups = crosswalks[0].target, _groups(crosswalks)
    if len(groups) == len(target):
        return crosswalks
    if len(groups) == 1:
        why = "; ".join(text for crosswalk in crosswalks for text in crosswalk.undecided)
        raise ConfigError(f"all classes of {target.name} become one, because {why}", "give another --crosswalk or --to")
    members = [[target.classes[code - 1] for code in group] for group in groups]
    merged = tuple(" or ".join(entry.name for entry in group) for group in members if len(group) > 1)
    classes = tuple(
        LandClass(number, " or ".join(entry.name for entry in group), group[0].color)
        for number, group in enumerate(members, 1)
    )
    legend = Legend(f"{target.name}, merged", f"{target.title}, {'; '.join(merged)} as one class", classes)
    new = {code: number for number, group in enumerate(groups, 1) for code in group} | {NODATA_CODE: NODATA_CODE}
    return tuple(
        Crosswalk(
            crosswalk.source,
            legend,
            tuple(new[crosswalk.several.get(number, (code,))[0]] for number, code in enumerate(crosswalk.codes, 1)),
            merged=tuple(f"{name} count as one class" for name in merged),
        )
        for crosswalk in crosswalks
    )


def _groups(crosswalks: Iterable[Crosswalk]) -> list[tuple[int, ...]]:
    """Target codes that belong together, in order of the first of each group."""
    groups = [{code} for code in range(1, len(next(iter(crosswalks)).target) + 1)]
    for crosswalk in crosswalks:
        for codes in crosswalk.several.values():
            met = [group for group in groups if group & set(codes)]
            groups = [group for group in groups if group not in met] + [set().union(*met)]
    return sorted(tuple(sorted(group)) for group in groups)


def _table(file: str | Path) -> _CrosswalkTable:
    return parse_config(_CrosswalkTable, read_toml("crosswalks", file), str(config_path("crosswalks", file)), _EXAMPLE)


def _parsed(file: str | Path, source: Legend, target: Legend) -> Crosswalk:
    table = _table(file)
    for key, stated, legend in (("source", table.source, source), ("target", table.target, target)):
        if stated != legend.name:
            raise ConfigError(f"{file}: the crosswalk's {key} is {stated!r}", f"it must be {legend.name!r}")
    ignored, pairs = set(table.ignored), table.classes
    _refuse_unknown([*ignored, *pairs], source, str(file))
    _refuse_unknown((name for names in pairs.values() for name in names), target, str(file))
    missing = [name for name in source.names if (name in ignored) == (name in pairs)]
    if missing:
        problem = f"{file}: the crosswalk from {source.name} must name {missing[0]!r} once"
        raise ConfigError(problem, "in [classes] or ignored")
    number = {name: code for code, name in enumerate(target.names, 1)}
    codes = [sorted({number[target_name] for target_name in pairs.get(name, ())}) for name in source.names]
    return Crosswalk(
        source,
        target,
        tuple(found[0] if len(found) == 1 else NODATA_CODE for found in codes),
        {code: tuple(found) for code, found in enumerate(codes, 1) if len(found) > 1},
    )


def _refuse_unknown(names: Iterable[str], legend: Legend, file: str) -> None:
    for name in names:
        if name not in legend.names:
            raise ConfigError(f"{file}: legend {legend.name} has no class {name!r}", did_you_mean(name, legend.names))
