"""Read errors: from one read of an input on every read fails with EIO, for ever or twice."""

import random
import re
from collections.abc import Iterator
from pathlib import Path

from fault_inputs import Ended, Inputs, Row, content, lulc, names, unbroken, words_for

from tests.support.faults import shimmed

_CASES = {"mosaic": "map-other.tif", "stack .tif": "scene.tif", "stack --fill": "other.tif", "change": "map-scene.tif"}
"""Command, and the input whose reads fail."""

_PLACE = re.compile(r"bands? .+ rows \d+-\d+")


def read_errors(inputs: Inputs, trials: int, chance: random.Random) -> Iterator[Row]:
    """A row for each command and kind of fault."""
    for name, file in _CASES.items():
        words, output = inputs.writers()[name]
        base = inputs.folder / ("reads-" + name.replace(" ", ""))  # LD_PRELOAD splits at spaces
        expected, left, _ = unbroken(words, output, base)
        reads = _count(words, output, base / "counted", file)
        for times in (0, 2):
            row = Row("reads", f"{name}, {f'{times} reads fail' if times else 'all later reads fail'}")
            for trial in range(trials):
                work = base / f"{times}-{trial}"
                work.mkdir()
                limit = {"FI_TIMES": str(times)} if times else {}
                fault = {"FI_PATH": f"/{file}", "FI_SKIP": str(chance.randrange(reads)), **limit}
                ended = lulc(words_for(words, output), work, environment=shimmed(base, **fault))
                held, seen = _judge(ended, work, file, expected if times else "", left, output)
                row.count(held=held, seen=seen)
            yield row


def _judge(ended: Ended, work: Path, file: str, expected: str, left: list[str], output: str) -> tuple[bool, str]:
    """Whether a run held, and what was seen of it; `expected` is empty where the fault does not heal."""
    there = names(work)
    if ended.code == 0:
        equal = there == left and content(work / output) == (expected or content(work / output))
        return equal and bool(expected), "done, equal" if equal else f"done, {there} differ"
    place = "band and rows named" if any(_PLACE.search(line) for line in ended.told) else "the file named"
    held = ended.code == 5 and ended.in_one_line and file in ended.lines[-1] and not there and not expected
    if held:
        return True, place
    return False, f"exit {ended.code}, left {there}: {' / '.join(ended.lines)[-300:]}"


def _count(words: list[str], output: str, folder: Path, file: str) -> int:
    """Reads of a file in a run without faults."""
    folder.mkdir()
    counted = folder.with_name("reads.count")
    shim = shimmed(folder.parent, FI_PATH=f"/{file}", FI_SKIP="999999999", FI_COUNT=str(counted))
    lulc(words_for(words, output), folder, environment=shim)
    return counted.stat().st_size
