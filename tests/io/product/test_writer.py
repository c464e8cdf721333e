import errno
import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rio_cogeo.cogeo import cog_validate

from lulc.errors import Interrupted, StorageError, UsageError
from lulc.grid import Shape, Window
from lulc.io.cog.overviews import halve
from lulc.io.files import atomic
from lulc.io.product import writer as product
from lulc.io.product.writer import estimate_bytes, product_layout
from tests.support.product_samples import LEGEND, UTM, chunk_windows, names, pixels, put_all, write, writer_of

SIDE_CARS = ["a.qml", "a.tif", "a.tif.aux.xml"]


def sha(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def finish(writer, data):
    put_all(writer, data)
    return writer.publish()


@pytest.mark.parametrize("size", [(1, 1), (227, 246), (512, 512), (513, 1025), (2100, 1500)])
@pytest.mark.parametrize("activations", ["uint8", "float32", "none"])
@pytest.mark.whole
def test_a_product_reads_back_as_it_was_put(tmp_path, size, activations):
    data = pixels(*size, activations=activations)
    report = write(tmp_path / "a.tif", data)
    assert (report.path, report.bytes) == (tmp_path / "a.tif", (tmp_path / "a.tif").stat().st_size)
    assert cog_validate(tmp_path / "a.tif", strict=True) == (True, [], [])
    with rasterio.open(tmp_path / "a.tif") as source:
        np.testing.assert_array_equal(source.read(), data)
        assert (source.crs.to_epsg(), source.transform, source.nodata) == (32631, UTM, 255)
        assert source.tags()["LULC_INPUT"] == "scène <1> & co.tif"
        assert source.descriptions == ("class", *(entry.name for entry in LEGEND))[: len(data)]
        scale = 0.004 if activations == "uint8" else 1.0
        assert source.scales == (1.0, *[scale] * 9)[: len(data)]
        assert source.units == ("class code", *["probability"] * 9)[: len(data)]
    assert names(tmp_path) == SIDE_CARS


@pytest.mark.parametrize("activations", ["uint8", "float32"])
@pytest.mark.whole
def test_overviews_are_halved_level_by_level(tmp_path, activations):
    data = pixels(1100, 2100, activations=activations)
    write(tmp_path / "a.tif", data)
    level, expected = 0, data
    while max(expected.shape[1:]) > 512:
        odd = [(0, 0), (0, expected.shape[1] % 2), (0, expected.shape[2] % 2)]
        expected = halve(np.pad(expected, odd, constant_values=255))
        with rasterio.open(tmp_path / "a.tif", overview_level=level) as source:
            np.testing.assert_array_equal(source.read(), expected)
        level += 1
    assert level == 3


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"COMPRESS": "DEFLATE", "ZLEVEL": "6"},
        {"compress": "deflate", "level": "1"},
        {"COMPRESS": "NONE"},
        {"COMPRESS": "zstd", "ZSTD_LEVEL": "9", "BLOCKSIZE": "256"},
        {"BLOCKSIZE": "128", "BIGTIFF": "YES"},
        {"BIGTIFF": "IF_SAFER"},
        {"BIGTIFF": "NO"},
    ],
)
@pytest.mark.whole
def test_creation_options(tmp_path, options):
    data = pixels(600, 700)
    write(tmp_path / "a.tif", data, creation_options=options)
    assert cog_validate(tmp_path / "a.tif", strict=True) == (True, [], [])
    known = {key.upper(): value.upper() for key, value in options.items()}
    with rasterio.open(tmp_path / "a.tif") as source:
        np.testing.assert_array_equal(source.read(), data)
        assert (source.compression.name.upper() if source.compression else "NONE") == known.get("COMPRESS", "ZSTD")
        assert source.block_shapes[0][0] == int(known.get("BLOCKSIZE", 512))
    assert (tmp_path / "a.tif").read_bytes()[2] == (43 if known.get("BIGTIFF") == "YES" else 42)


