"""Mutated inputs of every kind: each command ends with a documented exit code and one line, soon, and leaves nothing behind.

    python benchmarks/fuzz.py [--cases 2000] [--seed 0] [--workers 2] [--only scene,product,bundle,config,label] [--keep DIR]

Whole files are made first: scenes (GeoTIFF, JPEG 2000, NetCDF, STAC Item, folder of bands), a product, a bundle, configurations and
labels (raster, GeoPackage, GeoJSON, CSV). Every case changes one of them and hands it to a command that reads it. What is
counted: exit codes, tracebacks, signals, runs longer than `--timeout`, unfinished files, and outputs whose georeference is not
finite. Commands run in forked processes, with a limit on their memory.
"""

import argparse
import json
import os
import random
import re
import resource
import runpy
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import pyogrio
import rasterio
import rioxarray  # noqa: F401 - gives datasets their .rio
import shapely
import xarray as xr
from rasterio.transform import from_origin

from lulc.errors import EXIT_CODES
from lulc.resources import configs_dir, pretrained_dir

BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B11", "B12")
SIDE = 96
PLACE = {"crs": "EPSG:32631", "transform": from_origin(356_040, 4_835_680, 10, 10)}
MOST_MEMORY = 12 << 30


@dataclass(frozen=True)
class Seed:
    """A whole file, and commands that read it.

    Attributes:
        kind: For the table.
        path: The file, or a folder of which `member` is changed.
        commands: Words of commands; `{}` is the changed input, `{out}` a folder for outputs, `{dir}` the folder of whole files.
        member: File inside of a folder that is changed.
        codes: Exit codes of the whole file.
    """

    kind: str
    path: Path
    commands: tuple[str, ...]
    member: str = ""
    codes: tuple[int, ...] = (0,)


def pixels() -> np.ndarray:
    """Digital numbers (bands, row, column) with a corner without data."""
    values = np.random.default_rng(1).gamma(2.0, 500.0, (len(BANDS), SIDE, SIDE)).clip(1, 9000).astype(np.uint16)
    values[:, :10, :10] = 0
    return values


def raster(path: Path, values: np.ndarray, names: tuple[str, ...] = BANDS, **profile: object) -> Path:
    """A raster of rasterio's."""
    settings = {"driver": "GTiff", "nodata": 0, **PLACE, **profile}
    count, height, width = values.shape
    with rasterio.open(path, "w", count=count, height=height, width=width, dtype=values.dtype, **settings) as target:
        target.write(values)
        target.descriptions = names
    return path


def scenes(folder: Path) -> list[Seed]:
    """The same pixels in formats that scenes come in."""
    values = pixels()
    reads = ("info {}", "stack {} {out}/s.tif", "classify {} {out}/m.tif", "stack {} {out}/s.nc")
    bare = tuple(f"{words} --bands {','.join(BANDS)}" for words in reads)
    tiled = {"tiled": True, "blockxsize": 32, "blockysize": 32, "compress": "deflate"}
    raster(folder / "scene.tif", values, **tiled)
    raster(folder / "plain.tif", values)
    raster(folder / "scene.jp2", values, driver="JP2OpenJPEG", QUALITY=100, REVERSIBLE="YES", nodata=None)
    x, y = 356_045 + 10 * np.arange(SIDE), 4_835_675 - 10 * np.arange(SIDE)
    cube = xr.Dataset({name: (("y", "x"), plane) for name, plane in zip(BANDS, values, strict=True)}, {"y": y, "x": x})
    cube = cube.rio.write_crs("EPSG:32631").rio.write_coordinate_system()
    cube.to_netcdf(folder / "scene.nc")
    cube.to_zarr(folder / "scene.zarr", zarr_format=2)
    (folder / "bands").mkdir()
    for name, plane in zip(BANDS, values, strict=True):
        raster(folder / "bands" / f"T31TCJ_20180708T105031_{name}_10m.tif", plane[None], (name,))
    return [
        Seed("scene", folder / "scene.tif", reads),
        Seed("scene", folder / "plain.tif", reads),
        Seed("scene", folder / "scene.jp2", bare),
        Seed("scene", folder / "scene.nc", reads),
        Seed("scene", folder / "scene.zarr", reads, "B04/.zarray"),
        Seed("scene", folder / "scene.zarr", reads, "spatial_ref/.zattrs"),
        Seed("scene", folder / "scene.zarr", reads, "B08/0.0"),
        Seed("scene", folder / "bands", reads, "T31TCJ_20180708T105031_B08_10m.tif"),
        Seed("scene", item(folder), reads),
    ]


