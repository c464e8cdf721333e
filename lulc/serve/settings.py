"""Settings of a server."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from lulc.errors import UsageError
from lulc.options import LIBRARY_ONLY, Option, Options
from lulc.resources import SHIPPED_MODEL, SHIPPED_PATCH_MODEL

_GIGA = 10**9
_LEAST_JOB_BYTES = 2 * _GIGA
_SHOWN = {"upload_bytes", "values", "queue", "job_seconds", "keep_minutes"}


class Limits(Options):
    """Limits of a server."""

    upload_bytes: Annotated[int, Option(flag="--max-upload", size=True, metavar="SIZE")] = Field(
        default=2 * _GIGA, ge=1
    )
    """Largest upload (413 beyond)."""

    values: Annotated[int, Option(flag="--max-values", size=True, metavar="N")] = Field(default=2 * _GIGA, ge=1)
    """Most pixels times bands that the header of an upload may declare (413 beyond)."""

    uploads: Annotated[int, LIBRARY_ONLY] = 4
    """Uploads received at once; more are refused (429)."""

    job_bytes: Annotated[int, Option(flag="--max-memory", size=True, metavar="SIZE")] = 8 * _GIGA
    """Main memory a job may take, which runs in a process of its own."""

    job_seconds: Annotated[float, Option(flag="--max-time", metavar="S")] = Field(default=3600.0, ge=1, le=1e9)
    """Seconds a job may take."""

    queue: Annotated[int, Option(metavar="N")] = Field(default=8, ge=1, le=1000)
    """Jobs that may wait (503 beyond)."""

    jobs: Annotated[int, Option(metavar="N")] = Field(default=1, ge=1, le=64)
    """Jobs that run at once."""

    keep_minutes: Annotated[float, Option(flag="--keep", metavar="MINUTES")] = Field(default=60.0, ge=0.01, le=1e9)
    """How long results are kept after their last access."""

    keep_most: Annotated[int, LIBRARY_ONLY] = 64
    """Number of results kept; the one accessed longest ago goes first."""

    assistant_bytes: Annotated[int, LIBRARY_ONLY] = 4 * _GIGA
    """Main memory of the process that inspects uploads, bytes."""

    look_seconds: Annotated[float, LIBRARY_ONLY] = 20.0
    """Longest time to inspect an upload or classify a patch, seconds."""

    explain_seconds: Annotated[float, LIBRARY_ONLY] = 120.0
    """Longest time of an explanation, seconds."""

    @model_validator(mode="after")
    def _enough(self) -> Self:
        if self.job_bytes < _LEAST_JOB_BYTES:
            raise UsageError(
                f"--max-memory {self.job_bytes / _GIGA:.3g}G is too little",
                f"a job needs {_LEAST_JOB_BYTES / _GIGA:g}G before it has read a pixel",
            )
        return self

    def shown(self) -> dict[str, float]:
        """Limits shown on the page: bytes, values, jobs, seconds and minutes."""
        return self.model_dump(include=_SHOWN)


class Settings(Options):
    """Options of `lulc serve`."""

    maps: Annotated[tuple[Path, ...], Option(flag="--map", repeat=True, metavar="MAP|DIR")] = ()
    """Show this map or mosaic, or all maps in this folder; repeat for more. No other file is opened."""

    bases: Annotated[tuple[Path, ...], Option(flag="--base", repeat=True, metavar="SCENE")] = ()
    """Show this scene in true colour beneath the maps; repeat for more."""

    view_only: bool = False
    """Show maps, take no uploads."""

    host: str = "127.0.0.1"
    """Address to listen on. Any other than this machine's own is open to everyone who reaches it: there is no password."""

    port: int = Field(default=8765, ge=0, le=65535)
    """TCP port; 0 takes a free one."""

    allowed_hosts: Annotated[tuple[str, ...], Option(flag="--allow-host", repeat=True, metavar="NAME")] = ()
    """Another name browsers may use for this server, such as that of a proxy."""

    model: Annotated[str, Option(metavar="NAME|PATH")] = SHIPPED_MODEL
    """Model of scenes."""

    patch_model: Annotated[str, Option(metavar="NAME|PATH")] = SHIPPED_PATCH_MODEL
    """Model of patches."""

    device: Annotated[str, Option(metavar="auto|cpu|cuda")] = "auto"
    """Where networks run."""

    basemap: Annotated[str, Option(metavar="URL")] = ""
    """Online map tiles to choose as background: https://.../{z}/{x}/{y}.png."""

    basemap_credit: Annotated[str, Option(metavar="TEXT")] = ""
    """Attribution of the base map."""

    limits: Annotated[Limits, LIBRARY_ONLY] = Limits()
    """Limits of uploads, jobs, memory and storage."""
