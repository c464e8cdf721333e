"""The plan of a mosaic, made from the headers of its maps: legend, grid, order, provenance."""

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path

import numpy as np

from lulc.errors import InputError, UsageError
from lulc.grid import Grid, Shape, Window
from lulc.io.files.fingerprint import Unchanged, code_fingerprint, file_fingerprint, named_fingerprint
from lulc.io.files.names import listed
from lulc.io.files.outputs import refuse_repeated
from lulc.io.product.bands import CLOUDS, ExtraBand
from lulc.io.product.on_grid import ProductOnGrid
from lulc.io.product.reader import UNIT_TAG, open_product
from lulc.io.scene.acquired import iso_date, last_moment, moment, span
from lulc.legend import Legend
from lulc.options import Stored
from lulc.tasks.mosaic.grid import NamedGrid, mosaic_grid
from lulc.tasks.mosaic.options import Method, MosaicOptions
from lulc.tiling import panel_windows

SOURCES_A_BAND = 250
"""Maps that one uint8 band can tell apart. With more maps a second band counts the 250s."""

_CHUNK = 1024
_CHUNK_OF_MANY_CLASSES = 512
_MANY_CLASSES = 16
_NO_MAPS = {"change-map"}
_HARDLY_FILLED = 0.02
_FLAGGED = "left out where another map is clear, else flagged in the band clouds"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SourceMap:
    """One map of a mosaic.

    Attributes:
        path: File of the map.
        legend: Classes of the map.
        grid: Georeference and size.
        tags: Provenance tags, `LULC_...`.
        has_activations: False when the map has a class band only.
        flags_clouds: True when it has the band `clouds`.
    """

    path: Path
    legend: Legend
    grid: Grid
    tags: dict[str, str]
    has_activations: bool
    flags_clouds: bool

    @classmethod
    def of(cls, path: Path) -> "SourceMap":
        """Read the header of a product.

        Raises:
            InputError: The file is not a product of lulc, or is a change map.
        """
        with open_product(path) as product:
            if product.tags.get("LULC_KIND") in _NO_MAPS:
                raise InputError(f"{path} is a map of change", "give maps of one date each")
            return cls(path, product.legend, product.grid, product.tags, product.has_activations, product.flags_clouds)

    @property
    def acquired(self) -> str:
        """Acquisition of its scenes, a date or FROM/TO, from its tags; empty when they do not state it."""
        return iso_date(self.tags.get("LULC_ACQUIRED", ""))


@dataclass(frozen=True)
class MosaicPlan:
    """Everything that decides a mosaic.

    Attributes:
        maps: Maps in order of precedence, numbered from 1.
        grid: Grid of the mosaic.
        options: Options of the merge.
        unchanged: The maps' files as they were when the plan was begun.
    """

    maps: tuple[SourceMap, ...]
    grid: Grid
    options: MosaicOptions
    unchanged: Unchanged

    @property
    def legend(self) -> Legend:
        """Classes of all maps."""
        return self.maps[0].legend

    @property
    def activations(self) -> Stored:
        """Storage of activations: `uint8`, `float32` or `none`."""
        return self.options.activations if self.options.method == "activations" else "none"

    @cached_property
    def parts(self) -> tuple[ProductOnGrid, ...]:
        """The maps, each read on the mosaic's grid."""
        return tuple(
            ProductOnGrid(one.path, one.legend, one.grid, self.grid, flags_clouds=one.flags_clouds) for one in self.maps
        )

    @property
    def flags_clouds(self) -> bool:
        """True when a map has the band `clouds`, so the mosaic has it too."""
        return any(one.flags_clouds for one in self.maps)

    @cached_property
    def extra(self) -> tuple[ExtraBand, ...]:
        """Extra bands: number of the source map of each pixel, confidence, and the sky where a map tells it."""
        names = tuple((number, one.path.name) for number, one in enumerate(self.maps, start=1))
        paged = len(names) > SOURCES_A_BAND
        source = ExtraBand("source", "code", "number of the map", () if paged else names)
        page = ExtraBand("source 250s", "code", "add 250 times this to source")
        confidence = ExtraBand("confidence", "share", "probability")
        return (source, *([page] if paged else []), confidence, *([CLOUDS] if self.flags_clouds else []))

    def chunks(self) -> list[Window]:
        """Windows of whole blocks that cover each pixel once, in order of work."""
        side = _CHUNK_OF_MANY_CLASSES if len(self.legend) > _MANY_CLASSES else _CHUNK
        return list(panel_windows(self.grid.shape, side))

    def near(self, window: Window) -> list[int]:
        """Indices, from 0, of the maps that may have data in a window."""
        rows, cols, row_ends, col_ends = self._covered
        meets = (rows < window.row_end) & (row_ends > window.row) & (cols < window.col_end) & (col_ends > window.col)
        return np.flatnonzero(meets).tolist()

    @cached_property
    def _covered(self) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
        covered = [part.covered for part in self.parts]
        corners = [(window.row, window.col, window.row_end, window.col_end) for window in covered]
        sized = [window.shape != Shape(0, 0) and window.shape.size > 0 for window in covered]
        return np.where(np.array(sized)[:, None], np.array(corners), 0).T

    def tags(self) -> dict[str, str]:
        """Provenance tags of the mosaic, `LULC_...`."""
        options = self.options
        return {
            "LULC_KIND": "mosaic",
            "LULC_VERSION": version("lulc"),
            "LULC_LEGEND": json.dumps(self.legend.to_table(), sort_keys=True),
            "LULC_MODEL": self._common("LULC_MODEL"),
            "LULC_MODEL_SHA256": self._common("LULC_MODEL_SHA256"),
            "LULC_ATTRIBUTION": self._common("LULC_ATTRIBUTION"),
            "LULC_ACQUIRED": span(one.acquired for one in self.maps),
            "LULC_MAPS": str(len(self.maps)),
            "LULC_INPUT": listed([one.path.name for one in self.maps]),
            "LULC_INPUT_SHA256": self._digest(times=False),
            "LULC_METHOD": options.method,
            "LULC_FEATHER": str(options.feather),
            "LULC_ACTIVATIONS": self.activations,
            **({"LULC_CLOUDS": _FLAGGED} if self.flags_clouds else {}),
        }

    @cached_property
    def fingerprint(self) -> str:
        """Over everything that decides the product's bytes, of `named_fingerprint`."""
        return named_fingerprint(
            {
                "maps": self._digest(times=True),
                "lulc": code_fingerprint(),
                "settings": [repr(self.grid), self.options.model_dump(mode="json", exclude={"overwrite", "resume"})],
            }
        )

    def _common(self, tag: str) -> str:
        """The values of a tag in all maps, each once."""
        return "; ".join(dict.fromkeys(one.tags[tag] for one in self.maps if one.tags.get(tag)))

    def _digest(self, *, times: bool) -> str:
        digest = hashlib.sha256()
        for one in self.maps:
            digest.update(file_fingerprint(one.path, times=times))
        return digest.hexdigest()


