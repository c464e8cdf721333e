import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import rasterio
from pystac import Item

from lulc.errors import InputError
from lulc.grid import Window
from lulc.io.files.http import web_address
from lulc.io.scene.scene import open_scene
from lulc.io.scene.stac import band_assets, item_level, item_sources, read_item
from lulc.io.scene.stac_radiometry import item_radiometry, processing_baseline
from tests.support.stac_items import COARSE, FINE, random_pixels, write_item

ALL = {*FINE, *COARSE}
WHOLE = Window(0, 0, 240, 240)


class TestLayouts:
    @pytest.mark.parametrize("layout", ["earth-search", "planetary-computer", "stac-1.1"])
    @pytest.mark.parametrize("where", ["relative", "absolute", "file url"])
    def test_an_item_is_a_scene(self, tmp_path, layout, where):
        base = {"relative": "./", "absolute": f"{tmp_path}/", "file url": f"file://{tmp_path}/"}[where]
        pixels = random_pixels()
        path = write_item(tmp_path, pixels, layout=layout, base=base, properties={"s2:processing_baseline": "03.01"})
        with open_scene([path]) as scene:
            assert set(scene.names) == ALL
            assert set(scene.quality) == {"SCL"}
            assert (scene.info.level, scene.info.acquired, scene.info.kind) == (
                "L2A",
                "2021-06-03T10:05:59Z",
                "STAC Item",
            )
            assert scene.grid.shape.height == 240
            raw, valid = scene.read(FINE, WHOLE)
            np.testing.assert_array_equal(raw, [pixels[name] for name in FINE])
            np.testing.assert_array_equal(valid, pixels["B02"] != 0)
            np.testing.assert_array_equal(
                scene.quality["SCL"].read(WHOLE), np.kron(pixels["SCL"], np.ones((2, 2), np.uint8))
            )
            assert scene.read(["B11"], WHOLE)[1].any()

    def test_quality_does_not_depend_on_the_cut(self, tmp_path):
        pixels = random_pixels()
        with open_scene([write_item(tmp_path, pixels)]) as scene:
            whole = scene.quality["SCL"].read(WHOLE)
            for window in (Window(3, 5, 50, 61), Window(0, 239, 7, 1), Window(101, 0, 1, 240)):
                np.testing.assert_array_equal(scene.quality["SCL"].read(window), whole[window.slices()])

    def test_the_finest_of_several_assets_is_taken_and_composites_are_not(self, tmp_path):
        path = write_item(tmp_path, random_pixels(), layout="planetary-computer")
        document = json.loads(path.read_text())
        document["assets"]["B04_60m"] = document["assets"]["B04"] | {"href": "coarse.tif", "gsd": 60}
        document["assets"]["visual"] = document["assets"]["B04"] | {"eo:bands": [{"name": n} for n in ("B04", "B03")]}
        path.write_text(json.dumps(document))
        assert band_assets(read_item(str(path)))["B04"].key == "B04"
        assert set(band_assets(read_item(str(path)))) == {*ALL, "SCL"}

    def test_the_side_of_a_pixel_may_be_said_by_the_transform(self, tmp_path):
        path = write_item(tmp_path, random_pixels(), layout="planetary-computer")
        document = json.loads(path.read_text())
        fine = {"href": "fine.tif", "proj:transform": [5, 0, 0, 0, -5, 0]}
        document["assets"]["B04_5m"] = document["assets"]["B04"] | fine
        path.write_text(json.dumps(document))
        assert band_assets(read_item(str(path)))["B04"].key == "B04_5m"

    def test_reflectance_stays_as_it_is(self, tmp_path):
        pixels = {name: (plane / 10_000).astype(np.float32) for name, plane in random_pixels().items() if name in FINE}
        pixels["B02"][3, 4] = np.nan
        with open_scene([write_item(tmp_path, pixels)]) as scene:
            assert scene.radiometry.quantification == 1
            raw, valid = scene.read(["B02"], WHOLE)
        assert not valid[3, 4]
        np.testing.assert_array_equal(raw[0][valid], pixels["B02"][valid])

    @pytest.mark.parametrize("layout", ["planetary-computer", "stac-1.1"])
    @pytest.mark.parametrize("dtype", [np.int16, np.float32])
    def test_what_the_asset_states_counts_where_the_file_is_silent(self, tmp_path, layout, dtype):
        """Digital numbers with -9999 for no data, which only the item says; and a scale that holds for floats too."""
        pixels = {name: plane.astype(dtype) for name, plane in random_pixels().items() if name in FINE}
        pixels["B02"][3:5, 4] = -9999
        path = write_item(tmp_path, pixels, layout=layout, raster={"scale": 0.0002, "offset": 0.0})
        document = json.loads(path.read_text())
        for asset in document["assets"].values():
            (asset["bands"] if layout == "stac-1.1" else asset["raster:bands"])[0]["nodata"] = -9999
            with rasterio.open(tmp_path / asset["href"], "r+") as file:
                file.nodata = None
        path.write_text(json.dumps(document))
        with open_scene([path]) as scene:
            assert scene.radiometry.quantification == 5000
            found = scene.reflectance(["B02"], WHOLE)[0]
        assert np.isnan(found[3:5, 4]).all()
        assert found[100, 100] == pytest.approx(pixels["B02"][100, 100] / 5000)

    def test_a_level_that_is_not_said_is_empty(self):
        item = Item("a", None, None, datetime(2021, 6, 3, tzinfo=UTC), {})
        assert item_level(item) == ""
        item.properties["processing:level"] = "L2A"
        assert item_level(item) == "L2A"

    def test_the_fingerprint_sees_pixels_and_properties_not_signatures(self, tmp_path):
        path = write_item(tmp_path, random_pixels())

        def known():
            with open_scene([path]) as scene:
                return scene.fingerprint(times=False)

        first = known()
        write_item(tmp_path, random_pixels(seed=1))
        assert known() != first
        write_item(tmp_path, random_pixels())
        text = path.read_text()
        assert known() == first
        path.write_text(text.replace("03T10:05:59Z", "04T10:05:59Z"))
        assert known() != first


