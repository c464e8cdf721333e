"""Finding STAC Items: in an API by its search, in a static catalogue by following its links."""

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import shapely

from lulc.errors import InputError, LimitError, LulcError, StorageError, UsageError
from lulc.io.files.area_of_interest import Area
from lulc.io.files.http import TIMEOUT, read_json, retries, unsigned, web_address, without_query
from lulc.io.scene.stac import cloud_cover, item_date, parse_item

if TYPE_CHECKING:
    from pystac import Item

_log = logging.getLogger(__name__)

API_COLLECTION = "sentinel-2-l2a"
"""Collection that is searched in an API when none is named; Earth Search and Planetary Computer both call it so."""

_PAGE = 100
_MOST_DOCUMENTS = 100_000
_MOST_POINTS = 500

Refused = Callable[[LulcError], None]
Check = Callable[[], None]


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
        except (ValueError, OverflowError):
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
    except (ValueError, OverflowError) as error:
        raise UsageError(f"--dates {text}: {error}", "write 2021-05-01/2021-09-30") from error
    if (start is None and end is None) or (start and end and end < start):
        raise UsageError(f"--dates {text} is no period", "write 2021-05-01/2021-09-30")
    return Period(start, end)


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _last_moment(text: str) -> datetime:
    """A date means the whole day."""
    moment = _aware(datetime.fromisoformat(text))
    is_day = len(text) <= len("2021-05-01")
    return moment.replace(hour=23, minute=59, second=59, microsecond=999_000) if is_day else moment


@dataclass(frozen=True)
class ItemFilter:
    """Which items of a catalogue to take.

    Attributes:
        area: An item shares ground with it.
        period: An item was acquired in it.
        max_cloud: Largest cloud cover, percent; items that do not state theirs are left out. None takes all.
        collections: An item belongs to one of these; empty for all (of an API: `API_COLLECTION`).
    """

    area: Area
    period: Period
    max_cloud: float | None = None
    collections: tuple[str, ...] = ()

    def fits(self, item: "Item") -> bool:
        """True when an item meets all of it."""
        cloud = cloud_cover(item)
        clear = self.max_cloud is None or (cloud is not None and cloud <= self.max_cloud)
        named = not self.collections or item.collection_id in self.collections
        return clear and named and self.period.holds(item_date(item)) and self.area.meets(item.geometry, item.bbox)


def find_items(catalog: str, item_filter: ItemFilter, on_refusal: Refused, check: Check = lambda: None) -> list["Item"]:
    """Items of a catalogue that a filter takes, by cloud cover, then date and id; no other item is held.

    Args:
        catalog: URL of a STAC API or a static catalogue, or the path of one.
        item_filter: Which items.
        on_refusal: Called with the error of each document that cannot be read; the others count.
        check: Called between documents and pages; what it raises ends the search.

    Raises:
        InputError: No catalogue there.
        StorageError: The server does not answer, or not well, after some tries.
    """
    root = read_json(catalog)
    address = web_address(catalog)
    shown = without_query(address or catalog)
    if address and root.get("conformsTo"):
        found = _search(address, item_filter, on_refusal, check)
    elif address and _is_of_api(root):
        landing = next((link["href"] for link in _listed(root) if link.get("rel") == "root"), "its landing page")
        raise InputError(f"{shown} is a collection of an API", f"give {landing} and --collection {root.get('id')}")
    elif root.get("type") in ("Catalog", "Collection", "Feature"):
        found = _walk(root, address or str(Path(catalog).absolute()), item_filter, on_refusal, check)
    else:
        raise InputError(f"{shown} is no STAC API or catalogue", "give its landing page or catalog.json")
    unique = {(item.collection_id, item.id): item for item in found if item_filter.fits(item)}
    return sorted(unique.values(), key=_clearest_first)


def _is_of_api(document: dict[str, Any]) -> bool:
    """True for a collection whose items an API lists, page by page, rather than links of its own."""
    kinds = {str(link.get("rel")) for link in _listed(document)}
    return document.get("type") == "Collection" and "items" in kinds and not kinds & {"item", "child"}


def _clearest_first(item: "Item") -> tuple[float, str, str]:
    cloud = cloud_cover(item)
    return 100.0 if cloud is None else cloud, item_date(item), item.id


def _search(address: str, item_filter: ItemFilter, on_refusal: Refused, check: Check) -> Iterator["Item"]:
    """Items that an API finds; what it cannot filter by is filtered by `ItemFilter.fits`."""
    count = 0
    for page in _pages(address, item_filter):
        check()
        count += len(page)
        if count > _MOST_DOCUMENTS:
            raise LimitError(f"{without_query(address)} finds more than {_MOST_DOCUMENTS:,} items", "narrow --dates")
        for document in page:
            try:
                if not isinstance(document, dict):
                    raise InputError(f"{without_query(address)} found what is no STAC Item", "tell its maintainers")
                yield parse_item(document, _self_href(document, address))
            except LulcError as error:
                on_refusal(error)


