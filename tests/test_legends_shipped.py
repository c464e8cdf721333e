"""Shipped legends and crosswalks against the tables that their makers publish."""

import pytest

from lulc.crosswalk import load_crosswalk
from lulc.legend import NODATA_CODE, load_legend
from lulc.resources import configs_dir, shipped_names

# Grid code, class code and colour of each class of level 3: the legend that comes with the CLC rasters of the EEA.
CORINE = """
 1 111 230-000-077    2 112 255-000-000    3 121 204-077-242    4 122 204-000-000    5 123 230-204-204
 6 124 230-204-230    7 131 166-000-204    8 132 166-077-000    9 133 255-077-255   10 141 255-166-255
11 142 255-230-255   12 211 255-255-168   13 212 255-255-000   14 213 230-230-000   15 221 230-128-000
16 222 242-166-077   17 223 230-166-000   18 231 230-230-077   19 241 255-230-166   20 242 255-230-077
21 243 230-204-077   22 244 242-204-166   23 311 128-255-000   24 312 000-166-000   25 313 077-255-000
26 321 204-242-077   27 322 166-255-128   28 323 166-230-077   29 324 166-242-000   30 331 230-230-230
31 332 204-204-204   32 333 204-255-204   33 334 000-000-000   34 335 166-230-204   35 411 166-166-255
36 412 077-077-255   37 421 204-204-255   38 422 230-230-255   39 423 166-166-230   40 511 000-204-242
41 512 128-242-230   42 521 000-255-166   43 522 166-255-230   44 523 230-242-255
"""

PUBLISHED = {
    # Product user manual of ESA WorldCover, table of classes.
    "worldcover": {
        10: ("tree cover", "#006400"),
        20: ("shrubland", "#ffbb22"),
        30: ("grassland", "#ffff4c"),
        40: ("cropland", "#f096ff"),
        50: ("built-up", "#fa0000"),
        60: ("bare or sparse vegetation", "#b4b4b4"),
        70: ("snow and ice", "#f0f0f0"),
        80: ("permanent water bodies", "#0064c8"),
        90: ("herbaceous wetland", "#0096a0"),
        95: ("mangroves", "#00cf75"),
        100: ("moss and lichen", "#fae6a0"),
    },
    # Colour table inside the GeoTIFFs that Esri and Impact Observatory hand out.
    "esri": {
        1: ("water", "#419bdf"),
        2: ("trees", "#397d49"),
        4: ("flooded vegetation", "#7a87c6"),
        5: ("crops", "#e49635"),
        7: ("built area", "#c4281b"),
        8: ("bare ground", "#a59b8f"),
        9: ("snow and ice", "#a8ebff"),
        11: ("rangeland", "#e3e2c3"),
    },
    # Demir et al. 2018, class definitions.
    "deepglobe": {
        1: ("urban land", "#00ffff"),
        2: ("agriculture land", "#ffff00"),
        3: ("rangeland", "#ff00ff"),
        4: ("forest land", "#00ff00"),
        5: ("water", "#0000ff"),
        6: ("barren land", "#ffffff"),
    },
}

SIZES = {
    "corine-1": 5,
    "corine-2": 15,
    "corine-3": 44,
    "deepglobe": 6,
    "dynamic-world": 9,
    "dynamic-world-gee": 9,
    "esri": 8,
    "eurosat": 10,
    "finland-13": 13,
    "worldcover": 11,
}


@pytest.mark.parametrize(("name", "size"), SIZES.items())
def test_number_of_classes(name, size):
    assert len(load_legend(name)) == size


def test_corine_has_the_official_codes_and_colours():
    fields = CORINE.split()
    table = list(zip(fields[::3], fields[1::3], fields[2::3], strict=True))
    assert len(table) == 44
    for entry, (grid, code, color) in zip(load_legend("corine-3"), table, strict=True):
        assert entry.values == (int(code), int(grid))
        assert entry.rgb == tuple(int(part) for part in color.split("-"))


@pytest.mark.parametrize("value", [0, 48, 49, 50, 255, -128, -32768, 990, 995, 999])
def test_what_corine_does_not_classify_is_not_labelled(value):
    assert load_legend("corine-3").code_of_value()[value] == NODATA_CODE


