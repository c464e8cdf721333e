"""The result of an explanation and its files: always a picture, and a raster where the input is georeferenced."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lulc.errors import UsageError
from lulc.explain.figure import write_heat_figure
from lulc.grid import Grid
from lulc.io.files.outputs import check_outputs
from lulc.io.stack.geotiff import StackLayout, geotiff_sink
from lulc.model.bundle import BundleCard
from lulc.patches.image import PatchImage

_HALF = 0.5
_BAND, _BLOCK = "heat", 256
"""Name of the raster's band, and side of its blocks in pixels."""


@dataclass(frozen=True)
class Explanation:
    """Result of an explanation.

    Attributes:
        input: Name of the input.
        model: Name and version.
        answer: Class predicted for the patch; for a scene, the class of the explained pixels.
        confidence: Calibrated probability of that class, 0..1; for a scene, its mean over the explained pixels.
        explained: Class that is explained.
        explained_confidence: Calibrated probability of the explained class, 0..1.
        method: `Grad-CAM` for a patch, `Seg-Grad-CAM` for a region.
        layer: Name of the layer; several are joined by ` + `.
        maps: Rows and columns of the layer's maps, or of the finest ones.
        half_lies_on: Smallest fraction of the pixels that holds half of the heat: 0.5 is evenly spread, a small value
            is one spot. None without heat.
        window: First row, first column, height and width of the part of a scene, pixels.
        region_share: Fraction of the window's pixels with the explained class, 0..1.
        on_region: Fraction of the window's heat on these pixels themselves, 0..1; the rest lies around them.
        ood_score: Out-of-distribution score of a patch, above 1 unlike the training patches; None for a scene, and when
            the model does not know.
        files: Paths of the files.
        notes: Warnings and notes.
    """

    input: str
    model: str
    answer: str
    confidence: float
    explained: str
    explained_confidence: float
    method: str
    layer: str
    maps: tuple[int, int]
    half_lies_on: float | None = None
    window: tuple[int, int, int, int] | None = None
    region_share: float | None = None
    on_region: float | None = None
    ood_score: float | None = None
    files: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Class and confidence in one line."""
        if self.region_share is None:
            return f"{self.answer}, {self.confidence:.1%}"
        return f"{self.answer}: {self.region_share:.1%} of the window, on average {self.confidence:.1%} sure"

    @property
    def subtitle(self) -> str:
        """Explained class, method, layer and model in one line."""
        rows, columns = self.maps
        odds = f", {self.explained_confidence:.1%}" if self.explained != self.answer else ""
        return (
            f"what speaks for {self.explained}{odds}: {self.method} on {self.layer} ({rows} x {columns}), {self.model}"
        )

    def to_text(self) -> str:
        """Text with one fact per line."""
        facts = [] if self.half_lies_on is None else [f"half of the heat lies on {self.half_lies_on:.1%} of the pixels"]
        if self.on_region is not None and facts:
            facts.append(f"{self.on_region:.1%} of it on the explained pixels, the rest on other ground")
        heat = ["; ".join(facts)] if facts else []
        score = [] if self.ood_score is None else [f"OOD score {self.ood_score:.2f}"]
        written = [f"written: {', '.join(self.files)}"]
        return "\n".join([f"{self.input}: {self.title}", self.subtitle, *score, *heat, *self.notes, *written])

    def to_json(self) -> dict[str, Any]:
        """Plain form for `--json`."""
        return asdict(self)


def planned_outputs(output: Path, inputs: Sequence[Path], grid: Grid, *, overwrite: bool) -> list[Path]:
    """The picture, and the GeoTIFF beside it unless the input has no georeference.

    What cannot or must not be written is refused before any work.

    Args:
        output: PNG file.
        inputs: Files of the input, which are never overwritten.
        grid: Grid of the heat map.
        overwrite: Replace existing files.

    Raises:
        UsageError: The output is not named as a PNG, or is an input.
        StorageError: An output exists, or its folder is missing or not writable.
    """
    if output.suffix.lower() != ".png":
        raise UsageError(f"{output} is not the name of a PNG", "write OUT.png")
    files = [output, output.with_suffix(".tif")] if grid.georeferenced else [output]
    check_outputs(files, inputs, overwrite=overwrite)
    return files


def write_explanation(
    found: Explanation,
    card: BundleCard,
    files: Sequence[Path],
    heat_yx: NDArray[np.float32],
    image: PatchImage,
    region_yx: NDArray[np.bool_] | None = None,
    tags: Mapping[str, str] | None = None,
    *,
    overwrite: bool,
) -> Explanation:
    """Write picture and raster, each published whole or not at all.

    Args:
        found: Explanation without its files.
        card: Card of the model.
        files: From `planned_outputs`.
        heat_yx: Heat, float32 (height, width), 0..1.
        image: Image of the same size, shown beneath the heat.
        region_yx: True for the explained pixels, bool (height, width); None explains the whole image.
        tags: Further provenance tags of the raster.
        overwrite: Replace existing files.

    Returns:
        The explanation with its files and the concentration of the heat.

    Raises:
        StorageError: A file cannot be written.
    """
    notes = found.notes if heat_yx.any() else (*found.notes, f"nothing there speaks for {found.explained}")
    complete = replace(found, half_lies_on=_half_lies_on(heat_yx[image.valid]), notes=notes)
    shown = np.where(image.valid, heat_yx, np.float32(np.nan))
    picture, *rasters = files
    for raster in rasters:
        title, stored = f"{complete.method} of {complete.explained}, 0 to 1", {**_tags(complete, card), **(tags or {})}
        write_heat_raster(raster, shown, image.grid, title, stored, overwrite=overwrite)
    write_heat_figure(picture, image.colors(), shown, complete.title, complete.subtitle, region_yx=region_yx)
    return replace(complete, files=tuple(map(str, files)))


def write_heat_raster(
    path: Path,
    heat_yx: NDArray[np.float32],
    grid: Grid,
    title: str,
    tags: Mapping[str, str],
    *,
    overwrite: bool = False,
) -> None:
    """Write a heat map, published whole or not at all.

    Args:
        path: GeoTIFF to write.
        heat_yx: Heat, float32 (height, width), 0..1; NaN where there is no data.
        grid: Georeference, of the same size.
        title: Title of the band, such as `Grad-CAM of crops`.
        tags: Provenance, stored with the file.
        overwrite: Replace an existing file.

    Raises:
        StorageError: The file exists and may not be replaced, or cannot be written.
    """
    layout = StackLayout(grid, {_BAND: title}, tags, sources=False, chunk=_BLOCK)
    with geotiff_sink(path, layout, overwrite=overwrite) as write:
        write(grid.window, heat_yx[None], np.ones(heat_yx.shape, np.uint8))


def _half_lies_on(heat: NDArray[np.float32]) -> float | None:
    """Smallest fraction of the pixels that holds half of the heat."""
    total = np.cumsum(np.sort(heat.ravel())[::-1], dtype=np.float64)
    if not heat.size or not total[-1]:
        return None
    return float((np.searchsorted(total, _HALF * total[-1]) + 1) / heat.size)


def _tags(found: Explanation, card: BundleCard) -> Mapping[str, str]:
    region = {} if found.window is None else {"LULC_REGION": ",".join(map(str, found.window))}
    score = {} if found.ood_score is None else {"LULC_OOD_SCORE": f"{found.ood_score:.4f}"}
    return {
        "LULC_KIND": "explanation",
        "LULC_VERSION": version("lulc"),
        "LULC_MODEL": found.model,
        "LULC_MODEL_SHA256": card.weights_sha256,
        "LULC_CLASS": found.explained,
        "LULC_CONFIDENCE": f"{found.explained_confidence:.4f}",
        "LULC_METHOD": found.method,
        "LULC_LAYER": found.layer,
        "LULC_INPUT": found.input,
        "LULC_ATTRIBUTION": " ".join(card.attribution),
        **region,
        **score,
    }
