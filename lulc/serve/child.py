"""`python -m lulc.serve.child`: a process that opens foreign files and runs networks for the server.

It reads one request per line from standard input, `{"task": ..., "arguments": {...}}`. It writes lines to standard
output: any number of `{"stage": ..., "done": ..., "total": ...}`, then `{"result": ...}` or `{"refused": {...}}`. It
ends when standard input ends, so it does not outlive its server.
"""

import json
import os
import queue
import resource
import sys
import threading
import traceback
from pathlib import Path
from typing import Any, TextIO

from lulc.config import parse_json
from lulc.errors import LulcError, lacks_memory
from lulc.model.allocator import keep_freed_memory
from lulc.serve.refusal import Refusal

_ENVIRONMENT = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_CACHEMAX": "256",
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": ".none",  # no file may send this machine to an address
}


def main() -> None:
    """Answer requests until standard input ends. Arguments: main memory in bytes, and seconds of one core."""
    memory_bytes, seconds = int(sys.argv[1]), int(float(sys.argv[2]))
    os.environ.update(_ENVIRONMENT)
    _limit(memory_bytes, seconds)
    keep_freed_memory()
    answers = _own_output()
    requests: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(requests,), daemon=True).start()
    while True:
        request = requests.get()
        _send(answers, _answer(request, answers, memory_bytes))


def _limit(memory_bytes: int, seconds: int) -> None:
    """Set limits that the kernel enforces: memory in bytes, CPU seconds per core, and no core dump."""
    for kind, most in (
        (resource.RLIMIT_DATA, memory_bytes),
        (resource.RLIMIT_CPU, seconds * (os.cpu_count() or 1)),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        bound = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (bound, bound))


def _own_output() -> TextIO:
    """A private copy of standard output for replies; whatever libraries print goes to standard error."""
    own = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)
    return own


def _listen(requests: "queue.SimpleQueue[dict[str, Any]]") -> None:
    for line in sys.stdin:
        requests.put(parse_json(line))
    os._exit(0)


def _answer(request: dict[str, Any], answers: TextIO, memory_bytes: int) -> dict[str, Any]:
    arguments = request["arguments"]
    renamed = _shown_names(arguments)
    try:
        from lulc.serve.work import WORK

        def on_progress(stage: str, done: int, total: int) -> None:
            _send(answers, {"stage": stage, "done": done, "total": total})

        return {"result": WORK[request["task"]](on_progress, **arguments)}
    except Exception as error:  # noqa: BLE001 - sent to the server; the process can go on
        if lacks_memory(error):
            return _refused(_out_of_memory(memory_bytes))
        if isinstance(error, LulcError):
            return _refused(Refusal.of(error, renamed))
        traceback.print_exc()
        first = (str(error).splitlines() or [""])[0]
        return _refused(Refusal(500, f"lulc failed: {type(error).__name__}: {first}", "please report this"))


def _shown_names(arguments: dict[str, Any]) -> dict[str, str]:
    """Text to show in messages instead of paths on this machine."""
    path, name = arguments.get("path", ""), arguments.get("name", "")
    return {location: shown for location, shown in ((path, name), (f"{Path(path).parent}/", "")) if path and name}


def _out_of_memory(memory_bytes: int) -> Refusal:
    return Refusal(
        413,
        f"this needs more than the {memory_bytes / 1e9:.3g} GB that it may take",
        "use a smaller file, or start the server with more --max-memory",
    )


def _refused(refusal: Refusal) -> dict[str, Any]:
    return {"refused": {"status": refusal.status, "problem": refusal.problem, "remedy": refusal.remedy}}


def _send(answers: TextIO, message: dict[str, Any]) -> None:
    answers.write(json.dumps(message) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
