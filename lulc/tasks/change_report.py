"""What became what, in hectares: as counted, as expected and as estimated, each labelled which it is."""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lulc.errors import UsageError
from lulc.io.areas import class_areas
from lulc.io.change_figure import write_change_figure
from lulc.io.durable import storage_errors, write_whole
from lulc.io.staging import check_folder, check_outputs
from lulc.io.store import work_folder
from lulc.metrics.area_estimate import Estimate
from lulc.tasks.area_report import AreaReport
from lulc.tasks.change_inputs import MapPair
from lulc.tasks.memory import peak_resident_bytes

FILES = ("report.json", "report.md", "matrix.csv", "change.png")
"""What `--out` holds."""

COUNTED = "as counted: pixels of the change map, which carry its errors; not an estimate of area"
EXPECTED = (
    "expected: sums of the joint probabilities. Model-based: as trustworthy as the activations are calibrated, and "
    "every doubt between two dates counts as a little change, so the sum of changes is too large where little changed"
)
ADJUSTED = "adjusted: estimated from labelled points of a probability sample of the change map, with 95 % intervals"

LEAST_SHOWN = 0.05
"""Hectares below which a class is left out of tables: it would read 0.0."""


@dataclass(frozen=True, slots=True, eq=False)
class Transitions:
    """Hectares of every pair of classes, by one way of finding them.

    Attributes:
        meaning: Which way.
        hectares: float64 (K, K), rows before, columns after.
    """

    meaning: str
    hectares: NDArray[np.float64]

    @property
    def changed(self) -> float:
        """Hectares off the diagonal."""
        return float(self.hectares.sum() - np.trace(self.hectares))

    def balance(self) -> NDArray[np.float64]:
        """Per class before, after, gain, loss and net, hectares: float64 (K, 5)."""
        before, after, stays = self.hectares.sum(axis=1), self.hectares.sum(axis=0), np.diag(self.hectares)
        return np.column_stack([before, after, after - stays, before - stays, after - before])


_BALANCE = ("before", "after", "gain", "loss", "net")