def item(folder: Path) -> Path:
    """A STAC Item of the band files."""
    assets = {
        name.lower(): {
            "href": f"bands/T31TCJ_20180708T105031_{name}_10m.tif",
            "type": "image/tiff; application=geotiff",
            "eo:bands": [{"name": name}],
            "raster:bands": [{"scale": 0.0001, "offset": 0, "nodata": 0}],
        }
        for name in BANDS
    }
    text = {
        "type": "Feature", "stac_version": "1.0.0", "id": "S2A_31TCJ_20180708_0_L2A", "links": [], "assets": assets,
        "bbox": [1.2, 43.6, 1.3, 43.7], "stac_extensions": [], "geometry": shapely.geometry.mapping(shapely.box(1.2, 43.6, 1.3, 43.7)),
        "properties": {"datetime": "2018-07-08T10:50:31Z", "platform": "sentinel-2a", "s2:processing_baseline": "02.08", "proj:epsg": 32631},
    }  # fmt: skip
    path = folder / "item.json"
    path.write_text(json.dumps(text, indent=1))
    return path


def products(folder: Path) -> list[Seed]:
    """A map of the scene, made by lulc."""
    fork(["classify", str(folder / "scene.tif"), str(folder / "map.tif"), "-q"], folder / "log", 300)
    shutil.copy(folder / "map.tif", folder / "other.tif")
    reads = (
        "info {}", "report {} {out}/report", "mosaic {} {out}/m.tif", "mosaic {} {dir}/other.tif {out}/m.tif",
        "change {dir}/other.tif {} {out}/c.tif", "sample {} {out}/s.csv", "evaluate {} {dir}/other.tif",
    )  # fmt: skip
    return [Seed("product", folder / "map.tif", reads)]


def bundles(folder: Path) -> list[Seed]:
    """The shipped model."""
    shutil.copytree(pretrained_dir() / "dw9-s2-10m", folder / "bundle")
    reads = ("info {}", "classify {dir}/scene.tif {out}/m.tif --model {}")
    return [Seed("bundle", folder / "bundle", reads, member) for member in ("card.json", "model.safetensors")]


def configurations(folder: Path) -> list[Seed]:
    """Legends, crosswalks, sensors' neighbours and a training configuration."""
    made = []
    reads = {
        "legends/dynamic-world.toml": "prepare {dir}/scene.tif {out}/set --labels {dir}/labels.tif --legend {} --chip 32 --block 320 --gap 0",
        "crosswalks/dynamic-world-to-corine-1.toml": "evaluate {dir}/map.tif {dir}/other.tif --to corine-1 --crosswalk {}",
        "stacks/stack14.toml": "stack {dir}/scene.tif {out}/s.tif --preset {}",
    }
    for name, words in reads.items():
        source = configs_dir() / name
        if source.is_file():
            shutil.copy(source, folder / source.name)
            made.append(Seed("config", folder / source.name, (words,)))
    training = next((configs_dir() / "train").glob("*.toml"), None) or next(configs_dir().glob("**/unet*.toml"))
    shutil.copy(training, folder / "train.toml")
    made.append(Seed("config", folder / "train.toml", ("train {} {out}/run --data {dir}/nothing",), codes=(3, 4)))
    return made


def labels(folder: Path) -> list[Seed]:
    """Codes, polygons and points on the scene's ground."""
    codes = np.random.default_rng(2).integers(1, 10, (1, SIDE // 8, SIDE // 8)).repeat(8, 1).repeat(8, 2)
    raster(folder / "labels.tif", codes.astype(np.uint8), ("class",))
    left, top = PLACE["transform"].c, PLACE["transform"].f
    boxes = np.array([shapely.box(left + 200 * n, top - 400, left + 200 * n + 150, top - 100) for n in range(4)])
    field = [np.array([1, 2, 5, 7], np.int32)]
    written = {"geometry_type": "Polygon", "crs": "EPSG:32631", "fields": ["class"]}
    for name in ("labels.gpkg", "labels.geojson", "labels.fgb", "labels.shp"):
        pyogrio.raw.write(folder / name, shapely.to_wkb(boxes), field, **written)
    sample = folder / "points.csv"
    fork(["sample", str(folder / "map.tif"), str(sample), "--total", "40", "--min-per-class", "2"], folder / "log", 60)
    header, *rows = [line.split(",") for line in sample.read_text().splitlines()]
    labelled = [header, *([*row[:3], row[2], *row[4:]] for row in rows)]
    sample.write_text("\n".join(map(",".join, labelled)) + "\n")
    prepare = "prepare {dir}/scene.tif {out}/set --labels {} --legend dynamic-world --chip 32 --block 320 --gap 0"
    vector = (f"{prepare} --attribute class", "evaluate {dir}/map.tif {} --legend dynamic-world --attribute class")
    return [
        Seed("label", folder / "labels.tif", (prepare, "evaluate {dir}/map.tif {} --legend dynamic-world")),
        *(Seed("label", folder / f"labels.{kind}", vector) for kind in ("gpkg", "geojson", "fgb", "shp")),
        Seed("label", folder / "points.csv", ("evaluate {dir}/map.tif {}",)),
    ]


def mutated(content: bytes, rng: random.Random) -> bytes:
    """The content with one or a few changes: of bytes, or of what stands in a text."""
    text = content.isascii() and rng.random() < 0.8
    ways: list[Callable[[bytearray, random.Random], bytearray]] = TEXT_WAYS if text else BYTE_WAYS
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 5))):
        changed = rng.choice(ways)(changed, rng)
    return bytes(changed)


