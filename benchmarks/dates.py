"""How stable a map of several dates is: two halves of the dates of one place, mapped apart, beside single dates and medians.

    for day in 2018-04-29 2018-05-13 2018-07-08 2018-08-15 2018-09-15 2018-10-15 2018-11-15; do
        python pipelines/demo/fetch_scene.py bouconne/$day.tif --date $day
    done
    python benchmarks/dates.py [--data ../shared/data] [--bouconne bouconne] [--work FOLDER]

All splits of the dates into two halves of equal number are taken. The shipped model maps every date, the median composite
of each half (`lulc stack --composite median`), and each half by the mean of its dates' probabilities
(`lulc classify --dates`, from the activations of its dates, which is the same: checked against the command on all dates). Printed are the pixels whose class
differs between the halves, percent, and, where the teacher has labelled each date, the pixels whose class is that of the
teacher's mean over the other half: no date judges itself. Other ways to combine the dates follow.

Series: Bouconne (seven monthly composites of 2018), the crops of Hageland (four months of 2021) and three chips near Rome
(five dates of 2018) of `segmentation/world2_train.npz`, which the shipped model may have learnt from, and two real scenes with four
noises each, the moderate ones of `benchmarks/change.py`: ground that did not change.
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import rasterio
from change import BANDS, NOISES, SCENES
from rasterio.transform import from_origin

from lulc import ClassifyOptions, classify, open_scene, stack
from lulc.io.product.reader import open_product
from lulc.tasks.stack.options import StackOptions

Array = np.ndarray
PLACE = {"crs": "EPSG:32631", "transform": from_origin(600_000, 5_600_000, 10, 10)}
NOISY_DATES, SIDE = 4, 512


@dataclass(frozen=True)
class Dates:
    """A series: files of its dates, and the teacher's probabilities (date, K, rows, columns) where there are any."""

    name: str
    files: tuple[Path, ...]
    teacher: Array | None = None

    def halves(self) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
        """All pairs of disjoint halves."""
        size = len(self.files) // 2
        for one in combinations(range(len(self.files)), size):
            for other in combinations([date for date in range(len(self.files)) if date not in one], size):
                if one < other:
                    yield one, other


def write(path: Path, pixels: Array, level: str, acquired: str) -> Path:
    """Write one date: reflectance x 10000, uint16 (9, rows, columns)."""
    profile = {"driver": "GTiff", "count": len(BANDS), "dtype": "uint16", "nodata": 0, **PLACE}
    with rasterio.open(path, "w", height=pixels.shape[1], width=pixels.shape[2], **profile) as to:
        to.write(pixels)
        to.descriptions = BANDS
        to.update_tags(LEVEL=level, REFLECTANCE_SCALE="10000", ACQUISITION_DATE=acquired)
    return path


def chips(data: Path, place: str, source: str = "") -> Iterator[tuple[str, tuple[int, int], Array, Array]]:
    """Date, corner, pixels and label of the chips of a place."""
    with np.load(data / "segmentation" / "world2_train.npz") as every:
        wanted = np.flatnonzero((every["place"] == place) & np.char.endswith(every["source"], source))
        images, labels = every["image"][wanted], every["label"][wanted].astype(np.float32)
        for image, label, index in zip(images, labels, wanted, strict=True):
            corner = int(every["row"][index]), int(every["col"][index])
            yield str(every["date"][index])[:10], corner, image, label / label.sum(0)


def hageland(data: Path, work: Path) -> Dates:
    """Chips that overlap, put together to 100 x 100 pixels."""
    pixels, labels = {}, {}
    for month, (row, col), image, label in chips(data, "belgium_hageland_crops"):
        day = f"{month[:7]}-15"
        pixels.setdefault(day, np.zeros((9, 100, 100), np.uint16))[:, row : row + 64, col : col + 64] = image
        labels.setdefault(day, np.zeros((9, 100, 100), np.float32))[:, row : row + 64, col : col + 64] = label
    files = [write(work / f"hageland_{day}.tif", planes, "L2A", day) for day, planes in sorted(pixels.items())]
    return Dates("Hageland, 4 months", tuple(files), np.stack([labels[day] for day in sorted(labels)]))


def rome(data: Path, work: Path) -> Iterator[Dates]:
    """The three chips of one patch that are there on five dates."""
    by_corner: dict[tuple[int, int], list[tuple[str, Array, Array]]] = {}
    for day, corner, image, label in chips(data, "italy_rome", "_patch_0.tif"):
        by_corner.setdefault(corner, []).append((day, image, label))
    for corner, dates in sorted(by_corner.items()):
        dates.sort(key=lambda date: date[0])
        if len(dates) == 5:
            files = [write(work / f"rome_{corner}_{day}.tif", image, "L1C", day) for day, image, _ in dates]
            yield Dates("Rome, 5 dates", tuple(files), np.stack([label for _, _, label in dates]))


def noisy(data: Path, work: Path, name: str) -> Dates:
    """A real scene with noise of four seeds: dates on which nothing changed."""
    with open_scene(data / "scenes" / SCENES[name]) as scene:
        height, width = (min(side, SIDE) for side in (scene.grid.shape.height, scene.grid.shape.width))
        window = type(scene.grid.window)(0, scene.grid.shape.width - width, height, width)
        planes = scene.reflectance(BANDS, window)
    valid, files = np.isfinite(planes[0]), []
    for seed in range(NOISY_DATES):
        numbers = np.clip(np.rint(NOISES["moderate"].on(np.nan_to_num(planes), seed) * 10_000), 1, 20_000)
        path = work / f"{name}_{seed}.tif"
        files.append(write(path, (numbers * valid).astype(np.uint16), "L2A", f"2021-05-{seed + 1:02d}"))
    return Dates(f"{name}, 4 noises", tuple(files))


