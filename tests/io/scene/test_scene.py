import os
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.control import GroundControlPoint
from rasterio.transform import Affine, from_origin

from lulc.errors import InputError, LimitError, StorageError
from lulc.grid import Window
from lulc.io.scene.array_source import ArraySource
from lulc.io.scene.scene import open_scene
from tests.support.scene_files import FORMATS, NAMES, TRANSFORM, geotiff, pixels, write_raster

WHOLE = Window(0, 0, 150, 170)


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_gives_the_same_scene(tmp_path, kind):
    values = pixels()
    path = FORMATS[kind](tmp_path, values)
    bands = NAMES if kind == "jpeg2000" else None
    with open_scene([path], bands=bands) as scene:
        assert sorted(scene.names) == sorted(NAMES)
        assert scene.grid.crs.to_epsg() == 32631
        assert scene.grid.transform.almost_equals(TRANSFORM, 1e-6)
        assert scene.radiometry.quantification == 10_000
        raw, valid = scene.read(NAMES, WHOLE)
        inside = (values != 0).all(0)
        assert (valid == inside).all()
        assert (raw[:, valid] == values[:, inside]).all()
        lazy = scene.to_xarray(NAMES, chunks=64)
        assert (lazy.dims, lazy.chunks[1][0]) == (("band", "y", "x"), 64)
        assert list(lazy.band.values) == list(NAMES)
        assert np.allclose(lazy.x, TRANSFORM.c + 5 + 10 * np.arange(170))
        computed = lazy.compute()
        assert (np.isfinite(computed).all("band").values == inside).all()
        assert np.allclose(computed.values[:, inside], values[:, inside] / 10_000)
        assert (computed.valid.values == inside).all()


@pytest.mark.parametrize("window", [Window(0, 0, 1, 1), Window(149, 169, 1, 1), Window(37, 51, 80, 90), WHOLE])
def test_windows_are_rasterios_bit_for_bit(tmp_path, window):
    path = geotiff(tmp_path, pixels())
    with open_scene([path]) as scene, rasterio.open(path) as source:
        expected = source.read(window=rasterio.windows.Window(window.col, window.row, window.width, window.height))
        assert (scene.read(NAMES, window)[0] == expected).all()


GRIDS = {
    "utm": {"crs": "EPSG:32631", "transform": from_origin(356040, 4835680, 10, 10)},
    "degrees": {"crs": "EPSG:4326", "transform": Affine(1.3e-4, 0, 13.1, 0, -9.1e-5, 45.9)},
    "south-up": {"crs": "EPSG:32631", "transform": Affine(10, 0, 356040, 0, 10, 4833000)},
    "rotated": {"crs": "EPSG:27700", "transform": Affine(8, 3, 356040, 3, -8, 283000)},
}


@pytest.mark.parametrize("name", GRIDS)
def test_the_grid_is_kept_to_the_last_bit(tmp_path, name):
    path = write_raster(tmp_path / "scene.tif", pixels(), **GRIDS[name])
    with open_scene([path]) as scene, rasterio.open(path) as source:
        assert (scene.grid.transform, scene.grid.crs) == (source.transform, source.crs)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_ground_control_points_and_no_place_at_all(tmp_path):
    points = [
        GroundControlPoint(0, 0, 13.0, 45.0),
        GroundControlPoint(0, 170, 13.1, 45.0),
        GroundControlPoint(150, 0, 13.0, 44.9),
    ]
    path = write_raster(tmp_path / "gcp.tif", pixels(), crs=None, transform=None)
    with rasterio.open(path, "r+") as target:
        target.gcps = points, rasterio.crs.CRS.from_epsg(4326)
    with open_scene([path]) as scene:
        assert [(point.row, point.col, point.x, point.y) for point in scene.grid.gcps] == [
            (point.row, point.col, point.x, point.y) for point in points
        ]
        assert scene.grid.georeferenced
    with open_scene([write_raster(tmp_path / "none.tif", pixels(), crs=None, transform=None)]) as scene:
        assert not scene.grid.georeferenced


