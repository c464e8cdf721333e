"""Routes of maps: list, description, tiles, values at a position, files."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import FileResponse

from lulc.serve.answers import Download, JobStarted, MapAnswer
from lulc.serve.downloads import beside_map, files_listed
from lulc.serve.maps import ServedMap
from lulc.serve.refusal import Refusal
from lulc.serve.server import Server, server_of

router = APIRouter(tags=["maps"])

_TILE: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/png": {}}, "description": "256 x 256 pixels"},
    304: {"description": "not changed"},
}


@router.get("/maps")
def list_maps(request: Request) -> dict[str, list[dict[str, str]]]:
    """Products given when the server was started."""
    return {"maps": server_of(request).maps.listed()}


@router.get("/maps/{map_id}")
def describe_map(request: Request, map_id: str) -> MapAnswer:
    """Description of a map: bounds, legend, layers, provenance, downloads."""
    server = server_of(request)
    shown = server.map(map_id)
    return MapAnswer(**dict(shown.describe()), downloads=_downloads(server, shown))


@router.get("/maps/{map_id}/areas")
def areas(request: Request, map_id: str, within: str | None = None) -> dict[str, Any]:
    """Pixels and hectares of each class, as counted, which is no estimate of area.

    With `within`, the id of another map, only pixels where that one has data too.
    """
    server = server_of(request)
    return server.map(map_id).areas(server.map(within) if within is not None else None)


@router.get("/maps/{map_id}/value")
def value(
    request: Request,
    map_id: str,
    lon: Annotated[float | None, Query(ge=-180, le=180)] = None,
    lat: Annotated[float | None, Query(ge=-90, le=90)] = None,
    row: int | None = None,
    col: int | None = None,
) -> dict[str, Any]:
    """Class, confidence and activations at a longitude and latitude (WGS 84 degrees), or at a row and column (pixels)."""
    shown = server_of(request).map(map_id)
    return shown.value(pixel_of(shown, lon, lat, row, col))


@router.get("/maps/{map_id}/tiles/{layer}/{zoom}/{column}/{row}.png", responses=_TILE, response_class=Response)
def tile(request: Request, map_id: str, layer: str, zoom: int, column: int, row: int) -> Response:
    """A tile of the layer `class`, `confidence`, `activation-CODE` or `clouds`, 256 x 256 pixels."""
    shown = server_of(request).map(map_id)
    return tile_answer(request, shown.version, lambda: shown.tile(layer, zoom, column, row))


@router.get("/maps/{map_id}/base/{zoom}/{column}/{row}.png", responses=_TILE, response_class=Response)
def base_tile(request: Request, map_id: str, zoom: int, column: int, row: int) -> Response:
    """A true-colour tile of the scene, 256 x 256 pixels."""
    shown = server_of(request).map(map_id)
    return tile_answer(request, shown.version, lambda: shown.base_tile(zoom, column, row))


@router.get("/maps/{map_id}/files/{name}", response_class=FileResponse)
def file(request: Request, map_id: str, name: str) -> FileResponse:
    """A file of a map given at start: the product or one of its side-cars."""
    shown = server_of(request).map(map_id)
    known = {path.name: path for path in beside_map(shown.path) if path.is_file() and shown.job is None}
    if name in known:
        return FileResponse(known[name], filename=name)
    raise Refusal(404, f"the map has no file {name[:100]!r}")


@router.post("/maps/{map_id}/report", status_code=202)
async def report(request: Request, map_id: str) -> JobStarted:
    """Write the report of a map given at start: areas, confidence, provenance, a picture."""
    server = server_of(request)
    return server.start_report(server.map(map_id))


def tile_answer(request: Request, version: str, draw: Any) -> Response:  # noqa: ANN401 - a function without arguments
    """Response with a tile, or 304 when the browser has it already.

    Args:
        request: The request.
        version: Version of the map, used as the ETag.
        draw: Draws the PNG; returns None where there is no tile.

    Raises:
        Refusal: There is no tile there.
    """
    headers = {"ETag": f'"{version}"', "Cache-Control": "private, no-cache"}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    png = draw()
    if png is None:
        raise Refusal(404, "no tile there", "tiles exist within the bounds of the map")
    return Response(png, media_type="image/png", headers=headers)


def pixel_of(
    shown: ServedMap, lon: float | None, lat: float | None, row: int | None, col: int | None
) -> tuple[int, int]:
    """Row and column of a position, given either in degrees or in pixels.

    Raises:
        Refusal: The position is incomplete, or the map has no longitudes.
    """
    if row is not None and col is not None:
        return row, col
    if lon is None or lat is None or not shown.view.raster.placed:
        known = "lon and lat, or row and col" if shown.view.raster.placed else "row and col"
        raise Refusal(400, "the position is incomplete", f"give {known}")
    return shown.view.pixel_of(lon, lat)


def _downloads(server: Server, shown: ServedMap) -> list[Download]:
    if shown.job is not None:
        return server.downloads(server.jobs.get(shown.job))
    return files_listed(beside_map(shown.path), f"/maps/{shown.id}/files")
