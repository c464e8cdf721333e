"""Jobs of the server: their state and results, the queue, and how long they are kept."""

import asyncio
import logging
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from lulc.serve.children import Child
from lulc.serve.refusal import Refusal
from lulc.serve.settings import Limits

_log = logging.getLogger(__name__)

State = Literal["queued", "running", "done", "failed", "cancelled"]
FINAL = frozenset({"done", "failed", "cancelled"})

_NOTIFY_EVERY_S = 0.2
_SWEEP_EVERY_S = 30.0


@dataclass(eq=False)
class Job:
    """One request of a user and its result.

    Attributes:
        id: Secret identifier; whoever knows it may see the job.
        kind: `scene`, `patch` or `report`.
        name: Owner's name of the input.
        folder: Folder of its files only.
        options: Fields of the upload.
        state: One of `State`.
        stage: Name of the current stage.
        done: Pixels of the stage that are done.
        total: Pixels of the stage in all; 0 when unknown.
        started: Start of its run by `time.monotonic`, seconds; None before.
        seconds: Duration of its run, seconds.
        touched: Time of the last access by `time.monotonic`, seconds.
        error: Reason of its failure; None without.
        warnings: Warnings about the input.
        answer: Classification of a patch; None for other kinds.
        explanations: Number of explanations made so far.
        watchers: Number of open event streams.
        changes: Number of changes so far.
    """

    id: str
    kind: Literal["scene", "patch", "report"]
    name: str
    folder: Path
    options: dict[str, Any] = field(default_factory=dict)
    state: State = "queued"
    stage: str = ""
    done: int = 0
    total: int = 0
    started: float | None = None
    seconds: float = 0.0
    touched: float = field(default_factory=time.monotonic)
    error: Refusal | None = None
    warnings: tuple[str, ...] = ()
    answer: dict[str, Any] | None = None
    explanations: int = 0
    watchers: int = 0
    changes: int = 0

    @property
    def seconds_so_far(self) -> float:
        """Seconds that the job has run so far."""
        running = self.state == "running" and self.started is not None
        return time.monotonic() - (self.started or 0) if running else self.seconds

    @property
    def upload(self) -> Path:
        """Path of the uploaded file, under a name chosen by the server."""
        return self.folder / "upload"


