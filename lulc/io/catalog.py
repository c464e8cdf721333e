"""Finding STAC Items: in an API by its search, in a static catalogue by following its links."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import shapely

from lulc.errors import InputError, LimitError, LulcError, StorageError, UsageError
from lulc.io.area_of_interest import Area
from lulc.io.stac import item_date, parse_item
from lulc.io.web import read_json, retries, web_address

if TYPE_CHECKING:
    from pystac import Item

API_COLLECTION = "sentinel-2-l2a"
"""Collection that is searched in an API when none is named; Earth Search and Planetary Computer both call it so."""

_PAGE = 100
_MOST_DOCUMENTS = 100_000
_MOST_POINTS = 500
_TIMEOUT = (20.0, 60.0)


@dataclass(frozen=True)
class Period:
    """A span of time; None is open.

    Attributes:
        start: First moment.
        end: Last moment.
    """

    start: datetime | None
    end: datetime | None

    def holds(self, moment: str) -> bool:
        """True when an ISO time lies in it; False when there is none."""
        try:
            when = _aware(datetime.fromisoformat(moment))
        except ValueError:
            return False
        return (self.start is None or self.start <= when) and (self.end is None or when <= self.end)


def parse_period(text: str) -> Period:
    """A period from `2021-05-01/2021-09-30`, one day, or one open end as in `2021-05-01/..`.

    Raises:
        UsageError: It is none, or ends before it starts.
    """
    first, slash, last = (part.strip() for part in text.partition("/"))
    try:
        start = None if first in {"", ".."} else _aware(datetime.fromisoformat(first))
        last = last if slash else first
        end = None if last in {"", ".."} else _last_moment(last)
    except ValueError as error:
        raise UsageError(f"--dates {text}: {error}", "write 2021-05-01/2021-09-30") from error
    if (start is None and end is None) or (start and end and end < start):
        raise UsageError(f"--dates {text} is no period", "write 2021-05-01/2021-09-30")
    return Period(start, end)


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _last_moment(text: str) -> datetime:
    """A date means the whole day."""
    moment = _aware(datetime.fromisoformat(text))
    return moment + timedelta(days=1) - timedelta(milliseconds=1) if len(text) <= len("2021-05-01") else moment


@dataclass(frozen=True)
class Wanted:
    """Which items are wanted.

    Attributes:
        area: They share ground with it.
        period: They were acquired in it.
        max_cloud: Largest cloud cover, percent; items that do not say are left out. None takes all.
        collections: They belong to one of these; empty for all (of an API: `API_COLLECTION`).
    """

    area: Area
    period: Period
    max_cloud: float | None = None
    collections: tuple[str, ...] = ()

    def fits(self, item: "Item") -> bool:
        """True when an item is wanted."""
        cloud = item.properties.get("eo:cloud_cover")
        clear = self.max_cloud is None or (isinstance(cloud, int | float) and cloud <= self.max_cloud)
        named = not self.collections or item.collection_id in self.collections
        return clear and named and self.period.holds(item_date(item)) and self.area.meets(item.geometry, item.bbox)


def find_items(catalog: str, wanted: Wanted, refused: Callable[[LulcError], None]) -> list["Item"]:
    """Items of a catalogue that are wanted, by cloud cover, then date and id.

    Args:
        catalog: URL of a STAC API or a static catalogue, or the path of one.
        wanted: Which items.
        refused: Told of documents of a static catalogue that cannot be read; the others count.

    Raises:
        InputError: No catalogue there.
        StorageError: The server does not answer, or not well, after some tries.
    """
    root = read_json(catalog)
    address = web_address(catalog)
    if address and root.get("conformsTo"):
        found = _search(address, wanted)
    elif root.get("type") in ("Catalog", "Collection", "Feature"):
        found = _walk(root, address or str(Path(catalog).absolute()), wanted, refused)
    else:
        raise InputError(f"{address or catalog} is no STAC API or catalogue", "give its landing page or catalog.json")
    unique = {(item.collection_id, item.id): item for item in found if wanted.fits(item)}
    return sorted(unique.values(), key=_clearest_first)


def _clearest_first(item: "Item") -> tuple[float, str, str]:
    cloud = item.properties.get("eo:cloud_cover")
    return float(cloud) if isinstance(cloud, int | float) else 100.0, item_date(item), item.id


def _search(address: str, wanted: Wanted) -> Iterator["Item"]:
    """Items that an API finds; what it cannot filter by is filtered by `Wanted.fits`."""
    from pystac_client import Client
    from pystac_client.exceptions import APIError
    from pystac_client.stac_api_io import StacApiIO

    area = wanted.area.geometry
    if shapely.get_num_coordinates(area) > _MOST_POINTS:
        area = shapely.convex_hull(area)
    place: dict[str, Any] = (
        {"bbox": list(area.bounds)} if wanted.area.box else {"intersects": shapely.geometry.mapping(area)}
    )
    try:
        client = Client.open(address, stac_io=StacApiIO(timeout=_TIMEOUT, max_retries=retries()))
        filters: dict[str, Any] = dict(place)
        if wanted.max_cloud is not None and client.conforms_to("QUERY"):
            filters["query"] = {"eo:cloud_cover": {"lte": wanted.max_cloud}}
        found = client.search(
            collections=list(wanted.collections or (API_COLLECTION,)),
            datetime=(wanted.period.start, wanted.period.end),
            limit=_PAGE,
            **filters,
        )
        for document in found.items_as_dicts():
            yield parse_item(document, _self_href(document, address))
    except (APIError, NotImplementedError) as error:
        reason = " ".join(str(error).split())[:200]
        raise StorageError(
            f"{address} cannot be searched: {reason}", "try again later, or name another --collection"
        ) from error


def _self_href(document: dict[str, Any], address: str) -> str:
    return next((str(link["href"]) for link in _listed(document) if link.get("rel") == "self"), address)


def _listed(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Links of a document that lead somewhere."""
    links = document.get("links")
    return [link for link in links if isinstance(link, dict) and link.get("href")] if isinstance(links, list) else []


