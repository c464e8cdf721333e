import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from lulc.errors import InputError
from lulc.grid import Window
from lulc.io.scene.safe import is_safe, open_safe, read_metadata
from lulc.io.scene.scene import open_scene
from tests.support.scene_files import write_raster

ALL = {f"B{number:02}" for number in range(1, 13)} | {"B8A"}


@pytest.mark.parametrize(
    ("name", "level", "offset", "bands"),
    [
        ("fake_l1c_processing_baseline_5_09.zip", "L1C", -1000, ALL),
        ("fake_l2a_processing_baseline_5_09.zip", "L2A", -1000, ALL - {"B10"}),
        ("fake_l2a_MSIL2A.zip", "L2A", 0, ALL - {"B10"}),
        ("S2A_MSIL1C_20180101T105441_N0206_R051_T31TDH_20180101T124911.zip", "L1C", 0, {"B01"}),
    ],
)
def test_products_with_real_metadata(data, name, level, offset, bands):
    with open_scene([data / "safe" / name]) as scene:
        assert set(scene.names) == bands
        assert scene.info.level == level
        assert (scene.radiometry.offset, scene.radiometry.source) == (offset, "metadata")
        assert scene.radiometry.quantification == 10_000
        assert scene.info.acquired.startswith("20")


def test_a_folder_and_its_zip_are_the_same_scene(data, tmp_path):
    archive = data / "safe" / "S2A_MSIL1C_20180101T105441_N0206_R051_T31TDH_20180101T124911.zip"
    with zipfile.ZipFile(archive) as members:
        members.extractall(tmp_path)
    folder = next(tmp_path.glob("**/MTD_MSIL1C.xml")).parent
    assert is_safe(folder)
    window = Window(200, 300, 64, 64)
    with open_scene([archive]) as zipped, open_scene([folder]) as unpacked:
        assert zipped.grid == unpacked.grid
        assert (zipped.read(["B01"], window)[0] == unpacked.read(["B01"], window)[0]).all()


@pytest.fixture
def product(data, tmp_path):
    """A small product: real metadata of baseline 05.09, JPEG 2000 bands of 10, 20 and 60 m written here."""
    with zipfile.ZipFile(data / "safe" / "fake_l2a_processing_baseline_5_09.zip") as archive:
        name = next(member for member in archive.namelist() if member.endswith("MTD_MSIL2A.xml"))
        xml = archive.read(name)
    folder = tmp_path / "S2B_MSIL2A_20230823T095559_N0509_R122_T34UCF_20230823T124759.SAFE"
    images = folder / "GRANULE" / "L2A_T34UCF" / "IMG_DATA"
    rng = np.random.default_rng(2)
    for band, resolution in (("B04", 10), ("B04", 20), ("B08", 10), ("B11", 20), ("B01", 60)):
        side = 120 * 10 // resolution
        values = rng.integers(1001, 5000, (1, side, side)).astype(np.uint16)
        values[:, : 300 // resolution] = 0
        target = images / f"R{resolution}m" / f"T34UCF_20230823T095559_{band}_{resolution}m.jp2"
        target.parent.mkdir(parents=True, exist_ok=True)
        place = {"crs": "EPSG:32634", "transform": from_origin(300000, 5900000, resolution, resolution)}
        write_raster(
            target,
            values,
            names=None,
            driver="JP2OpenJPEG",
            QUALITY=100,
            REVERSIBLE="YES",
            **(place | {"nodata": None}),
        )
    (folder / "MTD_MSIL2A.xml").write_bytes(xml)
    return folder


def test_bands_of_all_resolutions_come_to_the_finest_grid(product):
    with open_scene([product]) as scene:
        assert scene.grid.shape.height == scene.grid.shape.width == 120
        assert set(scene.names) == {"B01", "B04", "B08", "B11"}
        raw, valid = scene.read(["B04", "B08", "B11"], Window(0, 0, 120, 120))
        assert scene.radiometry.offset == -1000
        assert not valid[:30].any()
        assert valid[31:].all()
        assert raw[:, 31:].min() > 1000
    with rasterio.open(product / "GRANULE/L2A_T34UCF/IMG_DATA/R10m/T34UCF_20230823T095559_B04_10m.jp2") as source:
        assert (raw[0] == source.read(1)).all()


def test_a_small_product_as_a_zip(product, tmp_path):
    path = shutil.make_archive(str(tmp_path / "product"), "zip", tmp_path, product.name)
    with open_scene([Path(path)]) as scene, open_scene([product]) as folder:
        window = Window(20, 0, 90, 120)
        assert (scene.read(["B11"], window)[0] == folder.read(["B11"], window)[0]).all()


HOSTILE = [
    b'<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>',
    b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]><a>&x;</a>',
    b"<a><b></a>",
    b"",
    b"<a/>",
]


