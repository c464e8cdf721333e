"""What `lulc classify` costs now and at another commit, in turns on this machine, beside the least it could; prints Markdown.

python benchmarks/versions.py [COMMIT] [--rounds 3] [--side 4096] [--tile]

Both versions run in this Python, each from its own folder. The bare network stands for what neither can avoid: forward passes
over windows without halo, freed memory kept, no cloud head. The floor adds the overlap of windows, decoding and encoding.
Figures are medians.
"""

import argparse
import json
import os
import statistics
from collections.abc import Sequence
from pathlib import Path

from classify import BENCH, contender
from gpu import decode_cost, host_costs
from scenes import NAMES, write_scene
from trees import ROOT, checkout, process

from lulc import ClassifyOptions
from lulc.model.bundle import load_bundle
from lulc.tasks.classify.job import plan_job
from lulc.tasks.classify.series import open_series

Row = dict[str, float]


def run(folder: Path, scene: Path, *options: str) -> Row:
    """One run of `lulc classify` of the version in a folder."""
    out = BENCH / f"version_{folder.name}.tif"
    command = ["-m", "lulc", "classify", str(scene), str(out), "--overwrite", "--json", "-q", *options]
    text, cpu_s, wall_s, _ = process(folder, command)
    report = json.loads(text)
    return {
        "CPU s after start-up": cpu_s - report["start_up_cpu_s"],
        "wall s after start-up": report["seconds"] - report["start_up_s"],
        "start-up CPU s": report["start_up_cpu_s"],
        "whole command, wall s": wall_s,
        "peak GB": report["peak_bytes"] / 1e9,
        "predicted peak GB": report["plan"]["predicted_peak_bytes"] / 1e9,
        "seen": report["plan"]["cost_factor"],
    }


def in_turns(folders: list[Path], scene: Path, rounds: int, *options: str) -> tuple[list[Row], bool]:
    """Medians of each version, and whether their maps have the same bytes."""
    rows: list[list[Row]] = [[] for _ in folders]
    for _ in range(rounds):
        for folder, found in zip(folders, rows, strict=True):
            found.append(run(folder, scene, *options))
    maps = [(BENCH / f"version_{folder.name}.tif").read_bytes() for folder in folders]
    medians = [{name: statistics.median(row[name] for row in found) for name in found[0]} for found in rows]
    return medians, len({*maps}) == 1


def least(scene: Path, side: int, rounds: int) -> tuple[Row, float]:
    """CPU seconds of the bare network by precision, and of decoding and encoding."""
    bare = {
        precision: statistics.median(contender("limit_kept", scene, precision)["cpu_s"] for _ in range(rounds))
        for precision in ("bf16", "fp32")
    }
    options = ClassifyOptions(device="cpu")
    with open_series([scene], options) as series:
        encode = host_costs(series, plan_job(series, load_bundle(), options))["encode"]
    return bare, (decode_cost(scene, NAMES) + encode) * side**2 / 1e6


def table(title: str, found: tuple[list[Row], bool], extra: Sequence[tuple[str, list[float]]] = ()) -> None:
    """Old and new side by side."""
    medians, equal = found
    print(f"\n{title}; maps {'equal' if equal else 'DIFFER'}\n\n| what | old | new | new / old |\n|---|---|---|---|")
    named = [(name, [row[name] for row in medians]) for name in medians[0] if name != "seen"]
    for name, values in (*named, *extra):
        print(f"| {name} | {values[0]:.2f} | {values[-1]:.2f} | {values[-1] / values[0]:.2f} |")


def main() -> None:
    """Run all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commit", nargs="?", default="HEAD~1", help="the old version")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", type=int, default=4096)
    parser.add_argument("--tile", action="store_true", help="a full tile too, once each")
    given = parser.parse_args()
    BENCH.mkdir(exist_ok=True)
    folders = [checkout(given.commit), ROOT]
    scene = write_scene(BENCH / f"scene_{given.side}.tif", given.side, given.side)
    bare, codecs = least(scene, given.side, given.rounds)
    print(f"{folders[0].name} and this version, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    for precision, cost in bare.items():
        medians, equal = in_turns(folders, scene, given.rounds, "--precision", precision)
        spent = [row["CPU s after start-up"] for row in medians]
        floor = [cost * row["seen"] + codecs for row in medians]
        extra = [
            (f"CPU / bare network ({cost:.1f} s)", [value / cost for value in spent]),
            (f"CPU / floor ({floor[-1]:.1f} s)", [value / low for value, low in zip(spent, floor, strict=True)]),
        ]
        table(f"{given.side} x {given.side} px, {precision}", (medians, equal), extra)
    small = write_scene(BENCH / "scene_256.tif", 256, 256)
    picture = str(BENCH / "version.png")
    table("256 x 256 px with a picture", in_turns(folders, small, given.rounds, "--quicklook", picture))
    if given.tile:
        tile = write_scene(BENCH / "scene_10980.tif", 10_980, 10_980)
        table("10980 x 10980 px", in_turns(folders, tile, 1))


if __name__ == "__main__":
    main()
