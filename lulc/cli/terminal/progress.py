"""Progress on stderr: a bar on a terminal, a line every half minute in a log; in pixels or in training steps."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, Protocol

import click

from lulc.run import silent

Unit = Literal["px", "step"]

_LINE_EVERY_S = 30.0
_MEGA = 1e6


class Report(Protocol):
    """Called with what is done and what there is in all; after a training step with the loss too."""

    def __call__(self, done: int, total: int, loss: float | None = None, /) -> None:
        """Show it, when it is time to."""


@contextmanager
def shown(unit: Unit, *, quiet: bool) -> Iterator[Report]:
    """A function that shows progress; of the processes of one training the first alone does."""
    if quiet or (unit == "step" and os.environ.get("RANK", "0") != "0"):
        yield silent
    elif sys.stderr.isatty():
        with _bar(unit) as report:
            yield report
    else:
        yield _lines(unit)


@contextmanager
def _bar(unit: Unit) -> Iterator[Report]:
    from tqdm import tqdm

    with tqdm(unit=unit, unit_scale=unit == "px", dynamic_ncols=True, leave=False) as bar:

        def report(done: int, total: int, loss: float | None = None) -> None:
            bar.total = total
            if unit == "step":
                bar.initial = bar.initial or done - 1  # steps of a run that is resumed took no time now
                bar.set_postfix_str(_loss(loss), refresh=False)
            bar.update(done - bar.n)

        yield report


def _lines(unit: Unit) -> Report:
    last = time.monotonic()

    def report(done: int, total: int, loss: float | None = None) -> None:
        nonlocal last
        whole = unit == "step" and done == total
        if whole or time.monotonic() - last >= _LINE_EVERY_S:
            last = time.monotonic()
            click.echo(f"lulc: {_line(unit, done, total, loss)}", err=True)

    return report


def _line(unit: Unit, done: int, total: int, loss: float | None) -> str:
    if unit == "px":
        return f"{done / _MEGA:.1f} of {total / _MEGA:.1f} Mpx ({done / total:.0%})"
    return ", ".join(filter(None, (f"step {done} of {total} ({done / total:.0%})", _loss(loss))))


def _loss(loss: float | None) -> str:
    """Text on the loss; empty until it is measured."""
    return "" if loss is None else f"loss {loss:.4f}"
