"""Maps that are named when a server is started: which are shown, what is said of them, what is never opened."""

import os
from contextlib import suppress

import morecantile
import numpy as np
import pytest
import rasterio
from affine import Affine

from lulc.errors import InputError
from lulc.grid import Grid, Shape
from lulc.io.product.areas import class_areas
from lulc.serve.maps import ServedMap, ServedMaps, ramp
from lulc.serve.refusal import Refusal
from lulc.tasks.change.change import map_change
from lulc.tasks.mosaic.mosaic import mosaic
from tests.support.product_samples import LEGEND, UTM, grid_of, pixels, write


@pytest.fixture
def product(tmp_path):
    folder = tmp_path / "maps"
    folder.mkdir()
    write(folder / "map.tif", pixels(300, 400))
    return folder / "map.tif"


def titles(maps):
    return [one["title"] for one in maps.listed()]


def test_a_map_is_described(product):
    shown = ServedMap("m", "map", product).describe().model_dump()
    assert (shown["height"], shown["width"], shown["crs"]) == (300, 400, "EPSG:32631")
    assert shown["pixel_m"] == pytest.approx(10)
    assert [entry["name"] for entry in shown["legend"]] == list(LEGEND.names)
    assert [layer["id"] for layer in shown["layers"]][:3] == ["class", "confidence", "activation-1"]
    assert shown["layers"][1:3] == [
        {"id": "confidence", "title": "Confidence", "kind": "share"},
        {"id": "activation-1", "title": LEGEND.names[0], "kind": "share", "code": 1},
    ]
    west, south, east, north = shown["bounds"]
    assert west < east
    assert south < north
    assert shown["facts"]["input"] == "scène <1> & co.tif"
    assert shown["base"] is False


def test_areas_are_those_of_the_report(product):
    told = ServedMap("m", "map", product).areas()
    assert [(one["code"], one["pixels"], one["hectares"]) for one in told["classes"]] == [
        (one.code, one.pixels, round(one.hectares, 4)) for one in class_areas(product)
    ]
    assert "no estimate of area" in told["note"]
    assert 0.9 < told["valid_share"] < 1


class TestAreasOfOneGround:
    """Two maps are compared where both have data: what one lacks is no change."""

    @pytest.fixture
    def other(self, product):
        """The same map, ten columns farther east, with a hole of 50 x 60 pixels."""
        data = pixels(300, 400)
        data[:, 100:150, 200:260] = 255
        write(product.with_name("other.tif"), data, grid=grid_of(300, 400, UTM @ Affine.translation(10, 0)))
        return product.with_name("other.tif")

    def test_only_pixels_of_both_count(self, product, other):
        one, two = ServedMap("m", "map", product), ServedMap("o", "other", other)
        with rasterio.open(product) as first, rasterio.open(other) as second:
            here, there = first.read(1), second.read(1)
        both = (here[:, 10:] != 255) & (there[:, :-10] != 255)
        for shown, codes, told in (
            (one, here[:, 10:], one.areas(two)),
            (two, there[:, :-10], two.areas(one)),
        ):
            counts = np.bincount(codes[both], minlength=1 + len(LEGEND))[1:]
            assert [entry["pixels"] for entry in told["classes"]] == counts.tolist()
            whole = sum(entry["pixels"] for entry in shown.areas()["classes"])
            assert told["common_share"] == pytest.approx(both.sum() / whole)
        assert one.areas()["classes"] != one.areas(two)["classes"]

    def test_a_map_and_itself_share_all(self, product):
        shown = ServedMap("m", "map", product)
        assert shown.areas(shown)["common_share"] == 1
        assert shown.areas(shown)["classes"] == shown.areas()["classes"]

    @pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
    def test_maps_that_cannot_lie_on_one_another(self, product):
        write(product.with_name("plain.tif"), pixels(300, 400), grid=Grid(None, Affine.identity(), Shape(300, 400)))
        plain = ServedMap("p", "plain", product.with_name("plain.tif"))
        with pytest.raises(Refusal, match="cannot lie on one another"):
            ServedMap("m", "map", product).areas(plain)
        assert plain.areas(plain)["common_share"] == 1


def test_a_value_names_its_class(product):
    shown = ServedMap("m", "map", product)
    with rasterio.open(product) as source:
        stored = source.read()[:, 200, 300]
    told = shown.value((200, 300))
    assert told["class"]["code"] == stored[0]
    assert told["class"]["color"] == LEGEND.classes[stored[0] - 1].color
    assert [one["share"] for one in told["activations"]] == (stored[1:] / 250).tolist()
    assert shown.value((0, 0))["class"] is None
    assert shown.value((300, 0)) == {"inside": False}


def test_a_mosaic_names_the_map_a_pixel_is_from(product, tmp_path):
    other = tmp_path / "maps" / "other.tif"
    data = pixels(300, 400, seed=3)
    data[:, :, 200:] = 255
    write(other, data)
    data = pixels(300, 400)
    data[:, :, :150] = 255
    write(product, data, overwrite=True)
    mosaic([product, other], tmp_path / "mosaic.tif")
    shown = ServedMap("m", "mosaic", tmp_path / "mosaic.tif")
    assert {shown.value((row, col))["source"] for row in (150, 250) for col in (20, 100, 390)} == {
        "map.tif",
        "other.tif",
    }
    assert shown.value((250, 390))["source"] == "map.tif"
    assert 0 < shown.value((250, 390))["confidence"] <= 1


