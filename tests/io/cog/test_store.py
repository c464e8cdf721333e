import errno
import os
import re
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from lulc.errors import StorageError
from lulc.grid import Shape
from lulc.io.cog import store
from lulc.io.cog.assembly import CogLayout
from lulc.io.cog.store import EncodedTile, TileStore
from lulc.io.cog.work_folder import discard_folder, work_folder
from lulc.io.files import atomic
from tests.support.product_samples import names
from tests.support.unfinished import unfinished_name

LAYOUT = CogLayout(Shape(150, 100), 2, block=16)
COLUMNS = 7


def tiles_of(chunk, content=b"x"):
    """One row of tiles; sizes differ from tile to tile."""
    return [
        EncodedTile(0, chunk, col, chunk * 100 + col, (content * (col + 1), bytes([chunk, col])))
        for col in range(COLUMNS)
    ]


def test_what_is_put_comes_back_here_and_after_reopening(tmp_path):
    first = TileStore(tmp_path / "w", LAYOUT, "f")
    for chunk in (3, 0):
        first.put(chunk, tiles_of(chunk))
    first.close()
    again = TileStore(tmp_path / "w", LAYOUT, "f")
    assert again.finished == {0, 3}
    for chunk in (3, 0):
        assert again.tiles_of(chunk) == [(chunk, col) for col in range(COLUMNS)]
        for tile in tiles_of(chunk):
            assert tuple(again.read(0, band, chunk, tile.col) for band in (0, 1)) == tile.parts
            assert again.checksum(0, chunk, tile.col) == tile.checksum
    assert np.count_nonzero(again.sizes[0]) == 2 * 2 * COLUMNS
    again.close()


def test_overview_tiles_are_kept_for_this_process_only(tmp_path):
    first = TileStore(tmp_path / "w", LAYOUT, "f")
    first.put_overviews([EncodedTile(2, 1, 0, 7, (b"abc", b"de"))])
    first.put_overviews([EncodedTile(1, 0, 1, 8, (b"f", b"gh"))])
    first.flush()
    assert [first.read(2, band, 1, 0) for band in (0, 1)] == [b"abc", b"de"]
    assert [first.read(1, band, 0, 1) for band in (0, 1)] == [b"f", b"gh"]
    first.close()
    again = TileStore(tmp_path / "w", LAYOUT, "f")
    assert not again.sizes[1].any()
    assert not again.sizes[2].any()
    again.close()


def test_more_files_than_may_be_open_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "_OPEN_FILES", 3)
    kept = TileStore(tmp_path / "w", LAYOUT, "f")
    for chunk in range(10):
        kept.put(chunk, tiles_of(chunk))
    for _ in range(2):
        for chunk in range(10):
            assert kept.read(0, 1, chunk, 4) == bytes([chunk, 4])
    assert len(kept._handles) == 3
    kept.close()


@pytest.mark.parametrize(
    "other",
    [
        {"fingerprint": "g"},
        {"layout": CogLayout(Shape(150, 100), 2, block=16, compression="deflate")},
        {"layout": CogLayout(Shape(150, 101), 2, block=16)},
        {"resume": False},
    ],
)
def test_chunks_of_another_job_are_thrown_away(tmp_path, other):
    first = TileStore(tmp_path / "w", LAYOUT, "f")
    first.put(0, tiles_of(0))
    first.close()
    options = {"layout": LAYOUT, "fingerprint": "f"} | other
    again = TileStore(tmp_path / "w", **options)
    assert again.finished == frozenset()
    assert names(tmp_path / "w") == ["job.json", "lock"]
    again.close()


def test_any_flipped_byte_or_cut_in_a_chunk_throws_that_chunk_away(tmp_path):
    first = TileStore(tmp_path / "w", LAYOUT, "f")
    for chunk in (0, 1):
        first.put(chunk, tiles_of(chunk))
    first.close()
    path = tmp_path / "w" / "chunk-000001.tiles"
    whole = path.read_bytes()
    flipped = [whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in range(0, len(whole), 7)]
    for damaged in (*flipped, whole[:-1], whole[:40], b"", whole + b"\0"):
        path.write_bytes(damaged)
        again = TileStore(tmp_path / "w", LAYOUT, "f")
        assert again.finished == {0}
        assert not path.exists()
        again.close()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe"])
def test_a_damaged_job_card_starts_afresh(tmp_path, content):
    first = TileStore(tmp_path / "w", LAYOUT, "f")
    first.put(0, tiles_of(0))
    first.close()
    (tmp_path / "w" / "job.json").write_bytes(content)
    again = TileStore(tmp_path / "w", LAYOUT, "f")
    assert again.finished == frozenset()
    again.close()