def _walk(root: dict[str, Any], place: str, wanted: Wanted, refused: Callable[[LulcError], None]) -> Iterator["Item"]:
    """Items of a static catalogue, each document read once."""
    waiting, seen = [(root, place)], {place}
    while waiting:
        document, here = waiting.pop()
        if document.get("type") == "Feature":
            yield parse_item(document, here)
            continue
        if _is_other_collection(document, wanted):
            continue
        for link in _links(document, here):
            if link in seen:
                continue
            seen.add(link)
            if len(seen) > _MOST_DOCUMENTS:
                raise LimitError(f"{place} holds more than {_MOST_DOCUMENTS:,} documents", "give a part of it")
            try:
                waiting.append((_checked(read_json(link), link), link))
            except LulcError as error:
                refused(error)


def _checked(document: dict[str, Any], href: str) -> dict[str, Any]:
    if document.get("type") == "Feature":
        parse_item(document, href)
    return document


def _is_other_collection(document: dict[str, Any], wanted: Wanted) -> bool:
    return (
        document.get("type") == "Collection"
        and bool(wanted.collections)
        and document.get("id") not in wanted.collections
    )


def _links(document: dict[str, Any], here: str) -> list[str]:
    """Where the children and items of a catalogue lie; a remote one never points into this machine."""
    found = []
    for link in _listed(document):
        if link.get("rel") not in ("child", "item"):
            continue
        href = str(link["href"])
        if web_address(here):
            href = urljoin(here, href)
            if web_address(href) is None:
                continue
        elif web_address(href) is None:
            href = str((Path(here).parent / href.removeprefix("file://")).resolve())
        found.append(href)
    return found
