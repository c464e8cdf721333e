"""`lulc classify`."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lulc.cli.console import Console, with_console
from lulc.cli.options import model_options, output_argument, scene_arguments
from lulc.tasks.classify.options import ClassifyCommandOptions, ClassifyOptions

if TYPE_CHECKING:
    from lulc.io.product.areas import ClassArea
    from lulc.tasks.classify.report import ClassifyReport
    from lulc.tasks.classify.seams import SeamReport

_MEGA, _GIGA = 1e6, 1e9


@click.command()
@scene_arguments
@output_argument
@model_options(options=ClassifyOptions, command=ClassifyCommandOptions)
@with_console()
def classify(
    inputs: tuple[Path, ...],
    output: Path,
    *,
    options: ClassifyOptions,
    command: ClassifyCommandOptions,
    console: Console,
) -> None:
    """Classify a Sentinel-2 SCENE into OUT: the class raster, then one activation map per class, in one GeoTIFF.

    Several inputs are stacked: one file per band, or a band mosaic and an index mosaic. With --dates each is a whole scene
    of one date of one place, and the map is that of all dates, on the pixels of the first.
    """
    from lulc.tasks.classify import classify as task

    if command.plan:
        summary = task.plan_classification(inputs, options).summary()
        console.show(lambda: summary, partial(plan_text, summary))
        return
    fill = None
    if command.scheduler:
        from lulc.hpc.remote import fill_on

        fill = fill_on(command.scheduler, inputs)
    seams, quicklook = command.verify_seams or 0, command.quicklook
    with console.progress() as report:
        done = task.classify(
            inputs, output, options, progress=report, seam_windows=seams, quicklook=quicklook, fill=fill
        )
    console.show(done.to_json, partial(report_text, done))


def plan_text(summary: dict[str, Any]) -> str:
    """The plan for people: one aligned line a fact, then the reasons."""
    height, width = summary["scene"]
    lines = {
        "scene": f"{width} x {height} px" + (f", {summary['dates']} dates" if summary["dates"] > 1 else ""),
        "windows": f"{summary['windows']} of {summary['window']} px, of which {summary['core']} px are kept (halo {summary['halo']})",
        "blend": f"{summary['blend']} px"
        if summary["blend"]
        else "none: the cut is exact"
        if summary["exact"]
        else "none",
        "cost factor": f"{summary['cost_factor']:.2f}",
        "device": f"{summary['device']}, {summary['precision']}",
        "peak memory": f"about {summary['predicted_peak_bytes'] / _GIGA:.2f} GB",
        "output": f"at most {summary['predicted_output_bytes'] / _GIGA:.3f} GB",
    }
    return "\n".join([*(f"{name:12} {value}" for name, value in lines.items()), *summary["notes"]])


def report_text(done: "ClassifyReport") -> str:
    """The report for people: classes with their areas, then how fast and what bounded it."""
    from lulc.io.product.clouds import shares_text

    rows = [f"{entry.name:20} {_area(entry):>16} {entry.share:7.1%}" for entry in done.classes if entry.pixels]
    lines = [
        f"{done.output}: {done.megapixels:.2f} Mpx, {done.valid_share:.1%} with data, {done.output_bytes / _MEGA:.2f} MB",
        *rows,
        f"{done.seconds:.1f} s, of which {done.start_up_s:.1f} s start-up; {done.mpx_per_s:.2f} Mpx/s, bound by {done.bound}; peak memory {done.peak_bytes / _GIGA:.2f} GB",
        f"halo {done.plan['halo']} px, cost factor {done.plan['cost_factor']:.2f}, {done.plan['device']} {done.plan['precision']}",
    ]
    if done.clouds:
        lines.append(f"under {shares_text(done.clouds)}")
    lines += [f"{date.acquired or 'undated'}  {date.name}, clouds by {date.masked_by}" for date in done.dates]
    if done.resumed_chunks:
        lines.append(f"{done.resumed_chunks} finished parts were taken over from an interrupted run")
    if done.seams is not None:
        lines.append(_seam_line(done.seams))
    return "\n".join([*lines, *(f"warning: {warning}" for warning in done.warnings)])


def _area(entry: "ClassArea") -> str:
    return f"{entry.pixels} px" if entry.hectares is None else f"{entry.hectares:,.1f} ha"


def _seam_line(seams: "SeamReport") -> str:
    if not seams.windows:
        return "seams: none, the scene is one window"
    largest = "" if seams.max_difference is None else f", activations differ by at most {seams.max_difference:.4f}"
    return (
        f"seams: {seams.windows} windows inferred again: {seams.flips_percent:.4f} % of classes change "
        f"({seams.flips_near_percent:.4f} % near seams, {seams.flips_elsewhere_percent:.4f} % elsewhere){largest}"
    )
