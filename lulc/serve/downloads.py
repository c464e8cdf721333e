"""Files that may be downloaded: their titles, paths and download names."""

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
"""Files of a job: title, and ending of the download name after the name of the input."""


def beside_map(product: Path) -> dict[Path, str]:
    """Titles of a product and its side-cars by path; links to other folders are left out."""
    files = {
        product: "Map (GeoTIFF)",
        qml_path(product): "Style for QGIS (.qml)",
        aux_path(product): "Class names and colours for GDAL (.aux.xml)",
    }
    folder = product.resolve().parent
    return {path: title for path, title in files.items() if path.resolve().parent == folder}


def files_listed(files: Mapping[Path, str], address: str) -> list[Download]:
    """Downloads for those of the files that exist, with URLs below `address` and sizes in bytes."""
    return [
        Download(title=title, url=f"{address}/{quote(path.name)}", bytes=path.stat().st_size)
        for path, title in files.items()
        if path.is_file()
    ]


def job_files(job: Job) -> list[Download]:
    """Downloads of a job's files."""
    return files_listed({job.folder / name: title for name, (title, _) in _OF_JOBS.items()}, f"/jobs/{job.id}/files")


def job_file(job: Job, name: str) -> tuple[Path, str] | None:
    """Path and download name of a file of a job; None when the job has no such file."""
    if name in _OF_JOBS:
        called = Path(job.name).stem + _OF_JOBS[name][1]
    elif name == "picture.png" or name in explanation_files(job.explanations):
        called = f"{Path(job.name).stem}-{name}"
    else:
        return None
    path = job.folder / name
    return (path, called) if path.is_file() else None


def explanation_files(count: int) -> set[str]:
    """File names of the explanations made so far."""
    return {f"explanation-{number}.{ending}" for number in range(1, count + 1) for ending in ("png", "tif")}
