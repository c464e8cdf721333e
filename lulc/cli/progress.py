"""Progress on stderr: a bar on a terminal, a line every half minute in a log."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

_LINE_EVERY_S = 30.0
_MEGA = 1e6


@contextmanager
def progress(quiet: bool) -> Iterator[Callable[[int, int], None]]:  # noqa: FBT001 - one switch
    """A function to be told (done, total) pixels."""
    if quiet:
        yield lambda _done, _total: None
    elif sys.stderr.isatty():
        with _bar() as report:
            yield report
    else:
        yield _lines()


@contextmanager
def _bar() -> Iterator[Callable[[int, int], None]]:
    from tqdm import tqdm

    with tqdm(unit="px", unit_scale=True, dynamic_ncols=True, leave=False) as bar:

        def report(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield report


def _lines() -> Callable[[int, int], None]:
    last = time.monotonic()

    def report(done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= _LINE_EVERY_S:
            last = time.monotonic()
            click.echo(f"lulc: {done / _MEGA:.1f} of {total / _MEGA:.1f} Mpx ({done / total:.0%})", err=True)

    return report


@contextmanager
def step_progress(quiet: bool) -> Iterator[Callable[[int, int, float], None]]:  # noqa: FBT001
    """A function to be told (steps done, steps, loss)."""
    if quiet or os.environ.get("RANK", "0") != "0":
        yield lambda _done, _steps, _loss: None
    elif sys.stderr.isatty():
        from tqdm import tqdm

        with tqdm(unit="step", dynamic_ncols=True, leave=False) as bar:

            def report(done: int, steps: int, loss: float) -> None:
                bar.total, bar.initial = steps, bar.initial or done - 1
                bar.set_postfix_str(f"loss {loss:.4f}", refresh=False)
                bar.update(done - bar.n)

            yield report
    else:
        yield _step_lines()


def _step_lines() -> Callable[[int, int, float], None]:
    last = time.monotonic()

    def report(done: int, steps: int, loss: float) -> None:
        nonlocal last
        if time.monotonic() - last >= _LINE_EVERY_S or done == steps:
            last = time.monotonic()
            click.echo(f"lulc: step {done} of {steps} ({done / steps:.0%}), loss {loss:.4f}", err=True)

    return report
