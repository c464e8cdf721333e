"""One value of an Item or a catalogue after the other is replaced by nonsense: a refusal in one line, or a scene, never a traceback."""

import copy
import json

import pytest

from lulc.errors import LulcError
from lulc.io.files.area_of_interest import read_area
from lulc.io.scene.scene import open_scene
from lulc.io.scene.stac import item_date, item_identity, item_level
from lulc.tasks.fetch.catalog import ItemFilter, find_items, parse_period
from tests.support.stac_items import random_pixels, write_item

NONSENSE = (None, "x", [], {"name": None}, float("nan"))
EVERYWHERE = ItemFilter(read_area("-180,-90,180,90"), parse_period("2000-01-01/.."), max_cloud=99.0)


def paths(document, here=()):
    """Every place in a document, as the keys that lead there."""
    if here:
        yield here
    entries = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for key, value in entries:
        yield from paths(value, (*here, key))


def replaced(document, place, value):
    changed = copy.deepcopy(document)
    inside = changed
    for key in place[:-1]:
        inside = inside[key]
    inside[place[-1]] = value
    return changed


def survives(function):
    """True when it refuses in one line or does its work."""
    try:
        function()
    except LulcError as error:
        if "\n" in str(error):
            raise


@pytest.mark.parametrize("layout", ["earth-search", "stac-1.1"])
@pytest.mark.whole
def test_items(tmp_path, layout):
    pixels = {name: plane for name, plane in random_pixels(side=24).items() if name in ("B04", "SCL")}
    said = {"earthsearch:boa_offset_applied": False, "s2:processing_baseline": "05.00"}
    path = write_item(tmp_path, pixels, layout=layout, properties=said, raster={"scale": 0.0001, "offset": -0.1})
    document = json.loads(path.read_text())

    def opened():
        with open_scene([path]) as scene:
            scene.fingerprint()

    def found():
        for item in find_items(str(path), EVERYWHERE, lambda _error: None):
            assert isinstance(item_date(item) + item_level(item) + item_identity(item), str)

    for place in list(paths(document)):
        for value in NONSENSE:
            path.write_text(json.dumps(replaced(document, place, value)))
            for function in (opened, found):
                try:
                    survives(function)
                except Exception as error:
                    error.add_note(f"{place} = {value!r}")
                    raise


def test_catalogues(tmp_path):
    links = [{"rel": "child", "href": "./c.json"}, {"rel": "item", "href": "./none.json"}]
    document = {"type": "Catalog", "id": "root", "stac_version": "1.0.0", "description": "", "links": links}
    (tmp_path / "c.json").write_text(json.dumps(document | {"type": "Collection", "links": []}))
    path = tmp_path / "catalog.json"
    for place in list(paths(document)):
        for value in NONSENSE:
            path.write_text(json.dumps(replaced(document, place, value)))
            survives(lambda: find_items(str(path), EVERYWHERE, lambda _error: None))