@pytest.mark.parametrize("options", [{"COMPRESS": "LZW"}, {"NUM_THREADS": "ALL_CPUS"}])
def test_other_creation_options_are_refused_and_nothing_is_left(tmp_path, options):
    with pytest.raises(UsageError, match=r"creation option .* is not known; known are COMPRESS="):
        writer_of(tmp_path / "a.tif", pixels(20, 20), creation_options=options)
    assert names(tmp_path) == []


@pytest.mark.whole
def test_bytes_do_not_depend_on_order_threads_or_the_day(tmp_path):
    data = pixels(2100, 1500)
    sums = set()
    for number, order in enumerate([None, [9, 2, 5, 0, 7, 1, 3, 4, 8, 6], list(range(10))[::-1]]):
        writer = writer_of(tmp_path / "a.tif", data, threads=1 + 2 * number, overwrite=True)
        put_all(writer, data, order)
        writer.publish()
        sums.add(tuple(sha(tmp_path / name) for name in SIDE_CARS))
        time.sleep(0.6)
    assert len(sums) == 1


@pytest.mark.whole
def test_a_resumed_product_equals_the_unbroken_one(tmp_path):
    data = pixels(2100, 1500)
    write(tmp_path / "whole.tif", data)
    windows = chunk_windows(2100, 1500)
    finished = set()
    for chunks in ([0, 4], [9], [2, 1], []):
        writer = writer_of(tmp_path / "a.tif", data)
        assert writer.finished == finished
        for chunk in chunks:
            writer.put(chunk, windows[chunk], data[(slice(None), *windows[chunk].slices())])
        writer.abandon()
        finished |= set(chunks)
    writer = writer_of(tmp_path / "a.tif", data)
    finish(writer, data)
    assert sha(tmp_path / "a.tif") == sha(tmp_path / "whole.tif")
    assert not (tmp_path / "a.tif.lulc").exists()


@pytest.mark.whole
def test_a_chunk_damaged_between_runs_is_asked_for_again(tmp_path):
    data = pixels(2100, 1500)
    writer = writer_of(tmp_path / "a.tif", data)
    put_all(writer, data)
    writer.abandon()
    path = tmp_path / "a.tif.lulc" / "chunk-000003.tiles"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    writer = writer_of(tmp_path / "a.tif", data)
    assert writer.finished == set(range(10)) - {3}
    finish(writer, data)
    with rasterio.open(tmp_path / "a.tif") as source:
        np.testing.assert_array_equal(source.read(), data)


RUN = """
import sys, time
from pathlib import Path
import numpy as np
from tests.support.product_samples import put_all, writer_of
data = np.load(sys.argv[1])
print("ready", flush=True)
writer = writer_of(Path(sys.argv[2]), data, overwrite=True)
put_all(writer, data)
writer.publish()
"""


