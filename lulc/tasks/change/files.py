"""The files of a change report: refused before any work, written whole after it."""

from collections.abc import Sequence
from pathlib import Path

from lulc.config import parse_json
from lulc.errors import UsageError
from lulc.io.cog.work_folder import work_folder
from lulc.io.files.atomic import write_whole
from lulc.io.files.outputs import check_outputs
from lulc.io.report.writer import JSON, MARKDOWN, check_report, write_report
from lulc.tasks.change.figure import write_change_figure
from lulc.tasks.change.report import ChangeReport

TABLE, PICTURE = "matrix.csv", "change.png"

FILES = (JSON, MARKDOWN, TABLE, PICTURE)
"""What `--out` holds."""


def check_change_outputs(output: Path, folder: Path | None, inputs: Sequence[Path], *, overwrite: bool) -> bool:
    """Refuse a map and a folder for its report that cannot or must not be written, before any work is done.

    Args:
        output: The change map.
        folder: For the report; None for none.
        inputs: Files that are read.
        overwrite: Replace what is there.

    Returns:
        True when files of the report may be replaced: `overwrite` allows it, or an interrupted run of this map left them.

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
    check_report(folder, (TABLE, PICTURE), overwrite=replace)
    return replace


def _left_by(output: Path, folder: Path) -> bool:
    """True when a run of this map was interrupted, and no report of another map is there."""
    if not work_folder(output).is_dir():
        return False
    try:
        stated = parse_json((folder / JSON).read_text("utf-8"))["output"]
        return Path(stated).resolve() == output.resolve()
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
    subtitle = " to ".join(filter(None, report.dates)) or f"{report.before.name} to {report.after.name}"
    others = {
        PICTURE: lambda path: write_change_figure(path, whole, report.counted.hectares, report.classes, subtitle),
        TABLE: lambda path: write_whole(path, report.to_csv().encode()),
    }
    write_report(report, folder, others, overwrite=overwrite)