FLAG = "earthsearch:boa_offset_applied"
SHIFTED = {"scale": 0.0001, "offset": -0.1}
BASELINE = "s2:processing_baseline"
RULES = {
    "baseline without leading zero": ({BASELINE: "5.10"}, {}, -1000, "05.10"),
    "baseline as a number that lost its zero": ({BASELINE: 5.1}, {}, -1000, "05.10"),
    "baseline as a number": ({BASELINE: 5.09}, {}, -1000, "05.09"),
    "old baseline as a number": ({BASELINE: 2.11}, {}, 0, "02.11"),
    "baseline as a whole number": ({BASELINE: 4}, {}, -1000, "04.00"),
    "flag as text": ({FLAG: "True", BASELINE: "05.10"}, SHIFTED, 0, "is true"),
    "flag as a number": ({FLAG: 1, BASELINE: "05.10"}, SHIFTED, 0, "is true"),
    "flag as text, false": ({FLAG: "false", BASELINE: "05.10"}, {}, -1000, "is false"),
    "offset in digital numbers": ({}, {"scale": 1, "offset": -1000}, -1000, "offset of the asset"),
    "numbers as text": ({}, {"scale": "0.0001", "offset": "-0.1"}, -1000, "offset of the asset"),
    "Earth Search, applied": ({FLAG: True, "s2:processing_baseline": "05.10"}, SHIFTED, 0, "is true"),
    "Earth Search, not applied": ({FLAG: False, "s2:processing_baseline": "05.10"}, SHIFTED, -1000, "is false"),
    "Earth Search, before 04.00": ({FLAG: False, "s2:processing_baseline": "02.09"}, SHIFTED, 0, "02.09"),
    "Earth Search, flag without baseline": ({FLAG: False}, SHIFTED, -1000, "offset of the asset"),
    "Earth Search v0": ({"sentinel:boa_offset_applied": True}, {}, 0, "sentinel:boa_offset_applied"),
    "Planetary Computer, 05.09": ({"s2:processing_baseline": "05.09"}, {}, -1000, "processing baseline 05.09"),
    "Planetary Computer, 03.00": ({"s2:processing_baseline": "03.00"}, {}, 0, "processing baseline 03.00"),
    "processing:version": ({"processing:version": "N0510"}, {}, -1000, "05.10"),
    "product uri": ({"s2:product_uri": "S2A_MSIL2A_20220601T1_N0400_R008_T33.SAFE"}, {}, -1000, "04.00"),
    "asset alone": ({}, SHIFTED, -1000, "offset of the asset"),
    "asset says it is harmonised": ({"s2:processing_baseline": "05.10"}, {"scale": 0.0001, "offset": 0}, 0, "asset"),
    "STAC 1.1": ({}, {"raster:scale": 0.0001, "raster:offset": -0.1}, -1000, "offset of the asset"),
    "scale 1 says nothing": ({"s2:processing_baseline": "05.10"}, {"scale": 1, "offset": 0}, -1000, "05.10"),
}


