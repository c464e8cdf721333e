"""Explanations of scenes: which pixels made a region what the model calls it, as picture and as raster.

The layer is the network's decoder, the last maps before the classes. Of all stages of the shipped U-Net its
map is the most faithful: where the hottest pixels are erased, the region's probability falls first, and where they alone
are left it comes back first (insertion less deletion, after Petsiuk et al. 2018, over 18 regions of three scenes: 0.20,
against 0.17 and 0.12 for the earlier decoder blocks, 0.10 for the end of the encoder and -0.21 for chance). The region's
own pixels reach 0.46: Grad-CAM weighs whole maps, so other ground of the class's looks is hot too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from lulc.errors import InputError, LimitError, UsageError
from lulc.explain.explanation import Explanation, planned_outputs, write_explanation
from lulc.explain.grad_cam import METHOD_NAMES, Method, heat_of, layer_map, score_of_region
from lulc.explain.patch import check_finite, class_position, layer_named
from lulc.grid import Grid, Window
from lulc.io.scene.scene import Scene, open_scene
from lulc.io.scene.true_color import COLORS
from lulc.model.build import total_stride
from lulc.model.bundle import Bundle, BundleCard, load_bundle
from lulc.model.channels import network_channels
from lulc.model.device import choose_device
from lulc.model.inference import padded_window
from lulc.model.provenance import compatibility_warnings, provenance
from lulc.model.receptive_field import Reach, measure_reach
from lulc.patches.image import PatchImage
from lulc.resources import SHIPPED_MODEL
from lulc.tiling import round_up

SCENE_LAYER = "decoder"
"""Layer that is looked at when none is named."""

DEFAULT_SIDE, LARGEST_SIDE = 512, 1024
"""Sides of the window of a scene that is explained, pixels."""

_WIDEST_HALO, _FALLBACK_HALO = 256, 64


def explain_scene(  # noqa: PLR0913 - the options of the command
    paths: Sequence[Path],
    output: Path,
    *,
    model: str | Path = SHIPPED_MODEL,
    target: str | None = None,
    window: tuple[int, int, int, int] | None = None,
    layer: str | None = None,
    method: Method = "grad-cam",
    bands: Sequence[str] | None = None,
    offset: float | None = None,
    quantification: float | None = None,
    device: str = "auto",
    overwrite: bool = False,
    name: str | None = None,
) -> Explanation:
    """Show which pixels made the model give a region of a scene its class.

    The region is every pixel of the window that the model itself gives the class, exactly as in the map: the network
    also sees what lies around the window. Heat farther from the region than the network looks is left out.

    Args:
        paths: One scene, or several files that are stacked.
        output: PNG to write; where the scene is georeferenced a GeoTIFF of the same name is written beside it.
        model: Segmentation model, by name or path.
        target: Class to explain; None takes the window's most frequent one.
        window: First row and column, height and width; None takes the central square of at most 512 px.
        layer: Dotted name of the layer to look at; None takes the end of the decoder.
        bands: Names of the bands in their order, when the files do not say.
        offset: Added to digital numbers; None reads it from metadata.
        quantification: Digital numbers per unit reflectance; None reads it from metadata.
        method: `grad-cam`, or `hirescam`, which weighs every place by itself.
        device: `auto`, `cpu`, `cuda`, ...
        overwrite: Replace existing outputs.
        name: What to call the scene, as in `open_scene`.

    Raises:
        LulcError: Scene, model or option refused, or writing failed; each output is whole or absent.
    """
    with open_scene(paths, bands=bands, offset=offset, quantification=quantification, name=name) as scene:
        place = _window(scene, window)
        grid = scene.grid if place == scene.grid.window else scene.grid.part(place)
        files = planned_outputs(output, paths, grid, overwrite=overwrite)
        bundle = load_bundle(model)
        wanted = None if target is None else class_position(bundle.card, target)
        layer = layer or SCENE_LAYER
        looked_at = layer_named(bundle.network, layer, SCENE_LAYER)
        view = _look(scene, bundle, place, choose_device(device))
        image = _picture(scene, place, grid, view.valid_yx)
        notes = [*scene.warnings, *compatibility_warnings(scene, bundle.card)]
        tags = {tag: text for tag, text in provenance(scene, bundle.card).items() if tag != "LULC_LEGEND"}
    shares = view.shares(bundle)
    wanted, region = _region(bundle.card, shares, view.valid_yx, wanted)
    raw = view.raw(bundle.network, looked_at, region, wanted, method)
    heat = view.heat(raw, region)
    confidence, explained = float(shares[wanted][region].mean()), bundle.card.classes.names[wanted]
    if scene.grid.georeferenced and not grid.georeferenced:
        notes.append("no GeoTIFF: control points place the whole scene, not a window of it")
    found = Explanation(
        input=scene.info.name,
        model=f"{bundle.card.name} {bundle.card.version}",
        answer=explained,
        confidence=confidence,
        explained=explained,
        explained_confidence=confidence,
        method=f"Seg-{METHOD_NAMES[method]}",
        layer=layer,
        maps=(raw.shape[1], raw.shape[2]),
        window=(place.row, place.col, place.height, place.width),
        region_share=float(region.sum() / view.valid_yx.sum()),
        on_region=float(heat[region].sum() / heat.sum()) if heat.any() else None,
        notes=tuple(notes),
    )
    return write_explanation(found, bundle.card, files, heat, image, region, tags, overwrite=overwrite)


@dataclass(frozen=True, eq=False)
class _View:
    """What the network sees of a scene.

    Attributes:
        features: Its input, float32 (1, channels, height, width) of `read`.
        valid_yx: bool (height, width) of `window`, False where there is no data.
        read: What it sees; beyond the scene its pixels are mirrored.
        window: What is explained.
        reach: How far it looks.
    """

    features: Tensor
    valid_yx: NDArray[np.bool_]
    read: Window
    window: Window
    reach: Reach

    def shares(self, bundle: Bundle) -> NDArray[np.float32]:
        """Calibrated probabilities inside the window: float32 (K, height, width)."""
        with torch.inference_mode():
            logits = bundle.network(self.features)[0].float()[:, *self.window.slices(self.read)]
            shares: NDArray[np.float32] = torch.softmax(logits / bundle.card.temperature, dim=0).cpu().numpy()
        check_finite(bundle.card, shares)
        return shares

    def raw(
        self, network: nn.Module, layer: nn.Module, region_yx: NDArray[np.bool_], position: int, method: Method
    ) -> Tensor:
        """Weighted maps of the layer, float32 (1, rows, columns), for a region of the window."""
        score = score_of_region(position, self._seen(region_yx))
        try:
            return layer_map(network, layer, self.features, score, method)
        except torch.OutOfMemoryError as error:
            raise LimitError("the device has not enough memory for the window", "use a smaller --window") from error

    def heat(self, raw: Tensor, region_yx: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Heat of the window, float32 (height, width) 0..1; none farther from the region than the network looks."""
        everywhere = heat_of(raw, self.read.shape)[0]
        if self.reach.bounded:
            everywhere = everywhere * _widened(self._seen(region_yx).to(everywhere.device), self.reach.half_field)
        own = everywhere[self.window.slices(self.read)]
        heat: NDArray[np.float32] = (own / own.max() if own.any() else own).cpu().numpy()
        return heat

    def _seen(self, region_yx: NDArray[np.bool_]) -> Tensor:
        """A region of the window as one of what the network sees."""
        seen = torch.zeros(self.read.height, self.read.width, dtype=torch.bool)
        seen[self.window.slices(self.read)] = torch.from_numpy(region_yx)
        return seen


