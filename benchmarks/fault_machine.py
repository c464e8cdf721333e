"""One core, and clocks that jump."""

import hashlib
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fault_inputs import LATE, Inputs, Row, content, lulc, unbroken, words_for

from tests.support import running
from tests.support.faults import shimmed
from tests.support.stac_items import random_pixels, write_item
from tests.support.stac_server import served

_DAY_S = 86_400


def one_core(inputs: Inputs, _trials: int, _chance: random.Random) -> Iterator[Row]:
    """A row for each command, with as many threads as there are cores otherwise."""
    for name, (words, output) in inputs.writers().items():
        base = inputs.folder / f"cores-{name.replace(' ', '')}"
        threads = ("1", "2") if name == "classify" else ("",)
        base.mkdir()
        row = Row("cores", name)
        for count in threads:
            given = [
                count if before == "--threads" else word for before, word in zip(["", *words], words, strict=False)
            ]
            expected, _, _ = unbroken(given, output, base / f"all{count}")
            work = base / f"one{count}"
            work.mkdir()
            ended = lulc(words_for(given, output), work, prefix=["taskset", "-c", "0"])
            equal = ended.code == 0 and content(work / output) == expected
            row.count(held=equal, seen="equal bytes" if equal else f"exit {ended.code} {ended.lines[-1:]}")
        yield row


def clocks(inputs: Inputs, trials: int, _chance: random.Random) -> Iterator[Row]:
    """A row for each command and clock; `fetch` asks a server of this process, `serve` classifies an upload."""
    with _catalogue(inputs) as fetch:
        commands = {name: inputs.writers()[name] for name in ("classify", "mosaic")} | {"fetch": (fetch, "fetched")}
        for name, (words, output) in commands.items():
            base = inputs.folder / f"clocks-{name}"
            expected, _, seconds = unbroken(words, output, base)
            late, wall = Row("clocks", f"{name}, monotonic + 10 days"), Row("clocks", f"{name}, wall clock jumps a day")
            for trial in range(max(1, trials // 3)):
                for row, jump in ((late, 0), (wall, _DAY_S), (wall, -_DAY_S)):
                    work = base / f"{trial}{jump}{row.case[-3:]}".replace(" ", "")
                    work.mkdir()
                    with _jumped(work, jump, seconds / 2) as environment:
                        prefix = [] if jump else LATE
                        ended = lulc(words_for(words, output), work, prefix=prefix, environment=environment)
                    equal = ended.code == 0 and content(work / output) == expected
                    row.count(held=equal, seen="equal bytes" if equal else f"exit {ended.code} {ended.lines[-2:]}")
            yield late
            yield wall
    yield from _served(inputs)


def _served(inputs: Inputs) -> Iterator[Row]:
    """An upload to a server whose clock is late, or jumps while the job runs: the bytes of the command line."""
    base = inputs.folder / "clocks-serve"
    base.mkdir()
    scene = (inputs.folder / "scene.tif").read_bytes()
    expected = ""
    for case, jump in (
        ("as it is", None),
        ("monotonic + 10 days", 0),
        ("wall clock jumps a day", _DAY_S),
        ("and back", -_DAY_S),
    ):
        row = Row("clocks", f"serve, {case}")
        model = ["--model", str(inputs.folder / "bundle"), "--device", "cpu"]
        with (
            _jumped(base, jump or 0, 6) as environment,
            _starting_with(base, environment, late=jump == 0),
            running.serving(base / f"work{jump}", *model) as server,
        ):
            found = _classified(server, scene)
        expected = expected or found
        row.count(held=found == expected != "", seen="equal bytes" if found == expected != "" else "no map, or another")
        yield row


def _classified(server: running.Served, scene: bytes) -> str:
    """Hash of the map of an uploaded scene; empty when there is none."""
    job = server.classify(scene, "scene.tif", **{"as": "scene"}).json["job"]
    state = server.wait(job)
    urls = [file["url"] for file in state.get("downloads", []) if file["url"].endswith(".tif")]
    return hashlib.sha256(server.get(urls[0]).body).hexdigest() if urls else ""


@contextmanager
def _starting_with(base: Path, environment: dict[str, str] | None, *, late: bool) -> Iterator[None]:
    """Servers of `tests.support.running` start by a script that puts them where time is another."""
    script, former = base / "lulc", running.LULC
    settings = {name: text for name, text in (environment or {}).items() if name.startswith(("FI_", "LD_"))}
    words = [*(LATE if late else []), "env", *(f"{name}={text}" for name, text in settings.items()), str(former)]
    script.write_text(f'#!/bin/sh\nexec {" ".join(words)} "$@"\n')
    script.chmod(0o755)
    running.LULC = script
    try:
        yield
    finally:
        running.LULC = former


@contextmanager
def _jumped(folder: Path, jump: int, after: float) -> Iterator[dict[str, str] | None]:
    """Environment of a process whose wall clock jumps after some seconds; None without a jump."""
    if not jump:
        yield None
        return
    switch = folder.with_name(f"{folder.name}.jumped")
    switch.unlink(missing_ok=True)
    timer = threading.Timer(after, switch.touch)
    timer.start()
    try:
        yield shimmed(folder.parent, FI_CLOCK=str(jump), FI_CLOCK_FILE=str(switch))
    finally:
        timer.cancel()
        timer.join()


@contextmanager
def _catalogue(inputs: Inputs) -> Iterator[list[str]]:
    """Words of a `fetch` from a server of this process."""
    folder = inputs.folder / "catalogue"
    folder.mkdir()
    with served(folder) as server:
        write_item(folder, random_pixels(), base=f"{server.root}/files/")
        area = ["--area", "14,40,20,50", "--dates", "2021-05-01/2021-09-30"]
        yield ["fetch", server.root, "OUT", *area]
