"""Reading over HTTP: JSON documents with a bounded number of tries, and what GDAL is told for rasters."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from lulc.config import parse_json
from lulc.errors import InputError, StorageError, raised_as
from lulc.resources import read_regular

if TYPE_CHECKING:
    import requests
    from urllib3.util.retry import Retry

GDAL_HTTP = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",  # else GDAL asks the server for side-car files that are not there
    "GDAL_HTTP_MAX_RETRY": 2,
    "GDAL_HTTP_RETRY_DELAY": 0.5,
    "GDAL_HTTP_CONNECTTIMEOUT": 10,
    "GDAL_HTTP_LOW_SPEED_TIME": 15,
    "GDAL_HTTP_LOW_SPEED_LIMIT": 100,
    "GDAL_HTTP_TIMEOUT": 120,
}
"""Options under which a raster is opened over HTTP."""

IN_FLIGHT = 16
"""Most requests for rasters that wait for their answers at once."""

_URL = re.compile(r"(https?):/+(?=[^/])", re.IGNORECASE)
_TRIES = 4
_BACKOFF_S = 0.3
_READ_TRIES = 1
_LONGEST_WAIT_S = 30.0
TIMEOUT = (10.0, 30.0)
"""Seconds to wait for a connection, and for the next bytes of an answer."""

_LARGEST = 16 << 20
_MISSING = (404, 410)
_PRIVATE = (401, 403)
_SHOWN, _REASON = 200, 160
_QUERY = re.compile(r"(?<=[\w/])\?[\w%=&.+~/:-]+")
_KEPT = "\x1f"
_LOST_IN_PATHS = re.compile(r"(?<=/)(?=/|\.(?:/|$)|$)")


def web_address(path: Path | str) -> str | None:
    """The http(s) URL that a path stands for, or None.

    `Path` makes one slash of two: `https://host/item.json` is `https:/host/item.json` once it went through it. What
    `web_path` marked comes back as it was.
    """
    match = _URL.match(str(path))
    return f"{match[1].lower()}://{str(path)[match.end() :].replace(_KEPT, '')}" if match else None


def web_path(text: str) -> Path:
    """A path that stands for a URL or a local path, from which `web_address` gives the URL back to the last character."""
    match = _URL.match(text)
    return Path(match[0] + _LOST_IN_PATHS.sub(_KEPT, text[match.end() :])) if match else Path(text)


def without_query(address: str) -> str:
    """An address without what may be a signature; a local path as it is."""
    return urlunsplit((*urlsplit(address)[:3], "", "")) if web_address(address) else address


def unsigned(text: str) -> str:
    """A library's message without the queries of the addresses in it, and without line breaks."""
    return " ".join(_QUERY.sub("", text).split())[:_REASON]


def asset_refusal(address: str) -> StorageError | InputError | None:
    """Why a server does not give a file, by the status it answers with; None when it gives it."""
    import requests

    try:
        with _session() as session:
            asked = session.get(address, headers={"Range": "bytes=0-0"}, timeout=TIMEOUT, stream=True)
            with asked as answer:
                status = answer.status_code
    except (requests.RequestException, ValueError):
        return StorageError("its server does not answer", "check the address and the network")
    if answer.ok:
        return None
    if status in _MISSING:
        return InputError(f"it is not there (HTTP {status})", "check the item's href")
    if status in _PRIVATE:
        return StorageError(f"its server refuses it (HTTP {status})", "it is private, or its signature has run out")
    return StorageError(f"its server answers HTTP {status}", "try again later")


def retries() -> "Retry":
    """How often a request is sent again, and after which answers."""
    from urllib3.util.retry import Retry

    class Bounded(Retry):
        """Waits as long as a server asks for, within reason."""

        def get_retry_after(self, response: Any) -> float | None:  # noqa: ANN401
            asked = super().get_retry_after(response)
            return None if asked is None else min(asked, _LONGEST_WAIT_S)

    return Bounded(
        total=_TRIES,
        read=_READ_TRIES,
        backoff_factor=_BACKOFF_S,
        status_forcelist=(429, 500, 502, 503, 504),
        allowed_methods=None,  # a search is a POST that changes nothing
        raise_on_status=False,
    )


def read_json(location: str) -> dict[str, Any]:
    """A JSON object from a URL or a local file.

    Raises:
        InputError: Not there, or not a JSON object.
        StorageError: The server did not answer, or not well, after some tries.
    """
    address = web_address(location)
    text = _download(address) if address else _local(Path(location))
    shown = without_query(address or location)
    with raised_as(InputError, f"{shown} is not JSON", "check that it is whole", ValueError):
        document = parse_json(text)
    if not isinstance(document, dict):
        raise InputError(f"{address or location} is not a JSON object", "give a STAC Item or catalogue")
    return document


def _local(path: Path) -> bytes:
    try:
        if path.is_file() and path.stat().st_size > _LARGEST:
            raise InputError(f"{path} is larger than {_LARGEST >> 20} MiB", "that is no STAC document")
        return read_regular(path, _LARGEST)
    except FileNotFoundError as error:
        raise InputError(f"no such file: {path}", "check the path") from error
    except ValueError as error:
        raise InputError(f"{str(path)!r} is no path", "check it") from error
    except OSError as error:
        shown = f"{str(path)[:_SHOWN]}..." if len(str(path)) > _SHOWN else path
        raise StorageError(f"cannot read {shown}: {error.strerror}", "check the file and its permissions") from error


def _download(address: str) -> bytes:
    import requests

    try:
        with _session() as session, session.get(address, timeout=TIMEOUT, stream=True) as answer:
            return _content(answer, without_query(address))
    except (requests.RequestException, ValueError) as error:
        raise StorageError(
            f"cannot read {without_query(address)}: {unsigned(str(error))}", "check the address and the network"
        ) from error


def _content(answer: "requests.Response", address: str) -> bytes:
    if answer.status_code in _MISSING:
        raise InputError(f"there is no {address} (HTTP {answer.status_code})", "check the address")
    if not answer.ok:
        raise StorageError(
            f"cannot read {address}: HTTP {answer.status_code}", "try again later; private catalogues are not read"
        )
    parts, size = [], 0
    for part in answer.iter_content(1 << 16):
        parts.append(part)
        size += len(part)
        if size > _LARGEST:
            raise InputError(f"{address} is larger than {_LARGEST >> 20} MiB", "that is no STAC document")
    return b"".join(parts)


def _session() -> "requests.Session":
    import requests
    from requests.adapters import HTTPAdapter

    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(max_retries=retries()))
    return session