def _look(scene: Scene, bundle: Bundle, window: Window, device: torch.device) -> _View:
    """Read a window and what the network needs around it, cut at the stride as when the scene is classified."""
    spec = bundle.card.features
    names = spec.required(scene.names)
    missing = [name for name in names if name not in scene.names]
    if missing:
        raise InputError(
            f"{scene.info.name} lacks {', '.join(missing)}: it has {', '.join(scene.names)}",
            f"{bundle.card.name} needs {', '.join(names)}; name the bands with --bands",
        )
    reach = measure_reach(bundle.network, len(spec.channels), total_stride(bundle.network))
    stride = reach.stride
    halo = round_up(reach.half_field if reach.bounded and reach.half_field <= _WIDEST_HALO else _FALLBACK_HALO, stride)
    row, col = window.row // stride * stride - halo, window.col // stride * stride - halo
    row_end, col_end = round_up(window.row_end, stride) + halo, round_up(window.col_end, stride) + halo
    read = Window(row, col, row_end - row, col_end - col)
    inside = read.intersection(scene.grid.window)
    raw, valid = padded_window(scene.read(names, inside), inside, read)
    planes = {name: torch.from_numpy(raw[number : number + 1]).to(device) for number, name in enumerate(names)}
    features = network_channels(spec, planes, scene.radiometry, torch.from_numpy(valid[None]).to(device))
    bundle.network.to(device).to(memory_format=torch.channels_last)
    own = valid[window.slices(read)]
    if not own.any():
        raise InputError(f"{scene.info.name} has no valid pixel in the window", "choose another --window")
    return _View(features, own, read, window, reach)