def test_masks_alpha_and_nan_are_not_data(tmp_path):
    values = pixels()
    values[:, :] = 500
    masked = write_raster(tmp_path / "mask.tif", values, nodata=None)
    mask = np.full((150, 170), 255, np.uint8)
    mask[10:20, 30:40] = 0
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(masked, "r+") as target:
        target.write_mask(mask)
    with open_scene([masked]) as scene:
        assert (scene.read(NAMES, WHOLE)[1] == (mask > 0)).all()
    floats = values.astype(np.float32) / 10_000
    floats[2, 5, 6] = np.nan
    floats[0, 7, 8] = np.inf
    with open_scene([write_raster(tmp_path / "nan.tif", floats, nodata=None)]) as scene:
        assert np.argwhere(~scene.read(NAMES, WHOLE)[1]).tolist() == [[5, 6], [7, 8]]
        assert scene.radiometry.quantification == 1


def test_coarser_bands_are_resampled_alike_however_windows_are_cut(tmp_path):
    fine, coarse = pixels(120, 120), pixels(60, 60, seed=1)
    a = write_raster(tmp_path / "fine.tif", fine[:2], names=("B03", "B08"), nodata=None)
    b = write_raster(
        tmp_path / "coarse.tif", coarse[:1], names=("B11",), transform=from_origin(356040, 4835680, 20, 20)
    )
    with open_scene([a, b]) as scene:
        assert scene.names == ("B03", "B08", "B11")
        whole, valid = scene.read(scene.names, Window(0, 0, 120, 120))
        for window in (Window(0, 0, 33, 47), Window(33, 47, 87, 73), Window(60, 1, 1, 119)):
            part, part_valid = scene.read(scene.names, window)
            assert (part == whole[:, *window.slices()]).all()
            assert (part_valid == valid[window.slices()]).all()
    smooth = np.linspace(1000, 3000, 60)[None, None, :].repeat(60, 1).astype(np.uint16)
    b = write_raster(tmp_path / "smooth.tif", smooth, names=("B12",), transform=from_origin(356040, 4835680, 20, 20))
    with open_scene([a, b]) as scene:
        row = scene.read(["B12"], Window(50, 2, 1, 116))[0][0, 0].astype(float)
    assert (np.diff(row) >= 0).all()
    assert abs(np.diff(row).mean() - 2000 / 59 / 2) < 0.5


def test_an_index_mosaic_beside_a_band_mosaic(tmp_path):
    values = pixels()
    ndvi = np.linspace(-1, 1, 150 * 170).reshape(1, 150, 170).astype(np.float32)
    bands = geotiff(tmp_path, values)
    indices = write_raster(tmp_path / "ndvi.tif", ndvi, names=("NDVI",), nodata=None)
    with open_scene([bands, indices]) as scene:
        assert scene.names == (*NAMES, "NDVI")
        assert scene.radiometry.quantification == 10_000
        raw, _ = scene.read(["B04", "NDVI"], WHOLE)
        assert (raw[1] == ndvi[0]).all()
        assert (raw[0] == values[2]).all()


@pytest.mark.parametrize(
    ("tags", "options", "expected"),
    [
        ({}, {}, (10_000, 0, "default")),
        ({"REFLECTANCE_SCALE": "1000"}, {}, (1000, 0, "metadata, which state no offset")),
        ({"REFLECTANCE_SCALE": "1000"}, {"offset": -100}, (1000, -100, "option")),
        ({}, {"quantification": 255, "offset": 0}, (255, 0, "option")),
    ],
)
def test_radiometry_options_before_metadata_before_defaults(tmp_path, tags, options, expected):
    path = geotiff(tmp_path, pixels())
    with rasterio.open(path, "r+") as target:
        target.update_tags(**tags)
    with open_scene([path], **options) as scene:
        assert (scene.radiometry.quantification, scene.radiometry.offset, scene.radiometry.source) == expected


