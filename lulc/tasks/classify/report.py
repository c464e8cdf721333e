"""Report of a run of `lulc classify`."""

from dataclasses import asdict, dataclass, field
from typing import Any

from lulc.io.product.areas import ClassArea
from lulc.io.product.writer import PublishReport
from lulc.tasks.classify.chunk_loop import Filled
from lulc.tasks.classify.job import Job, input_warnings
from lulc.tasks.classify.memory import peak_resident_bytes
from lulc.tasks.classify.seams import SeamReport
from lulc.tasks.classify.series import Series
from lulc.tasks.classify.stages import StageTimes

_MEGA = 1e6


@dataclass(frozen=True, slots=True)
class DateUsed:
    """One date of a map of several.

    Attributes:
        name: Name of its scene.
        acquired: When it was taken; empty when not stated.
        masked_by: What its clouds were told by, as in `SCL 1,3,8,9,10`; `none` where all its valid pixels count.
    """

    name: str
    acquired: str
    masked_by: str


@dataclass(frozen=True)
class ClassifyReport:
    """Report of a finished run.

    Attributes:
        output: Path of the product.
        plan: The plan: windows, halo, cost, predicted memory and size.
        classes: Pixels and hectares of each class, as counted in the map.
        valid_share: Fraction of the scene's pixels with data, 0..1.
        megapixels: Size of the scene, megapixels.
        seconds: Wall seconds from opening the scene to the published product.
        start_up_s: Of these, seconds until the first pixel was read: imports, model, plan.
        start_up_cpu_s: CPU seconds that the process had spent by then.
        mpx_per_s: Megapixels inferred in this run per second of wall time after start-up.
        stages: Per stage: wall seconds worked, CPU seconds of its thread, seconds the inference waited for it.
        bound: The stage that bounded the run: `read`, `infer` or `write`.
        resumed_chunks: Chunks taken over from an interrupted run.
        peak_bytes: Peak of the process's main memory, bytes.
        output_bytes: Size of the product, bytes.
        seams: Result of `--verify-seams`; None unless requested.
        warnings: Warnings about the input.
        clouds: Shares of the map's valid pixels under `cloud` and under `shadow`, 0..1; empty where none are flagged.
        dates: Dates of a map of several, in order of acquisition; empty for a map of one scene.
    """

    output: str
    plan: dict[str, Any]
    classes: tuple[ClassArea, ...]
    valid_share: float
    megapixels: float
    seconds: float
    start_up_s: float
    start_up_cpu_s: float
    mpx_per_s: float
    stages: dict[str, dict[str, float]]
    bound: str
    resumed_chunks: int
    peak_bytes: int
    output_bytes: int
    seams: SeamReport | None
    warnings: tuple[str, ...]
    clouds: dict[str, float] = field(default_factory=dict)
    dates: tuple[DateUsed, ...] = ()

    @classmethod
    def of(
        cls,
        series: Series,
        job: Job,
        filled: Filled,
        published: PublishReport,
        areas: tuple[ClassArea, ...],
        seams: SeamReport | None,
        times: StageTimes,
        clouds: dict[str, float],
    ) -> "ClassifyReport":
        """Report of a finished run. The time of publishing is added as a stage."""
        times.add("publish", published.seconds, published.cpu_s)
        seconds, size = times.wall_s["total"], job.plan.shape.size
        return cls(
            output=str(published.path),
            plan=job.summary(),
            classes=areas,
            valid_share=sum(entry.pixels for entry in areas) / size,
            megapixels=size / _MEGA,
            seconds=round(seconds, 3),
            start_up_s=round(times.start_up_s, 3),
            start_up_cpu_s=round(times.start_up_cpu_s, 3),
            mpx_per_s=round(filled.pixels / _MEGA / max(seconds - times.start_up_s, 1e-9), 3),
            stages=times.summary(),
            bound=times.bound,
            resumed_chunks=filled.resumed,
            peak_bytes=peak_resident_bytes(),
            output_bytes=published.bytes,
            seams=seams,
            warnings=tuple(input_warnings(series, job.card)),
            clouds=clouds,
            dates=tuple(
                DateUsed(date.info.name, date.info.acquired, date.masked_by)
                for date in (series.dates if series.counted else ())
            ),
        )

    def to_json(self) -> dict[str, Any]:
        """Plain form for `--json`."""
        return asdict(self)
