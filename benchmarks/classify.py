"""What `lulc classify` costs, beside the bare network and beside other tools; prints Markdown.

python benchmarks/classify.py [--side 4096] [--memory] [--seams]

Everything runs one after the other on this machine, each in its own process. CPU seconds are the figure to trust on a
shared machine. Start-up (imports, model, plan) is stated apart, for every contender.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import rasterio
from scenes import write_scene

BENCH = Path(__file__).parents[1] / "bench"
PEERS = ("dask_overlap", "monai_sliding", "terratorch_tiled")
_CORE = 1024
_NEAR = 16


def contender(name: str, scene: Path, precision: str = "fp32") -> dict[str, float]:
    """Run one contender."""
    script = Path(__file__).with_name("contenders.py")
    command = [sys.executable, str(script), name, str(scene), str(BENCH / f"{name}.tif"), "--precision", precision]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def classify(scene: Path, *options: str) -> dict[str, float]:
    """Run `lulc classify` as a process; CPU seconds are the whole process's, less its start-up."""
    out = BENCH / f"classify{''.join(options)}.tif"
    command = [sys.executable, "-m", "lulc", "classify", str(scene), str(out), "--overwrite", "--json", "-q", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    text = process.stdout.read() if process.stdout else ""
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"classify failed with {status}")
    report = json.loads(text)
    spent = report["start_up_cpu_s"]
    return {
        "name": f"lulc classify {' '.join(options)}".strip(),
        "cpu_s": usage.ru_utime + usage.ru_stime - spent,
        "wall_s": report["seconds"] - report["start_up_s"],
        "start_up_cpu_s": spent,
        "peak_gb": report["peak_bytes"] / 1e9,
        "report": report,
        "out": out,
    }


def flips(out: Path, truth: Path) -> tuple[float, float, float]:
    """Share of pixels (%) whose class differs from the untiled pass: near core borders, elsewhere, over all."""
    with rasterio.open(out) as mine, rasterio.open(truth) as other:
        differs = mine.read(1).astype(np.uint8) != other.read(1)
    rows, columns = (np.abs((np.arange(side) + _CORE // 2) % _CORE - _CORE // 2) for side in differs.shape)
    near = np.minimum.outer(rows, columns) < _NEAR
    return 100 * float(differs[near].mean()), 100 * float(differs[~near].mean()), 100 * float(differs.mean())


def speed(side: int) -> None:
    """The table of contenders."""
    scene = write_scene(BENCH / f"scene_{side}.tif", side, side)
    truth = BENCH / "untiled.tif"
    contender("untiled", scene)
    bare = {precision: contender("limit", scene, precision) for precision in ("fp32", "bf16")}
    kept = {precision: contender("limit_kept", scene, precision) for precision in ("fp32", "bf16")}
    ours = {"fp32": classify(scene, "--precision", "fp32"), "default": classify(scene)}
    peers = [contender(name, scene) for name in PEERS]
    print(f"\n{side} x {side} px, load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores\n")
    print("| what | CPU s | wall s | start-up CPU s | peak GB | flips % |\n|---|---|---|---|---|---|")
    for precision, row in bare.items():
        print(f"| bare network {precision} | {row['cpu_s']:.1f} | {row['wall_s']:.1f} | | | |")
    for precision, row in kept.items():
        print(f"| bare network {precision}, freed memory kept | {row['cpu_s']:.1f} | {row['wall_s']:.1f} | | | |")
    for row in [*ours.values(), *peers]:
        share = flips(Path(row.get("out", BENCH / f"{row['name']}.tif")), truth)[2]
        print(
            f"| {row['name']} | {row['cpu_s']:.1f} | {row['wall_s']:.1f} | {row['start_up_cpu_s']:.1f} | {row['peak_gb']:.2f} | {share:.4f} |"
        )
    ratios(bare, kept, ours, peers)
    shares(ours["default"]["report"])


def ratios(bare: dict[str, dict], kept: dict[str, dict], ours: dict[str, dict], peers: list[dict]) -> None:
    """What the targets are about."""
    default = ours["default"]["report"]["plan"]["precision"]
    best_cpu, best_wall = (min(row[key] for row in peers) for key in ("cpu_s", "wall_s"))
    print("\n| ratio | CPU | wall | target |\n|---|---|---|---|")
    for name, row, base, target in (
        ("classify fp32 / bare network fp32", ours["fp32"], bare["fp32"], "2.0"),
        (f"classify default / bare network {default}", ours["default"], bare[default], "2.0"),
        ("classify fp32 / bare network fp32, memory kept", ours["fp32"], kept["fp32"], "-"),
        (f"classify default / bare network {default}, memory kept", ours["default"], kept[default], "-"),
        ("classify fp32 / best peer", ours["fp32"], {"cpu_s": best_cpu, "wall_s": best_wall}, "1.0"),
        ("classify default / best peer", ours["default"], {"cpu_s": best_cpu, "wall_s": best_wall}, "0.5"),
    ):
        print(f"| {name} | {row['cpu_s'] / base['cpu_s']:.2f} | {row['wall_s'] / base['wall_s']:.2f} | {target} |")


def shares(report: dict) -> None:
    """Wall time of each stage beside the whole."""
    print("\n| stage | wall s | waited for s |\n|---|---|---|")
    for stage, times in report["stages"].items():
        print(f"| {stage} | {times['wall_s']:.1f} | {times['waited_s']:.1f} |")
    print(f"\nbound by {report['bound']}, {report['mpx_per_s']:.2f} Mpx/s")


def memory() -> None:
    """Peak memory of a full Sentinel-2 tile beside that of a small scene, default settings."""
    print("\n| scene | peak GB | predicted GB | wall s | product MB |\n|---|---|---|---|---|")
    peaks = []
    for side in (2048, 10_980):
        row = classify(write_scene(BENCH / f"scene_{side}.tif", side, side))
        peaks.append(row["peak_gb"])
        report = row["report"]
        predicted, size = report["plan"]["predicted_peak_bytes"] / 1e9, report["output_bytes"] / 1e6
        print(f"| {side} x {side} x 9 | {row['peak_gb']:.2f} | {predicted:.2f} | {row['wall_s']:.0f} | {size:.0f} |")
    print(f"\nratio {peaks[1] / peaks[0]:.2f} (target 1.25), peak {peaks[1]:.2f} GB (target 2.5)")


def seams() -> None:
    """A scene whose sides are no multiples of the stride, tiled against one untiled pass."""
    scene = write_scene(BENCH / "scene_odd.tif", 2074, 2111)
    contender("untiled", scene)
    print("\n| precision | flips near seams % | elsewhere % |\n|---|---|---|")
    for precision in ("fp32", "bf16"):
        near, elsewhere, _ = flips(classify(scene, "--precision", precision)["out"], BENCH / "untiled.tif")
        print(f"| {precision} | {near:.5f} | {elsewhere:.5f} |")


def main() -> None:
    """Run what was asked for, or all of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=4096)
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--seams", action="store_true")
    arguments = parser.parse_args()
    BENCH.mkdir(exist_ok=True)
    chosen = arguments.speed or arguments.memory or arguments.seams
    if arguments.speed or not chosen:
        speed(arguments.side)
    if arguments.seams or not chosen:
        seams()
    if arguments.memory or not chosen:
        memory()


if __name__ == "__main__":
    main()
