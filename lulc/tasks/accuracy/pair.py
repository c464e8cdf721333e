"""A map and its reference, read window by window on the map's grid and in one legend.

A map with activations is brought to another legend by summing them, so that classes that share a pixel's probability and
become one are not beaten by a third; only then is the largest taken.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lulc.crosswalk import Crosswalk, coarsened, crosswalk_ends, load_crosswalk
from lulc.errors import ConfigError, InputError, UsageError
from lulc.grid import Window
from lulc.io.labels.labels import Labels
from lulc.io.product.maps import ClassMap
from lulc.io.product.reader import ProductReader, open_product
from lulc.legend import NODATA_CODE, Legend, load_legend
from lulc.resources import shipped_names

Name = str | Path


def reference_legend(path: Path, legend: Name | None) -> Legend:
    """Legend of a reference: the given one, or its own when lulc made it.

    Raises:
        UsageError: The reference does not say and none is given.
    """
    if legend is not None:
        return load_legend(legend)
    try:
        with open_product(path) as product:
            return product.legend
    except InputError as error:
        remedy = "give its legend with --legend NAME|PATH"
        raise UsageError(f"{path} does not say what its values mean", remedy) from error


def choose_crosswalks(
    of_map: Legend, of_reference: Legend, to: Name | None, files: Sequence[Name]
) -> tuple[Crosswalk, Crosswalk]:
    """Crosswalks of the map and of the reference to the legend of the comparison.

    Args:
        of_map: Legend of the map.
        of_reference: Legend of the reference.
        to: Legend of the comparison; None takes the map's, else the reference's, whichever the other can be brought to.
        files: Crosswalk files, which go before the shipped ones.

    Raises:
        ConfigError: There is no such crosswalk, or a file is not needed.
    """
    given = {crosswalk_ends(file): file for file in files}
    targets = [load_legend(to)] if to is not None else [of_map, of_reference]
    for target in targets:
        pairs = [(legend, target, given.get((legend.name, target.name))) for legend in (of_map, of_reference)]
        if len(targets) == 1 or all(_exists(*pair) for pair in pairs):
            idle = set(given.values()) - {file for _, _, file in pairs}
            if idle:
                raise ConfigError(
                    f"crosswalk {idle.pop()} has no part in comparing {of_map.name} with {of_reference.name}",
                    f"leave it out; both are brought to {target.name}",
                )
            first, second = coarsened(*(load_crosswalk(*pair) for pair in pairs))
            return first, second
    raise ConfigError(
        f"no crosswalk between {of_map.name} (map) and {of_reference.name} (reference)",
        "give one with --crosswalk FILE.toml, or with --to a legend that both can be brought to",
    )


def _exists(source: Legend, target: Legend, file: Name | None) -> bool:
    shipped = f"{source.name}-to-{target.name}" in shipped_names("crosswalks")
    return file is not None or source.names == target.names or shipped


class Pair:
    """Map and reference, window by window, on the map's grid and in one legend.

    Args:
        source: The map.
        labels: The reference.
        to_map: From the map's legend to that of the comparison.
        to_reference: From the reference's legend to the same.

    Attributes:
        grid: The map's.
        legend: That of the comparison.
        has_activations: Whether the map holds activations.
    """

    def __init__(self, source: ClassMap, labels: Labels, to_map: Crosswalk, to_reference: Crosswalk) -> None:
        self.grid, self.legend, self.has_activations = source.grid, to_map.target, source.has_activations
        self._source, self._labels, self._to_map, self._to_reference = source, labels, to_map, to_reference
        self._of_map = np.zeros(NODATA_CODE + 1, np.int64)
        self._of_reference = np.zeros(NODATA_CODE + 1, np.int64)

    def map_codes(self, window: Window) -> tuple[NDArray[np.uint8], NDArray[np.float32] | None]:
        """Codes, uint8 (height, width), and activations, float32 (K, height, width) or None, of the comparison's legend."""
        own = self._source.classes(window)
        self._of_map += np.bincount(own.ravel(), minlength=NODATA_CODE + 1)
        if not isinstance(self._source, ProductReader) or not self._source.has_activations:
            return self._to_map.relabel(own), None
        activations = self._source.activations(window)
        if self._to_map.is_identity:
            return own, activations
        summed = self._to_map.sum_activations(activations)
        codes = (summed.argmax(axis=0) + 1).astype(np.uint8)
        codes[np.isnan(summed[0])] = NODATA_CODE
        return codes, summed

    @property
    def flags(self) -> bool:
        """True when the map flags pixels as cloud, shadow or unfamiliar."""
        source = self._source
        return isinstance(source, ProductReader) and (source.flags_clouds or source.flags_unfamiliar)

    def flagged(self, window: Window) -> NDArray[np.bool_]:
        """Pixels that the map flags: bool (height, width); nowhere in a map that flags nothing."""
        if not (self.flags and isinstance(self._source, ProductReader)):
            return np.zeros((window.height, window.width), bool)
        return self._source.flagged(window)

    def reference_codes(self, window: Window, margin: int = 0) -> NDArray[np.uint8]:
        """Codes of the comparison's legend.

        Args:
            window: Pixels of the map.
            margin: Pixels more on each side.

        Returns:
            uint8 (height + 2 margin, width + 2 margin), 255 where not labelled and beyond the map.
        """
        around = window.grown(margin)
        inside = around.intersection(self.grid.window)
        own = self._labels.on_grid(self.grid, inside)
        self._of_reference += np.bincount(own[window.slices(inside)].ravel(), minlength=NODATA_CODE + 1)
        codes = np.full((around.height, around.width), NODATA_CODE, np.uint8)
        codes[inside.slices(around)] = self._to_reference.relabel(own)
        return codes

    def notes(self) -> tuple[str, ...]:
        """What the crosswalks did, in what was read so far, that a reader must know."""
        found = list(self._to_map.merged)
        product = self._source
        if isinstance(product, ProductReader) and product.minimum_unit and not self._to_map.is_identity:
            found.append(
                f"the map's minimum mapping unit of {product.minimum_unit} is lost: its activations, which do not show it, were summed"
            )
        if not (self._to_map.is_identity or self.has_activations):
            found.append(
                "the map has no activations, so its classes were relabelled: a class made of several is found too seldom"
            )
        fate = "counted by their next best class" if self.has_activations else "not counted"
        for crosswalk, pixels, text in (
            (self._to_map, self._of_map, f"ignored by the map's crosswalk, {fate}"),
            (self._to_reference, self._of_reference, "ignored by the reference's crosswalk, not counted"),
        ):
            lost = [entry for entry in crosswalk.ignored if pixels[entry.code]]
            if lost:
                found.append(f"{text}: {', '.join(f'{entry.name} ({pixels[entry.code]:,} px)' for entry in lost)}")
        return tuple(found)
