"""`lulc evaluate`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from lulc.cli.console import Console, with_console
from lulc.cli.options import given_options, model_options
from lulc.errors import UsageError
from lulc.options import Options
from lulc.tasks.accuracy.options import EstimateOptions, EvaluateOptions, TrialOptions

if TYPE_CHECKING:
    from lulc.tasks.accuracy.agreement_report import EvaluationReport
    from lulc.tasks.accuracy.area_report import AreaReport

    _Report = EvaluationReport | AreaReport

_WAYS: dict[type[Options], str] = {
    EvaluateOptions: "to compare a map with labels",
    TrialOptions: "to try a model",
    EstimateOptions: "to estimate from points",
}


@click.command()
@click.argument("subject", metavar="MAP|MODEL", type=click.Path(path_type=Path))
@click.argument("reference", metavar="REFERENCE", type=click.Path(path_type=Path))
@click.option(
    "--out", metavar="DIR", type=click.Path(path_type=Path), help="Write report.json, report.md and pictures there."
)
@model_options(compared=EvaluateOptions, tried=TrialOptions, estimated=EstimateOptions)
@click.option("--overwrite", is_flag=True, help="Replace an existing output.")
@with_console()
def evaluate(
    subject: Path, reference: Path, *, out: Path | None, overwrite: bool, console: Console, **options: Options
) -> None:
    """Compare a MAP with a whole REFERENCE (agreement), or estimate its accuracy and areas from labelled points.

    REFERENCE is a raster or polygons of labels on any grid; or points of `lulc sample` with labels (.gpkg, .geojson,
    .csv); or, for a MODEL, the folder of a training set.
    """
    from lulc.io.report.writer import check_report, write_report
    from lulc.tasks.accuracy.agreement_report import PICTURES

    way = _way(subject, reference)
    _refuse_idle(way)
    if out is not None:
        check_report(out, PICTURES, overwrite=overwrite)
    report = _evaluated(subject, reference, next(each for each in options.values() if isinstance(each, way)), console)
    if out is not None:
        write_report(report, out, report.pictures(), overwrite=overwrite)
    console.show(report.to_json, report.to_markdown)


def _way(subject: Path, reference: Path) -> type[Options]:
    """How these two are evaluated: by the options of that way."""
    from lulc.io.labels.polygons import holds_points
    from lulc.io.labels.training_set import is_training_set

    model, training_set = _is_model(subject), is_training_set(reference)
    if model != training_set:
        problem = f"{subject} is a model and {reference} no training set" if model else f"{subject} is no model"
        remedy = "try a model on the folder of a training set, or classify a scene and compare the map"
        raise UsageError(problem, remedy)
    if model:
        return TrialOptions
    return EstimateOptions if holds_points(reference) else EvaluateOptions


def _refuse_idle(way: type[Options]) -> None:
    """An option that would do nothing was meant to do something."""
    idle = given_options({name for other in _WAYS for name in other.model_fields} - {*way.model_fields})
    if idle:
        raise UsageError(f"{idle[0]} is of no use {_WAYS[way]}", "leave it out")


def _evaluated(subject: Path, reference: Path, options: Options, console: Console) -> "_Report":
    if isinstance(options, TrialOptions):
        from lulc.tasks.accuracy.evaluate_model import evaluate_model

        return evaluate_model(subject, reference, options)
    with console.progress() as report:
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
