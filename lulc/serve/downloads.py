"""Files that may be fetched: what they are for people, where they lie, and what they are called."""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from lulc.io.product.style import aux_path, qml_path
from lulc.serve.answers import Download
from lulc.serve.jobs import Job

_OF_JOBS = {
    "map.tif": ("Map (GeoTIFF)", "-map.tif"),
    "map.png": ("Picture (PNG)", "-map.png"),
    "report.zip": ("Report (zip)", "-report.zip"),
    "map.qml": ("Style for QGIS (.qml)", "-map.qml"),
    "map.tif.aux.xml": ("Class names and colours for GDAL (.aux.xml)", "-map.tif.aux.xml"),
}
"""Files of a job: title, and what follows the name of its input."""


def beside_map(product: Path) -> dict[Path, str]:
    """Files of a product, and their titles; links that lead elsewhere are left out."""
    files = {
        product: "Map (GeoTIFF)",
        qml_path(product): "Style for QGIS (.qml)",
        aux_path(product): "Class names and colours for GDAL (.aux.xml)",
    }
    place = product.resolve().parent
    return {path: title for path, title in files.items() if path.resolve().parent == place}


def files_listed(files: Mapping[Path, str], address: str) -> list[Download]:
    """Those files that are there, below an address."""
    return [
        Download(title=title, url=f"{address}/{quote(path.name)}", bytes=path.stat().st_size)
        for path, title in files.items()
        if path.is_file()
    ]


def job_files(job: Job) -> list[Download]:
    """What a job has made."""
    return files_listed({job.folder / name: title for name, (title, _) in _OF_JOBS.items()}, f"/jobs/{job.id}/files")


def job_file(job: Job, name: str) -> tuple[Path, str] | None:
    """A file of a job and what it is called when it is saved; None when it has no such file."""
    if name in _OF_JOBS:
        called = Path(job.name).stem + _OF_JOBS[name][1]
    elif name == "picture.png" or name in explanation_files(job.explanations):
        called = f"{Path(job.name).stem}-{name}"
    else:
        return None
    path = job.folder / name
    return (path, called) if path.is_file() else None


def explanation_files(count: int) -> set[str]:
    """Names of the files of the explanations made so far."""
    return {f"explanation-{number}.{ending}" for number in range(1, count + 1) for ending in ("png", "tif")}
