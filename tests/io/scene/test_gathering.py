"""Windows that several threads read: the same bytes, errors and handles as in one."""

import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine

from lulc.errors import StorageError
from lulc.grid import Shape, Window
from lulc.io.scene.gathering import cell_shape
from lulc.io.scene.scene import open_scene
from lulc.threads import MOST_THREADS, PlacedThreads
from tests.support.faults import failing_reads
from tests.support.scene_files import FORMATS, NAMES, TRANSFORM, pixels, write_raster

SIZE = 1100, 900
WINDOWS = [Window(0, 0, 1100, 900), Window(130, 250, 700, 513), Window(250, 0, 8, 900), Window(1099, 899, 1, 1)]
TILED = {"tiled": True, "blockxsize": 128, "blockysize": 256}


def bands(path):
    return NAMES if path.suffix == ".jp2" else None


def read(path, threads, windows=WINDOWS):
    with open_scene([path], bands=bands(path)) as scene:
        scene.use_threads(threads)
        return [scene.read(scene.names, window) for window in windows]


def assert_equal_for_any_number(path):
    expected = read(path, 1)
    for threads in (2, 3, 8):
        for (raw, valid), (data, there) in zip(expected, read(path, threads), strict=True):
            assert raw.dtype == data.dtype
            np.testing.assert_array_equal(valid, there)
            np.testing.assert_array_equal(raw[:, valid], data[:, valid])


@pytest.mark.parametrize("kind", FORMATS)
def test_any_format(tmp_path, kind):
    assert_equal_for_any_number(FORMATS[kind](tmp_path, pixels(*SIZE)))


LAYOUTS = {
    "planar": TILED | {"interleave": "band", "compress": "deflate", "predictor": 2},
    "pixel": TILED | {"interleave": "pixel", "compress": "zstd"},
    "strips": {"compress": "lzw"},
    "one strip": {"blockysize": SIZE[0]},
    "no nodata": TILED | {"nodata": None},
    "large tiles": {"tiled": True, "blockxsize": 512, "blockysize": 512},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_layout(tmp_path, layout):
    assert_equal_for_any_number(write_raster(tmp_path / "scene.tif", pixels(*SIZE), **LAYOUTS[layout]))


def test_a_mask_and_an_alpha_band(tmp_path):
    path = write_raster(tmp_path / "scene.tif", pixels(*SIZE), nodata=None, **TILED)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as raster:
        raster.write_mask(np.indices(SIZE).sum(0) % 7 > 0)
    assert_equal_for_any_number(path)


def test_zeros_of_bands_that_are_not_asked_for(tmp_path):
    path = write_raster(tmp_path / "scene.tif", pixels(*SIZE), nodata=None, **TILED)
    found = []
    for threads in (1, 8):
        with open_scene([path]) as scene:
            scene.use_threads(threads)
            found.append(scene.read(["B03"], WINDOWS[0]).valid)
    assert not found[0].all()
    np.testing.assert_array_equal(*found)


def test_files_of_two_pixel_sizes(tmp_path):
    folder, values = tmp_path / "bands", pixels(1024, 896)
    folder.mkdir()
    for name, plane in zip(NAMES, values, strict=True):
        step = 2 if name == "B03" else 1
        transform = TRANSFORM @ Affine.scale(step)
        small = np.ascontiguousarray(plane[None, ::step, ::step])
        write_raster(folder / f"{name}.tif", small, names=(name,), transform=transform, **TILED)
    windows = [Window(0, 0, 1024, 896), Window(100, 300, 600, 400)]
    expected = read(folder, 1, windows)
    for (raw, valid), (data, there) in zip(expected, read(folder, 8, windows), strict=True):
        np.testing.assert_array_equal(valid, there)
        np.testing.assert_array_equal(raw, data)


@pytest.mark.parametrize("threads", [1, 2, 8])
@pytest.mark.parametrize("kind", ["planar", "strips", "jp2"])
def test_damage_is_one_error_and_nothing_is_printed(tmp_path, capfd, threads, kind):
    if kind == "jp2":
        path = tmp_path / "scene.jp2"
        settings = {"QUALITY": 100, "REVERSIBLE": "YES", "BLOCKXSIZE": 256, "BLOCKYSIZE": 256, "nodata": None}
        write_raster(path, pixels(*SIZE), names=None, driver="JP2OpenJPEG", **settings)
    else:
        path = write_raster(tmp_path / "scene.tif", pixels(*SIZE), **LAYOUTS[kind])
    content = bytearray(path.read_bytes())
    half = len(content) // 2
    content[half : half + 4000] = bytes(4000)
    path.write_bytes(content[:half] if kind == "jp2" else content)  # a JPEG 2000 decoder makes pixels of anything
    with pytest.raises(StorageError, match=rf"cannot read {path}, band .*, rows \d+-\d+, columns \d+-\d+: "):
        read(path, threads)
    assert capfd.readouterr() == ("", "")


@pytest.mark.process
@pytest.mark.parametrize("times", [1, None])
def test_a_failing_disk_is_read_again_then_refused(tmp_path, times):
    path = write_raster(tmp_path / "scene.tif", pixels(*SIZE), **LAYOUTS["planar"])
    told = {}
    for threads in (1, 8):
        script = (
            "import sys, tests.io.scene.test_gathering as t; from lulc.errors import LulcError; from pathlib import Path\n"
            f"try: print(sum(int(part.data.sum()) for part in t.read(Path({str(path)!r}), {threads})))\n"
            "except LulcError as error: print(error.exit_code, str(error).split(', rows')[0])"
        )
        environment = failing_reads(tmp_path, "/scene.tif", after=100_000, skip=3, times=times)
        done = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
        )
        told[threads] = done.stdout
    assert told[1] == told[8]
    assert told[1].startswith("5 cannot read") == (times is None)