def _pages(address: str, item_filter: ItemFilter) -> Iterator[list[Any]]:
    """Features of every page of a search, until there is no other or a page comes again."""
    from pystac import STACError
    from pystac_client import Client
    from pystac_client.exceptions import APIError
    from pystac_client.stac_api_io import StacApiIO

    area = item_filter.area.geometry
    if shapely.get_num_coordinates(area) > _MOST_POINTS:
        area = shapely.convex_hull(area)
    filters: dict[str, Any] = (
        {"bbox": list(area.bounds)} if item_filter.area.box else {"intersects": shapely.geometry.mapping(area)}
    )
    seen: set[str] = set()
    try:
        client = Client.open(address, stac_io=StacApiIO(timeout=TIMEOUT, max_retries=retries()))
        if item_filter.max_cloud is not None and client.conforms_to("QUERY"):
            filters["query"] = {"eo:cloud_cover": {"lte": item_filter.max_cloud}}
        found = client.search(
            collections=list(item_filter.collections or (API_COLLECTION,)),
            datetime=(item_filter.period.start, item_filter.period.end),
            limit=_PAGE,
            **filters,
        )
        for page in found.pages_as_dicts():
            following = [link for link in _listed(page) if link.get("rel") == "next"]
            yield list(page["features"])
            marks = {json.dumps(following, sort_keys=True, default=str)} if following else set()
            if marks & seen:
                _log.warning("%s repeats a page of its answer; the search ends there", without_query(address))
                return
            seen |= marks
    except (APIError, STACError, RuntimeError, LookupError, ValueError, TypeError, AttributeError) as error:
        reason = unsigned(str(error)) or type(error).__name__
        raise StorageError(
            f"{without_query(address)} cannot be searched: {reason}", "try again later, or name another --collection"
        ) from error


def _self_href(document: dict[str, Any], address: str) -> str:
    """Where an item of an API lies, by its link `self`: never on this machine."""
    for link in _listed(document):
        if link.get("rel") == "self":
            href = _joined(address, str(link["href"]))
            return href or address
    return address


def _joined(base: str, href: str) -> str | None:
    """A link of a remote document as an http(s) address; None when it leads anywhere else."""
    try:
        return web_address(urljoin(base, href))
    except ValueError:
        return None


def _listed(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Links of a document that lead somewhere."""
    links = document.get("links")
    return [link for link in links if isinstance(link, dict) and link.get("href")] if isinstance(links, list) else []


def _walk(
    root: dict[str, Any], start: str, item_filter: ItemFilter, on_refusal: Refused, check: Check
) -> Iterator["Item"]:
    """Items of a static catalogue; each document is read once, when its turn comes, and let go."""
    waiting, seen = [start], {start}
    while waiting:
        check()
        here = waiting.pop()
        try:
            document = root if here == start else read_json(here)
            if document.get("type") == "Feature":
                yield parse_item(document, here)
                continue
        except LulcError as error:
            if here == start:
                raise
            on_refusal(error)
            continue
        if _is_other_collection(document, item_filter):
            continue
        for link in _links(document, here):
            if link not in seen:
                seen.add(link)
                waiting.append(link)
        if len(seen) > _MOST_DOCUMENTS:
            raise LimitError(f"{start} holds more than {_MOST_DOCUMENTS:,} documents", "give a part of it")


def _is_other_collection(document: dict[str, Any], item_filter: ItemFilter) -> bool:
    return (
        document.get("type") == "Collection"
        and bool(item_filter.collections)
        and document.get("id") not in item_filter.collections
    )


def _links(document: dict[str, Any], here: str) -> list[str]:
    """Where the children and items of a catalogue lie; a remote one never points into this machine."""
    found = []
    for link in _listed(document):
        if link.get("rel") not in ("child", "item"):
            continue
        href = str(link["href"])
        if web_address(here):
            joined = _joined(here, href)
        elif web_address(href) is None:
            joined = _resolved(Path(here).parent / href.removeprefix("file://"))
        else:
            joined = href
        if joined:
            found.append(joined)
    return found


def _resolved(path: Path) -> str:
    """An absolute path without dots; as it is where the file system cannot follow it."""
    try:
        return str(path.resolve())
    except (OSError, RuntimeError, ValueError):
        return str(path)
