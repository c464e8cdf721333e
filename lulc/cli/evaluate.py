"""`lulc evaluate`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from lulc.cli.params.options import given_options, model_options
from lulc.cli.params.values import ScenePath
from lulc.cli.terminal.console import Console, with_console
from lulc.errors import UsageError
from lulc.options import Options
from lulc.tasks.accuracy.options import EstimateOptions, EvaluateOptions, RobustnessOptions, TrialOptions

if TYPE_CHECKING:
    from lulc.tasks.accuracy.agreement_report import EvaluationReport
    from lulc.tasks.accuracy.area_report import AreaReport
    from lulc.tasks.accuracy.robustness_report import RobustnessReport

    _Report = EvaluationReport | AreaReport | RobustnessReport

_WAYS: dict[type[Options], str] = {
    EvaluateOptions: "to compare a map with labels",
    TrialOptions: "to try a model",
    EstimateOptions: "to estimate from points",
    RobustnessOptions: "to measure robustness",
}


@click.command()
@click.argument("subject", metavar="MAP|MODEL", type=click.Path(path_type=Path))
@click.argument("references", metavar="REFERENCE|SCENE...", nargs=-1, required=True, type=ScenePath(path_type=Path))
@click.option(
    "--robustness", is_flag=True, help="MODEL and SCENE...: how many pixels keep their class when a scene changes."
)
@click.option(
    "--out", metavar="DIR", type=click.Path(path_type=Path), help="Write report.json, report.md and pictures there."
)
@model_options(compared=EvaluateOptions, tried=TrialOptions, estimated=EstimateOptions, changed=RobustnessOptions)
@click.option("--overwrite", is_flag=True, help="Replace an existing output.")
@with_console()
def evaluate(
    subject: Path,
    references: tuple[Path, ...],
    *,
    robustness: bool,
    out: Path | None,
    overwrite: bool,
    console: Console,
    **options: Options,
) -> None:
    """Compare a MAP with a whole REFERENCE (agreement), or estimate its accuracy and areas from labelled points.

    REFERENCE is a raster or polygons of labels on any grid; or points of `lulc sample` with labels (.gpkg, .geojson,
    .csv); or, for a MODEL, the folder of a training set. With --robustness a MODEL is tried on scenes that are shifted,
    turned, lit differently, or of other levels and dates; no labels are needed.
    """
    from lulc.io.report.writer import write_report

    way = RobustnessOptions if robustness else _way(subject, references)
    _refuse_idle(way)
    if out is not None:
        _check_out(out, (subject, *references), overwrite=overwrite)
    report = _evaluated(subject, references, next(each for each in options.values() if isinstance(each, way)), console)
    if out is not None:
        write_report(report, out, report.pictures(), overwrite=overwrite)
    console.show(report.to_json, report.to_markdown)


def _way(subject: Path, references: tuple[Path, ...]) -> type[Options]:
    """How a map or model and its reference are evaluated: by the options of that way."""
    from lulc.io.labels.polygons import holds_points
    from lulc.io.labels.training_set import is_training_set

    if len(references) > 1:
        raise UsageError(f"{len(references)} references are given", "give one, or scenes of a model with --robustness")
    (reference,) = references
    model, training_set = _is_model(subject), is_training_set(reference)
    if model != training_set:
        problem = f"{subject} is a model and {reference} no training set" if model else f"{subject} is no model"
        remedy = "try a model on the folder of a training set, or classify a scene and compare the map"
        raise UsageError(problem, f"{remedy}, or add --robustness" if model else remedy)
    if model:
        return TrialOptions
    return EstimateOptions if holds_points(reference) else EvaluateOptions


def _check_out(folder: Path, inputs: tuple[Path, ...], *, overwrite: bool) -> None:
    """Refuse a folder for the report that is an input, holds one under a name of the report, or cannot be written."""
    from lulc.io.files.outputs import refuse_inputs
    from lulc.io.report.writer import JSON, MARKDOWN, check_report
    from lulc.tasks.accuracy.agreement_report import PICTURES

    refuse_inputs([folder, *(folder / name for name in (JSON, MARKDOWN, *PICTURES))], inputs)
    check_report(folder, PICTURES, overwrite=overwrite)


def _refuse_idle(way: type[Options]) -> None:
    """An option that would do nothing was meant to do something."""
    idle = given_options({name for other in _WAYS for name in other.model_fields} - {*way.model_fields})
    if idle:
        raise UsageError(f"{idle[0]} is of no use {_WAYS[way]}", "leave it out")


def _evaluated(subject: Path, references: tuple[Path, ...], options: Options, console: Console) -> "_Report":
    reference = references[0]
    if isinstance(options, TrialOptions):
        from lulc.tasks.accuracy.evaluate_model import evaluate_model

        return evaluate_model(subject, reference, options)
    with console.progress() as report:
        if isinstance(options, RobustnessOptions):
            from lulc.tasks.accuracy.robustness import measure_robustness

            return measure_robustness(subject, references, options, progress=report)
        if isinstance(options, EstimateOptions):
            from lulc.tasks.accuracy.estimate import estimate_areas

            return estimate_areas(subject, reference, options, progress=report)
        from lulc.tasks.accuracy.evaluate import evaluate_map

        assert isinstance(options, EvaluateOptions)
        return evaluate_map(subject, reference, options, progress=report)


def _is_model(path: Path) -> bool:
    from lulc.resources import pretrained_dir
    from lulc.tasks.describe.info import is_bundle

    shipped = not path.exists() and len(path.parts) == 1 and (pretrained_dir() / path).is_dir()
    return shipped or (path.exists() and is_bundle(path))