def test_a_change_map_shows_how_probable_it_is(product, tmp_path):
    after = tmp_path / "after.tif"
    write(after, pixels(300, 400, seed=7))
    map_change(product, after, tmp_path / "change.tif")
    shown = ServedMap("m", "change", tmp_path / "change.tif")
    layers = {layer["id"]: layer for layer in shown.describe().model_dump()["layers"]}
    assert [layer["title"] for layer in layers.values()] == ["Classes", "Probability of change", "Confidence"]
    with rasterio.open(tmp_path / "change.tif") as source:
        stored = dict(zip(source.descriptions, source.read()[:, 200, 300], strict=True))
    told = shown.value((200, 300))
    assert told["others"] == {"probability of change": pytest.approx(stored["probability of change"] / 250, abs=1e-4)}
    assert told["confidence"] == pytest.approx(stored["confidence"] / 250, abs=1e-4)
    assert told["activations"] == []
    west, south, east, north = shown.view.raster.bounds
    tile = morecantile.tms.get("WebMercatorQuad").tile((west + east) / 2, (south + north) / 2, 14)
    for layer in layers:
        assert shown.tile(layer, tile.z, tile.x, tile.y) is not None


def test_layers_that_are_not_there(product):
    shown = ServedMap("m", "map", product)
    for layer in ("nothing", "activation-99", "activation-../x", "source"):
        with pytest.raises(Refusal, match="no layer"):
            shown.tile(layer, 10, 0, 0)


class TestNamed:
    def test_files_and_folders_in_their_order(self, product, tmp_path):
        write(tmp_path / "b.tif", pixels(100, 100))
        (tmp_path / "maps" / "no.tif").write_bytes(b"no map")
        (tmp_path / "maps" / ".hidden").mkdir()
        write(tmp_path / "maps" / ".hidden" / "c.tif", pixels(100, 100))
        maps = ServedMaps([tmp_path / "b.tif", product.parent])
        assert titles(maps) == ["b.tif", "map.tif"]
        first = maps.listed()[0]
        assert maps.get(first["id"]).describe().title == "b.tif"

    def test_a_map_that_is_made_later_is_found(self, product):
        maps = ServedMaps([product.parent])
        write(product.parent / "later.tif", pixels(100, 100))
        assert titles(maps) == ["later.tif", "map.tif"]

    def test_a_map_that_is_made_again_is_read_again(self, product):
        maps = ServedMaps([product])
        map_id = maps.listed()[0]["id"]
        before = maps.get(map_id).value((200, 300))
        data = pixels(300, 400)
        data[:, 200, 300] = [2, 0, 250, *[0] * 7]
        write(product, data, overwrite=True)
        assert maps.get(map_id).value((200, 300))["class"]["code"] == 2
        assert before["activations"][1]["share"] != 1

    def test_links_that_lead_out_are_not_followed(self, product, tmp_path):
        write(tmp_path / "secret.tif", pixels(100, 100))
        (product.parent / "link.tif").symlink_to(tmp_path / "secret.tif")
        (product.parent / "loop.tif").symlink_to(product.parent / "loop.tif")
        maps = ServedMaps([product.parent])
        assert titles(maps) == ["map.tif"]

    def test_a_link_that_is_bent_later_is_not_followed(self, product, tmp_path):
        write(tmp_path / "secret.tif", pixels(100, 100))
        inside = product.parent / "also.tif"
        inside.symlink_to(product)
        maps = ServedMaps([product.parent])
        ids = {one["title"]: one["id"] for one in maps.listed()}
        inside.unlink()
        inside.symlink_to(tmp_path / "secret.tif")
        for map_id in ids.values():
            with suppress(Refusal):
                assert maps.get(map_id).path.resolve() == product.resolve()

    @pytest.mark.parametrize("map_id", ["", "../map.tif", "/etc/passwd", "0" * 16, "map.tif"])
    def test_only_ids_open_anything(self, product, map_id):
        with pytest.raises(Refusal) as caught:
            ServedMaps([product]).get(map_id)
        assert caught.value.status == 404

    def test_a_map_that_has_gone_is_one_line(self, product):
        maps = ServedMaps([product.parent])
        map_id = maps.listed()[0]["id"]
        product.unlink()
        with pytest.raises(Refusal, match="no such map"):
            maps.get(map_id)
        assert maps.listed() == []

    def test_a_map_that_is_damaged_later_is_one_line(self, product):
        maps = ServedMaps([product])
        map_id = maps.listed()[0]["id"]
        product.write_bytes(b"II*\0damaged")
        with pytest.raises(Refusal, match=r"map\.tif is not a readable"):
            maps.get(map_id)

    def test_what_is_no_map_is_refused_at_start(self, product, tmp_path, data):
        scene = data / "scenes" / "aber_s2_20210527_10band.tif"
        with pytest.raises(InputError, match="was not made by lulc"):
            ServedMaps([scene])
        with pytest.raises(InputError, match="there is no"):
            ServedMaps([tmp_path / "nothing.tif"])
        os.mkdir(tmp_path / "empty")  # noqa: PTH102
        with pytest.raises(InputError, match="holds no product"):
            ServedMaps([tmp_path / "empty"])


def test_the_ramp_runs_from_dark_to_bright():
    colors = ramp()
    assert len(colors) == 11
    brightness = [sum(int(color[place : place + 2], 16) for place in (1, 3, 5)) for color in colors]
    assert np.diff(brightness)[3:].min() > 0
    assert brightness[0] < brightness[-1]