class TestOffset:
    @pytest.mark.parametrize("case", RULES)
    def test_rule(self, case):
        properties, band, offset, source = RULES[case]
        radiometry = item_radiometry(properties, band)
        assert (radiometry.quantification, radiometry.offset) == (10_000, offset)
        assert radiometry.source.startswith("STAC: ")
        assert source in radiometry.source

    def test_nothing_said_is_nothing_known(self):
        assert item_radiometry({}, {}) is None
        assert item_radiometry({"s2:processing_baseline": "unknown"}, {}) is None
        assert processing_baseline({"processing:version": "1.0"}) is None

    @pytest.mark.parametrize(
        ("properties", "band"),
        [
            ({"s2:processing_baseline": "unknown"}, {}),
            ({"earthsearch:boa_offset_applied": "perhaps"}, {}),
            ({}, {"scale": 1, "offset": -0.1}),
        ],
    )
    def test_a_statement_that_is_not_understood_is_told_once(self, tmp_path, caplog, properties, band):
        with open_scene([write_item(tmp_path, random_pixels(), properties=properties, raster=band)]):
            pass
        (told,) = [record.getMessage() for record in caplog.records if "not understood" in record.getMessage()]
        assert (next(iter(properties), "") or "offset -0.1") in told

    @pytest.mark.parametrize("layout", ["earth-search", "planetary-computer", "stac-1.1"])
    def test_through_a_scene(self, tmp_path, layout):
        path = write_item(tmp_path, random_pixels(shift=1000), layout=layout, raster=SHIFTED)
        with open_scene([path]) as scene:
            assert scene.radiometry.offset == -1000
            assert scene.warnings == ()
        with open_scene([path], offset=0) as scene:
            assert (scene.radiometry.offset, scene.radiometry.source) == (0, "option")

    def test_the_flag_says_applied_and_the_pixels_say_no(self, tmp_path):
        path = write_item(tmp_path, random_pixels(shift=1000), properties={FLAG: True}, raster=SHIFTED)
        with open_scene([path]) as scene:
            assert scene.radiometry.offset == 0
            (told,) = scene.warnings
            with pytest.raises(InputError, match="offset 0 was used"):
                scene.check_reflectance()
        assert "offset 0 was used" in told
        assert "--offset -1000" in told
        with open_scene([path], offset=-1000) as scene:
            assert scene.warnings == ()
            scene.check_reflectance()

    def test_the_flag_says_not_applied_and_the_pixels_say_it_was(self, tmp_path):
        said = {FLAG: False, "s2:processing_baseline": "05.11"}
        with open_scene([write_item(tmp_path, random_pixels(), properties=said, raster=SHIFTED)]) as scene:
            assert scene.radiometry.offset == -1000
            (told,) = scene.warnings
            with pytest.raises(InputError, match="offset -1000 was used"):
                scene.check_reflectance()
        assert "offset -1000 was used" in told
        assert "--offset 0" in told

    @pytest.mark.parametrize(("shift", "applied"), [(0, True), (1000, False)])
    def test_nothing_to_say_when_flag_and_pixels_agree(self, tmp_path, shift, applied):
        said = {FLAG: applied, "s2:processing_baseline": "05.11"}
        with open_scene([write_item(tmp_path, random_pixels(shift=shift), properties=said, raster=SHIFTED)]) as scene:
            assert scene.warnings == ()


