"""Catalogues: periods, links that lead nowhere, and limits of how much is looked at."""

import json

import pytest
from pystac import Item

from lulc.errors import LimitError
from lulc.io.files.area_of_interest import Area, read_area
from lulc.io.scene.stac import parse_item
from lulc.tasks.fetch import catalog
from lulc.tasks.fetch.catalog import ItemFilter, _joined, _links, _resolved, _self_href, find_items, parse_period
from lulc.tasks.fetch.job import item_tile
from tests.support.fetch_samples import DATES, EVERYWHERE, OPTIONS, edited, few_pixels, line, run
from tests.support.stac_items import write_item
from tests.support.stac_server import served

pytestmark = pytest.mark.usefixtures("impatient")
ALL = ItemFilter(read_area(EVERYWHERE), parse_period(DATES))


@pytest.fixture
def item(tmp_path):
    return write_item(tmp_path / "c", few_pixels(), item_id="one", layout="planetary-computer")


def static(folder, *hrefs, **more):
    links = [{"rel": "item", "href": href} for href in hrefs]
    root = {"type": "Catalog", "id": "root", "stac_version": "1.0.0", "description": "", "links": links} | more
    (folder / "catalog.json").write_text(json.dumps(root))
    return str(folder / "catalog.json")


@pytest.mark.parametrize(
    ("moment", "held"), [("2021-06-03T10:05:59Z", True), ("2022-06-03", False), ("soon", False), ("", False)]
)
def test_a_period_holds_moments(moment, held):
    assert parse_period(DATES).holds(moment) is held


def test_links_never_lead_from_a_server_into_this_machine():
    assert _joined("https://host/a/b.json", "c.json") == "https://host/a/c.json"
    assert _joined("https://host/a/b.json", "file:///etc/hostname") is None
    assert _joined("https://host/a/b.json", "http://[/a.json") is None
    links = [{"rel": "item", "href": href} for href in ("one.json", "file:///etc/hostname")]
    more = [{"rel": "parent", "href": "up.json"}, {"rel": "child"}, "text"]
    assert _links({"links": links + more}, "https://host/a/b.json") == ["https://host/a/one.json"]


def test_links_of_a_local_catalogue_may_lead_to_a_server(tmp_path):
    links = [{"rel": "item", "href": href} for href in ("https://host/one.json", "../two.json")]
    found = _links({"links": links}, str(tmp_path / "a" / "catalog.json"))
    assert found == ["https://host/one.json", str(tmp_path / "two.json")]
    assert _resolved(tmp_path / "a\0b.json") == str(tmp_path / "a\0b.json")


@pytest.mark.parametrize(
    ("links", "href"),
    [
        ([{"rel": "root", "href": "/"}, {"rel": "self", "href": "items/one"}], "https://host/items/one"),
        ([{"rel": "root", "href": "/"}], "https://host/search"),
        ([{"rel": "self", "href": "file:///etc/hostname"}], "https://host/search"),
        (None, "https://host/search"),
    ],
)
def test_an_item_of_an_api_lies_where_it_says(links, href):
    assert _self_href({"links": links}, "https://host/search") == href


def test_each_document_is_read_once_and_other_collections_are_left(item, monkeypatch):
    other = {"type": "Collection", "id": "landsat", "links": [{"rel": "item", "href": "gone.json"}]}
    (item.parent / "landsat.json").write_text(json.dumps(other))
    root = static(item.parent, "./one.json", "./one.json", "./landsat.json")
    wanted = ItemFilter(ALL.area, ALL.period, collections=("sentinel-2-l2a",))
    (found,) = find_items(root, wanted, pytest.fail)
    assert found.id == "one"
    monkeypatch.setattr(catalog, "_MOST_DOCUMENTS", 1)
    with pytest.raises(LimitError, match="holds more than 1 documents; give a part of it"):
        find_items(root, wanted, pytest.fail)


def test_a_search_with_many_points_and_one_with_many_answers(item, monkeypatch):
    circle = Area(ALL.area.geometry.buffer(3, quad_segs=600), box=False)
    with served(item.parent) as server:
        (found,) = find_items(server.root, ItemFilter(circle, ALL.period), pytest.fail)
        assert found.id == "one"
        assert "intersects" in server.bodies[-1]
        monkeypatch.setattr(catalog, "_MOST_POINTS", 4)
        find_items(server.root, ItemFilter(read_area(EVERYWHERE), ALL.period), pytest.fail)
        monkeypatch.setattr(catalog, "_MOST_DOCUMENTS", 0)
        with pytest.raises(LimitError, match="finds more than 0 items; narrow --dates"):
            find_items(server.root, ALL, pytest.fail)


@pytest.mark.parametrize(
    ("properties", "tile"),
    [
        ({"grid:code": "MGRS-33TUL"}, "33TUL"),
        ({"grid:code": "WRS2-1", "s2:mgrs_tile": "33TUL"}, "33TUL"),
        ({"mgrs:utm_zone": 33, "mgrs:latitude_band": "T", "mgrs:grid_square": "UL"}, "33TUL"),
        ({"mgrs:utm_zone": 33}, ""),
        ({}, ""),
    ],
)
def test_the_tile_of_an_item(item, properties, tile):
    document = json.loads(item.read_text())
    document["properties"] = {"datetime": "2021-06-03T10:05:59Z"} | properties
    found = parse_item(document, str(item))
    assert isinstance(found, Item)
    assert item_tile(found) == tile


def test_an_item_whose_pixels_lie_elsewhere_than_it_says(item, tmp_path):
    there = [[[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]]
    edited(
        item, lambda document: document.update(bbox=[0, 0, 1, 1], geometry={"type": "Polygon", "coordinates": there})
    )
    told = line(run(item, tmp_path / "out", "--area", "0,0,1,1", "--dates", DATES), 5)
    assert "its pixels do not meet the area; check the item's geometry and the area" in told


def test_reflectance_is_not_fetched(tmp_path):
    pixels = {name: plane.astype("float32") for name, plane in few_pixels().items()}
    item = write_item(tmp_path / "c", pixels, item_id="one", layout="planetary-computer")
    assert "its bands hold float32, not digital numbers" in line(run(item, tmp_path / "out", *OPTIONS), 5)


@pytest.mark.parametrize(("kind", "said"), [("folder", "is no table of lulc fetch"), ("long", "cannot read")])
def test_what_is_no_table_is_not_touched(item, tmp_path, kind, said):
    table = tmp_path / "out" / "items.csv"
    table.parent.mkdir()
    if kind == "folder":
        table.mkdir()
    else:
        table.write_text("x" * 200_000)
    assert said in line(run(item, table.parent, *OPTIONS), 5)
    assert [path.name for path in table.parent.iterdir()] == ["items.csv"]
