"""The web application: routes, request guard, page, and responses to errors."""

from importlib.metadata import version
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from lulc.errors import LulcError
from lulc.serve import job_routes, map_routes
from lulc.serve.guard import Guard
from lulc.serve.maps import ramp
from lulc.serve.refusal import Refusal
from lulc.serve.server import Server, server_of

STATIC = Path(__file__).parent / "static"
"""Folder of the page: plain files, without a build step and without anything loaded from other sites."""

_ABOUT = """Land-cover maps from Sentinel-2 scenes. Every error is `{"error": {"problem": ..., "remedy": ...}}`."""


def create_app(server: Server) -> FastAPI:
    """Build the application around a server. The caller starts and stops the server."""
    app = FastAPI(title="lulc", version=version("lulc"), description=_ABOUT, docs_url=None, redoc_url=None)
    app.state.server = server
    settings = server.settings
    app.add_middleware(
        Guard,
        host=settings.host,
        allowed_hosts=settings.allowed_hosts,
        upload_bytes=settings.limits.upload_bytes,
        basemap=settings.basemap,
    )
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(LulcError, _refused)
    app.add_exception_handler(RequestValidationError, _not_valid)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _defect)
    app.include_router(job_routes.router)
    app.include_router(map_routes.router)
    app.add_api_route("/about", _about, methods=["GET"], tags=["page"])
    app.add_api_route("/", _page, methods=["GET"], include_in_schema=False)
    app.add_api_route("/docs", _docs, methods=["GET"], include_in_schema=False)
    app.mount("/static", _Static(directory=STATIC), name="static")
    return app


class _Static(StaticFiles):
    """Static files that browsers revalidate each time: another version of lulc may run at the same address later."""

    def file_response(self, *args: Any, **options: Any) -> Response:  # noqa: ANN401 - as its base
        """Response of the base class, with the header `Cache-Control: no-cache`."""
        response = super().file_response(*args, **options)
        response.headers["Cache-Control"] = "no-cache"
        return response


def _about(request: Request) -> dict[str, Any]:
    """Version, models, limits, base map and colour ramp of probabilities."""
    server = server_of(request)
    settings = server.settings
    basemap = {"url": settings.basemap, "attribution": settings.basemap_credit} if settings.basemap else None
    return {
        "version": version("lulc"),
        "view_only": settings.view_only,
        "model": server.models.get("model"),
        "patch_model": server.models.get("patch_model"),
        "limits": settings.limits.shown(),
        "basemap": basemap,
        "ramp": ramp(),
    }


def _page() -> FileResponse:
    return FileResponse(STATIC / "index.html", headers={"Cache-Control": "no-cache"})


def _docs() -> FileResponse:
    return FileResponse(STATIC / "docs.html", headers={"Cache-Control": "no-cache"})


def _refused(_request: Request, error: Exception) -> JSONResponse:
    refusal = error if isinstance(error, Refusal) else Refusal.of(error) if isinstance(error, LulcError) else None
    assert refusal is not None
    return JSONResponse(refusal.body, refusal.status, refusal.headers)


def _not_valid(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"][1:]) or "the request"
    return JSONResponse(Refusal(400, f"{field}: {first['msg']}", "see /docs").body, 400)


def _http_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return JSONResponse(
        Refusal(error.status_code, str(error.detail), "see /docs").body, error.status_code, error.headers
    )


def _defect(_request: Request, _error: Exception) -> JSONResponse:
    return JSONResponse(Refusal(500, "lulc failed", "the server's log says more; please report it").body, 500)