class TestRefusals:
    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("{", "not JSON"),
            ("[1]", "not a JSON object"),
            ('{"type": "Catalog"}', "no STAC Item but Catalog"),
            ('{"type": "Feature", "assets": {}}', "no valid STAC Item"),
        ],
    )
    def test_what_is_no_item(self, tmp_path, text, reason):
        path = tmp_path / "item.json"
        path.write_text(text)
        with pytest.raises(InputError, match=reason) as caught:
            open_scene([path])
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(
        ("href", "reason"),
        [
            ("gone.tif", "no such file"),
            ("s3://bucket/B04.tif", "no B04|differ|s3"),
            ("/vsicurl/http://localhost:1/a.tif", "no B04|differ"),
            ("evil.tif", "no GeoTIFF"),
        ],
    )
    def test_assets_that_are_not_there_or_reach_elsewhere(self, tmp_path, href, reason):
        (tmp_path / "evil.tif").write_text("<VRTDataset/>")
        pixels = {name: plane for name, plane in random_pixels().items() if name == "B04"}
        path = write_item(tmp_path, pixels, layout="planetary-computer")
        document = json.loads(path.read_text())
        document["assets"]["B04"]["href"] = href
        path.write_text(json.dumps(document))
        with pytest.raises(InputError, match=f"{reason}|no Sentinel-2 bands") as caught:
            open_scene([path])
        assert "\n" not in str(caught.value)

    def test_a_band_file_that_is_damaged_is_named_by_its_asset(self, tmp_path):
        path = write_item(tmp_path, random_pixels())
        next(tmp_path.glob("*_B04.tif")).write_bytes(b"II*\0rest")
        with pytest.raises(InputError, match=r"asset red: .*B04\.tif is not a readable GeoTIFF"):
            open_scene([path])

    def test_a_band_that_an_item_lacks_is_named(self, tmp_path):
        item = read_item(str(write_item(tmp_path, random_pixels())))
        with pytest.raises(InputError, match="has no B09; it has B02, B03, "):
            item_sources(item, tmp_path, ["B02", "B09"])

    def test_a_remote_item_never_points_into_this_machine(self, tmp_path):
        document = json.loads(write_item(tmp_path, random_pixels(), base=f"file://{tmp_path}/").read_text())
        assert band_assets(Item.from_dict(document, href="https://example.org/items/a.json")) == {}
        document["assets"]["red"]["href"] = "/etc/B04.tif"
        item = Item.from_dict(document, href="https://example.org/items/a.json")
        assert band_assets(item)["B04"].href == "https://example.org/etc/B04.tif"


@pytest.mark.parametrize("text", ["https://host/a/b.json", "https:/host/a/b.json", "HTTPS://host/a/b.json"])
def test_a_url_survives_becoming_a_path(text):
    assert web_address(Path(text)) == "https://host/a/b.json"


@pytest.mark.parametrize("text", ["a/b.json", "/a/b.json", "http", "https:", "s3://a/b"])
def test_paths_are_no_urls(text):
    assert web_address(Path(text)) is None
