"""Receive an upload: written to disk as it arrives, under a name chosen by the server, within its limits."""

import asyncio
import errno
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect

from lulc.io.files.storage import free_bytes
from lulc.io.scene.raster import driver_of
from lulc.serve.refusal import Refusal

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

TAKEN = ("GTiff", "JPEG", "PNG")
"""GDAL drivers whose files are accepted.

A file is opened by the driver of its name only, so it is never read as another kind.
"""

_HEAD_BYTES = 16
_LONGEST_NAME = 200
_LONGEST_FIELD = 4096
_MOST_FIELDS = 16
_PATIENCE_S = 20.0
_SLOWEST = 16 << 10
"""Lowest average rate, bytes per second; a slower sender is refused after `_PATIENCE_S`."""

_SPARE_BYTES = 1 << 30
"""Disk space that is kept free for products, bytes."""


class UploadOptions(BaseModel):
    """Fields that may accompany a file; missing ones are found out.

    Attributes:
        as_: `patch`, `scene`, or `auto`, which decides by file type and size.
        bands: Names of the bands in order, separated by commas; `eurosat-ms` for EuroSAT's 13.
        offset: Added to digital numbers.
        quantification: Digital numbers per unit reflectance.
        allow_no_georef: Accept a scene without georeference.
    """

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    as_: str = Field(default="auto", alias="as", pattern="^(auto|patch|scene)$")
    bands: tuple[str, ...] | None = None
    offset: float | None = Field(default=None, allow_inf_nan=False)
    quantification: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    allow_no_georef: bool = False

    @field_validator("bands", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value

    @classmethod
    def of(cls, fields: dict[str, str]) -> "UploadOptions":
        """Check the fields of a form; empty ones count as missing.

        Raises:
            Refusal: A field is unknown, or its value is not allowed.
        """
        try:
            return cls.model_validate({name: text for name, text in fields.items() if text.strip()})
        except ValidationError as error:
            first = error.errors()[0]
            field_name = str(first["loc"][0]) if first["loc"] else "a field"
            raise Refusal(400, f"{field_name}: {first['msg']}", f"fields are {', '.join(FIELDS)}") from error

    def given(self) -> dict[str, object]:
        """Fields that were given, in JSON types."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


FIELDS = tuple(field.alias or name for name, field in UploadOptions.model_fields.items())
"""Names of the fields of a form."""


@dataclass
class Upload:
    """A received file.

    Attributes:
        name: Sender's name of the file: printable, of bounded length, without a path. Never used as a name on disk.
        size: Size, bytes.
        head: First bytes.
        fields: Other fields of the form.
    """

    name: str
    size: int = 0
    head: bytes = b""
    fields: dict[str, str] = field(default_factory=dict)


async def receive(
    stream: AsyncIterator[bytes], content_type: str, query: dict[str, str], path: Path, most: int
) -> Upload:
    """Write the file of a request to disk.

    Args:
        stream: Body of the request.
        content_type: Type of the body: a form with one file, or the file itself.
        query: Fields in the URL; `name` is the name of a file that is the body itself.
        path: File to create.
        most: Largest file, bytes.

    Raises:
        Refusal: The upload is too large or too slow, has no file or several, or is not a valid form; or the disk is
            full.
    """
    if free_bytes(path) < _SPARE_BYTES:
        raise _disk_is_full()
    kind, options = parse_options_header(content_type)
    fields = {name: text for name, text in query.items() if name != "name"}
    with _full_disk_refused(), path.open("xb") as file:
        if kind == b"multipart/form-data":
            return await _receive_form(_refuse_slow(stream), options.get(b"boundary", b""), file, fields, most)
        upload = Upload(_shown_name(query.get("name", "upload")), fields=fields)
        async for chunk in _refuse_slow(stream):
            _put(file, upload, chunk, most)
    if not upload.size:
        raise Refusal(400, "the request has no body", "send the image, or a form with a field `image`")
    check_kind(upload.head, upload.name)
    return upload


async def _receive_form(
    stream: AsyncIterator[bytes], boundary: bytes, file: BinaryIO, fields: dict[str, str], most: int
) -> Upload:
    form = _Form(file, fields, most)
    try:
        parser = MultipartParser(boundary, form.callbacks())
        async for chunk in stream:
            parser.write(chunk)
        parser.finalize()
    except (MultipartParseError, ValueError) as error:
        raise Refusal(400, f"the form is damaged: {error}", "send multipart/form-data") from error
    if not form.ended or form.upload is None:
        raise Refusal(400, "the form has no file, or is cut", "send it in a field `image`")
    check_kind(form.upload.head, form.upload.name)
    return form.upload


class _Form:
    """Parses a form as it arrives: the file goes to disk, the few fields beside it are kept."""

    def __init__(self, file: BinaryIO, fields: dict[str, str], most: int) -> None:
        self._file, self._fields, self._most = file, fields, most
        self._header, self._value, self._about = b"", b"", dict[str, bytes]()
        self._field, self._text = "", bytearray()
        self.upload: Upload | None = None
        self.ended = False

    def callbacks(self) -> "MultipartCallbacks":
        """Callbacks of the multipart parser."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._header_field,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._data,
            "on_part_end": self._end_part,
            "on_end": self._end,
        }

    def _begin(self) -> None:
        self._about, self._field, self._text = {}, "", bytearray()

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        self._about[self._header.decode("latin-1").lower()] = self._value
        self._header, self._value = b"", b""

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._about.get("content-disposition", b""))
        if b"filename" in options:
            if self.upload is not None:
                raise Refusal(400, "the form has several files", "send one at a time")
            name = options[b"filename"].decode("utf-8", "replace").replace("%22", '"')  # as browsers write it
            self.upload = Upload(_shown_name(name), fields=self._fields)
        else:
            self._field = options.get(b"name", b"").decode("utf-8", "replace")
            if not self._field or len(self._fields) >= _MOST_FIELDS:
                raise Refusal(400, "the form has a part without a name, or too many", f"fields are {', '.join(FIELDS)}")

    def _data(self, data: bytes, start: int, end: int) -> None:
        if not self._field:
            assert self.upload is not None
            _put(self._file, self.upload, data[start:end], self._most)
        elif len(self._text) + end - start > _LONGEST_FIELD:
            raise Refusal(413, f"the field {self._field[:40]} is too long", "send the file in a field `image`")
        else:
            self._text += data[start:end]

    def _end_part(self) -> None:
        if self._field:
            self._fields[self._field] = self._text.decode("utf-8", "replace")

    def _end(self) -> None:
        self.ended = True


