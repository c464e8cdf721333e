"""Child processes as the server sees them: asked for something, told how far they are, ended when they take too long."""

import asyncio
import json
import logging
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from lulc.serve.refusal import Refusal
from lulc.serve.settings import Limits

_log = logging.getLogger(__name__)

Told = Callable[[str, int, int], None]
"""Told the stage, and how much of it is done, of how much."""

_LONGEST_LINE = 4 << 20
_FOREVER_S = 10**9
_WAITING = 16


class Child:
    """One process that does one thing at a time.

    Args:
        memory_bytes: Main memory it may take.
        seconds: Time of one core that it may take, for each core there is.
        folder: Where it puts temporary files.
    """

    def __init__(self, memory_bytes: int, seconds: float, folder: Path) -> None:
        self._memory_bytes, self._seconds, self._folder = memory_bytes, seconds, folder
        self._process: Process | None = None

    async def ask(
        self, task: str, arguments: dict[str, Any], seconds: float, told: Told = lambda *_: None
    ) -> dict[str, Any]:
        """What the child answers; it is started when it is not there.

        Raises:
            Refusal: It refused, took too long, or ended.
        """
        process = await self._running()
        try:
            async with asyncio.timeout(seconds):
                return await self._answer(process, {"task": task, "arguments": arguments}, told)
        except TimeoutError as error:
            await self.end()
            raise Refusal(
                413, f"this took longer than {seconds:g} s", "use a smaller file, or lulc on the command line"
            ) from error
        except asyncio.CancelledError:
            await self.end()
            raise

    async def end(self) -> None:
        """Kill the process, if there is one; what it has written is not used."""
        process, self._process = self._process, None
        if process is not None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _running(self) -> Process:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "lulc.serve.child",
                str(self._memory_bytes),
                str(self._seconds),
                stdin=PIPE,
                stdout=PIPE,
                limit=_LONGEST_LINE,
                env={**os.environ, "TMPDIR": str(self._folder)},
                start_new_session=True,  # Ctrl-C is for the server, which ends its children itself
            )
        return self._process

    async def _answer(self, process: Process, request: dict[str, Any], told: Told) -> dict[str, Any]:
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(ConnectionError):  # one that has ended is noticed below
            process.stdin.write(json.dumps(request).encode() + b"\n")
            await process.stdin.drain()
        async for line in process.stdout:
            message = json.loads(line)
            if "result" in message:
                result: dict[str, Any] = message["result"]
                return result
            if "refused" in message:
                raise Refusal(**message["refused"])
            told(message["stage"], message["done"], message["total"])
        raise self._ended(await process.wait())

    def _ended(self, code: int) -> Refusal:
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        _log.warning("a child process ended with %s", how)
        return Refusal(
            422,
            f"the process that read it ended ({how})",
            f"the file is damaged, or needs more than {self._memory_bytes / 1e9:.3g} GB",
        )


class Assistant:
    """A child that stays, with its models loaded: it looks at uploads, classifies patches, explains.

    Args:
        limits: What an answer may take.
        folder: Where it puts temporary files.
    """

    def __init__(self, limits: Limits, folder: Path) -> None:
        self._child = Child(limits.assistant_bytes, _FOREVER_S, folder)
        self._turn, self._waiting = asyncio.Lock(), 0

    async def ask(self, task: str, arguments: dict[str, Any], seconds: float) -> dict[str, Any]:
        """As `Child.ask`; one after the other.

        Raises:
            Refusal: Also when too many wait.
        """
        if self._waiting >= _WAITING:
            raise Refusal(503, "the server is busy", "try again in some seconds", retry_after=5)
        self._waiting += 1
        try:
            async with self._turn:
                return await self._child.ask(task, arguments, seconds)
        finally:
            self._waiting -= 1

    async def end(self) -> None:
        """Kill it."""
        await self._child.end()
