"""Describe a scene, a product, a model bundle, a training set or patches, and list problems of using it.

Pixels of scenes are sampled in a few windows spread over the raster, so that a description takes a second at any size.
Classes of maps are counted, or not told where that would take longer.
"""

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lulc.bands import Radiometry, sensor
from lulc.config import parse_json
from lulc.errors import InputError, ModelError
from lulc.features import FeatureSpec
from lulc.grid import Grid
from lulc.indices import INDICES
from lulc.io.files.http import web_address
from lulc.io.labels.training_set import SET_CARD
from lulc.io.product.reader import open_product
from lulc.io.scene.scene import Scene, open_scene
from lulc.resources import pretrained_dir
from lulc.tasks.describe.product_check import (
    check_samples,
    class_table,
    count_codes,
    flagged_shares,
    layout_problems,
    sample_windows,
)
from lulc.tasks.describe.training_data import patch_facts, set_facts

_CARD = "card.json"
_PERCENTILES = (2, 50, 98)
_COLUMN = 16

_MOST_NEGATIVE = 0.05
_SMALLEST_BRIGHT = 0.02
_LARGEST_MEDIAN = 1.5


@dataclass(frozen=True, slots=True)
class Description:
    """Description of an input.

    Attributes:
        path: Path of the input.
        kind: `scene`, `product`, `model`, `training set` or `patches`.
        facts: Values of plain JSON types by name.
        table: Rows of equal keys: bands of a scene, else classes.
        problems: Problems of using it; empty when none was found.
    """

    path: str
    kind: Literal["scene", "product", "model", "training set", "patches"]
    facts: Mapping[str, Any]
    table: tuple[Mapping[str, Any], ...]
    problems: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain form."""
        return {
            "path": self.path,
            "kind": self.kind,
            **self.facts,
            {"scene": "bands"}.get(self.kind, "classes"): [dict(row) for row in self.table],
            "problems": list(self.problems),
        }

    def to_text(self) -> str:
        """Aligned text columns."""
        lines = [f"{self.path}: {self.kind}"]
        lines += [f"{name.replace('_', ' '):<{_COLUMN}}  {_text(value)}" for name, value in self.facts.items()]
        lines += _aligned(self.table)
        lines += [f"problem: {problem}" for problem in self.problems] or ["no problem found"]
        return "\n".join(lines)


def describe(
    paths: Sequence[Path | str],
    *,
    bands: Sequence[str] | None = None,
    offset: float | None = None,
    quantification: float | None = None,
    date: str | None = None,
) -> Description:
    """Describe a model bundle, a training set, a product, labelled patches, or a scene.

    Args:
        paths: One path, or the name of a shipped model; several are the files of one scene.
        bands: Names of a scene's bands in order, when the files do not state them.
        offset: Added to a scene's digital numbers; None reads it from metadata.
        quantification: Digital numbers per unit reflectance; None reads it from metadata.
        date: Date to take of a cube that holds several.

    Raises:
        InputError: There is nothing that lulc can read.
        ModelError: The card of a bundle cannot be read.
        StorageError: A file is damaged.
    """
    first = Path(paths[0])
    if not first.exists() and (pretrained_dir() / first).is_dir():
        first = pretrained_dir() / first
    if not first.exists() and web_address(first) is None:
        raise InputError(f"there is no {first}", "check the path")
    if len(paths) == 1 and is_bundle(first):
        return describe_model(first)
    if len(paths) == 1 and (first / SET_CARD).is_file():
        return Description(str(first), "training set", *set_facts(first))
    if len(paths) == 1 and (product := describe_product(first)):
        return product
    try:
        with open_scene(paths, bands=bands, offset=offset, quantification=quantification, date=date) as scene:
            return describe_scene(scene, ", ".join(str(path) for path in paths))
    except InputError:
        patches = describe_patches(first, bands) if len(paths) == 1 else None
        if patches is None:
            raise
        return patches


def is_bundle(path: Path) -> bool:
    """True for a folder or a zip archive that holds a model card."""
    if path.is_dir():
        return (path / _CARD).is_file()
    if not (path.is_file() and zipfile.is_zipfile(path)):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.rpartition("/")[2] == _CARD for name in archive.namelist())


def describe_scene(scene: Scene, path: str) -> Description:
    """Describe an open scene from at most 16 windows of it."""
    names = [name for name in scene.names if name in INDICES or sensor().has([name])]
    samples = np.concatenate(
        [scene.reflectance(names, window).reshape(len(names), -1) for window in sample_windows(scene.grid.shape)],
        axis=1,
    )
    valid = samples[:, ~np.isnan(samples[0])]
    info, radiometry = scene.info, scene.radiometry
    facts = {
        "format": info.kind,
        "level": info.level,
        "acquired": info.acquired,
        **_grid_facts(scene.grid),
        "dtype": str(scene.dtype),
        "nodata": info.nodata,
        "other_bands": info.unnamed,
        "offset": radiometry.offset,
        "quantification": radiometry.quantification,
        "radiometry_from": radiometry.source,
        "valid_share_sampled": round(valid.shape[1] / samples.shape[1], 4),
    }
    problems = [
        *_grid_problems(scene.grid),
        *(_radiometry_problems(valid, names, radiometry) or scene.warnings),
        *_missing_bands(scene),
    ]
    return Description(path, "scene", _plain(facts), _band_table(names, valid), tuple(problems))


def describe_product(path: Path) -> Description | None:
    """Describe a product of `lulc classify`; None when the path is something else."""
    try:
        with open_product(path, sound=False) as product:
            counts, problems = count_codes(product), check_samples(product)
            table, valid_share = class_table(product.legend, counts)
            if valid_share == 0:
                problems.append("no pixel has data")
            facts = {
                "format": "GeoTIFF",
                **_grid_facts(product.grid),
                "legend": product.legend.title,
                "activations": product.has_activations,
                "valid_share": valid_share,
                "flagged": flagged_shares(product),
                **{
                    name.removeprefix("LULC_").lower(): text
                    for name, text in sorted(product.tags.items())
                    if name != "LULC_LEGEND"
                },
            }
            problems += _grid_problems(product.grid) + layout_problems(path)
            return Description(str(path), "product", _plain(facts), table, tuple(problems))
    except InputError:
        return None


def describe_patches(path: Path, bands: Sequence[str] | None) -> Description | None:
    """Describe class folders of patches; None when the path is something else."""
    if not (path.is_dir() or (path.is_file() and zipfile.is_zipfile(path))):
        return None
    try:
        return Description(str(path), "patches", *patch_facts(path, bands))
    except InputError:
        return None


def describe_model(path: Path) -> Description:
    """Describe a model bundle. Its weights are read and checked against the card, but not run.

    Raises:
        ModelError: The card cannot be read.
    """
    from lulc.model.bundle import COMMANDS, CommonCard, card_kind, check_weights, read_card, read_card_as

    segments = card_kind(path) == "segmentation"
    card = read_card(path) if segments else read_card_as(CommonCard, path)
    network = card.architecture
    problems = []
    try:
        check_weights(path, card)
    except ModelError as error:
        problems.append(str(error))
    facts = {
        "name": f"{card.name} {card.version}",
        "for": COMMANDS.get(card.kind, card.kind),
        "summary": card.summary,
        "network": network if isinstance(network, dict) else network.model_dump(mode="json"),
        "channels": card.features.channels,
        "levels": card.input_levels,
        "resolution_m": card.resolution_m,
        "temperature": card.temperature,
        "weights_bytes": card.weights_bytes,
        "weights_sha256": card.weights_sha256,
        "good_at": card.good_at,
        "bad_at": card.bad_at,
        "metrics": card.metrics,
        "attribution": card.attribution,
        "licence": card.licence,
    }
    table = tuple({"code": entry.code, "class": entry.name, "color": entry.color} for entry in card.classes)
    return Description(str(path), "model", _plain(facts), table, tuple(problems))


def _grid_facts(grid: Grid) -> dict[str, Any]:
    transform = grid.transform
    return {
        "height": grid.shape.height,
        "width": grid.shape.width,
        "crs": grid.crs.to_string() if grid.crs else None,
        "pixel_size": [float(np.hypot(transform.a, transform.d)), float(np.hypot(transform.b, transform.e))],
        "origin": [transform.c, transform.f],
        "pixel_area_ha": _middle_area(grid),
        "control_points": len(grid.gcps),
        "rpcs": grid.rpcs is not None,
    }


def _middle_area(grid: Grid) -> float | None:
    area = float(grid.pixel_areas_ha()[grid.shape.height // 2])
    return round(area, 6) if np.isfinite(area) else None


def _grid_problems(grid: Grid) -> list[str]:
    if not grid.georeferenced:
        return ["no CRS, control points or RPCs: a map of it has no georeference and no areas"]
    return []


def _radiometry_problems(valid: NDArray[np.float32], names: Sequence[str], radiometry: Radiometry) -> list[str]:
    """Signs of a wrong conversion to reflectance, from sampled values (names, pixels) without missing pixels."""
    if not valid.size:
        return ["no sampled pixel has data"]
    bands = valid[[name not in INDICES for name in names]]
    if not bands.size:
        return []
    _, medians, highs = np.percentile(bands, _PERCENTILES, axis=1)
    scale = f"quantification {radiometry.quantification:g}"
    if highs.max() < _SMALLEST_BRIGHT:
        return [f"98 % of the pixels are darker than {highs.max():.3g} in every band: {scale} is too large"]
    if medians.max() > _LARGEST_MEDIAN:
        return [f"reflectance reaches {medians.max():.3g} in the median: {scale} is too small"]
    negative = float(np.mean(bands < 0))
    if radiometry.offset < 0 and negative > _MOST_NEGATIVE:
        return [f"{negative:.0%} of the values are negative: offset {radiometry.offset:g} does not seem to belong here"]
    return []


def _missing_bands(scene: Scene) -> list[str]:
    problems = []
    for name, features in shipped_features().items():
        missing = [band for band in features.required(scene.names) if band not in scene.names]
        if missing:
            problems.append(f"it lacks {', '.join(missing)}, needed by the model {name}")
    return problems


def shipped_features() -> dict[str, FeatureSpec]:
    """Channels of every shipped model by its name, read from the cards without loading torch."""
    cards = sorted(pretrained_dir().glob(f"*/{_CARD}"))
    return {
        path.parent.name: FeatureSpec.model_validate(parse_json(path.read_text(encoding="utf-8"))["features"])
        for path in cards
    }


def _band_table(names: Sequence[str], valid: NDArray[np.float32]) -> tuple[dict[str, Any], ...]:
    wavelengths = {band.name: band.wavelength_nm for band in sensor().bands}
    levels = np.full((3, len(names)), np.nan)
    if valid.size:
        levels = np.nanpercentile(valid, _PERCENTILES, axis=1)
    return tuple(
        {"band": name, "wavelength_nm": wavelengths.get(name)}
        | {f"p{percent}": _rounded(level) for percent, level in zip(_PERCENTILES, column, strict=True)}
        for name, column in zip(names, levels.T, strict=True)
    )


def _rounded(value: float) -> float | None:
    return round(float(value), 4) if np.isfinite(value) else None


def _plain(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Facts that have a value, in JSON types."""
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in facts.items()}
    return {
        name: "NaN" if isinstance(value, float) and np.isnan(value) else value
        for name, value in plain.items()
        if value not in (None, "", [], {})
    }


def _text(value: Any) -> str:  # noqa: ANN401 - any JSON value
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(inner)}" for name, inner in value.items())
    if isinstance(value, list):
        return (", " if any(isinstance(inner, str) and " " in inner for inner in value) else " ").join(
            map(_text, value)
        )
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _aligned(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    cells = [list(rows[0]), *([_cell(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]


def _cell(value: Any) -> str:  # noqa: ANN401
    return "" if value is None else f"{value:.4f}" if isinstance(value, float) else str(value)