def flip(content: bytearray, rng: random.Random) -> bytearray:
    """A few bytes, more often at the beginning, where headers are."""
    for _ in range(rng.choice((1, 3, 20))):
        if content:
            reach = rng.choice((64, 512, len(content)))
            content[rng.randrange(min(len(content), reach))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
    return content


def cut(content: bytearray, rng: random.Random) -> bytearray:
    """Only the beginning."""
    return content[: rng.randrange(len(content) + 1)]


def without_part(content: bytearray, rng: random.Random) -> bytearray:
    """A part less."""
    start = rng.randrange(len(content) + 1)
    return content[:start] + content[start + rng.choice((1, 4, 64, 1024)) :]


def repeated(content: bytearray, rng: random.Random) -> bytearray:
    """A part twice."""
    start = rng.randrange(len(content) + 1)
    return content[:start] + content[start : start + rng.choice((4, 64, 4096))] + content[start:]


def zeroed(content: bytearray, rng: random.Random) -> bytearray:
    """A part as a hole of a file that was never filled."""
    start, size = rng.randrange(len(content) + 1), rng.choice((16, 512, 4096))
    end = min(len(content), start + size)
    content[start:end] = bytes(end - start)
    return content


VALUES = (
    b"nan", b"NaN", b"inf", b"-1", b"0", b"1e999", b"-1e308", b"99999999999999999999", b"null", b"true", b'""', b"[]", b"{}",
    b'"' + b"x" * 5000 + b'"', b"[" * 3000, b'{"a":' * 3000, b'"\\u0000"', b'"../../../etc/passwd"', b'"http://127.0.0.1:9/x"',
    b"\xff\xfe", "'é'".encode("latin-1"),
)  # fmt: skip


def other_value(content: bytearray, rng: random.Random) -> bytearray:
    """Another value where a number, a text or a word stands."""
    found = list(re.finditer(rb'"[^"\n]*"|-?\d[\d.eE+-]*|[A-Za-z_]{3,}', content))
    if not found:
        return content
    place = rng.choice(found)
    content[place.start() : place.end()] = rng.choice(VALUES)
    return content


def lines_moved(content: bytearray, rng: random.Random) -> bytearray:
    """A line less, twice, or elsewhere."""
    lines = bytes(content).splitlines(keepends=True)
    if not lines:
        return content
    line = lines[rng.randrange(len(lines))]
    way = rng.randrange(3)
    if way != 1:
        lines.remove(line)
    if way:
        lines.insert(rng.randrange(len(lines) + 1), line)
    return bytearray(b"".join(lines))


BYTE_WAYS = [flip, flip, flip, cut, without_part, repeated, zeroed]
TEXT_WAYS = [other_value, other_value, other_value, lines_moved, cut, flip]


def fork(words: list[str], log: Path, timeout: float) -> tuple[int | str, str]:
    """Run `lulc` in a fork of this process: its exit code, the name of a signal or `hang`, and what it printed."""
    child = os.fork()
    if child == 0:
        _run(words, log)
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            said = log.read_text(errors="replace") if log.exists() else ""
            return (code if code >= 0 else signal.Signals(-code).name), said
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "hang", log.read_text(errors="replace")


def _run(words: list[str], log: Path) -> None:
    handle = os.open(log, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    sys.argv = ["lulc", *words]
    code = 1
    try:
        runpy.run_module("lulc", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - counted
        traceback.print_exc()
    sys.stdout.flush()
    os._exit(code)


@dataclass(frozen=True)
class Case:
    """One mutated input and a command."""

    number: int
    seed: Seed
    words: str


def run_case(case: Case, folder: Path, args: argparse.Namespace) -> tuple[str, int | str, str]:
    """Kind, exit code or fault, and what was printed."""
    rng = random.Random(f"{args.seed} {case.number}")  # noqa: S311
    work = folder / f"case-{case.number}"
    (work / "out").mkdir(parents=True)
    seed = case.seed
    target = work / seed.path.name
    if seed.member:
        shutil.copytree(seed.path, target)
    else:
        for beside in folder.glob(f"{seed.path.stem}.*"):
            if beside.is_file():
                shutil.copy(beside, work / beside.name)
        if seed.path.suffix == ".json":
            shutil.copytree(folder / "bands", work / "bands", dirs_exist_ok=True)
    changed = target / seed.member
    changed.write_bytes(mutated(changed.read_bytes(), rng))
    words = fill(case.words, target, work / "out", folder)
    code, said = fork(words, work / "log", args.timeout)
    fault = judged(code, said, work / "out")
    if fault and args.keep:
        shutil.copytree(work, args.keep / work.name, dirs_exist_ok=True)
        (args.keep / work.name / "command").write_text(" ".join(words))
    shutil.rmtree(work)
    return seed.kind, (fault or code), said


def check_whole(seeds: list[Seed], folder: Path, args: argparse.Namespace) -> None:
    """End unless every command takes its whole file: mutations of what is refused anyway would try nothing."""
    for seed in seeds:
        for number, words in enumerate(seed.commands):
            out = folder / f"whole-{number}"
            out.mkdir()
            filled = fill(words, seed.path, out, folder)
            code, said = fork(filled, folder / "log", args.timeout)
            shutil.rmtree(out)
            if code not in seed.codes:
                raise SystemExit(f"{' '.join(filled)} ended with {code}: {said}")


def fill(words: str, target: Path, out: Path, folder: Path) -> list[str]:
    """Words of a command with its paths."""
    return [
        word.replace("{}", str(target)).replace("{out}", str(out)).replace("{dir}", str(folder))
        for word in words.split()
    ]


def judged(code: int | str, said: str, out: Path) -> str:
    """What is wrong with how a command ended; empty when nothing is."""
    if isinstance(code, str):
        return code
    if "Traceback" in said:
        return "traceback"
    if code not in EXIT_CODES:
        return f"exit {code}"
    left = [path for path in out.rglob("*") if ".partial" in path.name or path.suffix == ".lulc"]
    if left or (code and any(out.iterdir())):
        return "left behind"
    return "" if all(map(placed, out.glob("*.tif"))) else "no finite place"


def placed(path: Path) -> bool:
    """True when the georeference of an output is finite."""
    with rasterio.open(path) as written:
        transform = written.transform
    return bool(np.isfinite(tuple(transform)).all()) and transform.determinant != 0


def main() -> None:
    """Run all cases and print what was counted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--timeout", type=float, default=60.0)
    parser.add_argument("--only", default="")
    parser.add_argument("--keep", type=Path, help="keep inputs of cases that end wrongly")
    args = parser.parse_args()
    for module in ("lulc.tasks.classify.classify", "lulc.tasks.mosaic.mosaic", "lulc.tasks.dataset.prepare", "lulc.tasks.change.change",
                   "lulc.tasks.stack.stack", "lulc.tasks.describe.info", "lulc.tasks.accuracy.evaluate", "lulc.cli.main"):  # fmt: skip
        __import__(module)
    with tempfile.TemporaryDirectory(prefix="lulc-fuzz-") as name:
        folder = Path(name)
        seeds = [*scenes(folder), *products(folder), *bundles(folder), *labels(folder), *configurations(folder)]
        check_whole(seeds, folder, args)
        kinds = set(filter(None, args.only.split(","))) or {seed.kind for seed in seeds}
        seeds = [seed for seed in seeds if seed.kind in kinds]
        by_kind = {kind: [seed for seed in seeds if seed.kind == kind] for kind in sorted(kinds)}
        rng = random.Random(args.seed)  # noqa: S311
        names = sorted(by_kind)
        cases = []
        for number in range(args.cases):
            seed = rng.choice(by_kind[names[number % len(names)]])
            cases.append(Case(number, seed, rng.choice(seed.commands)))
        start = time.monotonic()
        with get_context("fork").Pool(args.workers) as pool:  # each forks its commands from its only thread
            results = pool.map(partial(run_case, folder=folder, args=args), cases, chunksize=1)
    report(cases, results, time.monotonic() - start)


def report(cases: list[Case], results: list[tuple[str, int | str, str]], seconds: float) -> None:
    """Print a table of exit codes by kind, and every fault with its case."""
    for kind in sorted({kind for kind, _, _ in results}):
        counted = Counter(str(code) for one, code, _ in results if one == kind)
        print(
            f"{kind:<8} {sum(counted.values()):>5} cases: {', '.join(f'{code} x {count}' for code, count in sorted(counted.items()))}"
        )
    for case, (_, code, said) in zip(cases, results, strict=True):
        if isinstance(code, str):
            last = (said.strip().splitlines() or [""])[-1][:160]
            print(f"case {case.number}: {code}: {case.seed.path.name}/{case.seed.member} {case.words}: {last}")
    print(f"{len(results)} cases in {seconds:.0f} s, {sum(isinstance(code, str) for _, code, _ in results)} faults")


if __name__ == "__main__":
    main()
