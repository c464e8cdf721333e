"""`lulc` in processes of their own, forked from one that has imported torch once: a command takes no seconds to start."""

import atexit
import os
import runpy
import signal
import subprocess
import sys
from multiprocessing import get_context
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from tempfile import TemporaryDirectory

IMPORTED = (
    "lulc.tasks.classify.classify",
    "lulc.tasks.mosaic.mosaic",
    "lulc.tasks.dataset.prepare",
    "lulc.tasks.accuracy.evaluate_model",
    "lulc.training.train",
    "segmentation_models_pytorch",
    "matplotlib.figure",
    "distributed",
)
"""What commands import on their way; `lulc` comes first, because it chooses how torch's threads wait."""


class Started:
    """A running `lulc`: what `subprocess.Popen` offers of it, and all that reached its file descriptors so far."""

    def __init__(self, arguments: list[str], cwd: Path | None) -> None:
        self.arguments = arguments
        self._folder = TemporaryDirectory()
        self._out, self._error = (Path(self._folder.name) / name for name in ("out", "error"))
        given = (arguments, str(cwd or Path.cwd()), dict(os.environ), str(self._out), str(self._error))
        self._process: ForkServerProcess = forking().Process(target=_run, args=given)
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def stdout(self) -> str:
        return self._out.read_text() if self._out.exists() else ""

    @property
    def stderr(self) -> str:
        return self._error.read_text() if self._error.exists() else ""

    def poll(self) -> int | None:
        return self._process.exitcode

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        """Exit code, negative that of a signal, as of `subprocess`."""
        self._process.join(timeout)
        if (code := self.poll()) is None:
            raise subprocess.TimeoutExpired(self.arguments, timeout or 0)
        return code


def start(*arguments: object, cwd: Path | None = None) -> Started:
    """Start `python -m lulc` with these arguments."""
    return Started([str(argument) for argument in arguments], cwd)


def lulc(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run `python -m lulc` to its end."""
    started = start(*arguments, cwd=cwd)
    return subprocess.CompletedProcess(started.arguments, started.wait(), started.stdout, started.stderr)


def forking() -> ForkServerContext:
    """Context of processes that are forked from the one that has imported all this."""
    context = get_context("forkserver")
    context.set_forkserver_preload(["lulc", *IMPORTED])
    return context


def _run(arguments: list[str], cwd: str, environment: dict[str, str], out: str, error: str) -> None:
    """In the new process: its files, folder, environment and arguments, then the command."""
    for number, path in ((1, out), (2, error)):
        opened = os.open(path, os.O_RDWR | os.O_CREAT)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdout, sys.stderr = open(1, "w"), open(2, "w", buffering=1)  # noqa: SIM115
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["lulc", *arguments]
    try:
        runpy.run_module("lulc", run_name="__main__", alter_sys=True)
    finally:
        atexit._run_exitfuncs()