def start(*paths):
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    process = subprocess.Popen([sys.executable, "-c", RUN, *paths], stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.process
@pytest.mark.kill
def test_kills_at_any_moment_leave_the_old_product_or_the_new_one(tmp_path):
    data, old = pixels(2100, 1500), np.full((10, 30, 30), 255, np.uint8)
    np.save(tmp_path / "pixels.npy", data)
    write(tmp_path / "whole.tif", data)
    write(tmp_path / "a.tif", old)
    wanted, before = sha(tmp_path / "whole.tif"), sha(tmp_path / "a.tif")
    killed = 0
    for delay in np.random.default_rng(5).uniform(0, 0.5, 12):
        process = start(tmp_path / "pixels.npy", tmp_path / "a.tif")
        time.sleep(delay)
        killed += process.poll() is None
        process.kill()
        process.wait()
        process.stdout.close()
        assert sha(tmp_path / "a.tif") in {before, wanted}
    assert killed
    process = start(tmp_path / "pixels.npy", tmp_path / "a.tif")
    assert process.wait() == 0
    process.stdout.close()
    assert sha(tmp_path / "a.tif") == wanted
    assert [name for name in names(tmp_path) if name.startswith("a.")] == SIDE_CARS


def test_an_existing_product_needs_overwrite(tmp_path):
    data = pixels(60, 60)
    write(tmp_path / "a.tif", data)
    before = sha(tmp_path / "a.tif")
    with pytest.raises(StorageError, match="overwrite"):
        writer_of(tmp_path / "a.tif", data)
    assert names(tmp_path) == SIDE_CARS
    assert sha(tmp_path / "a.tif") == before


def test_a_product_that_appeared_meanwhile_is_not_replaced(tmp_path):
    writer = writer_of(tmp_path / "a.tif", data := pixels(60, 60))
    put_all(writer, data)
    (tmp_path / "a.tif").write_text("somebody else's")
    with pytest.raises(StorageError, match="overwrite"):
        writer.publish()
    assert (tmp_path / "a.tif").read_text() == "somebody else's"
    writer.abandon(keep=False)
    assert names(tmp_path) == ["a.tif"]


def test_a_second_writer_is_refused(tmp_path):
    writer = writer_of(tmp_path / "a.tif", data := pixels(60, 60))
    with pytest.raises(StorageError, match="another process is writing"):
        writer_of(tmp_path / "a.tif", data)
    finish(writer, data)


def test_a_folder_that_is_missing_or_no_folder(tmp_path):
    with pytest.raises(StorageError, match="folder"):
        writer_of(tmp_path / "no" / "a.tif", pixels(20, 20))
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="folder"):
        writer_of(tmp_path / "file" / "a.tif", pixels(20, 20))
    (tmp_path / "a.tif").mkdir()
    with pytest.raises(StorageError, match="folder"):
        writer_of(tmp_path / "a.tif", pixels(20, 20), overwrite=True)
    assert names(tmp_path) == ["a.tif", "file"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(StorageError, match="not writable"):
        writer_of(tmp_path / "a.tif", pixels(20, 20))


@pytest.mark.whole
def test_too_little_space_is_refused_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setattr(product, "free_bytes", lambda _: 1_000_000)
    with pytest.raises(StorageError, match=r"1\.0 MB free, the product needs about 23\.9 MB"):
        writer_of(tmp_path / "a.tif", pixels(2100, 1500))
    assert names(tmp_path) == []


def test_the_estimate_counts_kept_tiles_and_the_file(tmp_path):
    layout = product_layout(Shape(1024, 1024), LEGEND, "uint8", {"COMPRESS": "NONE"})
    assert estimate_bytes(layout) == 2 * 10 * (1024**2 + 512**2)
    assert estimate_bytes(product_layout(Shape(1024, 1024), LEGEND, "float32")) > 4 * estimate_bytes(
        product_layout(Shape(1024, 1024), LEGEND, "uint8")
    )


@pytest.mark.parametrize("moment", range(6))
@pytest.mark.whole
def test_a_disk_that_fills_at_any_moment_is_an_error_and_a_resume_works(tmp_path, monkeypatch, moment):
    """The disk refuses to flush for the first time at the n-th chunk, in assembly, or at a side-car."""
    data = pixels(1500, 1500)
    write(tmp_path / "whole.tif", data)
    calls = 0
    fsync = os.fsync

    def full(handle):
        nonlocal calls
        calls += 1
        if calls > moment * 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(handle)

    writer = writer_of(tmp_path / "a.tif", data)
    with monkeypatch.context() as patch:
        patch.setattr(atomic.os, "fsync", full)
        with pytest.raises(StorageError, match=r"disk is full .* free; "):
            finish(writer, data)
    writer.abandon()
    assert not (tmp_path / "a.tif").exists()
    writer = writer_of(tmp_path / "a.tif", data)
    finish(writer, data)
    assert sha(tmp_path / "a.tif") == sha(tmp_path / "whole.tif")


@pytest.fixture
def small_disk(tmp_path):
    """A real file system with room for half a product; a spare file on it can be removed to make more."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting a small disk takes root")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", disk], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount a small disk: {mounted.stderr.decode().strip()}")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


@pytest.mark.parametrize("free_mb", [1, 4, 10, 13, 18, 20])
@pytest.mark.parametrize("compress", ["ZSTD", "NONE"])
@pytest.mark.process
def test_a_real_full_disk(small_disk, tmp_path, monkeypatch, free_mb, compress):
    monkeypatch.setattr(product, "estimate_bytes", lambda _: 0)
    data = pixels(800, 800) if compress == "NONE" else pixels(1400, 1400)
    options = {"creation_options": {"COMPRESS": compress}}
    write(tmp_path / "whole.tif", data, **options)
    spare = small_disk / "spare"
    spare.write_bytes(bytes((40 - free_mb) * 2**20))
    writer = writer_of(small_disk / "a.tif", data, **options)
    with pytest.raises(StorageError, match="disk is full") as caught:
        finish(writer, data)
    assert "\n" not in str(caught.value)
    writer.abandon()
    assert not (small_disk / "a.tif").exists()
    spare.unlink()
    writer = writer_of(small_disk / "a.tif", data, **options)
    finish(writer, data)
    assert sha(small_disk / "a.tif") == sha(tmp_path / "whole.tif")
    assert names(small_disk) == SIDE_CARS


def test_a_file_that_reads_back_differently_is_not_published(tmp_path, monkeypatch):
    old = pixels(60, 60)
    write(tmp_path / "a.tif", old)
    before = sha(tmp_path / "a.tif")
    write_cog = product.write_cog

    def damaging(path, *rest):
        size = write_cog(path, *rest)
        content = bytearray(path.read_bytes())
        content[-1000] ^= 64
        path.write_bytes(content)
        return size

    monkeypatch.setattr(product, "write_cog", damaging)
    writer = writer_of(tmp_path / "a.tif", data := pixels(600, 600), overwrite=True)
    put_all(writer, data)
    with pytest.raises(StorageError, match="read"):
        writer.publish()
    writer.abandon(keep=False)
    assert sha(tmp_path / "a.tif") == before
    assert names(tmp_path) == SIDE_CARS


def test_abandoning_keeps_only_finished_work_and_only_if_wanted(tmp_path):
    data = pixels(600, 600)
    writer_of(tmp_path / "a.tif", data).abandon()
    assert names(tmp_path) == []
    for keep in (True, False):
        writer = writer_of(tmp_path / "a.tif", data)
        if not writer.finished:
            writer.put(0, Window(0, 0, 512, 600), data[:, :512])
        writer.abandon(keep=keep)
        assert names(tmp_path) == (["a.tif.lulc"] if keep else [])


def test_publishing_a_product_with_holes_is_a_defect(tmp_path):
    writer = writer_of(tmp_path / "a.tif", data := pixels(600, 600))
    writer.put(0, Window(0, 0, 512, 600), data[:, :512])
    with pytest.raises(ValueError, match="no full set"):
        writer.publish()
    writer.abandon(keep=False)


@pytest.mark.parametrize(
    ("window", "dtype"),
    [
        (Window(10, 0, 512, 600), "uint8"),
        (Window(0, 0, 300, 600), "uint8"),
        (Window(0, 0, 512, 512 + 10), "uint8"),
        (Window(0, 0, 512, 600), "float32"),
    ],
)
def test_chunks_off_the_blocks_or_of_another_type_are_refused(tmp_path, window, dtype):
    writer = writer_of(tmp_path / "a.tif", pixels(600, 600))
    with pytest.raises(ValueError, match=r"whole blocks|not a chunk"):
        writer.put(0, window, np.zeros((10, window.height, window.width), dtype))
    writer.abandon()
    assert names(tmp_path) == []


def test_a_chunk_is_put_once(tmp_path):
    writer = writer_of(tmp_path / "a.tif", data := pixels(60, 60))
    put_all(writer, data)
    with pytest.raises(ValueError, match="stored already"):
        writer.put(0, Window(0, 0, 60, 60), data)
    with pytest.raises(ValueError, match="stored already"):
        writer.put_encoded(0, [])
    writer.publish()


def test_tags_have_our_prefix(tmp_path):
    with pytest.raises(ValueError, match="LULC_"):
        writer_of(tmp_path / "a.tif", pixels(20, 20), tags={"TIFFTAG_DATETIME": "today"})
    assert names(tmp_path) == []


def test_a_big_scene_is_a_bigtiff():
    assert product_layout(Shape(10_980, 10_980), LEGEND, "float32").big
    assert not product_layout(Shape(10_980, 10_980), LEGEND, "none").big


def test_a_classic_tiff_on_request_as_far_as_it_surely_reaches():
    layout = product_layout(Shape(15_000, 15_000), LEGEND, "uint8", {"BIGTIFF": "NO"})
    assert layout.uncompressed_bytes > 2**31
    assert not layout.big
    with pytest.raises(UsageError, match=r"ends at 4 GB, this product may take 5\.\d GB; leave BIGTIFF=NO out"):
        product_layout(Shape(20_000, 20_000), LEGEND, "uint8", {"BIGTIFF": "NO"})


class TestLeavingTheContext:
    """Leaving publishes, an interruption keeps what is finished, a failure discards it."""

    data = pixels(600, 600)

    def put_first(self, writer, error=None):
        writer.put(0, Window(0, 0, 512, 600), self.data[:, :512])
        if error:
            raise error

    def assemble(self, writer, *, keep):
        put_all(writer, self.data)
        with writer.assembled():
            writer.keep_after_failure = keep
            raise StorageError("the report cannot be written", "")

    def test_publishes(self, tmp_path):
        with writer_of(tmp_path / "a.tif", self.data) as writer:
            put_all(writer, self.data)
            assert not (tmp_path / "a.tif").exists()
        assert names(tmp_path) == SIDE_CARS
        assert writer.published.bytes == (tmp_path / "a.tif").stat().st_size

    @pytest.mark.parametrize("error", [Interrupted("stopped by SIGTERM", ""), KeyboardInterrupt()])
    def test_keeps_finished_chunks_after_an_interruption(self, tmp_path, error):
        with pytest.raises(type(error)), writer_of(tmp_path / "a.tif", self.data) as writer:
            self.put_first(writer, error)
        assert names(tmp_path) == ["a.tif.lulc"]
        with writer_of(tmp_path / "a.tif", self.data) as writer:
            assert writer.finished == {0}
            put_all(writer, self.data)
        write(tmp_path / "b.tif", self.data)
        assert sha(tmp_path / "a.tif") == sha(tmp_path / "b.tif")

    @pytest.mark.parametrize("error", [StorageError("full", ""), ZeroDivisionError()])
    def test_discards_them_after_a_failure(self, tmp_path, error):
        with pytest.raises(type(error)), writer_of(tmp_path / "a.tif", self.data) as writer:
            self.put_first(writer, error)
        assert names(tmp_path) == []

    def test_keeps_them_after_a_failure_where_something_may_stand_beside(self, tmp_path):
        with pytest.raises(StorageError), writer_of(tmp_path / "a.tif", self.data) as writer:
            self.assemble(writer, keep=True)
        assert names(tmp_path) == ["a.tif.lulc"]

    def test_the_assembled_file_is_whole_before_it_has_its_name(self, tmp_path):
        with writer_of(tmp_path / "a.tif", self.data) as writer:
            put_all(writer, self.data)
            with writer.assembled() as whole, rasterio.open(whole) as source:
                np.testing.assert_array_equal(source.read(), self.data)
                assert not (tmp_path / "a.tif").exists()
        assert names(tmp_path) == SIDE_CARS

    def test_a_refusal_beside_the_assembled_file_leaves_nothing(self, tmp_path):
        with pytest.raises(StorageError), writer_of(tmp_path / "a.tif", self.data) as writer:
            self.assemble(writer, keep=False)
        assert names(tmp_path) == []

    def test_a_failure_to_publish_discards(self, tmp_path):
        with pytest.raises(ValueError, match="no full set"), writer_of(tmp_path / "a.tif", self.data) as writer:
            self.put_first(writer)
        assert names(tmp_path) == []
