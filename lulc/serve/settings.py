"""What a server was started with."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from lulc.errors import UsageError
from lulc.resources import SHIPPED_MODEL

_GIGA = 10**9
_LEAST_JOB_BYTES = 2 * _GIGA


@dataclass(frozen=True, slots=True)
class Limits:
    """What a server takes and spends.

    Attributes:
        upload_bytes: Largest upload.
        values: Most pixels times bands that the header of an upload may declare.
        uploads: Uploads that are received at once; more are told to come again (429).
        queue: Jobs that wait; more are told to come again (503).
        jobs: Jobs that run at once.
        job_seconds: Longest time a job may take.
        job_bytes: Most main memory a child process may take.
        assistant_bytes: Most main memory of the process that looks at uploads.
        look_seconds: Longest time for looking at an upload, and for a patch.
        explain_seconds: Longest time for an explanation.
        keep_minutes: How long results are kept after they were last looked at.
        keep_most: Most results that are kept; the one looked at longest ago goes first.
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
        """What the page tells its users."""
        told = ("upload_bytes", "values", "queue", "job_seconds", "keep_minutes")
        return {name: value for name, value in asdict(self).items() if name in told}


@dataclass(frozen=True)
class Settings:
    """How a server runs.

    Attributes:
        maps: Products, and folders of products, that are shown.
        bases: Scenes that are shown in true colour beneath them.
        host: Address to listen on.
        port: TCP port; 0 takes a free one.
        allowed_hosts: Names, beside the address itself, under which browsers may speak to it.
        model: Segmentation model of scenes.
        patch_model: Model of patches; None is the shipped one.
        device: Where networks run.
        basemap: Address of an online base map, `https://.../{z}/{x}/{y}.png`; empty for none.
        basemap_credit: Who has to be named for it.
        view_only: Show maps, take no uploads.
        limits: What it takes and spends.
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
