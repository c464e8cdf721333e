"""`lulc classify`."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lulc.cli.params.options import model_options
from lulc.cli.params.values import ScenePath
from lulc.cli.terminal.console import Console, with_console
from lulc.errors import InputError
from lulc.tasks.classify.options import ClassifyCommandOptions, ClassifyOptions

if TYPE_CHECKING:
    from lulc.io.product.areas import ClassArea
    from lulc.tasks.classify.report import ClassifyReport
    from lulc.tasks.classify.seams import SeamReport

_MEGA, _GIGA = 1e6, 1e9


@click.command()
@click.argument("inputs", metavar="[SCENE]...", nargs=-1, type=ScenePath(path_type=Path))
@click.argument("output", metavar="[OUT]", required=False, type=click.Path(path_type=Path))
@model_options(options=ClassifyOptions, command=ClassifyCommandOptions)
@with_console()
def classify(
    inputs: tuple[Path, ...],
    output: Path | None,
    *,
    options: ClassifyOptions,
    command: ClassifyCommandOptions,
    console: Console,
) -> None:
    """Classify a Sentinel-2 SCENE into OUT: the class raster, then one activation map per class, in one GeoTIFF.

    Several inputs are stacked: one file per band, or a band mosaic and an index mosaic. With --dates each is a whole scene
    of one date of one place, and the map is that of all dates, on the pixels of the first. With --list many scenes are
    classified one after the other; one that fails is reported, and the others go on.
    """
    from lulc.tasks.classify import classify as task

    if command.listed and command.out:
        if inputs or output:
            raise click.UsageError("--list goes without SCENE and OUT: its maps go into --out")
        _classify_list(command.listed, command.out, options, console)
        return
    if not inputs or output is None:
        raise click.UsageError("Missing argument 'SCENE... OUT': name a scene and its map, or give --list and --out")
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


def _classify_list(listed: Path, folder: Path, options: ClassifyOptions, console: Console) -> None:
    from lulc.tasks.classify.many import SceneOutcome, classify_many
    from lulc.tasks.classify.scene_list import listed_scenes

    def told(outcome: SceneOutcome) -> None:
        if outcome.error:
            console.refused(outcome.error)
        elif not console.as_json:
            console.say(lambda: f"{outcome.output}: {outcome.state}")

    if options.dates:
        raise click.UsageError("--dates makes one map of several scenes, --list one of each: give one of them")
    scenes = listed_scenes(listed)
    if not scenes:
        raise InputError(f"{listed} names no scene", "write one scene a line")
    with console.progress() as report:
        outcomes = classify_many(scenes, folder, options, told=told, progress=report)
    failed = [outcome.error for outcome in outcomes if outcome.error]
    console.show(
        lambda: [outcome.to_json() for outcome in outcomes],
        lambda: f"{len(outcomes) - len(failed)} of {len(outcomes)} scenes have their map",
    )
    if failed:
        click.get_current_context().exit(failed[0].exit_code)


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