@pytest.mark.serial
def test_a_second_store_is_refused_at_once_and_the_first_goes_on(tmp_path):
    first = TileStore(work_folder(tmp_path / "a.tif"), LAYOUT, "f")
    started = time.monotonic()
    with pytest.raises(StorageError, match=r"another process is writing .*a\.tif \(process "):
        TileStore(work_folder(tmp_path / "a.tif"), LAYOUT, "f")
    assert time.monotonic() - started < 1
    first.put(0, tiles_of(0))
    first.close()
    TileStore(work_folder(tmp_path / "a.tif"), LAYOUT, "f").close()


HOLD = """
import sys, time
from pathlib import Path
from lulc.grid import Shape
from lulc.io.cog.assembly import CogLayout
from lulc.io.cog.store import TileStore
TileStore(Path(sys.argv[1]), CogLayout(Shape(150, 100), 2, block=16), "f")
print("held", flush=True)
time.sleep(60)
"""


@pytest.mark.process
@pytest.mark.kill
def test_the_lock_holds_between_processes_and_dies_with_its_holder(tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path / "w"], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(StorageError, match="another process"):
            TileStore(tmp_path / "w", LAYOUT, "f")
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        holder.stdout.close()
    TileStore(tmp_path / "w", LAYOUT, "f").close()


@pytest.mark.process
@pytest.mark.kill
def test_one_of_many_simultaneous_starts_gets_the_folder(tmp_path):
    starts = [
        subprocess.Popen(
            [sys.executable, "-c", HOLD, tmp_path / "w"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        for _ in range(6)
    ]
    held = [start.stdout.readline() == "held\n" for start in starts]
    for start in starts:
        start.kill()
        start.wait()
        start.stdout.close()
    assert held.count(True) == 1


def test_somebody_elses_folder_is_left_alone(tmp_path):
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "thesis.doc").write_text("precious")
    with pytest.raises(StorageError, match=r"thesis\.doc"):
        TileStore(tmp_path / "w", LAYOUT, "f")
    assert names(tmp_path / "w") == ["thesis.doc"]


def test_discarding_leaves_what_is_not_ours(tmp_path):
    kept = TileStore(tmp_path / "w", LAYOUT, "f")
    kept.put(0, tiles_of(0))
    (tmp_path / "w" / "notes.txt").write_text("added meanwhile")
    kept.discard()
    assert names(tmp_path / "w") == ["notes.txt"]
    (tmp_path / "w" / "notes.txt").unlink()
    kept = TileStore(tmp_path / "w", LAYOUT, "f")
    kept.discard()
    kept.discard()
    assert names(tmp_path) == []


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="no list of open files here")
@pytest.mark.whole
def test_threads_that_read_at_once_get_their_own_bytes_and_lose_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "_OPEN_FILES", 3)
    layout, chunks = CogLayout(Shape(16 * 40, 16), 1, block=16), range(40)
    kept = TileStore(tmp_path / "w", layout, "f")
    for chunk in chunks:
        kept.put(chunk, [EncodedTile(0, chunk, 0, chunk, (bytes([chunk]) * 9,))])
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(6) as pool:
            wanted = [number * 7 % 40 for number in range(6000)]
            assert list(pool.map(lambda chunk: kept.read(0, 0, chunk, 0)[0], wanted)) == wanted
    finally:
        sys.setswitchinterval(interval)
    assert open_files(tmp_path / "w") == 3 + 1
    kept.close()
    assert open_files(tmp_path / "w") == 0


def open_files(folder):
    """How many files in a folder this process holds open."""
    count = 0
    for handle in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            count += handle.readlink().parent == folder
    return count


def test_a_chunk_that_does_not_fit_the_disk_is_not_stored(tmp_path, monkeypatch):
    kept = TileStore(tmp_path / "w", LAYOUT, "f")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(atomic.os, "fsync", full)
        with pytest.raises(StorageError, match="disk is full"):
            kept.put(0, tiles_of(0))
    assert kept.finished == frozenset()
    assert names(tmp_path / "w") == ["job.json", "lock"]
    kept.put(0, tiles_of(0))
    assert kept.finished == {0}
    kept.close()


