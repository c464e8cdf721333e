"""One item to fetch: what tells it from others, where the area lies in it, and what the report says of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lulc.errors import InputError
from lulc.grid import Grid, Window
from lulc.io.files.area_of_interest import Area
from lulc.io.files.fingerprint import json_fingerprint
from lulc.io.scene.scene import Scene
from lulc.io.scene.stac import cloud_cover, item_date, item_identity
from lulc.run import Run
from lulc.tasks.fetch.layout import item_tile
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
        run: Told how far it is; ends it between two windows when a signal has asked for it.
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
