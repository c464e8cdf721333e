"""Progress on stderr: a bar on a terminal, a line every half minute in a log."""

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