def test_gdal_scale_and_offset_are_understood(tmp_path):
    path = geotiff(tmp_path, pixels())
    with rasterio.open(path, "r+") as target:
        target.scales, target.offsets = (0.0001,) * 4, (-0.1,) * 4
    with open_scene([path]) as scene:
        assert scene.radiometry.reflectance(np.array([2000.0])) == pytest.approx([0.1])


def test_a_missing_offset_and_a_wrong_scale_are_warned_of_never_applied(tmp_path):
    bright = np.clip(pixels(), 1100, None)
    with open_scene([write_raster(tmp_path / "a.tif", bright, nodata=None)]) as scene:
        assert "--offset -1000" in scene.warnings[0]
        assert scene.radiometry.offset == 0
    with open_scene([geotiff(tmp_path, pixels())], quantification=255) as scene:
        assert "--quantification" in scene.warnings[0]


def test_the_fingerprint_follows_pixels_and_options(tmp_path):
    path = geotiff(tmp_path, pixels())

    def fingerprint(**options):
        with open_scene([path], **options) as scene:
            return scene.fingerprint()

    first = fingerprint()
    assert fingerprint() == first
    assert fingerprint(offset=-1000.0) != first
    geotiff(tmp_path, pixels(seed=5))
    assert fingerprint() != first


def refused(paths, error=InputError, **options):
    with pytest.raises(error) as caught:
        open_scene(paths, **options)
    assert "\n" not in str(caught.value)
    assert str(paths[0]) in str(caught.value) or options
    return str(caught.value)


def test_no_names_and_wrong_names_say_what_the_file_has(tmp_path):
    path = write_raster(tmp_path / "plain.tif", pixels(), names=None)
    assert "--bands" in refused([path])
    assert "names 2 bands, the input has 4" in refused([path], bands=["B02", "B03"])
    assert "B99" in refused([path], bands=["B02", "B03", "B04", "B99"])
    assert "twice" in refused([path], bands=["B02", "B03", "B02", "B08"])
    with open_scene([path], bands=["B02", "-", "B04", "B8A"]) as scene:
        assert scene.names == ("B02", "B04", "B8A")


def test_files_that_are_not_rasters(tmp_path):
    assert "no such file" in refused([tmp_path / "nothing.tif"])
    (tmp_path / "text.tif").write_text("hello")
    assert "not a GeoTIFF" in refused([tmp_path / "text.tif"])
    (tmp_path / "empty.tif").write_bytes(b"")
    assert "not a GeoTIFF" in refused([tmp_path / "empty.tif"])
    (tmp_path / "folder").mkdir()
    assert "no raster files" in refused([tmp_path / "folder"])


@pytest.mark.parametrize(
    "name", ["/vsicurl/http://localhost:1/a.tif", "http://localhost:1/a.tif", "vrt://scene.tif", "NETCDF:a.nc:b"]
)
def test_names_that_reach_elsewhere_are_not_opened(name):
    assert "no such file" in refused([Path(name)])


def test_a_vrt_dressed_up_as_a_tiff_is_refused(tmp_path):
    path = tmp_path / "evil.tif"
    path.write_text(
        '<VRTDataset rasterXSize="1" rasterYSize="1"><VRTRasterBand dataType="Byte" band="1"/></VRTDataset>'
    )
    assert "point elsewhere" in refused([path])


@pytest.mark.parametrize(("dtype", "word"), [(np.complex64, "complex64"), (np.int64, "int64")])
def test_types_that_are_not_reflectance(tmp_path, dtype, word):
    path = write_raster(tmp_path / "odd.tif", pixels().astype(dtype), nodata=None)
    assert word in refused([path])


def test_a_header_with_65535_bands_is_refused_at_once(tmp_path):
    path = tmp_path / "many.tif"
    with rasterio.open(
        path, "w", driver="GTiff", count=600, height=1, width=1, dtype="uint8", crs="EPSG:32631", transform=TRANSFORM
    ) as target:
        assert target.count == 600
    assert "600 bands" in refused([path], LimitError)