@pytest.mark.parametrize("name", PUBLISHED)
def test_values_names_and_colours_are_the_published_ones(name):
    legend = load_legend(name)
    entries = {entry.code: (entry.name, entry.color) for entry in legend}
    found = {value: entries[code] for value, code in legend.code_of_value().items() if code != NODATA_CODE}
    assert found == PUBLISHED[name]


def test_clouds_of_esri_and_unknown_of_deepglobe_are_not_labelled():
    assert load_legend("esri").code_of_value()[10] == NODATA_CODE
    assert load_legend("deepglobe").nodata_colors == ("#000000",)


def test_both_codings_of_dynamic_world_are_one_legend():
    """Earth Engine counts from 0; classes, colours and order are the same, so no crosswalk is needed."""
    own, others = load_legend("dynamic-world"), load_legend("dynamic-world-gee")
    assert others.code_of_value() == {entry.code - 1: entry.code for entry in own} | {255: NODATA_CODE}
    assert [(entry.name, entry.color) for entry in others] == [(entry.name, entry.color) for entry in own]
    assert load_crosswalk(others, own).is_identity


def test_eurosat_has_the_order_of_its_folders():
    names = load_legend("eurosat").names
    assert list(names) == sorted(names)


def test_finland_tells_pine_from_spruce():
    names = load_legend("finland-13").names
    assert names[6:8] == ("pine-dominated coniferous forest", "spruce-dominated coniferous forest")


@pytest.mark.parametrize("name", shipped_names("legends"))
def test_no_value_of_a_class_is_the_nodata_of_products(name):
    assert load_legend(name).code_of_value().get(NODATA_CODE, NODATA_CODE) == NODATA_CODE


@pytest.mark.parametrize("kind", ["legends", "crosswalks"])
def test_each_file_begins_with_where_it_is_from_or_what_it_decides(kind):
    for name in shipped_names(kind):
        assert (configs_dir() / kind / f"{name}.toml").read_text(encoding="utf-8").startswith("# "), name


def target_of(source, target, name):
    """Name of the class that a class becomes, several when it may be any of them, None when it is ignored."""
    crosswalk = load_crosswalk(load_legend(source), load_legend(target))
    place = crosswalk.source.names.index(name)
    if place + 1 in crosswalk.several:
        return tuple(crosswalk.target.names[code - 1] for code in crosswalk.several[place + 1])
    code = crosswalk.codes[place]
    return None if code == NODATA_CODE else crosswalk.target.names[code - 1]


@pytest.mark.parametrize(
    ("source", "name", "expected"),
    [
        ("worldcover", "herbaceous wetland", "flooded vegetation"),
        ("worldcover", "mangroves", "trees"),
        ("esri", "rangeland", ("grass", "shrub & scrub")),
        ("eurosat", "SeaLake", "water"),
        ("eurosat", "Highway", None),
        ("eurosat", "HerbaceousVegetation", ("grass", "shrub & scrub")),
        ("deepglobe", "agriculture land", "crops"),
        ("deepglobe", "rangeland", ("grass", "shrub & scrub")),
        ("corine-3", "pastures", "grass"),
        ("corine-3", "glaciers and perpetual snow", "snow & ice"),
        ("corine-3", "intertidal flats", None),
        ("finland-13", "water vegetation", "flooded vegetation"),
    ],
)
def test_decisions_of_the_crosswalks_to_dynamic_world(source, name, expected):
    assert target_of(source, "dynamic-world", name) == expected


def test_corine_does_not_guess_pine_or_spruce():
    either = ("pine-dominated coniferous forest", "spruce-dominated coniferous forest")
    assert target_of("corine-3", "finland-13", "coniferous forest") == either


@pytest.mark.parametrize("source", ["corine-3", "deepglobe", "esri", "eurosat", "finland-13", "worldcover"])
def test_every_scheme_reaches_water_trees_crops_and_built(source):
    crosswalk = load_crosswalk(load_legend(source), load_legend("dynamic-world"))
    reached = {crosswalk.target.names[code - 1] for code in crosswalk.codes if code != NODATA_CODE}
    assert {"water", "trees", "crops", "built"} <= reached
