"""Crosswalks: mapping the classes of one legend to those of another."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lulc.errors import ConfigError, did_you_mean
from lulc.legend import NODATA_CODE, Legend
from lulc.resources import read_toml, shipped_names


@dataclass(frozen=True, slots=True)
class Crosswalk:
    """A table from the classes of one legend to those of another.

    Attributes:
        source: Legend to translate from.
        target: Legend to translate to.
        codes: Target code of each source class, in the order of the source legend; 255 for an ignored class.

    Raises:
        ConfigError: The codes do not name every source class once, or name a class that the target lacks.
    """

    source: Legend
    target: Legend
    codes: tuple[int, ...]

    def __post_init__(self) -> None:
        allowed = {*range(1, len(self.target) + 1), NODATA_CODE}
        if len(self.codes) != len(self.source) or not set(self.codes) <= allowed:
            raise ConfigError(f"crosswalk {self.source.name} to {self.target.name} does not name every class once")

    @property
    def is_identity(self) -> bool:
        """True when both legends have the same classes and no code changes."""
        return self.source.names == self.target.names and self.codes == tuple(range(1, len(self.source) + 1))

    def relabel(self, codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Translate class codes to the target legend.

        Args:
            codes: Codes of the source legend, uint8 of any shape; 255 where not labelled.

        Returns:
            Codes of the target legend, uint8 of the same shape; 255 where not labelled or ignored.
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
    return _parsed(read_toml("crosswalks", path or name), source, target)


def _parsed(table: dict[str, Any], source: Legend, target: Legend) -> Crosswalk:
    for key, legend in (("source", source), ("target", target)):
        if table.get(key) != legend.name:
            raise ConfigError(f"the crosswalk's {key} is {table.get(key)!r}", f"it must be {legend.name!r}")
    strange = set(table) - {"source", "target", "ignored", "classes"}
    if strange:
        raise ConfigError(f"crosswalk has the unknown key {min(strange)!r}", "use source, target, ignored, [classes]")
    ignored, pairs = set(table.get("ignored", ())), dict(table.get("classes", {}))
    _refuse_unknown([*ignored, *pairs], source)
    _refuse_unknown(pairs.values(), target)
    missing = [name for name in source.names if (name in ignored) == (name in pairs)]
    if missing:
        raise ConfigError(f"the crosswalk from {source.name} must name {missing[0]!r} once", "in [classes] or ignored")
    code = {name: number for number, name in enumerate(target.names, 1)}
    return Crosswalk(
        source, target, tuple(code[pairs[name]] if name in pairs else NODATA_CODE for name in source.names)
    )


def _refuse_unknown(names: Iterable[str], legend: Legend) -> None:
    for name in names:
        if name not in legend.names:
            raise ConfigError(f"legend {legend.name} has no class {name!r}", did_you_mean(name, legend.names))
