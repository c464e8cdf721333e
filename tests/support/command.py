"""`lulc` in a process of its own, forked from one that has imported torch once: a command takes no seconds to start."""

import atexit
import json
import os
import runpy
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

IMPORTED = (
    "lulc.tasks.classify.classify",
    "lulc.tasks.dataset.prepare",
    "lulc.tasks.accuracy.evaluate_model",
    "lulc.training.train",
    "segmentation_models_pytorch",
    "matplotlib.figure",
)
"""What commands import on their way; `lulc` comes first, because it chooses how torch's threads wait."""


def lulc(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run `python -m lulc` to its end; what it says is all that reaches its file descriptors, of C libraries too."""
    words = [str(argument) for argument in arguments]
    with TemporaryDirectory() as folder:
        said = [Path(folder) / name for name in ("out", "error")]
        task = {"arguments": words, "cwd": str(cwd or Path.cwd()), "environment": dict(os.environ), "said": said}
        code = _parent()(json.dumps(task, default=str))
        return subprocess.CompletedProcess(words, code, *(path.read_text() for path in said))


@cache
def _parent() -> Callable[[str], int]:
    """Start the process that forks; it ends with this one, whose end of the pipe it then sees closed."""
    process = subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n", process.communicate()[1]

    def ask(task: str) -> int:
        assert process.stdin is not None
        assert process.stdout is not None
        print(task, file=process.stdin, flush=True)
        return int(process.stdout.readline())

    return ask


def _serve() -> dict:
    """Fork for each task that comes; the child returns with its task, the parent never."""
    _say("ready")
    for line in sys.stdin:
        task = json.loads(line)
        if not (child := os.fork()):
            return task
        _say(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    sys.exit()


def _say(what: object) -> None:
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


def _become(task: dict) -> None:
    """Files, folder, environment and arguments of the command."""
    for number, source in enumerate((os.devnull, *task["said"])):
        opened = os.open(source, os.O_RDWR | os.O_CREAT)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w", buffering=1)  # noqa: SIM115
    os.chdir(task["cwd"])
    os.environ.clear()
    os.environ.update(task["environment"])
    sys.argv = ["lulc", *task["arguments"]]


def _run() -> None:
    """The command, to its end; taking torch apart, module by module, would cost a second more."""
    code = 1
    try:
        runpy.run_module("lulc", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:  # noqa: BLE001 - what nobody caught is printed, as the interpreter would
        sys.excepthook(*sys.exc_info())
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    from importlib import import_module

    for module in IMPORTED:
        import_module(module)
    _become(_serve())
    _run()
