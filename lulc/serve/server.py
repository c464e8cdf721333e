"""The server behind the routes: its maps, jobs, assistant, and the handling of requests."""

import asyncio
import logging
import shutil
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import Request

from lulc.errors import InputError
from lulc.serve.answers import Download, ExplanationAnswer, JobStarted, JobState, PatchAnswer
from lulc.serve.children import Assistant, Child
from lulc.serve.downloads import files_listed, job_files
from lulc.serve.jobs import Job, Jobs
from lulc.serve.maps import Bounds, ServedMap, ServedMaps, bounds_of, overlapping
from lulc.serve.refusal import Refusal
from lulc.serve.settings import Settings
from lulc.serve.uploads import UploadOptions, receive

_log = logging.getLogger(__name__)

_MOST_EXPLANATIONS = 100
_SURELY_A_SCENE = 16 << 20


class Server:
    """State that lives as long as the server.

    Args:
        settings: Settings of the server.
        folder: Folder for all uploads and results.

    Attributes:
        settings: Settings of the server.
        maps: Products given at start.
        jobs: Jobs of all users.
        models: Names and titles of the models for the page; empty when only maps are shown.

    Raises:
        InputError: A given map or scene does not exist or is not one.
    """

    def __init__(self, settings: Settings, folder: Path) -> None:
        missing = [path for path in settings.bases if not path.exists()]
        if missing:
            raise InputError(f"there is no {missing[0]}", "check the path after --base")
        self.settings = settings
        self.maps = ServedMaps(settings.maps)
        self.jobs = Jobs(folder, settings.limits, self._close_map)
        self.models: dict[str, Any] = {}
        self._assistant = Assistant(settings.limits, folder)
        self._made: dict[str, ServedMap] = {}
        self._making = threading.Lock()
        self._receiving = 0
        self._bases: dict[Path, Bounds] = {}
        self._drawing: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Load the models and start the workers.

        Raises:
            Refusal: A model is refused.
        """
        self.jobs.start()
        self._drawing = asyncio.create_task(self._draw_bases())
        if not self.settings.view_only:
            settings = self.settings
            asked = {"model": settings.model, "patch_model": settings.patch_model, "device": settings.device}
            self.models = await self._assistant.ask("describe", asked, settings.limits.explain_seconds)

    async def stop(self) -> None:
        """End all child processes."""
        if self._drawing is not None:
            self._drawing.cancel()
            await asyncio.gather(self._drawing, return_exceptions=True)
        await self.jobs.stop()
        await self._assistant.end()

    async def take(self, request: Request) -> PatchAnswer | JobStarted:
        """Receive an upload and classify it, or put it into the queue.

        Raises:
            Refusal: The upload is refused, the queue is full, or the classification failed.
        """
        if self.settings.view_only:
            raise Refusal(403, "this server only shows maps", "use lulc classify on the command line")
        if int(request.headers.get("content-length", 0)) > _SURELY_A_SCENE:  # which is not sent in vain
            self.jobs.check_room()
        async with self._upload_slot():
            folder = self.jobs.new_folder()
            try:
                return await self._take(request, folder)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise

    async def explain(self, job: Job, pixel: tuple[int, int] | None, target: str | None) -> ExplanationAnswer:
        """Explain a patch, or a scene around a pixel.

        Args:
            job: A finished job.
            pixel: Row and column of a scene; None for a patch.
            target: Name of the class to explain; None takes the predicted class.

        Raises:
            Refusal: The job is not done or has too many explanations, or the explanation failed.
        """
        if job.state != "done" or job.kind == "report":
            raise Refusal(409, f"{job.name} is not classified", "wait until it is done")
        if job.explanations >= _MOST_EXPLANATIONS:
            raise Refusal(413, f"{job.name} has {job.explanations} explanations already", "classify it again")
        job.explanations += 1
        number = job.explanations
        picture = job.folder / f"explanation-{number}.png"
        seconds = self.settings.limits.explain_seconds
        try:
            found = await self._ask("explain", job, seconds, picture=str(picture), target=target, pixel=pixel)
        except Refusal:
            self.jobs.get(job.id)  # one that was removed meanwhile is said to be gone
            raise
        heat = picture.with_suffix(".tif")
        titles = {picture: "Explanation (PNG)", heat: "Heat map (GeoTIFF)"}
        bounds = bounds_of(heat) if job.kind == "scene" and heat.is_file() else None
        return ExplanationAnswer.model_validate(
            {
                **found,
                "picture": f"/jobs/{job.id}/files/{picture.name}",
                "picture_alt": f"{job.name} beside what speaks for {found['class']}: {found['title']}",
                "tiles": f"/jobs/{job.id}/heat/{number}/{{z}}/{{x}}/{{y}}.png" if bounds else None,
                "bounds": bounds,
                "downloads": files_listed(titles, f"/jobs/{job.id}/files"),
            }
        )

    def start_report(self, shown: ServedMap) -> JobStarted:
        """Put the report of a map into the queue.

        Raises:
            Refusal: The queue is full.
        """
        self.jobs.check_room()
        folder = self.jobs.new_folder()
        job = Job(id=folder.name, kind="report", name=shown.title, folder=folder)
        arguments = {"path": str(shown.path), "name": shown.title, "folder": str(folder)}
        self.jobs.submit(job, "report", arguments)
        return _started(job)

    def map(self, map_id: str) -> ServedMap:
        """Look up a map by its id: one given at start, or the map of a finished job.

        Raises:
            Refusal: There is no such map, or its job is not done.
        """
        if map_id in self._made or self.jobs.knows(map_id):
            return self._map_of(self.jobs.get(map_id))
        shown = self.maps.get(map_id)
        if shown.base is None:
            found = (path for path, bounds in self._bases.items() if overlapping(shown.view.raster.bounds, bounds))
            shown.base = next(found, None)
        return shown

    def state(self, job: Job) -> JobState:
        """State of a job for the page."""
        found = {
            "ahead": self.jobs.ahead(job),
            "seconds": round(job.seconds_so_far, 1),
            "error": job.error.body["error"] if job.error else None,
            "map": job.id if job.kind == "scene" and job.state == "done" else None,
            "downloads": self.downloads(job),
        }
        return JobState.model_validate({**vars(job), **found})

    def downloads(self, job: Job) -> list[Download]:
        """Downloads of a job's files; empty until it is done."""
        return job_files(job) if job.state == "done" else []

    async def _draw_bases(self) -> None:
        """Draw the scenes beneath the maps, one after the other. One that cannot be drawn is logged and left out."""
        limits = self.settings.limits
        for path in self.settings.bases:
            folder = self.jobs.new_folder()
            child = Child(limits.job_bytes, limits.job_seconds, folder)
            arguments = {"path": str(path), "name": str(path), "folder": str(folder)}
            try:
                await child.ask("base", arguments, limits.job_seconds)
                self._bases[folder / "base.tif"] = bounds_of(folder / "base.tif")
            except Refusal as refusal:
                _log.warning("not shown beneath the maps: %s; %s", refusal.problem, refusal.remedy)
            finally:
                await child.end()

    @asynccontextmanager
    async def _upload_slot(self) -> AsyncIterator[None]:
        if self._receiving >= self.settings.limits.uploads:
            raise Refusal(429, f"too many files at once ({self._receiving} are arriving)", "try again", retry_after=2)
        self._receiving += 1
        try:
            yield
        finally:
            self._receiving -= 1

    async def _take(self, request: Request, folder: Path) -> PatchAnswer | JobStarted:
        job = Job(id=folder.name, kind="scene", name="", folder=folder)
        content_type = request.headers.get("content-type", "")
        upload = await receive(
            request.stream(), content_type, dict(request.query_params), job.upload, self.settings.limits.upload_bytes
        )
        job.name, job.options = upload.name, UploadOptions.of(upload.fields).given()
        seconds = self.settings.limits.look_seconds
        seen = await self._ask("inspect", job, seconds, values=self.settings.limits.values)
        if seen["kind"] == "patch":
            return await self._patch(job)
        self.jobs.submit(job, "scene", self._arguments(job, folder=str(folder)))
        return _started(job)

    async def _patch(self, job: Job) -> PatchAnswer:
        found = await self._ask("patch", job, self.settings.limits.look_seconds, folder=str(job.folder))
        job.kind, job.state = "patch", "done"
        job.answer = {"job": job.id, "picture": f"/jobs/{job.id}/files/picture.png", **found}
        self.jobs.keep(job)
        return PatchAnswer.model_validate(job.answer)

    async def _ask(self, task: str, job: Job, seconds: float, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - arguments
        return await self._assistant.ask(task, self._arguments(job, **more), seconds)

    def _arguments(self, job: Job, **more: Any) -> dict[str, Any]:  # noqa: ANN401
        settings = self.settings
        server = {
            "model": settings.model,
            "patch_model": settings.patch_model,
            "device": settings.device,
            "max_memory": settings.limits.job_bytes,
        }
        return {"path": str(job.upload), "name": job.name, "options": job.options, **server, **more}

    def _close_map(self, job: Job) -> None:
        made = self._made.pop(job.id, None)
        if made is not None:
            made.close()

    def _map_of(self, job: Job) -> ServedMap:
        if job.state != "done" or job.kind != "scene":
            raise Refusal(409, f"{job.name} has no map", "wait until it is done")
        with self._making:
            if job.id not in self._made:
                base = job.folder / "base.tif"
                shown = ServedMap(job.id, job.name, job.folder / "map.tif", base if base.is_file() else None, job.id)
                self._made[job.id] = shown
            return self._made[job.id]


def server_of(request: Request) -> Server:
    """The server of a request."""
    server: Server = request.app.state.server
    return server


def _started(job: Job) -> JobStarted:
    return JobStarted(
        kind="report" if job.kind == "report" else "scene",
        job=job.id,
        status=f"/jobs/{job.id}",
        events=f"/jobs/{job.id}/events",
    )