def test_the_unfinished_file_of_a_killed_process_is_swept_away(tmp_path):
    TileStore(tmp_path / "w", LAYOUT, "f").close()
    left = tmp_path / "w" / unfinished_name("chunk-000000.tiles")
    left.mkdir()
    (left / "lock").touch()
    (left / "chunk-000000.tiles").write_bytes(b"half")
    (tmp_path / "w" / "product.tif").write_bytes(b"half")
    TileStore(tmp_path / "w", LAYOUT, "f").close()
    assert names(tmp_path / "w") == ["job.json", "lock"]


def test_a_missing_folder_is_one_clear_line(tmp_path):
    with pytest.raises(StorageError, match="its folder does not exist"):
        TileStore(tmp_path / "no" / "w", LAYOUT, "f")


def test_a_folder_that_cannot_be_taken_up_is_released(tmp_path):
    (tmp_path / "w" / "job.json").mkdir(parents=True)
    with pytest.raises((StorageError, OSError)):
        TileStore(tmp_path / "w", LAYOUT, "f")
    (tmp_path / "w" / "job.json").rmdir()
    TileStore(tmp_path / "w", LAYOUT, "f").close()


def test_a_tile_that_was_cut_short_meanwhile_is_an_error(tmp_path):
    kept = TileStore(tmp_path / "w", LAYOUT, "f")
    kept.put(0, tiles_of(0))
    os.truncate(tmp_path / "w" / "chunk-000000.tiles", 1)
    with pytest.raises(StorageError, match=r"chunk-000000\.tiles was cut short"):
        kept.read(0, 1, 0, 6)
    kept.close()


def test_chunks_of_the_same_job_are_taken_over_and_no_others(tmp_path):
    for name, fingerprint, chunks in (("a", "f", (0, 1)), ("b", "f", (1, 2)), ("c", "other", (3,))):
        part = TileStore(tmp_path / name, LAYOUT, fingerprint)
        for chunk in chunks:
            part.put(chunk, tiles_of(chunk))
        part.close()
    whole = TileStore(tmp_path / "w", LAYOUT, "f")
    for name in "abcd":
        whole.take_over(tmp_path / name)
    assert whole.finished == {0, 1, 2}
    assert whole.read(0, 1, 2, 4) == bytes([2, 4])
    whole.close()


class TestLinks:
    def test_a_work_folder_that_is_a_link_is_refused(self, tmp_path):
        mine = tmp_path / "mine"
        mine.mkdir()
        for name in ("film.part", "lock", "job.json"):
            (mine / name).write_text("dear")
        (tmp_path / "w").symlink_to(mine)
        for take in (lambda folder: TileStore(folder, LAYOUT, "f"), discard_folder):
            with pytest.raises(StorageError, match="w is a link"):
                take(tmp_path / "w")
        assert {path.read_text() for path in mine.iterdir()} == {"dear"}
        assert names(mine) == ["film.part", "job.json", "lock"]

    @pytest.mark.parametrize("name", ["film.part", "chunk-000000.tiles", "lock", "job.json", "overviews.tiles"])
    @pytest.mark.parametrize("kind", ["link", "second name"])
    def test_what_lulc_did_not_make_stays(self, tmp_path, name, kind):
        (tmp_path / "thesis").write_text("dear")
        (tmp_path / "w").mkdir()
        inside = tmp_path / "w" / name
        inside.symlink_to(tmp_path / "thesis") if kind == "link" else inside.hardlink_to(tmp_path / "thesis")
        with suppress(StorageError):
            TileStore(tmp_path / "w", LAYOUT, "f").discard()
        assert (tmp_path / "thesis").read_text() == "dear"
        assert kind == "second name" or inside.is_symlink()

    def test_a_link_in_a_part_is_not_taken_over(self, tmp_path):
        part, whole = TileStore(tmp_path / "a", LAYOUT, "f"), TileStore(tmp_path / "w", LAYOUT, "f")
        part.put(0, tiles_of(0))
        (tmp_path / "a" / "chunk-000000.tiles").rename(tmp_path / "elsewhere")
        (tmp_path / "a" / "chunk-000000.tiles").symlink_to(tmp_path / "elsewhere")
        whole.take_over(tmp_path / "a")
        assert whole.finished == frozenset()
        part.close()
        whole.close()


def test_who_holds_a_folder_is_told(tmp_path):
    kept = TileStore(tmp_path / "w.lulc", LAYOUT, "f")
    holder = rf"process {os.getpid()} on {re.escape(socket.gethostname())} since \d{{4}}-"
    with pytest.raises(StorageError, match=rf"another process is writing .*/w \({holder}.*\); wait for it"):
        TileStore(tmp_path / "w.lulc", LAYOUT, "f")
    kept.close()