@dataclass(frozen=True, slots=True, eq=False)
class ChangeReport:
    """What a change map holds.

    Attributes:
        output: The map.
        before: The earlier map.
        after: The later map.
        dates: Their dates of acquisition, empty where they do not say.
        classes: Class names, K.
        pixels: int64 (K, K) pixels of each transition in the map.
        counted: Its hectares as counted.
        expected: Hectares by the joint probabilities.
        adjusted: Hectares estimated from labelled points; None without them.
        estimate: All that those points say; None without them.
        settings: Threshold, change rate, minimum mapping unit.
        notes: What a reader should know.
        resumed_chunks: Chunks taken over from an interrupted run.
        output_bytes: Size of the map.
        peak_bytes: Peak of the process's main memory.
        seconds: Wall time.
    """

    output: Path
    before: Path
    after: Path
    dates: tuple[str, str]
    classes: tuple[str, ...]
    pixels: NDArray[np.int64]
    counted: Transitions
    expected: Transitions
    adjusted: Transitions | None
    estimate: AreaReport | None
    settings: Mapping[str, float]
    notes: tuple[str, ...]
    resumed_chunks: int
    output_bytes: int
    peak_bytes: int
    seconds: float

    @property
    def changed_share(self) -> float:
        """Share of the map's area that is changed, as counted."""
        return self.counted.changed / max(float(self.counted.hectares.sum()), 1e-12)

    def interval(self, before: int, after: int) -> Estimate | None:
        """Estimated hectares of a transition with their interval; None without points."""
        return self.estimate.hectares(before * len(self.classes) + after) if self.estimate else None

    def to_json(self) -> dict[str, Any]:
        """Plain form; what is not known is null."""
        return {
            "kind": "land-cover change",
            "output": str(self.output),
            "before": str(self.before),
            "after": str(self.after),
            "before_acquired": self.dates[0] or None,
            "after_acquired": self.dates[1] or None,
            **self.settings,
            "classes": list(self.classes),
            "matrix_rows": "before",
            "matrix_columns": "after",
            "changed_share_as_counted": self.changed_share,
            "pixels": self.pixels.tolist(),
            "as_counted": self._way_json(self.counted),
            "expected": self._way_json(self.expected),
            "adjusted": self._adjusted_json(),
            "notes": list(self.notes),
            "resumed_chunks": self.resumed_chunks,
            "output_bytes": self.output_bytes,
            "peak_bytes": self.peak_bytes,
            "seconds": round(self.seconds, 3),
        }

    def to_markdown(self) -> str:
        """The whole report, ending in a line break."""
        from lulc.tasks.change_text import markdown

        return markdown(self)

    def to_csv(self) -> str:
        """One row a transition that occurs in any of the three."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        names = ("pixels", "counted_ha", "expected_ha", "adjusted_ha", "adjusted_low_ha", "adjusted_high_ha")
        writer.writerow(["before", "after", *names])
        for (row, column), pixels in np.ndenumerate(self.pixels):
            found = self.interval(row, column)
            ends = (found.value, found.low, found.high) if found else (math.nan,) * 3
            ways = (self.counted, self.expected)
            numbers = (*(float(way.hectares[row, column]) for way in ways), *ends)
            if pixels or any(math.isfinite(number) and round(number, 4) for number in numbers):
                cells = [f"{number:.4f}" if math.isfinite(number) else "" for number in numbers]
                writer.writerow([self.classes[row], self.classes[column], pixels, *cells])
        return text.getvalue()

    def shown(self) -> list[int]:
        """Places of the classes that occur: as counted, as expected, or as points name them."""
        ways = [self.counted, self.expected, *([self.adjusted] if self.adjusted else [])]
        cover = sum(way.hectares.sum(axis=0) + way.hectares.sum(axis=1) for way in ways)
        return [int(place) for place in np.flatnonzero(cover >= LEAST_SHOWN)]

    def _way_json(self, way: Transitions) -> dict[str, Any]:
        balance = [
            {"name": name} | {f"{column}_ha": value for column, value in zip(_BALANCE, row, strict=True)}
            for name, row in zip(self.classes, way.balance().tolist(), strict=True)
        ]
        return {
            "meaning": way.meaning,
            "matrix_ha": way.hectares.tolist(),
            "changed_ha": way.changed,
            "classes": balance,
        }

    def _adjusted_json(self) -> dict[str, Any] | None:
        if self.adjusted is None or self.estimate is None:
            return None
        count = range(len(self.classes))
        found = [[self.interval(row, column) for column in count] for row in count]
        ends = {
            f"matrix_{end}_ha": [[_known(getattr(cell, end)) for cell in row] for row in found]
            for end in ("low", "high", "se")
        }
        return self._way_json(self.adjusted) | ends | {"estimate": self.estimate.to_json()}


def change_report(
    output: Path,
    whole: Path,
    pair: MapPair,
    expected: NDArray[np.float64],
    estimate: AreaReport | None,
    *,
    settings: Mapping[str, float],
    resumed_chunks: int,
    seconds: float,
) -> ChangeReport:
    """Count the map, and put everything together.

    Args:
        output: Name of the change map.
        whole: The change map, which need not have its name yet.
        pair: What it was made of.
        expected: float64 (K, K) hectares by the joint probabilities.
        estimate: What labelled points say of the map; None without them.
        settings: Threshold, change rate, minimum mapping unit.
        resumed_chunks: Chunks taken over.
        seconds: Wall time.
    """
    side = (len(pair.legend),) * 2
    areas = class_areas(whole)
    counted = np.array([area.hectares or 0.0 for area in areas]).reshape(side)
    adjusted = None
    if estimate is not None:
        values = np.array([estimate.hectares(place).value for place in range(counted.size)])
        adjusted = Transitions(ADJUSTED, np.nan_to_num(values).reshape(side))
    return ChangeReport(
        output=output,
        before=pair.before.path,
        after=pair.after.path,
        dates=(pair.before.acquired, pair.after.acquired),
        classes=pair.legend.names,
        pixels=np.array([area.pixels for area in areas]).reshape(side),
        counted=Transitions(COUNTED, counted),
        expected=Transitions(EXPECTED, expected),
        adjusted=adjusted,
        estimate=estimate,
        settings=settings,
        notes=(*pair.notes(), *(estimate.remarks if estimate else ())),
        resumed_chunks=resumed_chunks,
        output_bytes=whole.stat().st_size,
        peak_bytes=peak_resident_bytes(),
        seconds=seconds,
    )


def check_change_outputs(output: Path, folder: Path | None, inputs: Sequence[Path], *, overwrite: bool) -> bool:
    """Refuse a map and a folder for its report that cannot or must not be written, before any work is done.

    Args:
        output: The change map.
        folder: For the report; None for none.
        inputs: Files that are read.
        overwrite: Replace what is there.

    Returns:
        True when files of the report may be replaced: it was said, or a run of this map that was broken off left them.

    Raises:
        UsageError: One is an input, or the map and the report are in each other's way.
        StorageError: One exists, or cannot be written.
    """
    check_outputs([output], inputs, overwrite=overwrite)
    if folder is None:
        return overwrite
    inside = {folder.resolve(), *folder.resolve().parents}
    if inside & {output.resolve(), work_folder(output).resolve()}:
        raise UsageError(f"--out {folder} is the place of {output} itself", "choose another folder")
    replace = overwrite or _left_by(output, folder)
    if folder.is_dir():
        check_outputs([output, *(folder / name for name in FILES)], inputs, overwrite=True)  # only whether names clash
    check_folder(folder, FILES, overwrite=replace)
    return replace


def _left_by(output: Path, folder: Path) -> bool:
    """True when a run of this map was broken off, and no report of another map is there."""
    if not work_folder(output).is_dir():
        return False
    try:
        said = json.loads((folder / FILES[0]).read_text("utf-8"))["output"]
        return Path(said).resolve() == output.resolve()
    except (FileNotFoundError, NotADirectoryError):  # it is the last that is written
        return True
    except (OSError, ValueError, LookupError, TypeError):
        return False


def write_change_report(report: ChangeReport, folder: Path, whole: Path, *, overwrite: bool = False) -> None:
    """Write report.json, report.md, matrix.csv and change.png, each whole; report.json is the last.

    Args:
        report: What they say.
        folder: Made when it is not there.
        whole: The change map, which need not have its name yet.
        overwrite: Replace former ones.

    Raises:
        StorageError: A former report is there, or the disk is full or refuses.
    """
    check_folder(folder, FILES, overwrite=overwrite)
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    numbers, text, table, picture = (folder / name for name in FILES)
    subtitle = " to ".join(filter(None, report.dates)) or f"{report.before.name} to {report.after.name}"
    write_change_figure(picture, whole, report.counted.hectares, report.classes, subtitle)
    write_whole(table, report.to_csv().encode())
    write_whole(text, report.to_markdown().encode())
    write_whole(numbers, (json.dumps(report.to_json(), indent=1) + "\n").encode())


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
