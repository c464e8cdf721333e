"""Reading over HTTP: JSON documents with a bounded number of tries, and what GDAL is told for rasters."""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lulc.errors import InputError, StorageError

if TYPE_CHECKING:
    import requests
    from urllib3.util.retry import Retry

GDAL_HTTP = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",  # else GDAL asks the server for side-car files that are not there
    "GDAL_HTTP_MAX_RETRY": 3,
    "GDAL_HTTP_RETRY_DELAY": 0.5,
    "GDAL_HTTP_CONNECTTIMEOUT": 20,
    "GDAL_HTTP_TIMEOUT": 120,
}
"""Options under which a raster is opened over HTTP."""

_URL = re.compile(r"(https?):/+(?=[^/])", re.IGNORECASE)
_TRIES = 4
_BACKOFF_S = 0.3
_TIMEOUT = (20, 60)
_LARGEST = 16 << 20
_MISSING = (404, 410)


def web_address(path: Path | str) -> str | None:
    """The http(s) URL that a path stands for, or None.

    `Path` makes one slash of two: `https://host/item.json` is `https:/host/item.json` once it went through it.
    """
    match = _URL.match(str(path))
    return f"{match[1].lower()}://{str(path)[match.end() :]}" if match else None


def retries() -> "Retry":
    """How often a request is sent again, and after which answers."""
    from urllib3.util.retry import Retry

    return Retry(
        total=_TRIES,
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
    try:
        document = json.loads(text)
    except ValueError as error:
        raise InputError(f"{address or location} is not JSON: {error}", "check that it is whole") from error
    if not isinstance(document, dict):
        raise InputError(f"{address or location} is not a JSON object", "give a STAC Item or catalogue")
    return document


def _local(path: Path) -> bytes:
    try:
        if path.stat().st_size > _LARGEST:
            raise InputError(f"{path} is larger than {_LARGEST >> 20} MiB", "that is no STAC document")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"no such file: {path}", "check the path") from error
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}", "check the file and its permissions") from error


def _download(address: str) -> bytes:
    import requests

    try:
        with _session() as session, session.get(address, timeout=_TIMEOUT, stream=True) as answer:
            return _content(answer, address)
    except requests.RequestException as error:
        reason = " ".join(str(error).split())[:160]
        raise StorageError(f"cannot read {address}: {reason}", "check the address and the network") from error


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
