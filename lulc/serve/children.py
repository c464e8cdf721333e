"""Child processes of the server: sent a request, followed by progress messages, killed when they take too long."""

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

from lulc.config import parse_json
from lulc.serve.refusal import Refusal
from lulc.serve.settings import Limits

_log = logging.getLogger(__name__)

OnProgress = Callable[[str, int, int], None]
"""Called with the name of a stage, the amount done, and the amount in all (0 when unknown)."""

_LONGEST_LINE = 4 << 20
_FOREVER_S = 10**9
_WAITING = 16


class Child:
    """A child process that handles one request at a time.

    Args:
        memory_bytes: Limit of its main memory, bytes.
        seconds: Limit of its CPU time, seconds per core.
        folder: Folder of its temporary files.
    """

    def __init__(self, memory_bytes: int, seconds: float, folder: Path) -> None:
        self._memory_bytes, self._seconds, self._folder = memory_bytes, seconds, folder
        self._process: Process | None = None

    async def ask(
        self, task: str, arguments: dict[str, Any], seconds: float, on_progress: OnProgress = lambda *_: None
    ) -> dict[str, Any]:
        """Send a request and wait for the result. The process is started when it is not running.

        Args:
            task: Name of a function in `lulc.serve.work.WORK`.
            arguments: Its arguments, plain JSON.
            seconds: Longest time to wait, seconds; the process is killed then.
            on_progress: Called with each progress message.

        Raises:
            Refusal: The child refused, took too long, or ended.
        """
        process = await self._running()
        try:
            async with asyncio.timeout(seconds):
                return await self._answer(process, {"task": task, "arguments": arguments}, on_progress)
        except TimeoutError as error:
            await self.end()
            raise Refusal(
                413, f"this took longer than {seconds:g} s", "use a smaller file, or lulc on the command line"
            ) from error
        except asyncio.CancelledError:
            await self.end()
            raise

    async def end(self) -> None:
        """Kill the process if it runs; its files are not used."""
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

    async def _answer(self, process: Process, request: dict[str, Any], on_progress: OnProgress) -> dict[str, Any]:
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(ConnectionError):  # one that has ended is noticed below
            process.stdin.write(json.dumps(request).encode() + b"\n")
            await process.stdin.drain()
        async for line in process.stdout:
            message = parse_json(line)
            if "result" in message:
                result: dict[str, Any] = message["result"]
                return result
            if "refused" in message:
                raise Refusal(**message["refused"])
            on_progress(message["stage"], message["done"], message["total"])
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
    """A child that stays alive with its models loaded. It inspects uploads, classifies patches and explains.

    Args:
        limits: Limits of memory and time.
        folder: Folder of its temporary files.
    """

    def __init__(self, limits: Limits, folder: Path) -> None:
        self._child = Child(limits.assistant_bytes, _FOREVER_S, folder)
        self._turn, self._waiting = asyncio.Lock(), 0

    async def ask(self, task: str, arguments: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Send a request, as `Child.ask`; requests are handled one after the other.

        Args:
            task: Name of a function in `lulc.serve.work.WORK`.
            arguments: Its arguments, plain JSON.
            seconds: Longest time to wait, seconds.

        Raises:
            Refusal: As `Child.ask`, or too many requests wait.
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
        """Kill the process if it runs."""
        await self._child.end()
