"""The report of a comparison, written into a folder."""

import json
from pathlib import Path

from lulc.io.figures.agreement import write_confusion, write_reliability
from lulc.io.files.durable import storage_errors, write_whole
from lulc.io.files.staging import check_folder
from lulc.tasks.accuracy.agreement_report import EvaluationReport

FILES = ("report.json", "report.md", "confusion.png", "reliability.png")
"""What `write_report` makes; the last one only with probabilities."""


def make_folder(folder: Path, *, overwrite: bool = False) -> None:
    """Make the folder of a report.

    Raises:
        StorageError: As `check_folder`.
    """
    check_folder(folder, FILES, overwrite=overwrite)
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)


def write_report(report: EvaluationReport, folder: Path, *, overwrite: bool = False) -> tuple[Path, ...]:
    """Write report.json, report.md, confusion.png and, with probabilities, reliability.png.

    Args:
        report: What to write.
        folder: Where; made when it is not there.
        overwrite: Replace a former report.

    Returns:
        The files, each written whole; report.json is the last.

    Raises:
        StorageError: A former report is there, or the disk is full or refuses.
    """
    make_folder(folder, overwrite=overwrite)
    numbers, text, confusion, reliability = (folder / name for name in FILES)
    title = f"{Path(report.subject).name} and {Path(report.reference).name}"
    write_confusion(confusion, report.matrix, title)
    if report.calibration:
        write_reliability(reliability, report.calibration, title, report.uncalibrated)
    else:
        with storage_errors(reliability):
            reliability.unlink(missing_ok=True)  # of a former report
    write_whole(text, report.to_markdown().encode())
    write_whole(numbers, (json.dumps(report.to_json(), indent=1) + "\n").encode())
    return (confusion, *([reliability] if report.calibration else []), text, numbers)
