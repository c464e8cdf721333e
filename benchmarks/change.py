"""False change and lost change: `lulc change` beside differencing labels, on two maps of ONE date.

    python benchmarks/change.py [--data ../shared/data/scenes] [--seeds 2] [--work FOLDER]

The scenes of Aberystwyth and Aquileia are classified with the shipped model as they are, and again with radiometric
noise. Nothing changed, so what any method calls changed is false. Then patches of other land cover of the same scene
are planted into the noisy copy: what of them is found (recall), and how much of what is called changed lies on them or
within 3 px of them (precision: a network sees a patch's surroundings differently too). Recall is counted over planted
pixels whose class in the clean map differs; a patch narrower than the network sees is not classified as itself, and no
way of comparing two maps can find it then.

The two scenes of Australia, a real pair, cannot be used: the later one lacks B8A and B12, and the model needs B12.
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from scipy import ndimage

from lulc import ClassifyOptions, classify
from lulc.io.product.areas import PixelAreas
from lulc.io.product.reader import open_product
from lulc.tasks.change.change import map_change
from lulc.tasks.change.joint import joint_probability
from lulc.tasks.change.mmu import large_patches
from lulc.tasks.change.options import ChangeOptions
from lulc.tasks.change.pixels import SLACK

SCENES = {"Aberystwyth": "aber_s2_20210527_10band.tif", "Aquileia": "aquileia_20190416_l2a_12band.tif"}
BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B11", "B12")
NANOMETRES = np.array([490, 560, 665, 705, 740, 783, 842, 1610, 2190.0])
SIZES_HA = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0)
PATCHES, GAP_PX, PURE, RIM_PX = 40, 14, 0.85, 3
RATES, THRESHOLDS = (0.01, 0.05, 0.2), (0.4, 0.5, 0.6)
PIECE, EVERY = 1 << 15, 17
DEFAULTS = ChangeOptions()

Array = np.ndarray
Method = Callable[["Case"], Array]


@dataclass(frozen=True)
class Noise:
    """Radiometric noise, reflectance; gain is a share, the shift is in pixels, the haze that of the blue band."""

    gain: float
    offset: float
    pixel: float
    haze: float
    shift: float

    def on(self, planes: Array, seed: int) -> Array:
        """A noisy copy of reflectance (bands, rows, columns)."""
        rng = np.random.default_rng(seed)
        bands, rows, columns = planes.shape
        gain, offset = (rng.uniform(-size, size, (bands, 1, 1)) for size in (self.gain, self.offset))
        made = planes * (1 + gain) + offset
        if self.shift:
            made = np.stack([ndimage.shift(band, (self.shift, self.shift), order=1, mode="nearest") for band in made])
        angle = rng.uniform(0, 2 * np.pi)
        along = np.add.outer(np.sin(angle) * np.arange(rows) / rows, np.cos(angle) * np.arange(columns) / columns)
        veil = self.haze * (along - along.min()) / np.ptp(along)
        made += (NANOMETRES / NANOMETRES[0])[:, None, None] ** -1.3 * veil
        return np.asarray(made + self.pixel * rng.standard_normal(planes.shape))


NOISES = {
    "mild": Noise(0.02, 0.001, 0.002, 0.005, 0.0),
    "moderate": Noise(0.035, 0.002, 0.004, 0.01, 0.5),
    "strong": Noise(0.05, 0.004, 0.008, 0.02, 0.5),
}


@dataclass
class Scene:
    """A scene and its clean map."""

    name: str
    planes: Array
    valid: Array
    profile: dict[str, object]
    work: Path

    def map_of(self, planes: Array, name: str) -> Path:
        """Classify reflectance with the shipped model; a map of that name is kept."""
        out = self.work / f"{self.name}-{name}.tif"
        if out.exists():
            return out
        numbers = np.clip(np.rint(planes * 10_000), 1, 20_000).astype(np.uint16)
        numbers[:, ~self.valid] = 0
        source = self.work / "scene.tif"
        with rasterio.open(
            source, "w", driver="GTiff", count=len(BANDS), dtype="uint16", nodata=0, **self.profile
        ) as to:
            to.write(numbers)
            to.descriptions = BANDS
            to.update_tags(LEVEL="L2A")
        classify([source], out, ClassifyOptions(precision="fp32", offset=0, quantification=10_000))
        return out


@dataclass
class Case:
    """Two maps, and what is really different."""

    before_path: Path
    after_path: Path
    truth: Array | None = None
    near: Array | None = None

    def __post_init__(self) -> None:
        self.known: dict[float, Array] = {}
        dates = []
        for path in (self.before_path, self.after_path):
            with open_product(path) as product:
                dates.append(product.activations(product.grid.window))
                self.areas = PixelAreas.of(product.grid)
        self.valid = np.isfinite(dates[0][0] + dates[1][0])
        self.before, self.after = (np.nan_to_num(date) for date in dates)

    def sieved(self, changed: Array) -> Array:
        """Without patches below the default minimum mapping unit."""
        return large_patches(changed, self.areas, DEFAULTS.mmu)

    def probability(self, rate: float) -> Array:
        """Of change, by lulc's joint probability."""
        if rate not in self.known:
            found = np.zeros(self.valid.shape, np.float32)
            where = np.flatnonzero(self.valid)
            for some in np.array_split(where, max(1, where.size // PIECE)):
                dates = [date.reshape(len(date), -1)[:, some] for date in (self.before, self.after)]
                found.ravel()[some] = joint_probability(*dates, rate).change()
            self.known[rate] = found
        return self.known[rate]

    def rate_by_em(self, rounds: int = 15) -> float:
        """The change rate that explains itself: the mean probability of change (Bruzzone et al. 1999), iterated."""
        rate, some = DEFAULTS.change_rate, np.flatnonzero(self.valid)[::EVERY]
        dates = [date.reshape(len(date), -1)[:, some] for date in (self.before, self.after)]
        for _ in range(rounds):
            rate = float(np.clip(joint_probability(*dates, rate).change().mean(), 0.001, 0.4))
        return rate


def labels(case: Case) -> Array:
    """Where the most probable classes differ."""
    return case.valid & (case.before.argmax(axis=0) != case.after.argmax(axis=0))


def independent(case: Case) -> Array:
    """Where 1 - sum p q reaches a half."""
    return case.valid & (1 - (case.before * case.after).sum(axis=0) >= 0.5)


def even_prior(case: Case) -> Array:
    """Where p_i q_j T_ij, with one class prior for all pixels, says so: T as lulc's, threshold a half."""
    rate, same = DEFAULTS.change_rate, (case.before * case.after).sum(axis=0)
    moved = rate / (len(case.before) - 1) * (1 - same)
    return case.valid & (moved >= (1 - rate) * same)


def independent_as_many(case: Case) -> Array:
    """The pixels of the largest 1 - sum p q, as many as lulc calls changed: its best threshold, told by lulc's answer."""
    count = int((case.probability(DEFAULTS.change_rate) >= DEFAULTS.threshold).sum())
    score = np.where(case.valid, 1 - (case.before * case.after).sum(axis=0), -1)
    return score > np.partition(score.ravel(), -count - 1)[-count - 1]


def ours(rate: float = DEFAULTS.change_rate, threshold: float = DEFAULTS.threshold, *, sieve: bool = True) -> Method:
    """lulc's, from arrays."""

    def method(case: Case) -> Array:
        changed = case.probability(rate) >= threshold - SLACK
        return case.sieved(changed) if sieve else changed

    return method


def command(case: Case) -> Array:
    """lulc's, by the command itself."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "change.tif"
        map_change(case.before_path, case.after_path, out)
        with open_product(out) as product:
            pair = [product.band(name, product.grid.window) for name in ("before", "after")]
    return np.asarray(pair[0] != pair[1])


METHODS: dict[str, Method] = {
    "labels differ": labels,
    "labels differ, MMU": lambda case: case.sieved(labels(case)),
    "1 - sum p q >= 0.5": independent,
    "even class prior >= 0.5": even_prior,
    "1 - sum p q, as many pixels": independent_as_many,
    "lulc change --mmu 0": ours(sieve=False),
    "lulc change": command,
}


def open_scene(name: str, folder: Path, work: Path) -> Scene:
    """Reflectance of nine bands."""
    with rasterio.open(folder / SCENES[name]) as source:
        bands = [source.descriptions.index(band) + 1 for band in BANDS]
        planes = source.read(bands).astype(np.float32) / float(source.tags()["REFLECTANCE_SCALE"])
        valid = source.dataset_mask() > 0
        profile = {"height": source.height, "width": source.width, "crs": source.crs, "transform": source.transform}
    return Scene(name, planes, valid, profile, work)


def planted(scene: Scene, clean: Array, side: int, seed: int) -> tuple[Array, Array, Array]:
    """Reflectance with patches of other land cover, where they lie, and the class that came, (rows, columns).

    Both places are nearly of one class in the clean map, and of two different ones.
    """
    rng = np.random.default_rng([seed, side])
    shares = [ndimage.uniform_filter((clean == code).astype(np.float32), side) for code in range(clean.max() + 1)]
    inside = np.zeros(clean.shape, np.bool_)
    inside[side:-side, side:-side] = ndimage.minimum_filter(scene.valid, side)[side:-side, side:-side]
    pure = [places for places in (np.argwhere((share > PURE) & inside) for share in shares) if len(places) > 20]
    made, where, came = scene.planes.copy(), np.zeros(clean.shape, np.bool_), clean.copy()
    left = PATCHES
    for _ in range(100 * PATCHES):
        target, source = (
            pure[kind][rng.integers(len(pure[kind]))] - side // 2 for kind in rng.permutation(len(pure))[:2]
        )
        (row, col), (from_row, from_col) = target, source
        around = slice(max(0, row - GAP_PX), row + side + GAP_PX), slice(max(0, col - GAP_PX), col + side + GAP_PX)
        if where[around].any() or not left:
            continue
        here, there = (np.s_[r : r + side, c : c + side] for r, c in ((row, col), (from_row, from_col)))
        made[:, *here], came[here], where[here] = scene.planes[:, *there], clean[there], True
        left -= 1
    return made, where, came


def table(head: list[str], rows: list[list[str]]) -> None:
    """Print Markdown."""
    for line in (head, ["---"] * len(head), *rows):
        print(f"| {' | '.join(line)} |")
    print(flush=True)


def false_change(cases: dict[str, list[Case]]) -> None:
    """Percent of pixels called changed where nothing changed."""
    print("False change, % of pixels (mean over seeds)\n")
    found = {
        name: [np.mean([100 * way(c)[c.valid].mean() for c in each]) for each in cases.values()]
        for name, way in METHODS.items()
    }
    table(["method", *cases], [[name, *(f"{value:.2f}" for value in values)] for name, values in found.items()])
    ratio = [
        first / last if last else np.inf
        for first, last in zip(found["labels differ"], found["lulc change"], strict=True)
    ]
    print("times fewer than labels that differ:", ", ".join(f"{value:.0f}" for value in ratio), "\n")
    print(
        "change rate found by EM where nothing changed:",
        ", ".join(f"{np.mean([c.rate_by_em() for c in each]):.3f}" for each in cases.values()),
        "\n",
    )


def scores(changed: Array, case: Case) -> tuple[float, float]:
    """Recall, and precision with the rim around patches; NaN where nothing is called changed."""
    assert case.truth is not None
    assert case.near is not None
    called = int(changed.sum())
    return float(changed[case.truth].mean()), float((changed & case.near).sum() / called) if called else float("nan")


def found_change(title: str, cases: dict[str, list[Case]], methods: dict[str, Method]) -> None:
    """Recall and precision by size of the patch."""
    print(f"{title}: recall / precision by size of the planted patches\n")
    rows = []
    for name, way in methods.items():
        pairs = [np.mean([scores(way(case), case) for case in each], axis=0) for each in cases.values()]
        rows.append([name, *(f"{recall:.2f} / {precision:.2f}" for recall, precision in pairs)])
    table(["method", *cases], rows)


def planted_cases(scene: Scene, clean_map: Path, level: str, seeds: int) -> Iterator[tuple[str, list[Case]]]:
    """Cases of every size, under its name."""
    with open_product(clean_map) as product:
        codes = product.classes(product.grid.window).astype(int)
        pixel = float(product.grid.pixel_areas_ha().mean())
    clean = np.where(codes == 255, 0, codes)
    for hectares in SIZES_HA:
        side, each = max(2, round((hectares / pixel) ** 0.5)), []
        for seed in range(seeds):
            made, where, came = planted(scene, clean, side, seed)
            after = scene.map_of(NOISES[level].on(made, seed + 10), f"{level}-{hectares}-{seed}")
            near = ndimage.binary_dilation(where, np.ones((3, 3)), iterations=RIM_PX)
            each.append(Case(clean_map, after, where & (came != clean), near))
        yield f"{side * side * pixel:.2f} ha", each


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data" / "scenes")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--level", choices=NOISES, default="moderate", help="Noise beside planted change.")
    parser.add_argument("--work", type=Path, help="Keep maps there, and take those that are there.")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = given.work or Path(folder)
        work.mkdir(parents=True, exist_ok=True)
        scenes = [open_scene(name, given.data, work) for name in SCENES]
        clean = {scene.name: scene.map_of(scene.planes, "clean") for scene in scenes}
        noisy = {
            f"{scene.name}, {level}": [
                Case(clean[scene.name], scene.map_of(noise.on(scene.planes, seed), f"{level}-{seed}"))
                for seed in range(given.seeds)
            ]
            for scene in scenes
            for level, noise in NOISES.items()
        }
        false_change(noisy)
        tried = {f"rate {r:g}, threshold {t:g}": ours(r, t) for r in RATES for t in THRESHOLDS}
        print("False change of lulc change by change rate and threshold, %\n")
        rows = [
            [name, *(f"{np.mean([100 * way(c)[c.valid].mean() for c in each]):.2f}" for each in noisy.values())]
            for name, way in tried.items()
        ]
        table(["", *noisy], rows)
        noisy.clear()
        for scene in scenes:
            cases = dict(planted_cases(scene, clean[scene.name], given.level, given.seeds))
            found_change(f"{scene.name}, {given.level} noise", cases, METHODS | tried)


if __name__ == "__main__":
    main()