def _put(file: BinaryIO, upload: Upload, chunk: bytes, most: int) -> None:
    """Write a chunk, unless the file is too large or its first bytes show that it is no image."""
    known = len(upload.head)
    upload.head += chunk[: _HEAD_BYTES - known]
    upload.size += len(chunk)
    if known < _HEAD_BYTES <= len(upload.head):
        check_kind(upload.head, upload.name)
    if upload.size > most:
        raise too_large(most)
    file.write(chunk)


def check_kind(head: bytes, name: str) -> None:
    """Check the type of a file by its first bytes.

    Raises:
        Refusal: The type is not accepted.
    """
    kind = driver_of(head)
    if kind is None or kind[0] not in TAKEN:
        what = f"a {kind[1]} file" if kind else "no image"
        raise Refusal(
            415,
            f"{name} is {what}",
            "give a GeoTIFF, JPEG or PNG file; lulc classify takes more kinds, such as SAFE, on the command line",
        )


def too_large(most: int) -> Refusal:
    """Refusal of a body over a limit in bytes."""
    return Refusal(
        413,
        f"the file is larger than the {most / 1e6:,.0f} MB that are taken",
        "use lulc classify on the command line, or start the server with more --max-upload",
    )


async def _refuse_slow(stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The stream, refused when it arrives too slowly: a slow sender blocks others."""
    started, received = time.monotonic(), 0
    while True:
        try:
            chunk = await asyncio.wait_for(anext(stream), _PATIENCE_S)
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            raise _too_slow() from error
        except ClientDisconnect as error:
            raise Refusal(400, "the sender left before all had arrived", "send it again") from error
        received += len(chunk)
        spent = time.monotonic() - started
        if spent > _PATIENCE_S and received < _SLOWEST * spent:
            raise _too_slow()
        yield chunk


@contextmanager
def _full_disk_refused() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise _disk_is_full() from error


def _disk_is_full() -> Refusal:
    return Refusal(503, "the disk of the server is full", "try again later", retry_after=60)


def _too_slow() -> Refusal:
    return Refusal(408, "the file arrives too slowly", "send it over a faster connection")


def _shown_name(name: str) -> str:
    """Name of a file for messages and tags: without folders, printable."""
    last = name.replace("\\", "/").rpartition("/")[2]
    printable = "".join(letter for letter in last if letter.isprintable()).strip()
    return printable[-_LONGEST_NAME:] or "upload"
