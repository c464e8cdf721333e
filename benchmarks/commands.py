"""What the commands beside classify cost: beside another commit's, and stage by stage beside bare loops; prints Markdown.

python benchmarks/commands.py [--side 2048] [--rounds 3] [--old COMMIT] [--only change stack.nc] [--profile]

Each command is a process of its own, start-up included. `--old` is another commit, which runs in turns with
this one. `--profile` runs each command of this tree once more, in one thread under cProfile. A floor is a bare loop that
does the heart of a stage and nothing else.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import rasterio
from mosaic import laid_out
from scenes import write_scene
from trees import ROOT, checkout, process

_DATES = 2
_MAPS = 4
_PROFILED = """
import cProfile, json, pstats, sys, time
import lulc.threads
lulc.threads.in_order = lambda function, items, readers=1: map(function, items)
from lulc.cli.main import cli
profile = cProfile.Profile(time.process_time)
try:
    profile.runcall(cli, sys.argv[1:])
except SystemExit:
    pass
found = pstats.Stats(profile).stats.items()
print(json.dumps([[file, name, times[3]] for (file, _, name), times in found if "/lulc/" in file]))
"""

STAGES = {
    "mosaic": [
        ("decode", "product/reader.py", "read", "decode a map"),
        ("merge", "mosaic/merging.py", "feed", "a pass over a map"),
        ("encode", "product/writer.py", "put", "encode a map"),
    ],
    "change": [
        ("decode", "product/reader.py", "read", "decode two maps"),
        ("decide", "change/pixels.py", "change_pixels", "a pass over two maps"),
        ("patches", "change/mmu.py", "large_patches", ""),
        ("encode", "product/writer.py", "put", "encode a change map"),
        ("count", "product/areas.py", "class_areas", "a pass over codes"),
    ],
    "report": [
        ("decode", "product/reader.py", "read", "decode a map"),
        ("count", "product/areas.py", "class_areas", "a pass over codes"),
        ("picture", "figures/quicklook.py", "quicklook_of", ""),
    ],
    "info": [("decode", "product/reader.py", "read", "decode a map")],
    "evaluate": [
        ("decode", "product/reader.py", "read", "decode two maps"),
        ("calibration", "metrics/calibration.py", "feed", "a pass over a map"),
        ("intervals", "metrics/bootstrap.py", "block_intervals", ""),
        ("pictures", "figures/agreement.py", "write_confusion", ""),
    ],
} | {
    f"stack.{suffix}": [
        ("check of the radiometry", "scene/plausibility.py", "doubts_of", ""),
        ("decode", "scene/raster.py", "_read", "decode a scene"),
        ("reflectance", "lulc/bands.py", "reflectance", "a pass over a scene"),
        ("encode", file, function, "deflate a stack" if suffix == "nc" else ""),
    ]
    for suffix, file, function in (
        ("tif", "files/gdal.py", "write_block"),
        ("nc", "stack/cube.py", "netcdf_sink write"),
        ("zarr", "stack/cube.py", "write"),
    )
}
"""Of each command: stage, file and functions that it is the time of, and its floor."""


def commands(folder: Path, side: int) -> dict[str, list[str | Path]]:
    """Command lines by name; `OUT` stands for the output. Their inputs are made first."""
    scenes = [write_scene(folder / f"scene{date}.tif", side, side, date) for date in range(_DATES)]
    maps = [folder / f"map{date}.tif" for date in range(_DATES)]
    for scene, product in zip(scenes, maps, strict=True):
        cost(ROOT, ["classify", scene, product])
    cost(ROOT, ["change", *maps, folder / "change.tif"])
    return {
        "mosaic": ["mosaic", *laid_out(folder, maps[0], _MAPS), "OUT.tif"],
        "change": ["change", *maps, "OUT.tif"],
        **{f"stack.{suffix}": ["stack", scenes[0], f"OUT.{suffix}"] for suffix in ("tif", "nc", "zarr")},
        "report": ["report", maps[0], "OUT"],
        "info": ["info", maps[0]],
        "evaluate": ["evaluate", maps[0], maps[1], "--out", "OUT"],
    }


def cost(tree: Path, command: list[str | Path]) -> tuple[float, float, float]:
    """CPU seconds, wall seconds and peak GB of a command of a tree."""
    with tempfile.TemporaryDirectory() as place:
        return process(tree, ["-m", "lulc", *placed(command, place)])[1:]


def placed(command: list[str | Path], place: str) -> list[str]:
    """A command line whose output lies in a folder."""
    return [str(part).replace("OUT", f"{place}/out") if str(part).startswith("OUT") else str(part) for part in command]


def compare(found: dict[str, list[str | Path]], trees: list[Path], rounds: int) -> None:
    """Print the medians of every command on each tree."""
    print(f"\nload {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores, medians of {rounds} rounds\n")
    print(
        "| command | CPU s | wall s | peak GB | old CPU s | old wall s | CPU new / old |\n|---|---|---|---|---|---|---|"
    )
    for name, command in found.items():
        turns = [[cost(tree, command) for tree in trees] for _ in range(rounds)]
        medians = [
            [statistics.median(column) for column in zip(*runs, strict=True)] for runs in zip(*turns, strict=True)
        ]
        cpu, wall, peak = medians[-1]
        old = f"{medians[0][0]:.2f} | {medians[0][1]:.2f} | {cpu / medians[0][0]:.2f}" if len(trees) > 1 else "| |"
        print(f"| {name} | {cpu:.2f} | {wall:.2f} | {peak:.2f} | {old} |", flush=True)


def stages(name: str, command: list[str | Path], floors: dict[str, float], megapixels: float, inputs: int) -> None:
    """Print what each stage of a command costs beside its floor, CPU seconds for each megapixel of its inputs.

    cProfile makes stages of many small calls, such as pictures, look up to twice as dear as they are.
    """
    with tempfile.TemporaryDirectory() as place:
        times = json.loads(process(ROOT, ["-c", _PROFILED, *placed(command, place)])[0].splitlines()[-1])
    start = process(ROOT, ["-m", "lulc", command[0], "--help"])[1]
    print(
        f"\n{name}: {start:.2f} CPU s for `--help`\n\n| stage | CPU s / Mpx | floor | floor is to |\n|---|---|---|---|"
    )
    for stage, file, function, floor in STAGES[name]:
        spent = sum(seconds for path, called, seconds in times if path.endswith(file) and called in function.split())
        bare = f"{floors[floor] / megapixels:.3f}" if floor else ""
        print(f"| {stage} | {spent / megapixels / inputs:.3f} | {bare} | {floor} |")


def bare_loops(folder: Path) -> dict[str, float]:
    """CPU seconds of each floor."""
    scene, one, other, change = (folder / f"{name}.tif" for name in ("scene0", "map0", "map1", "change"))
    counts, codes, maps = read(scene), read(one)[0], np.stack([read(one), read(other)])
    planes = counts / np.float32(10_000)
    blocks = [plane[row : row + 1024, col : col + 1024] for plane in planes for row, col in corners(plane.shape)]
    return {
        "decode a map": seconds(lambda: read(one)),
        "decode two maps": seconds(lambda: (read(one), read(other))),
        "decode a scene": seconds(lambda: read(scene)),
        "encode a map": seconds(lambda: encode(one, maps[0], folder)),
        "encode a change map": seconds(lambda: encode(change, read(change), folder)),
        "a pass over a map": seconds(lambda: maps[0].astype(np.float32).sum(axis=0)),
        "a pass over two maps": seconds(lambda: maps.sum(axis=(0, 1), dtype=np.uint16)),
        "a pass over codes": seconds(lambda: np.bincount(codes.ravel(), minlength=256)),
        "a pass over a scene": seconds(lambda: counts / np.float32(10_000)),
        "deflate a stack": seconds(lambda: [zlib.compress(block.tobytes(), 1) for block in blocks]),
    }


def corners(shape: tuple[int, int]) -> list[tuple[int, int]]:
    """Upper left corners of windows of 1024 pixels."""
    return [(row, col) for row in range(0, shape[0], 1024) for col in range(0, shape[1], 1024)]


def read(path: Path) -> np.ndarray:
    """All bands of a file."""
    with rasterio.open(path) as source:
        return source.read()


def encode(path: Path, pixels: np.ndarray, folder: Path) -> None:
    """Write pixels with the compression of a file, by GDAL."""
    with rasterio.open(path) as source:
        profile = {key: source.profile[key] for key in ("width", "height", "count", "dtype", "compress", "interleave")}
    blocks = {"tiled": True, "blockxsize": 512, "blockysize": 512}
    with rasterio.open(folder / "bare.tif", "w", driver="GTiff", **profile, **blocks) as target:
        target.write(pixels)


def seconds(loop: Callable[[], object]) -> float:
    """CPU seconds of a call, the least of three."""
    found = []
    for _ in range(3):
        start = time.process_time()
        loop()
        found.append(time.process_time() - start)
    return min(found)


def main() -> None:
    """Run both parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--old", metavar="COMMIT")
    parser.add_argument("--only", nargs="+", choices=STAGES, default=list(STAGES))
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        found = {name: line for name, line in commands(Path(place), options.side).items() if name in options.only}
        compare(found, [*([checkout(options.old)] if options.old else []), ROOT], options.rounds)
        if options.profile:
            floors = bare_loops(Path(place))
            for name, line in found.items():
                stages(name, line, floors, options.side**2 / 1e6, _MAPS if name == "mosaic" else 1)


if __name__ == "__main__":
    main()