@pytest.mark.parametrize("xml", HOSTILE)
def test_hostile_or_empty_metadata_is_refused_in_a_line(xml):
    with pytest.raises(InputError) as caught:
        read_metadata(xml, Path("product.SAFE"))
    assert "\n" not in str(caught.value)
    assert "product.SAFE" in str(caught.value)


def test_a_zip_that_leaves_its_folder_is_refused(tmp_path):
    path = tmp_path / "evil.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/MTD_MSIL2A.xml", "<a/>")
        archive.writestr("../../escape.jp2", "x")
    with pytest.raises(InputError, match="paths that leave it"):
        open_scene([path])


def test_another_zip_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "some.zip", "w") as archive:
        archive.writestr("readme.txt", "x")
    with pytest.raises(InputError, match="without Sentinel-2 metadata"):
        open_scene([tmp_path / "some.zip"])


def test_a_product_may_be_named_by_its_metadata_file(product):
    assert is_safe(product / "MTD_MSIL2A.xml")
    with open_scene([product / "MTD_MSIL2A.xml"]) as scene:
        assert set(scene.names) == {"B01", "B04", "B08", "B11"}


def without_images(product):
    shutil.rmtree(product / "GRANULE")
    (product / "GRANULE").mkdir()


def with_a_second_granule(product):
    shutil.copytree(product / "GRANULE" / "L2A_T34UCF", product / "GRANULE" / "L2A_T34UDF")


def with_a_second_level(product):
    shutil.copy(product / "MTD_MSIL2A.xml", product / "MTD_MSIL1C.xml")


def with_a_text_for_a_band(product):
    next(product.glob("GRANULE/*/IMG_DATA/R10m/*_B04_10m.jp2")).write_text("no picture")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (without_images, "holds no band files under GRANULE"),
        (
            with_a_second_granule,
            r"holds 2 granules: L2A_T34UCF, L2A_T34UDF; give the folder of one, such as .*/GRANULE/L2A_T34UCF",
        ),
        (with_a_second_level, "holds 2 metadata files of products"),
        (with_a_text_for_a_band, r"B04_10m\.jp2 is not a JPEG 2000 file"),
    ],
)
def test_a_product_that_is_not_whole_or_not_one(product, damage, message):
    damage(product)
    with pytest.raises(InputError, match=message):
        open_scene([product])


def test_a_band_that_lacks_its_finest_file_is_told(product, caplog):
    next(product.glob("GRANULE/*/IMG_DATA/R10m/*B04_10m.jp2")).unlink()
    with open_scene(product) as scene:
        assert scene.names == ("B01", "B04", "B08", "B11")
    assert "lacks B04 at 10 m: it is taken from 20 m" in caplog.text
    assert caplog.text.count(" lacks ") == 1


class TestParts:
    """A folder of a product, or its files, mean what the product's metadata say: baseline 05.09 has an offset."""

    @pytest.mark.parametrize(
        "part", ["GRANULE/L2A_T34UCF", "GRANULE/L2A_T34UCF/IMG_DATA", "GRANULE/L2A_T34UCF/IMG_DATA/R20m"]
    )
    def test_folders(self, product, part):
        with open_scene([product]) as whole, open_scene([product / part]) as scene:
            assert scene.radiometry == whole.radiometry
            assert (scene.radiometry.offset, scene.info.level) == (-1000, "L2A")
            size = 20 if part.endswith("R20m") else 10
            assert scene.grid.transform.a == size
            assert set(scene.names) == ({"B04", "B11"} if size == 20 else set(whole.names))

    def test_files(self, product):
        files = sorted(product.glob("GRANULE/*/IMG_DATA/R20m/*.jp2"))
        with open_scene([product / "GRANULE/L2A_T34UCF/IMG_DATA/R20m"]) as folder, open_scene(files) as scene:
            assert scene.radiometry == folder.radiometry
            window = scene.grid.window
            np.testing.assert_array_equal(
                scene.reflectance(["B04", "B11"], window), folder.reflectance(["B04", "B11"], window)
            )

    def test_through_links_and_dots(self, product, tmp_path, monkeypatch):
        part = product / "GRANULE/L2A_T34UCF/IMG_DATA/R20m"
        (tmp_path / "link").symlink_to(part)
        (tmp_path / "links").mkdir()
        for file in part.glob("*.jp2"):
            (tmp_path / "links" / file.name).symlink_to(file)
        monkeypatch.chdir(part)
        for way in (tmp_path / "link", tmp_path / "links", Path("../R20m"), Path()):
            with open_scene(way) as scene:
                assert (scene.radiometry.offset, scene.radiometry.source) == (-1000, "metadata"), way

    def test_one_granule_of_several(self, product):
        with_a_second_granule(product)
        with open_scene([product / "GRANULE" / "L2A_T34UDF"]) as scene:
            assert scene.radiometry.offset == -1000

    def test_a_folder_of_the_same_name_elsewhere_has_no_metadata(self, product, tmp_path):
        alone = tmp_path / "GRANULE" / "x" / "IMG_DATA"
        shutil.copytree(product / "GRANULE/L2A_T34UCF/IMG_DATA/R10m", alone)
        with open_scene([alone]) as scene:
            assert scene.radiometry.source == "default"
            assert "--offset -1000 is needed" in scene.warnings[0]