def test_scenes_that_do_not_fit_name_both_files(tmp_path):
    first = geotiff(tmp_path, pixels())
    moved = write_raster(tmp_path / "moved.tif", pixels()[:1], names=("B11",), transform=from_origin(0, 0, 10, 10))
    other = write_raster(tmp_path / "other.tif", pixels()[:1], names=("B11",), crs="EPSG:32632")
    again = write_raster(tmp_path / "again.tif", pixels()[:1], names=("B02",))
    for path, word in ((moved, "same ground"), (other, "different CRS")):
        message = refused([first, path])
        assert word in message
        assert path.name in message
    with pytest.raises(InputError, match=r"again\.tif: B02 is there twice"):
        open_scene([first, again])


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9, 0.99])
def test_a_truncated_file_is_an_error_never_zeros(tmp_path, share):
    path = geotiff(tmp_path, pixels(300, 300))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises((InputError, StorageError)) as caught, open_scene([path]) as scene:
        scene.read(NAMES, Window(0, 0, 300, 300))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_failed_read_is_tried_again_and_heals(tmp_path, monkeypatch, caplog):
    from lulc.io.scene.raster import RasterSource

    path = geotiff(tmp_path, pixels())
    read, failures = RasterSource._read, iter([True, True, False])

    def flaky(self, bands, window):
        if next(failures):
            raise OSError("the disk is asleep")
        return read(self, bands, window)

    monkeypatch.setattr(RasterSource, "_read", flaky)
    with open_scene([path]) as scene:
        assert (scene.read(NAMES, WHOLE)[0] == pixels()).all()
    assert caplog.text.count("reading again") == 2


def test_several_threads_read_the_same_pixels(tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    values = pixels()
    with open_scene([geotiff(tmp_path, values)]) as scene, ThreadPoolExecutor(4) as pool:
        windows = [Window(row, col, 30, 34) for row in range(0, 150, 30) for col in range(0, 170, 34)] * 3
        for window, (raw, _) in zip(windows, pool.map(lambda window: scene.read(NAMES, window), windows), strict=True):
            assert (raw == values[:, *window.slices()]).all()


def test_real_scenes_open_with_their_own_names_and_scales(data):
    with open_scene([data / "scenes" / "aber_s2_20210527_10band.tif"]) as scene:
        assert scene.names == ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")
        assert scene.radiometry.quantification == 1000
        assert scene.grid.crs.to_epsg() == 27700
    with open_scene([data / "scenes" / "aquileia_20190416_l2a_12band.tif"]) as scene:
        share = scene.read(scene.names, scene.grid.window)[1].mean()
        assert share == pytest.approx(0.97, abs=0.01)
        assert scene.warnings == ()


@pytest.mark.parametrize(
    "option", [{"offset": float("nan")}, {"quantification": float("inf")}, {"quantification": 0.0}]
)
def test_options_that_give_no_reflectance_are_refused(tmp_path, option):
    assert "do not give reflectance" in refused([geotiff(tmp_path, pixels())], **option)


def test_a_mask_beside_the_file_counts_and_is_part_of_the_fingerprint(tmp_path):
    path = write_raster(tmp_path / "scene.tif", np.full((4, 150, 170), 500, np.uint16), nodata=None)
    with open_scene([path]) as scene:
        before = scene.fingerprint()
    mask = np.full((150, 170), 255, np.uint8)
    mask[:5] = 0
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False), rasterio.open(path, "r+") as target:
        target.write_mask(mask)
    assert path.with_name("scene.tif.msk").exists()
    with open_scene([path]) as scene:
        assert (scene.read(NAMES, WHOLE)[1] == (mask > 0)).all()
        assert scene.fingerprint() != before


def test_the_order_of_bands_is_part_of_the_fingerprint(tmp_path):
    path = write_raster(tmp_path / "plain.tif", pixels(), names=None)
    prints = set()
    for bands in (["B02", "-", "B03", "-"], ["B02", "B03", "-", "-"]):
        with open_scene([path], bands=bands) as scene:
            prints.add(scene.fingerprint())
    assert len(prints) == 2