def _widened(region_yx: Tensor, pixels: int) -> Tensor:
    """float32 (h, w): 1 within so many rows and columns of a region, else 0."""
    wide = region_yx[None].to(torch.float32)
    for along in ((2 * pixels + 1, 1), (1, 2 * pixels + 1)):
        wide = functional.max_pool2d(wide, along, 1, (along[0] // 2, along[1] // 2))
    return wide[0]


def _region(
    card: BundleCard, shares: NDArray[np.float32], valid_yx: NDArray[np.bool_], wanted: int | None
) -> tuple[int, NDArray[np.bool_]]:
    """The class to explain and its pixels, bool (height, width)."""
    top = shares.argmax(axis=0)
    counts = np.bincount(top[valid_yx], minlength=len(shares))
    chosen = int(counts.argmax()) if wanted is None else wanted
    if not counts[chosen]:
        found = [f"{card.classes.names[k]} ({counts[k] / counts.sum():.1%})" for k in np.argsort(-counts) if counts[k]]
        name = card.classes.names[chosen]
        raise InputError(f"{card.name} assigns no pixel of the window to {name!r}", f"it finds {', '.join(found)}")
    return chosen, (top == chosen) & valid_yx


def _window(scene: Scene, asked: tuple[int, int, int, int] | None) -> Window:
    shape = scene.grid.shape
    if asked is None:
        height, width = min(DEFAULT_SIDE, shape.height), min(DEFAULT_SIDE, shape.width)
        return Window((shape.height - height) // 2, (shape.width - width) // 2, height, width)
    row, col, height, width = asked
    if min(row, col) < 0 or min(height, width) < 1 or row + height > shape.height or col + width > shape.width:
        text = ",".join(map(str, asked))
        raise UsageError(
            f"the window {text} does not lie in the scene, {shape.height} rows of {shape.width} pixels",
            "write --window ROW,COL,HEIGHT,WIDTH, counted from 0",
        )
    if max(height, width) > LARGEST_SIDE:
        raise LimitError(f"a window of {height} x {width} px is too large", f"use at most {LARGEST_SIDE} a side")
    return Window(row, col, height, width)


def _picture(scene: Scene, window: Window, grid: Grid, valid_yx: NDArray[np.bool_]) -> PatchImage:
    """Something to look at, of the window."""
    names = COLORS if set(COLORS) <= set(scene.names) else scene.names[:1]
    values, _ = scene.read(names, window)
    stretched = scene.dtype == np.uint8
    return PatchImage(scene.info.name, values, names, scene.radiometry, grid, valid_yx, is_picture=stretched)
