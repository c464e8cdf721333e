"""One item to fetch: what tells it from others, how its file is stored, and what the report says of it."""

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING

from lulc.grid import Window
from lulc.io.files.http import without_query
from lulc.io.scene.plausibility import CATALOGUE
from lulc.io.scene.quality import quality_name
from lulc.io.scene.raster_header import OFFSET_SOURCE
from lulc.io.scene.scene import Scene
from lulc.io.scene.stac import item_date, item_level
from lulc.io.stack.scene import FETCH_KEY, SceneLayout

if TYPE_CHECKING:
    from pystac import Item
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lulc.errors import InputError
from lulc.grid import Grid
from lulc.io.files.area_of_interest import Area
from lulc.io.files.fingerprint import json_fingerprint
from lulc.io.scene.stac import cloud_cover, item_identity
from lulc.run import Run
from lulc.tasks.fetch.report import FetchedItem, State

if TYPE_CHECKING:
    from pystac import Item


_BYTES = 2


@dataclass(frozen=True)
class FetchJob:
    """One item to fetch.

    Attributes:
        item: What.
        target: Its file.
        area: What to clip it to.
        names: Bands, in order.
        refresh: Replace a file that is of something else.
        overwrite: Replace a file, whatever it was made of.
        run: Progress and stop flag, checked between two windows.
    """

    item: "Item"
    target: Path
    area: Area
    names: tuple[str, ...]
    refresh: bool
    overwrite: bool
    run: Run

    @property
    def key(self) -> str:
        """Tells this item, area and bands from any other."""
        parts = [item_identity(self.item), self.area.geometry.wkt, self.names]
        return json_fingerprint(parts)

    def window(self, grid: Grid) -> Window:
        """Pixels of the item's grid that the area touches."""
        window = self.area.window(grid, self.item.bbox)
        if not window.shape.size:
            raise InputError("its pixels do not meet the area", "check the item's geometry and the area")
        return window

    def described(self, state: State, window: Window, scene: Scene | None = None) -> FetchedItem:
        """What the report says; `scene` is the file, where there is one."""
        planned = window.shape.size * len(self.names) * _BYTES if state == "planned" else 0
        return FetchedItem(
            id=self.item.id,
            date=item_date(self.item),
            cloud=cloud_cover(self.item),
            tile=item_tile(self.item),
            offset=scene.radiometry.offset if scene else None,
            why="; ".join((scene.radiometry.source, *scene.warnings)) if scene else "",
            file=self.target.name,
            state=state,
            height=window.height,
            width=window.width,
            bands=self.names,
            bytes=self.target.stat().st_size if scene else planned,
        )


_STRANGE = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST = 120
_TILE = re.compile(r"(?:MGRS-)?(\d{1,2}[A-Z]{3})")


def file_names(items: Sequence["Item"]) -> list[str]:
    """`ITEM_ID.tif` of every item, with what a file name cannot hold replaced; items whose names become one are numbered by a hash."""
    names = [_STRANGE.sub("_", item.id).lstrip(".") or "item" for item in items]
    counts = Counter(name.lower() for name in names)
    return [
        f"{name}.tif"
        if counts[name.lower()] == 1 and len(name) <= _LONGEST
        else f"{name[:_LONGEST]}_{_short_hash(item)}.tif"
        for item, name in zip(items, names, strict=True)
    ]


def _short_hash(item: "Item") -> str:
    return hashlib.sha256(f"{item.collection_id}\n{item.id}".encode(errors="surrogatepass")).hexdigest()[:8]


def item_tile(item: "Item") -> str:
    """Tile of the MGRS grid, such as `33TUL`; empty when the item does not say."""
    for name in ("grid:code", "s2:mgrs_tile", "mgrs:tile"):
        match = _TILE.fullmatch(str(item.properties.get(name, "")))
        if match:
            return match[1]
    parts = [item.properties.get(f"mgrs:{part}") for part in ("utm_zone", "latitude_band", "grid_square")]
    return "".join(str(part) for part in parts) if all(parts) else ""


def scene_layout(item: "Item", scene: Scene, window: Window, names: tuple[str, ...], key: str) -> SceneLayout:
    """Layout of an item's file.

    Args:
        item: The item.
        scene: Opened from it.
        window: What of its grid is stored.
        names: Bands, in order.
        key: Tells this item, area and bands from any other.
    """
    radiometry = scene.radiometry
    tags = {
        "LEVEL": scene.info.level or item_level(item),
        "ACQUISITION_DATE": item_date(item),
        "STAC_ID": item.id,
        "STAC_COLLECTION": item.collection_id or "",
        "STAC_HREF": without_query(item.get_self_href() or ""),
        "LULC_VERSION": version("lulc"),
        FETCH_KEY: key,
    }
    band_tags: dict[str, dict[str, str]] = {}
    if radiometry.source.startswith(CATALOGUE):  # what nobody states stays unstated, so that it is asked again
        tags |= {"QUANTIFICATION_VALUE": f"{radiometry.quantification:g}", OFFSET_SOURCE: radiometry.source}
        offset = "RADIO_ADD_OFFSET" if scene.info.level == "L1C" else "BOA_ADD_OFFSET"
        band_tags = {name: {offset: f"{radiometry.offset:g}"} for name in names if quality_name(name) is None}
    stored = {name: value for name, value in tags.items() if value}
    return SceneLayout(scene.grid.part(window), names, stored, band_tags)
