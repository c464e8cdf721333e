"""The command itself: names that are none, Ctrl-C, and a reader who has gone."""

import os
import signal
import subprocess
import sys
from threading import Thread

import pytest
from click.testing import CliRunner

from lulc.cli.main import cli
from lulc.cli.terminal.second_interrupt import ends_at_once
from tests.support.product_samples import pixels, write


@pytest.mark.parametrize("words", [["clasify"], ["patches", "clasify"]])
def test_a_command_that_there_is_not(words):
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 2
    assert "No such command 'clasify'" in done.output


def test_ctrl_c_is_one_line_and_130(tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("lulc.tasks.describe.info.describe", interrupted)
    done = CliRunner().invoke(cli, ["info", str(tmp_path)])
    assert (done.exit_code, done.stdout, done.stderr) == (130, "", "lulc: stopped at once\n")


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (OSError(5, "Input/output error", "a.tif"), 5, "lulc: cannot read or write a.tif: Input/output error"),
        (OSError(5, "Input/output error"), 5, "lulc: a file cannot be read or written: Input/output error"),
        (UnicodeEncodeError("utf-8", "a\udce9", 1, 2, "surrogates not allowed"), 3, "is not UTF-8; rename it"),
    ],
    ids=["disk", "disk, no file said", "name"],
)
def test_what_the_system_refuses_is_one_line_whoever_meets_it(tmp_path, monkeypatch, error, code, line):
    def refused(*_, **__):
        raise error

    monkeypatch.setattr("lulc.tasks.describe.info.describe", refused)
    done = CliRunner().invoke(cli, ["info", str(tmp_path)])
    assert (done.exit_code, done.stderr.count("\n")) == (code, 1)
    assert line in done.stderr


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")], ids=str)
def test_memory_that_is_not_there_is_one_line_and_6(tmp_path, monkeypatch, error):
    def exhausted(*_, **__):
        raise error

    monkeypatch.setattr("lulc.tasks.describe.info.describe", exhausted)
    done = CliRunner().invoke(cli, ["info", str(tmp_path)])
    assert (done.exit_code, done.stderr.count("\n")) == (6, 1)
    assert done.stderr.startswith("lulc: this needs more memory than there is")


@pytest.mark.process
def test_a_reader_who_has_gone_is_no_error(tmp_path):
    write(tmp_path / "map.tif", pixels(100, 100))
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "lulc", "info", str(tmp_path / "map.tif")]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


def test_a_second_ctrl_c_does_nothing_to_who_leaves_in_time():
    heard = []
    former = signal.signal(signal.SIGINT, lambda *_: heard.append(1))
    try:
        with ends_at_once():
            for _ in range(2):
                signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, former)
    assert heard == [1, 1]


def test_in_another_thread_the_second_ctrl_c_is_not_watched():
    seen = []

    def run():
        with ends_at_once():
            seen.append(signal.set_wakeup_fd)

    thread = Thread(target=run)
    thread.start()
    thread.join()
    assert seen  # Python lets no thread but the main one set what is woken