def plan_mosaic(paths: Sequence[Path], options: MosaicOptions) -> MosaicPlan:
    """Plan a mosaic; nothing is written.

    Args:
        paths: Products, in order of precedence.
        options: Options of the merge.

    Raises:
        InputError: A file is not a product, legends or resolutions differ, a map lacks what the method needs, or no map
            lies in the bounds.
        UsageError: No map is given, one is given twice, there are too many, or options do not fit.
        LimitError: The mosaic would have too many pixels.
    """
    _check_paths(paths)
    unchanged = Unchanged(paths)
    maps = [SourceMap.of(path) for path in paths]
    _check_legends(maps)
    if options.method in {"activations", "confidence"}:
        _check_activations(maps, options.method)
    if options.method == "latest":
        maps = _latest_first(maps)
    grids = [NamedGrid(str(one.path), one.grid) for one in maps]
    grid = mosaic_grid(grids, options.crs, options.resolution, options.bounds)
    plan = MosaicPlan(tuple(maps), grid, options, unchanged)
    if len(maps) > SOURCES_A_BAND * SOURCES_A_BAND:
        raise UsageError(f"{len(maps)} maps are too many for one mosaic", "mosaic parts first")
    if not plan.near(grid.window):
        raise InputError("no map lies in the bounds", "choose other --bounds, in the CRS of the mosaic")
    filled = sum(part.covered.shape.size for part in plan.parts) / grid.shape.size
    if filled < _HARDLY_FILLED:
        _log.warning(
            "the maps fill %.2g %% of a mosaic of %d x %d pixels: are they of one region?",
            100 * filled,
            grid.shape.width,
            grid.shape.height,
        )
    return plan


def _check_paths(paths: Sequence[Path]) -> None:
    if not paths:
        raise UsageError("no map is given", "name at least one")
    refuse_repeated(paths)


def _check_legends(maps: Sequence[SourceMap]) -> None:
    first = maps[0]
    for other in maps[1:]:
        if other.legend.names != first.legend.names:
            raise InputError(
                f"{first.path} has the legend {first.legend.name}, {other.path} the legend {other.legend.name}, with other classes",
                "make all maps with one model, or models of one legend",
            )


def _check_activations(maps: Sequence[SourceMap], method: Method) -> None:
    for one in maps:
        if not one.has_activations:
            raise InputError(
                f"{one.path} holds no activations, which --method {method} needs",
                "classify it with activations, or choose --method first, latest or majority",
            )
        if method == "activations" and UNIT_TAG in one.tags:
            raise InputError(
                f"{one.path} has a minimum mapping unit of {one.tags[UNIT_TAG]}, which its activations do not show and an average of them loses",
                "mosaic the maps first and clean the mosaic, or choose another --method",
            )


def _latest_first(maps: Sequence[SourceMap]) -> list[SourceMap]:
    undated = next((one for one in maps if not one.acquired), None)
    if undated is not None:
        raise InputError(f"{undated.path} does not say when its scene was taken", "choose another --method")
    return sorted(maps, key=lambda one: moment(last_moment(one.acquired)), reverse=True)
