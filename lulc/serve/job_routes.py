"""Routes of jobs: uploads, state and events of a job, its files, and explanations."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import FileResponse, JSONResponse
from fastapi.sse import EventSourceResponse

from lulc.serve.answers import ExplanationAnswer, Failure, JobStarted, JobState, PatchAnswer, WhatToExplain
from lulc.serve.downloads import explanation_files, job_file
from lulc.serve.jobs import Job
from lulc.serve.map_routes import pixel_of, tile_answer
from lulc.serve.maps import heat_png, version_of
from lulc.serve.refusal import Refusal
from lulc.serve.server import server_of

router = APIRouter(tags=["classify"])

_FORM = {
    "type": "object",
    "required": ["image"],
    "properties": {
        "image": {"type": "string", "format": "binary", "description": "GeoTIFF, JPEG or PNG"},
        "as": {"type": "string", "enum": ["auto", "patch", "scene"], "default": "auto"},
        "bands": {"type": "string", "description": "B02,B03,... when the file does not name its bands"},
        "offset": {"type": "number", "description": "added to digital numbers"},
        "quantification": {"type": "number", "description": "digital numbers per unit reflectance"},
        "allow_no_georef": {"type": "boolean", "default": False},
    },
}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {"schema": _FORM},
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}
_REFUSED: dict[int | str, dict[str, Any]] = {
    status: {"model": Failure, "description": description}
    for status, description in {
        400: "a damaged form, or a field without sense",
        403: "asked from a page of another site",
        408: "arrives too slowly",
        413: "too large, too many pixels times bands, or too much memory or time",
        422: "refused: damaged, no image, bands missing",
        429: "too many files arrive at once",
        503: "the queue is full",
    }.items()
}


@router.post(
    "/classify",
    responses={200: {"model": PatchAnswer}, 202: {"model": JobStarted}, **_REFUSED},
    openapi_extra=_BODY,
    response_class=JSONResponse,
)
async def classify(request: Request) -> JSONResponse:
    """Classify an image: a patch is answered at once (200), a scene becomes a job (202).

    Send a form with a field `image`, or the file as the body with its name and the other fields in the URL
    (`?name=scene.tif&bands=B02,B03,...`). JPEG and PNG are patches; a GeoTIFF is a patch up to twice the size of those
    that the model was trained on, else a scene.
    """
    answer = await server_of(request).take(request)
    status = 200 if isinstance(answer, PatchAnswer) else 202
    return JSONResponse(answer.model_dump(by_alias=True), status)


@router.get("/jobs/{job_id}")
async def job_state(request: Request, job_id: str) -> JobState:
    """State of a job and the files it has made."""
    server = server_of(request)
    return server.state(server.jobs.get(job_id))


def known_job(request: Request, job_id: str) -> Job:
    """Look up a job by its id, before a response has begun.

    Raises:
        Refusal: There is no such job.
    """
    return server_of(request).jobs.get(job_id)


@router.get("/jobs/{job_id}/events", response_class=EventSourceResponse)
async def job_events(request: Request, job: Annotated[Job, Depends(known_job)]) -> AsyncIterator[JobState]:
    """State of a job as server-sent events: now, and at each change; the stream ends with the job."""
    server = server_of(request)
    async for now in server.jobs.changes(job):
        yield server.state(now)


@router.delete("/jobs/{job_id}", status_code=204, response_class=Response)
async def end_job(request: Request, job_id: str) -> None:
    """Cancel a waiting or running job, or delete a finished one with its files."""
    jobs = server_of(request).jobs
    await jobs.end(jobs.get(job_id))


@router.get("/jobs/{job_id}/files/{name}", response_class=FileResponse)
async def job_download(request: Request, job_id: str, name: str) -> FileResponse:
    """A file of a job: `map.tif`, `map.png`, `report.zip`, `map.qml`, `map.tif.aux.xml` or `picture.png`."""
    found = job_file(server_of(request).jobs.get(job_id), name)
    if found is None:
        raise Refusal(404, f"the job has no file {name[:100]!r}", "its downloads say which it has")
    path, called = found
    shown = path.suffix == ".png" and "download" not in request.query_params
    return FileResponse(path, filename=called, content_disposition_type="inline" if shown else "attachment")


@router.post("/jobs/{job_id}/explanation", responses=_REFUSED)
async def explain(request: Request, job_id: str, what: WhatToExplain) -> ExplanationAnswer:
    """Explain which pixels support a class, for a patch or around a pixel of a scene."""
    server = server_of(request)
    job = server.jobs.get(job_id)
    if job.kind != "scene":
        return await server.explain(job, None, what.class_)
    shown = server.map(job_id)
    pixel = pixel_of(shown, what.lon, what.lat, what.row, what.col)
    found = shown.value(pixel)
    if not found["inside"] or found["class"] is None:
        raise Refusal(422, "the map has no class there", "choose a place with data")
    return await server.explain(job, pixel, what.class_ or found["class"]["name"])


@router.get("/jobs/{job_id}/heat/{number}/{zoom}/{column}/{row}.png", response_class=Response)
def heat_tile(request: Request, job_id: str, number: int, zoom: int, column: int, row: int) -> Response:
    """A tile of the heat map of an explanation, 256 x 256 pixels."""
    job = server_of(request).jobs.get(job_id)
    path = job.folder / f"explanation-{number}.tif"
    if path.name not in explanation_files(job.explanations) or not path.is_file():
        raise Refusal(404, "there is no such explanation")
    return tile_answer(request, version_of(path), lambda: heat_png(path, zoom, column, row))