def test_a_product_of_2016_says_how_to_give_one_granule(product):
    """Long names, several granules: `S2A_OPER_MTD_SAFL1C_...xml` beside them."""
    (product / "MTD_MSIL2A.xml").rename(product / "S2A_OPER_MTD_SAFL2A_PDMC_20160616T104721.xml")
    with_a_second_granule(product)
    with pytest.raises(InputError, match="holds 2 granules: L2A_T34UCF"):
        open_scene([product])
    with open_scene([product / "GRANULE" / "L2A_T34UCF"]) as scene:
        assert set(scene.names) == {"B01", "B04", "B08", "B11"}


def test_metadata_of_2017_have_other_names():
    xml = (
        b"<n1:Level-2A_User_Product xmlns:n1='urn:x'><PRODUCT_START_TIME>2017-07-01T10:50:31.026Z</PRODUCT_START_TIME>"
        b"<PROCESSING_BASELINE>02.05</PROCESSING_BASELINE><L1C_TOA_QUANTIFICATION_VALUE>9999</L1C_TOA_QUANTIFICATION_VALUE>"
        b"<L2A_BOA_QUANTIFICATION_VALUE>10000</L2A_BOA_QUANTIFICATION_VALUE></n1:Level-2A_User_Product>"
    )
    found = read_metadata(xml, Path("a.SAFE"))
    assert (found.level, found.quantification, found.offsets) == ("L2A", 10_000, {})


@pytest.mark.parametrize("zipped", [False, True])
def test_companions_of_macos_are_no_bands(product, zipped, tmp_path):
    for file in [entry for entry in product.rglob("*") if entry.is_file()]:
        file.with_name(f"._{file.name}").write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X        " + bytes(4072))
    given = product
    if zipped:
        given = tmp_path / "product.zip"
        with zipfile.ZipFile(given, "w") as archive:
            for file in sorted(product.rglob("*")):
                folder = "__MACOSX/" if file.name.startswith("._") else ""
                archive.write(file, folder + str(file.relative_to(tmp_path)))
    with open_scene([given]) as scene:
        assert set(scene.names) == {"B01", "B04", "B08", "B11"}
        assert scene.radiometry.offset == -1000


@pytest.mark.parametrize(
    ("offset", "message"),
    [
        ('<BOA_ADD_OFFSET band_id="3"></BOA_ADD_OFFSET>', "no number as the offset of B04"),
        ('<BOA_ADD_OFFSET band_id="77">-1000</BOA_ADD_OFFSET>', "band_id '77', which is none"),
    ],
)
def test_an_offset_that_is_none_is_not_0(offset, message):
    xml = f"<a><QUANTIFICATION_VALUE>10000</QUANTIFICATION_VALUE>{offset}</a>"
    with pytest.raises(InputError, match=message):
        read_metadata(xml.encode(), Path("S2.SAFE"))


def test_a_zip_with_a_brace_in_its_name_is_refused_for_that(product, tmp_path):
    path = tmp_path / "a}b.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in product.rglob("*"):
            archive.write(file, f"{product.name}/{file.relative_to(product)}")
    with pytest.raises(InputError, match="brace in its path; rename it"):
        open_safe(path)