class Jobs:
    """All jobs of a server, in the order of their arrival.

    Args:
        folder: Parent folder of the jobs' folders.
        limits: Limits of number, time, memory and storage.
        on_forget: Called with a job whose files are about to be removed.
    """

    def __init__(self, folder: Path, limits: Limits, on_forget: Callable[[Job], None]) -> None:
        self._folder, self._limits, self._on_forget = folder, limits, on_forget
        self._jobs: dict[str, Job] = {}
        self._waiting: asyncio.Queue[tuple[Job, str, dict[str, Any]]] = asyncio.Queue()
        self._changed = asyncio.Condition()
        self._running: dict[str, asyncio.Task[Any]] = {}
        self._loops: list[asyncio.Task[None]] = []
        self._closing = False

    def start(self) -> None:
        """Start the workers and the removal of old jobs."""
        self._loops = [asyncio.create_task(self._work()) for _ in range(self._limits.jobs)]
        self._loops.append(asyncio.create_task(self._sweep()))

    async def stop(self) -> None:
        """Cancel all jobs and end the workers."""
        for task in (*self._loops, *self._running.values()):
            task.cancel()
        await asyncio.gather(*self._loops, *self._running.values(), return_exceptions=True)

    async def dismiss(self) -> None:
        """End all event streams, since the server is about to stop."""
        self._closing = True
        async with self._changed:
            self._changed.notify_all()

    def new_folder(self) -> Path:
        """Create a folder with a name that cannot be guessed."""
        folder = self._folder / secrets.token_urlsafe(18)
        folder.mkdir(mode=0o700)
        return folder

    def check_room(self) -> None:
        """Refuse a job when the queue is full.

        Raises:
            Refusal: The queue is full.
        """
        if self.queued >= self._limits.queue:
            raise Refusal(503, f"the queue is full ({self.queued} waiting)", "try again in a minute", retry_after=30)

    @property
    def queued(self) -> int:
        """Number of jobs that wait."""
        return sum(job.state == "queued" for job in self._jobs.values())

    def submit(self, job: Job, task: str, arguments: dict[str, Any]) -> None:
        """Put a job into the queue.

        Raises:
            Refusal: The queue is full.
        """
        self.check_room()
        self._jobs[job.id] = job
        self._waiting.put_nowait((job, task, arguments))

    def keep(self, job: Job) -> None:
        """Keep a finished job. The finished job accessed longest ago is removed when there are too many."""
        self._jobs[job.id] = job
        while sum(other.state in FINAL for other in self._jobs.values()) > self._limits.keep_most:
            ended = [other for other in self._jobs.values() if other.state in FINAL and other is not job]
            self._forget(min(ended, key=lambda other: other.touched))

    def get(self, job_id: str) -> Job:
        """Look up a job by its id, and note the access.

        Raises:
            Refusal: There is no such job.
        """
        job = self._jobs.get(job_id)
        if job is None:
            minutes = self._limits.keep_minutes
            raise Refusal(404, "there is no such job", f"results are kept for {minutes:g} minutes: classify again")
        job.touched = time.monotonic()
        return job

    def knows(self, job_id: str) -> bool:
        """True when there is a job of that id."""
        return job_id in self._jobs

    def ahead(self, job: Job) -> int:
        """Number of jobs before a waiting one; 0 for any other."""
        before = [other for other in self._jobs.values() if other.state in {"queued", "running"}]
        return before.index(job) if job.state == "queued" else 0

    async def end(self, job: Job) -> None:
        """Cancel a waiting or running job, or delete a finished one. Its files are removed."""
        if job.state in FINAL:
            self._forget(job)
            return
        running = self._running.get(job.id)
        job.state = "cancelled"
        if running is not None:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        shutil.rmtree(job.folder, ignore_errors=True)
        await self._notify(job)

    async def changes(self, job: Job) -> AsyncIterator[Job]:
        """Yield the job now and after each change, until it is over."""
        job.watchers += 1
        try:
            while True:
                seen = job.changes
                yield job
                if self._closing or (job.state in FINAL and job.changes == seen):
                    return
                async with self._changed:
                    while job.changes == seen and not self._closing:
                        await self._changed.wait()
                await asyncio.sleep(_NOTIFY_EVERY_S)  # a job of many small steps notifies a few times a second
        finally:
            job.watchers -= 1
            job.touched = time.monotonic()

    async def _work(self) -> None:
        while True:
            job, task, arguments = await self._waiting.get()
            if job.state == "queued":
                run = asyncio.create_task(self._run(job, task, arguments))
                self._running[job.id] = run
                await asyncio.gather(run, return_exceptions=True)
                del self._running[job.id]

    async def _run(self, job: Job, task: str, arguments: dict[str, Any]) -> None:
        child = Child(self._limits.job_bytes, self._limits.job_seconds, job.folder)
        job.state, job.stage, job.started = "running", "starting", time.monotonic()
        await self._notify(job)
        pending: set[asyncio.Task[None]] = set()

        def on_progress(stage: str, done: int, total: int) -> None:
            job.stage, job.done, job.total = stage, done, total
            notification = asyncio.create_task(self._notify(job))
            pending.add(notification)
            notification.add_done_callback(pending.discard)

        try:
            result = await child.ask(task, arguments, self._limits.job_seconds, on_progress)
        except Refusal as error:
            job.error = error
        except Exception:  # noqa: BLE001 - a job that nobody ends would be waited for in vain
            _log.exception("job %s", job.name)
            job.error = Refusal(500, "lulc failed", "the server's log says more; please report it")
        finally:
            await child.end()
            job.seconds = time.monotonic() - job.started
            job.touched = time.monotonic()
        if job.error is not None:
            shutil.rmtree(job.folder, ignore_errors=True)
            job.state = "failed"
        else:
            job.warnings = tuple(result.get("warnings", ()))
            job.state = "done"
        self.keep(job)
        await self._notify(job)

    async def _notify(self, job: Job) -> None:
        job.changes += 1
        async with self._changed:
            self._changed.notify_all()

    async def _sweep(self) -> None:
        """Remove finished jobs that nobody has accessed for long."""
        while True:
            kept_s = 60 * self._limits.keep_minutes
            await asyncio.sleep(min(_SWEEP_EVERY_S, kept_s / 4))
            oldest = time.monotonic() - kept_s
            for job in list(self._jobs.values()):
                if job.state in FINAL and job.touched < oldest and not job.watchers:
                    self._forget(job)

    def _forget(self, job: Job) -> None:
        self._jobs.pop(job.id, None)
        self._on_forget(job)
        shutil.rmtree(job.folder, ignore_errors=True)