def test_threads_are_few_and_shared(tmp_path):
    path = write_raster(tmp_path / "scene.tif", pixels(*SIZE), **LAYOUTS["planar"])
    for _ in range(3):
        read(path, 100)
    decoding = [thread.name for thread in threading.enumerate() if thread.name.startswith("lulc-decode")]
    assert len(decoding) <= MOST_THREADS
    with open_scene([path]) as scene:
        before = set(threading.enumerate())
        scene.use_threads(1)
        scene.read(scene.names, WINDOWS[0])
        assert set(threading.enumerate()) == before


def test_one_place_is_read_by_one_thread():
    threads, places = PlacedThreads(3), [(0, row, column) for row in range(4) for column in range(5)]
    first = threads.run(places, [threading.get_ident] * 20)
    assert len(set(first)) == 3
    again = threads.run([*places[10:], (1, 0, 0)], [threading.get_ident] * 11)
    assert again[:10] == first[10:]


def test_work_is_even():
    threads = PlacedThreads(4)
    threads.run(list(range(6)), [int] * 6)
    counts = np.bincount(np.unique(threads.run(list(range(12)), [threading.get_ident] * 12), return_inverse=True)[1])
    assert counts.tolist() == [3] * 4


def test_the_first_failure_in_order_is_raised_when_nothing_runs_any_more():
    running = []

    def task(number):
        running.append(number)
        time.sleep(0.05 if number == 1 else 0.01)
        running.remove(number)
        if number in (1, 2):
            raise ValueError(number)

    with pytest.raises(ValueError, match="1"):
        PlacedThreads(4).run(range(40), [lambda number=number: task(number) for number in range(40)])
    assert not running


@pytest.mark.parametrize(
    ("block", "cell"),
    [((512, 512), (512, 512)), ((128, 256), (256, 256)), ((1, 10980), (256, 10980)), ((300, 7), (300, 259))],
)
def test_cells_are_whole_blocks(block, cell):
    assert cell_shape(Shape(*block)) == Shape(*cell)


@pytest.fixture
def handles(monkeypatch):
    """Handles that are open, by file name."""
    counted = Counter()
    open_file = rasterio.open

    def opened(path, *arguments, **options):
        counted[Path(path).name] += 1
        return open_file(path, *arguments, **options)

    monkeypatch.setattr(rasterio, "open", opened)
    return counted


def band_files(folder, count):
    plane = pixels(*SIZE)[:1]
    return [
        write_raster(folder / f"B{number:02}.tif", plane, names=(f"B{number:02}",)) for number in range(2, 2 + count)
    ]


def test_many_files_are_read_by_a_thread_each(tmp_path, handles):
    paths = band_files(tmp_path, 6)
    handles.clear()
    with open_scene(paths) as scene:
        scene.use_threads(4)
        for window in WINDOWS:
            scene.read(scene.names, window)
    assert set(handles.values()) == {2}  # that of the thread that opened it, and that of the thread that reads it


@pytest.mark.parametrize(
    ("files", "beside", "most"), [(1024, 1, 8), (256, 1, 8), (64, 1, 2), (1024, 20, 2), (1024, 50, 1), (10, 1, 1)]
)
def test_handles_stay_below_what_a_process_may_open(tmp_path, handles, monkeypatch, files, beside, most):
    monkeypatch.setattr("lulc.io.scene.scene.open_files", lambda: files)
    paths = band_files(tmp_path, 6)
    handles.clear()
    with open_scene(paths) as scene:
        scene.use_threads(100, beside)
        for name in scene.names:  # alone, the file is shared by all threads
            scene.read([name], WINDOWS[0])
    assert max(handles.values()) <= 1 + most
    assert (max(handles.values()) > 2) == (most > 1)