def activations(files: list[Path], out: Path, *, dates: bool) -> Array:
    """Map one scene or several dates: (K, rows, columns), NaN where there is no data."""
    given = ClassifyOptions(precision="fp32", activations="float32", overwrite=True, dates=dates)
    classify(files, out, given)
    with open_product(out) as product:
        return product.activations(product.grid.window)


def weighted(weight: Callable[[Array], Array]) -> Callable[[Array], Array]:
    """The mean over dates with a weight for each date and pixel, from its probabilities."""

    def mean(dates: Array) -> Array:
        weights = weight(dates)
        return (dates * weights).sum(0) / weights.sum(0)

    return mean


def entropy(dates: Array) -> Array:
    """Entropy of each pixel of each date, as a share of the largest."""
    return -(dates * np.log(dates + 1e-9)).sum(1, keepdims=True) / np.log(dates.shape[1])


MEANS: dict[str, Callable[[Array], Array]] = {
    "mean of probabilities": lambda dates: dates.mean(0),
    "weighted by largest": weighted(lambda dates: dates.max(1, keepdims=True)),
    "weighted by 1 - entropy": weighted(lambda dates: 1.001 - entropy(dates)),
    "mean of logarithms": lambda dates: np.log(dates + 1e-9).mean(0),
    "majority of dates": lambda dates: (dates.max(1, keepdims=True) == dates).mean(0) + 1e-3 * dates.mean(0),
}


class Measured:
    """What the ways to combine dates give for one series."""

    def __init__(self, series: Dates, work: Path) -> None:
        self.series, self.work = series, work
        self.dates = np.stack([activations([file], work / "date.tif", dates=False) for file in series.files])
        self.valid = np.isfinite(self.dates).all((0, 1))
        self._medians: dict[tuple[int, ...], Array] = {}
        mean = activations(list(series.files), work / "dates.tif", dates=True)
        assert np.abs(mean - self.dates.mean(0))[:, self.valid].max() < 1e-5, "--dates is not the mean of its dates"

    def median(self, half: tuple[int, ...]) -> Array:
        """Map of the median composite of a half."""
        if half not in self._medians:
            first, *others = (self.series.files[date] for date in half)
            made = self.work / "median.tif"
            stack([first], made, StackOptions(fill=tuple(others), composite="median", overwrite=True))
            self._medians[half] = activations([made], self.work / "map.tif", dates=False)
        return self._medians[half]

    def compare(self, one: Array, other: Array) -> float:
        """Share of the pixels whose class differs."""
        return float((one.argmax(0) != other.argmax(0))[self.valid].mean())

    def agreement(self, made: Array, judges: tuple[int, ...]) -> float:
        """Share of the pixels whose class is that of the teacher's mean over other dates."""
        assert self.series.teacher is not None
        truth = self.series.teacher[list(judges)].mean(0).argmax(0)
        return float((made.argmax(0) == truth)[self.valid].mean())

    def row(self, combine: Callable[[tuple[int, ...]], Array]) -> tuple[float, float]:
        """Mean share of pixels that differ between halves, and mean agreement with the teacher of the other half."""
        differ, agree = [], []
        for one, other in self.series.halves():
            maps = combine(one), combine(other)
            differ.append(self.compare(*maps))
            if self.series.teacher is not None:
                agree += [self.agreement(maps[0], other), self.agreement(maps[1], one)]
        return float(np.mean(differ)), float(np.mean(agree)) if agree else np.nan

    def single(self) -> tuple[float, float]:
        """The same of single dates, each pair of dates of different halves once for each pair of halves."""
        differ, agree = [], []
        for one, other in self.series.halves():
            differ += [self.compare(self.dates[a], self.dates[b]) for a in one for b in other]
            if self.series.teacher is not None:
                agree += [self.agreement(self.dates[a], other) for a in one]
                agree += [self.agreement(self.dates[b], one) for b in other]
        return float(np.mean(differ)), float(np.mean(agree)) if agree else np.nan

    def rows(self) -> dict[str, tuple[float, float]]:
        """All ways, by name."""
        found = {"one date": self.single(), "median of reflectance": self.row(self.median)}
        for name, combine in MEANS.items():
            found[name] = self.row(lambda half, combine=combine: combine(self.dates[list(half)]))
        return found


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    parser.add_argument("--bouconne", type=Path)
    parser.add_argument("--work", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = arguments.work or Path(folder)
        work.mkdir(parents=True, exist_ok=True)
        every = [hageland(arguments.data, work), *rome(arguments.data, work)]
        every += [noisy(arguments.data, work, name) for name in SCENES]
        if arguments.bouconne:
            every.insert(0, Dates("Bouconne, 7 months", tuple(sorted(arguments.bouconne.glob("*.tif")))))
        found: dict[str, list[dict[str, tuple[float, float]]]] = {}
        for series in every:
            found.setdefault(series.name, []).append(Measured(series, work).rows())
    for name, measured in found.items():
        print(f"\n{name}: pixels that differ between halves, agreement with the teacher of the other half, %")
        for way in measured[0]:
            differ, agree = np.mean([rows[way] for rows in measured], axis=0) * 100
            print(f"  {way:24} {differ:6.1f} {agree:7.1f}")


if __name__ == "__main__":
    main()
