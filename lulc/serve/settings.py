"""Settings of a server."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from lulc.errors import UsageError
from lulc.resources import SHIPPED_MODEL

_GIGA = 10**9
_LEAST_JOB_BYTES = 2 * _GIGA


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a server.

    Attributes:
        upload_bytes: Largest upload, bytes.
        values: Most pixels times bands that the header of an upload may declare.
        uploads: Uploads received at once; more are refused (429).
        queue: Jobs that may wait; more are refused (503).
        jobs: Jobs that run at once.
        job_seconds: Longest time of a job, seconds.
        job_bytes: Main memory of a child process, bytes.
        assistant_bytes: Main memory of the process that inspects uploads, bytes.
        look_seconds: Longest time to inspect an upload or classify a patch, seconds.
        explain_seconds: Longest time of an explanation, seconds.
        keep_minutes: Time that results are kept after their last access, minutes.
        keep_most: Number of results kept; the one accessed longest ago goes first.

    Raises:
        UsageError: The memory of a job is below the minimum.
    """

    upload_bytes: int = 2 * _GIGA
    values: int = 2 * _GIGA
    uploads: int = 4
    queue: int = 8
    jobs: int = 1
    job_seconds: float = 3600.0
    job_bytes: int = 8 * _GIGA
    assistant_bytes: int = 4 * _GIGA
    look_seconds: float = 20.0
    explain_seconds: float = 120.0
    keep_minutes: float = 60.0
    keep_most: int = 64

    def __post_init__(self) -> None:
        if self.job_bytes < _LEAST_JOB_BYTES:
            raise UsageError(
                f"--max-memory {self.job_bytes / _GIGA:.3g}G is too little",
                f"a job needs {_LEAST_JOB_BYTES / _GIGA:g}G before it has read a pixel",
            )

    def shown(self) -> dict[str, float]:
        """Limits shown on the page: bytes, values, jobs, seconds and minutes."""
        public = ("upload_bytes", "values", "queue", "job_seconds", "keep_minutes")
        return {name: value for name, value in asdict(self).items() if name in public}


@dataclass(frozen=True)
class Settings:
    """Settings of a server.

    Attributes:
        maps: Products, and folders of products, to show.
        bases: Scenes to show in true colour beneath the maps.
        host: Address to listen on.
        port: TCP port; 0 takes a free one.
        allowed_hosts: Host names, beside the address itself, under which browsers may reach the server.
        model: Segmentation model of scenes.
        patch_model: Model of patches; None is the shipped one.
        device: Device of the networks.
        basemap: URL template of an online base map, `https://.../{z}/{x}/{y}.png`; empty for none.
        basemap_credit: Attribution of the base map.
        view_only: Show maps, take no uploads.
        limits: Limits of uploads, jobs, memory and storage.
    """

    maps: Sequence[Path] = ()
    bases: Sequence[Path] = ()
    host: str = "127.0.0.1"
    port: int = 8765
    allowed_hosts: Sequence[str] = ()
    model: str = SHIPPED_MODEL
    patch_model: str | None = None
    device: str = "auto"
    basemap: str = ""
    basemap_credit: str = ""
    view_only: bool = False
    limits: Limits = field(default_factory=Limits)
