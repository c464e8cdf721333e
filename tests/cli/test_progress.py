"""Progress: a bar on a terminal, lines in a log, nothing for who asks for less."""

import os
import pty
import termios
import time
from contextlib import contextmanager, redirect_stderr

import pytest

from lulc.cli.terminal.progress import shown
from lulc.run import silent


@contextmanager
def terminal():
    """Inside it stderr is a terminal 100 columns wide; what was written to it is in the list afterwards."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    written = [""]
    with os.fdopen(theirs, "w") as stream, redirect_stderr(stream):
        yield written
        print("end", file=stream, flush=True)
        while "end" not in written[0]:
            written[0] += os.read(ours, 1 << 16).decode()
    os.close(ours)


def test_pixels_on_a_terminal():
    with terminal() as written, shown("px", quiet=False) as report:
        report(2_000_000, 8_000_000)
        time.sleep(0.11)  # tqdm draws ten times a second
        report(4_000_000, 8_000_000)
    assert "4.00M/8.00M" in written[0]


def test_steps_on_a_terminal_count_from_where_a_run_is_resumed():
    with terminal() as written, shown("step", quiet=False) as report:
        report(61, 80, 0.5)
        time.sleep(0.11)
        report(80, 80, 0.25)
    assert "80/80" in written[0]
    assert "loss 0.2500" in written[0]


def test_a_terminal_shows_no_loss_before_it_is_measured():
    with terminal() as written, shown("step", quiet=False) as report:
        report(1, 80, None)
        time.sleep(0.11)
        report(2, 80, None)
    assert "2/80" in written[0]
    assert "loss" not in written[0]


@pytest.mark.parametrize(
    ("unit", "done", "line"),
    [
        ("px", (2_000_000, 8_000_000), "lulc: 2.0 of 8.0 Mpx (25%)\n"),
        ("step", (3, 12, 0.5), "lulc: step 3 of 12 (25%), loss 0.5000\n"),
        ("step", (3, 12, None), "lulc: step 3 of 12 (25%)\n"),
    ],
)
def test_lines_in_a_log(capsys, monkeypatch, unit, done, line):
    monkeypatch.setattr("lulc.cli.terminal.progress._LINE_EVERY_S", 0.0)
    with shown(unit, quiet=False) as report:
        report(*done)
    assert capsys.readouterr().err == line


def test_a_log_is_not_flooded_and_ends_with_the_last_step(capsys):
    with shown("step", quiet=False) as report:
        for step in range(1, 13):
            report(step, 12, 0.5)
    assert capsys.readouterr().err == "lulc: step 12 of 12 (100%), loss 0.5000\n"


def test_less_was_asked_for_or_another_process_reports(monkeypatch):
    with shown("px", quiet=True) as report:
        assert report is silent
    monkeypatch.setenv("RANK", "1")
    with shown("step", quiet=False) as report:
        assert report is silent