def test_masks_and_undeclared_zeros_hold_when_bands_are_resampled(tmp_path):
    fine = write_raster(
        tmp_path / "fine.tif", np.full((2, 120, 120), 900, np.uint16), names=("B03", "B08"), nodata=None
    )
    place = {"transform": from_origin(356040, 4835680, 20, 20), "nodata": None}
    coarse = np.full((1, 60, 60), 3000, np.uint16)
    coarse[:, :10] = 0
    zeros = write_raster(tmp_path / "zeros.tif", coarse, names=("B11",), **place)
    with open_scene([fine, zeros]) as scene:
        raw, valid = scene.read(["B03", "B11"], Window(0, 0, 120, 120))
        assert not valid[:18].any()
        assert valid[21:].all()
        assert (raw[1][valid] == 3000).all()
    coarse[:] = 3000
    masked = write_raster(tmp_path / "masked.tif", coarse, names=("B11",), **place)
    mask = np.full((60, 60), 255, np.uint8)
    mask[:10] = 0
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(masked, "r+") as target:
        target.write_mask(mask)
    with open_scene([fine, masked]) as scene:
        valid = scene.read(["B03", "B11"], Window(0, 0, 120, 120))[1]
        assert not valid[:18].any()
        assert valid[21:].all()


def test_zeros_are_no_data_beside_a_float_index_too(tmp_path):
    values = pixels()
    bands = write_raster(tmp_path / "bands.tif", values, nodata=None)
    indices = write_raster(tmp_path / "ndvi.tif", np.zeros((1, 150, 170), np.float32), names=("NDVI",), nodata=None)
    with open_scene([bands, indices]) as scene:
        assert (scene.read([*NAMES, "NDVI"], WHOLE)[1] == (values != 0).any(0)).all()


def test_bands_of_different_scale_are_refused(tmp_path):
    path = geotiff(tmp_path, pixels())
    with rasterio.open(path, "r+") as target:
        target.scales = (1e-4, 1e-4, 1e-3, 1e-4)
    assert "differ in scale" in refused([path])


def test_a_dataset_that_was_cut_lies_where_its_axes_say(tmp_path):
    from tests.support.scene_files import cube

    cut = cube(pixels()).isel(y=slice(20, 120), x=slice(30, 150))
    cut.to_netcdf(tmp_path / "cut.nc")
    with open_scene([tmp_path / "cut.nc"]) as scene:
        assert (scene.grid.transform.c, scene.grid.transform.f) == (TRANSFORM.c + 300, TRANSFORM.f - 200)
        assert (scene.read(NAMES, Window(0, 0, 5, 5))[0] == pixels()[:, 20:25, 30:35]).all()


def test_without_times_the_fingerprint_is_that_of_the_content(tmp_path):
    path = geotiff(tmp_path, pixels())
    with open_scene([path]) as scene:
        known, timed = scene.fingerprint(times=False), scene.fingerprint()
    os.utime(path, (1, 1))
    with open_scene([path]) as scene:
        assert scene.fingerprint(times=False) == known
        assert scene.fingerprint() == timed  # small enough that all of its content decides


def test_names_against_those_of_the_file_are_warned_of(data):
    path = data / "scenes" / "aber_s2_20210527_10band.tif"
    with open_scene([path]) as scene:
        own = scene.names
        as_it_is = scene.warnings
    with open_scene([path], bands=own) as scene:
        assert scene.warnings == as_it_is
    swapped = ("-", own[2], own[1], *own[3:])
    with open_scene([path], bands=swapped) as scene:
        said = [text for text in scene.warnings if "because you named" in text]
    assert said == [f"the file's {own[1]} is taken as {own[2]}, and 1 more, because you named the bands so"]


