"""The report of `lulc change`: there before the map gets its name, of this very map, and its tables add up."""

import json
import os
import signal

import numpy as np
import pytest

from lulc.errors import ConfigError, InputError, Interrupted, StorageError, UsageError
from lulc.tasks.accuracy.options import SampleOptions
from lulc.tasks.accuracy.sample import sample_map
from lulc.tasks.change import change as task
from lulc.tasks.change.change import map_change
from lulc.tasks.change.files import FILES
from lulc.tasks.change.joint import joint_probability
from lulc.tasks.change.options import ChangeOptions
from lulc.tasks.change.pixels import change_pixels
from lulc.tasks.change.report import ChangeReport, Transitions, _signed
from tests.support.change_samples import product, write_pair
from tests.support.evaluation_samples import COARSE, CROSSWALK
from tests.support.full_disk import full_disk
from tests.support.point_samples import read_rows, write_rows

AGAIN = ChangeOptions(overwrite=True)


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    return write_pair(tmp_path_factory.mktemp("pair"))


@pytest.fixture(scope="module")
def whole(pair, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "change.tif"
    map_change(*pair, out)
    return out.read_bytes()


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def labelled(change, path):
    """Points of a change map that agree with it."""
    sample_map(change, path, SampleOptions(total=150, min_per_class=10))
    rows = read_rows(path)
    for row in rows:
        row["reference"] = row["map_class"]
    write_rows(path, rows)
    return path


class TestFolder:
    @pytest.mark.whole
    def test_the_report_is_there_before_the_map(self, pair, tmp_path, monkeypatch):
        out, folder, seen = tmp_path / "change.tif", tmp_path / "out", []
        write = task.write_change_report

        def looking(*arguments, **options):
            write(*arguments, **options)
            seen.append((out.exists(), sorted(path.name for path in folder.iterdir())))

        monkeypatch.setattr(task, "write_change_report", looking)
        report = map_change(*pair, out, folder=folder)
        assert seen == [(False, sorted(FILES))]
        told = json.loads((folder / "report.json").read_text())
        assert (told["output"], told["output_bytes"]) == (str(out), out.stat().st_size)
        assert told["as_counted"] == report.to_json()["as_counted"]

    @pytest.mark.whole
    def test_a_full_disk_and_the_same_command_again(self, pair, whole, tmp_path):
        out, folder = tmp_path / "change.tif", tmp_path / "out"
        with (
            full_disk(".report.md.*/report.md"),
            pytest.raises(StorageError, match=r"disk is full while writing .*report\.md"),
        ):
            map_change(*pair, out, folder=folder)
        assert not out.exists()
        assert (folder / "change.png").exists()
        report = map_change(*pair, out, folder=folder)
        assert report.resumed_chunks == 1
        assert out.read_bytes() == whole
        assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
        assert not (tmp_path / "change.tif.lulc").exists()

    @pytest.mark.parametrize("moment", ["change_report", "write_change_report"])
    @pytest.mark.whole
    def test_stopped_near_the_end_the_same_command_goes_on(self, pair, whole, tmp_path, monkeypatch, moment):
        """The first signal before the report is written, or two of them after it, as a kill would."""
        out, folder = tmp_path / "change.tif", tmp_path / "out"
        right = getattr(task, moment)

        def stopped(*arguments, **options):
            made = right(*arguments, **options)
            for _ in range(1 if moment == "change_report" else 2):
                os.kill(os.getpid(), signal.SIGINT)
            return made

        with monkeypatch.context() as patch:
            patch.setattr(task, moment, stopped)
            with pytest.raises(Interrupted if moment == "change_report" else KeyboardInterrupt):
                map_change(*pair, out, folder=folder)
        assert not out.exists()
        assert (folder / "report.json").exists() == (moment == "write_change_report")
        assert map_change(*pair, out, folder=folder).resumed_chunks == 1
        assert out.read_bytes() == whole
        assert json.loads((folder / "report.json").read_text())["resumed_chunks"] == 1

    def test_the_report_of_another_map_is_not_replaced(self, pair, tmp_path):
        folder = tmp_path / "out"
        map_change(*pair, tmp_path / "other.tif", folder=folder)
        there = contents(folder)
        (tmp_path / "change.tif.lulc").mkdir()  # as a run without --out leaves it that was broken off
        with pytest.raises(StorageError, match="exists"):
            map_change(*pair, tmp_path / "change.tif", folder=folder)
        assert contents(folder) == there

    @pytest.mark.parametrize(
        ("output", "folder", "words"),
        [
            *((name, ".", "given for two outputs") for name in FILES),
            ("change.tif", "change.tif", "is the place of"),
            ("change.tif", "change.tif/report", "is the place of"),
            ("change.tif", "change.tif.lulc", "is the place of"),
        ],
    )
    @pytest.mark.parametrize("overwrite", [False, True])
    def test_a_map_and_a_report_in_each_others_way(self, pair, tmp_path, output, folder, words, overwrite):
        options = ChangeOptions(overwrite=overwrite)
        with pytest.raises(UsageError, match=words):
            map_change(*pair, tmp_path / output, options, folder=tmp_path / folder)
        assert not list(tmp_path.iterdir())

    def test_an_input_in_the_place_of_a_report_stays(self, tmp_path):
        first, second = write_pair(tmp_path)
        first = first.rename(tmp_path / "change.png")
        there = contents(tmp_path)
        with pytest.raises(UsageError, match=r"change\.png is an input"):
            map_change(first, second, tmp_path / "change.tif", AGAIN, folder=tmp_path)
        assert contents(tmp_path) == there


class TestReference:
    def test_points_without_a_label_are_seen_before_the_work(self, pair, whole, tmp_path):
        out, points = tmp_path / "change.tif", tmp_path / "points.csv"
        out.write_bytes(whole)
        labelled(out, points)
        rows = read_rows(points)
        rows[3]["reference"] = ""
        write_rows(points, rows)
        there, worked = contents(tmp_path), []
        for name, options in (("new.tif", None), ("change.tif", AGAIN)):
            with pytest.raises(InputError, match="no label"):
                map_change(
                    *pair,
                    tmp_path / name,
                    options,
                    reference=points,
                    folder=tmp_path / "out",
                    progress=lambda done, _all: worked.append(done),
                )
        assert not worked
        assert contents(tmp_path) == there

    def test_points_of_another_change_map_leave_the_original(self, pair, whole, tmp_path):
        out, points = tmp_path / "change.tif", tmp_path / "points.csv"
        out.write_bytes(whole)
        map_change(*pair, tmp_path / "other.tif", ChangeOptions(mmu=0))
        labelled(tmp_path / "other.tif", points)
        there = contents(tmp_path)
        for name, options in (("new.tif", None), ("change.tif", AGAIN)):
            with pytest.raises(
                InputError, match=rf"other\.tif, whose pixels are not those of .*{name}; give points of"
            ):
                map_change(*pair, tmp_path / name, options, reference=points, folder=tmp_path / "out")
        assert contents(tmp_path) == there
        assert not (tmp_path / "out").exists()

    def test_points_of_this_very_map_are_reported_before_it_is_published(self, pair, whole, tmp_path):
        out, points = tmp_path / "change.tif", tmp_path / "points.csv"
        out.write_bytes(whole)
        labelled(out, points)
        report = map_change(*pair, out, AGAIN, reference=points, folder=tmp_path / "out")
        assert report.estimate.subject == str(out)
        assert report.adjusted.hectares == pytest.approx(report.counted.hectares, abs=1e-6)
        assert "## Adjusted, hectares" in (tmp_path / "out" / "report.md").read_text()
        assert out.read_bytes() == whole


def matrices(text):
    """Numbers of the matrices of a report in Markdown, each with its last row and column of sums."""
    found, cells = [], None
    for line in text.splitlines():
        parts = [part.strip() for part in line.strip("|").split("|")]
        if parts[0] == "before" and parts[-1] == "sum":
            cells = []
        elif cells is not None and line.startswith("|") and "--" not in line:
            cells.append([0.0 if part == "." else float(part.replace(",", "")) for part in parts[1:]])
        elif cells and not line.startswith("|"):
            found.append(np.array(cells))
            cells = None
    return found


@pytest.mark.parametrize("small", [False, True])
def test_shown_cells_add_up_to_the_shown_sums(tmp_path, monkeypatch, small):
    """Also when classes are expected that the map does not have, or classes are too small to be shown."""
    first = np.full((4, 100, 200), 20, np.uint8)
    first[0, :, :120] = first[1, :, 120:] = 190
    later = first.copy()
    later[:, 20:60, 30:80] = np.roll(first[:, 20:60, 30:80], 1, axis=0)
    product(tmp_path / "before.tif", first)
    product(tmp_path / "after.tif", later)
    if small:  # the classes that the map does not have
        monkeypatch.setattr(ChangeReport, "shown", lambda _: [0, 1])
    text = map_change(tmp_path / "before.tif", tmp_path / "after.tif", tmp_path / "change.tif").to_markdown()
    counted, expected = matrices(text)
    assert ("other classes" in text) == small
    assert len(expected) == (4 if small else 5)
    for table in (counted, expected):
        assert table[-1, -1] == pytest.approx(200)
        np.testing.assert_allclose(table[:-1, :-1].sum(axis=1), table[:-1, -1], atol=0.31)
        np.testing.assert_allclose(table[:-1, :-1].sum(axis=0), table[-1, :-1], atol=0.31)
    assert expected[-1, :-1].sum() == pytest.approx(200, abs=0.3)


@pytest.mark.parametrize("classes", [2, 4, 9, 15])
@pytest.mark.parametrize("threshold", [0.1, 0.3, 0.5, 0.7])
def test_a_change_of_exactly_the_threshold_reaches_it(classes, threshold):
    """One date is sure, the other gives the threshold to other classes: float32 falls short by its last digit."""
    moved, rng = round(threshold * 250), np.random.default_rng(classes)
    before, after = np.zeros((2, classes, 20, 50), np.float32)
    before[0] = 1
    parts = rng.multinomial(moved, np.full(classes - 1, 1 / (classes - 1)), (20, 50)).transpose(2, 0, 1)
    after[1:] = parts * np.float32(0.004)
    after[0] = np.float32(250 - moved) * np.float32(0.004)
    change = joint_probability(before.reshape(classes, -1), after.reshape(classes, -1), 0.05).change()
    assert np.abs(change - threshold).max() < 5e-7
    for dates in ((before, after), (after, before)):
        assert change_pixels(*dates, 0.05, threshold, np.ones((20, 50)))[0].changed.all()
        assert not change_pixels(*dates, 0.05, threshold + 0.004, np.ones((20, 50)))[0].changed.any()


def test_a_crosswalk_that_leaves_nothing_is_named(pair, tmp_path):
    (tmp_path / "coarse.toml").write_text(COARSE)
    (tmp_path / "all.toml").write_text(CROSSWALK)
    ignoring = 'source = "fine"\ntarget = "coarse"\nignored = ["lake", "pine", "oak", "snow"]\n'
    (tmp_path / "none.toml").write_text(ignoring)
    options = {"to": tmp_path / "coarse.toml"}
    with pytest.raises(ConfigError, match="from fine to coarse ignores every class"):
        map_change(*pair, tmp_path / "change.tif", ChangeOptions(**options, crosswalk=tmp_path / "none.toml"))
    snow = np.zeros((4, 64, 64), np.uint8)
    snow[3] = 250
    maps = [product(tmp_path / name, snow) for name in ("snow1.tif", "snow2.tif")]
    with pytest.raises(InputError, match="crosswalk to coarse does not ignore; it ignores snow"):
        map_change(*maps, tmp_path / "change.tif", ChangeOptions(**options, crosswalk=tmp_path / "all.toml"))
    assert not list(tmp_path.glob("change*"))


def test_no_change_is_nought_and_has_no_sign():
    still = Transitions("as counted", np.diag([0.1, 0.2, 590.4]) * 1.1)
    assert still.changed == 0
    assert str(still.changed) == "0.0"
    assert [_signed(row)[2:] for row in still.balance()] == [["0.0"] * 3] * 3
    moved = Transitions("as counted", np.array([[1.0, 2.0], [0.5, 3.0]]))
    assert moved.changed == 2.5
    assert _signed(moved.balance()[0]) == ["3.0", "1.5", "+0.5", "-2.0", "-1.5"]
