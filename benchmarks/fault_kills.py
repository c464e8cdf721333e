"""SIGKILL at random moments, then the same command again."""

import random
import signal
import subprocess
from collections.abc import Iterator

from fault_inputs import Inputs, Row, command, content, lulc, names, unbroken, words_for

_COMMANDS = ("change", "prepare")


def kills(inputs: Inputs, trials: int, chance: random.Random) -> Iterator[Row]:
    """A row for each command; a run that ended before its kill counts as one that was not tried."""
    for name in _COMMANDS:
        words, output = inputs.writers()[name]
        base = inputs.folder / f"kills-{name}"
        expected, left, seconds = unbroken(words, output, base)
        row, number = Row("kills", name), 0
        while row.tried < trials:
            number += 1
            work = base / str(number)
            work.mkdir()
            if not _killed(words_for(words, output), work, chance.uniform(seconds / 4, seconds)):
                continue
            there = names(work)
            if (work / output).exists():
                whole = content(work / output) == expected
                row.count(held=whole, seen="whole already" if whole else "not whole")
                continue
            ended = lulc(words_for(words, output), work)
            held = ended.code == 0 and content(work / output) == expected and names(work) == left
            seen = f"{'something' if there else 'nothing'} left, ended equal"
            row.count(held=held, seen=seen if held else f"exit {ended.code}, left {names(work)}")
        yield row


def _killed(words: list[str], work: object, after: float) -> bool:
    """Kill a run after some seconds; False when it had ended."""
    process = subprocess.Popen(command(words), cwd=str(work), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        process.wait(after)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
        return True
    return False