def test_what_is_neither_a_file_nor_a_folder(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert "neither a file nor a folder" in refused([tmp_path / "pipe"])


def test_files_of_a_folder_that_name_no_band_are_left_out(tmp_path, caplog):
    folder = FORMATS["band_files"](tmp_path, pixels())
    write_raster(folder / "preview.tif", pixels()[:1], names=None)
    with open_scene([folder]) as scene:
        assert sorted(scene.names) == sorted(NAMES)
    assert "preview.tif is not used: it names no band" in caplog.text


def test_a_grid_that_is_turned_is_counted_in_rows_and_columns(tmp_path):
    with open_scene([write_raster(tmp_path / "scene.tif", pixels(), **GRIDS["rotated"])]) as scene:
        lazy = scene.to_xarray(NAMES)
        assert lazy.x.values.tolist() == [col + 0.5 for col in range(170)]
        assert lazy.y.values.tolist() == [row + 0.5 for row in range(150)]


def test_inputs_of_different_scale_are_no_scene_unless_the_user_says_so(tmp_path):
    paths = [write_raster(tmp_path / f"{name}.tif", pixels()[:1], names=(name,)) for name in ("B02", "B03")]
    with rasterio.open(paths[1], "r+") as target:
        target.update_tags(REFLECTANCE_SCALE="1000")
    assert "the inputs differ in quantification: 1000, 10000; give --quantification" in refused(
        paths, quantification=None
    )
    with open_scene(paths, quantification=5000) as scene:
        assert scene.radiometry.quantification == 5000


def test_where_an_alpha_band_is_clear_there_is_no_data(tmp_path):
    values = np.full((4, 150, 170), 500, np.uint16)
    values[3, 10:20, 30:40] = 0
    names = ("B04", "B03", "B02", None)
    path = write_raster(tmp_path / "a.tif", values, names=names, nodata=None, photometric="RGB", alpha="YES")
    with open_scene([path]) as scene:
        assert scene.names == names[:3]
        assert (scene.read(names[:3], WHOLE)[1] == (values[3] > 0)).all()


def test_an_index_packed_with_a_scale_is_refused(tmp_path):
    path = write_raster(tmp_path / "ndvi.tif", pixels()[:1], names=("NDVI",))
    with rasterio.open(path, "r+") as target:
        target.scales = (1e-4,)
    assert "holds NDVI packed with a scale; write it as float32 values" in refused([path])


@pytest.mark.parametrize("array", [np.zeros(5), np.zeros((2, 3, 4, 5)), np.zeros((1, 3, 4), bool), np.zeros((0, 3, 4))])
def test_an_array_that_is_no_image(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    assert "give numbers as (bands, height, width)" in refused([tmp_path / "a.npy"])


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_arrays_of_two_sizes(tmp_path):
    for name, side in (("a", 4), ("b", 8)):
        np.save(tmp_path / f"{name}.npy", np.ones((1, side, side), np.uint16))
    with pytest.raises(InputError, match="size"):
        open_scene([tmp_path / "a.npy", tmp_path / "b.npy"], bands=["B02", "B03"])
    array = ArraySource(tmp_path / "a.npy")
    with pytest.raises(InputError, match="has another size than the scene"):
        array.on_grid(ArraySource(tmp_path / "b.npy").grid)


@pytest.mark.parametrize("kind", [str, Path])
def test_one_path_needs_no_list(tmp_path, kind):
    path = geotiff(tmp_path, pixels())
    with open_scene(kind(path)) as one, open_scene([path]) as listed:
        assert one.info == listed.info


DEGENERATE = [
    (np.nan, 0, 1, 0, -1, 9),
    (0, 0, 3e5, 0, 0, 4.9e6),
    (1e-310, 0, 0, 0, 1e-310, 0),
    (np.inf, 0, 0, 0, -10, 0),
]


@pytest.mark.parametrize("numbers", DEGENERATE, ids=str)
def test_a_transform_that_places_nothing_is_one_line(tmp_path, numbers):
    path = write_raster(tmp_path / "scene.tif", pixels(), transform=Affine(*numbers))
    with pytest.raises(InputError, match="gives pixels no place or size"):
        open_scene([path])


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("numbers", DEGENERATE, ids=str)
def test_without_a_crs_it_says_nothing(tmp_path, numbers):
    path = write_raster(tmp_path / "scene.tif", pixels(), transform=Affine(*numbers), crs=None)
    with open_scene([path]) as scene:
        assert not scene.grid.georeferenced
        assert scene.grid.transform.is_identity
