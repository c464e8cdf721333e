"""`lulc evaluate`."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lulc.cli.main import set_verbosity
from lulc.cli.options import json_option, overwrite_option, verbosity_options
from lulc.cli.progress import progress
from lulc.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lulc.tasks.accuracy.agreement_report import EvaluationReport
    from lulc.tasks.accuracy.estimate import AreaReport

    _Evaluation = Callable[[Path, Path, dict[str, Any], bool], EvaluationReport | AreaReport]

_OF_MAPS = ("legend", "map_legend", "to", "crosswalk", "attribute", "layer", "block_px", "seed", "edges")
_OF_POINTS = ("attribute", "allow_missing", "other_map")
_OF_MODELS = ("split", "to", "crosswalk", "seed")


@click.command()
@click.argument("subject", metavar="MAP|MODEL", type=click.Path(path_type=Path))
@click.argument("reference", metavar="REFERENCE", type=click.Path(path_type=Path))
@click.option(
    "--out", metavar="DIR", type=click.Path(path_type=Path), help="Write report.json, report.md and pictures there."
)
@click.option("--legend", metavar="NAME|PATH", help="Legend of REFERENCE. [default: its own, when it was made by lulc]")
@click.option("--map-legend", metavar="NAME|PATH", help="Legend of a MAP not made by lulc. [default: that of --legend]")
@click.option("--to", metavar="NAME|PATH", help="Legend to compare in. [default: MAP's, else REFERENCE's]")
@click.option(
    "--crosswalk",
    multiple=True,
    metavar="PATH",
    help="How classes of one legend become those of another; repeat for more. [default: the shipped ones]",
)
@click.option("--attribute", metavar="COLUMN", help="Column of polygons or points with the class. [points: reference]")
@click.option("--layer", metavar="NAME", help="Layer of polygons.")
@click.option(
    "--block",
    "block_px",
    type=click.IntRange(8, 8192),
    default=256,
    show_default=True,
    help="Side of the blocks that are resampled for intervals, pixels; larger than errors reach.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the resampling.")
@click.option("--edges", is_flag=True, help="Also report agreement that forgives the borders between classes.")
@click.option(
    "--split", default="val", show_default=True, metavar="NAME", help="Part of a training set to try a MODEL on."
)
@click.option("--allow-missing", is_flag=True, help="Estimate from points although some have no label.")
@click.option(
    "--other-map", is_flag=True, help="Points: they were drawn from another map, whose classes are the strata."
)
@overwrite_option
@json_option
@verbosity_options
def evaluate(
    subject: Path,
    reference: Path,
    out: Path | None,
    overwrite: bool,  # noqa: FBT001 - click passes flags by name
    as_json: bool,  # noqa: FBT001
    verbose: int,
    quiet: int,
    **options: Any,  # noqa: ANN401 - one kind of evaluation takes some, another others
) -> None:
    """Compare a MAP with a whole REFERENCE (agreement), or estimate its accuracy and areas from labelled points.

    REFERENCE is a raster or polygons of labels on any grid; or points of `lulc sample` with labels (.gpkg, .geojson,
    .csv); or, for a MODEL, the folder of a training set.
    """
    from lulc.io.report.writer import check_report, write_report
    from lulc.tasks.accuracy.agreement_report import PICTURES

    set_verbosity(verbose, quiet)
    evaluate_them = _evaluation(subject, reference)
    if out is not None:
        check_report(out, PICTURES, overwrite=overwrite)
    report = evaluate_them(subject, reference, options, bool(quiet))
    if out is not None:
        write_report(report, out, report.pictures(), overwrite=overwrite)
    if as_json:
        click.echo(json.dumps(report.to_json()))
    elif not quiet:
        click.echo(report.to_markdown(), nl=False)


def _evaluation(subject: Path, reference: Path) -> "_Evaluation":
    """How these two are evaluated."""
    from lulc.io.labels.reference_kind import holds_points, is_training_set

    model, training_set = _is_model(subject), is_training_set(reference)
    if model != training_set:
        problem = f"{subject} is a model and {reference} no training set" if model else f"{subject} is no model"
        remedy = "try a model on the folder of a training set, or classify a scene and compare the map"
        raise UsageError(problem, remedy)
    if model:
        _refuse_idle(_OF_MODELS, "to try a model")
        return _evaluate_model
    if holds_points(reference):
        _refuse_idle(_OF_POINTS, "to estimate from points")
        return _estimate
    _refuse_idle(_OF_MAPS, "to compare a map with labels")
    return _compare


def _refuse_idle(taken: Iterable[str], purpose: str) -> None:
    """An option that would do nothing was meant to do something."""
    context = click.get_current_context()
    for parameter in context.command.params:
        name = str(parameter.name)
        given = context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
        if given and name in {*_OF_MAPS, *_OF_POINTS, *_OF_MODELS} - {*taken}:
            raise UsageError(f"{parameter.opts[-1]} is of no use {purpose}", "leave it out")


def _is_model(path: Path) -> bool:
    from lulc.resources import pretrained_dir
    from lulc.tasks.describe.info import is_bundle

    shipped = not path.exists() and len(path.parts) == 1 and (pretrained_dir() / path).is_dir()
    return shipped or (path.exists() and is_bundle(path))


def _compare(subject: Path, reference: Path, options: dict[str, Any], quiet: bool) -> "EvaluationReport":  # noqa: FBT001
    from lulc.tasks.accuracy.evaluate import EvaluateOptions, evaluate_map

    chosen = {name: options[name] for name in _OF_MAPS}
    with progress(quiet) as report:
        return evaluate_map(subject, reference, EvaluateOptions(**chosen), progress=report)


def _evaluate_model(
    subject: Path,
    reference: Path,
    options: dict[str, Any],
    quiet: bool,  # noqa: ARG001, FBT001 - called as the other two
) -> "EvaluationReport":
    from lulc.tasks.accuracy.evaluate_model import evaluate_model

    return evaluate_model(subject, reference, **{name: options[name] for name in _OF_MODELS})


def _estimate(
    subject: Path,
    reference: Path,
    options: dict[str, Any],
    quiet: bool,  # noqa: FBT001
) -> "AreaReport":
    from lulc.tasks.accuracy.estimate import EstimateOptions, estimate_areas

    chosen = {name: options[name] for name in _OF_POINTS if name != "attribute"}
    label = options["attribute"] or EstimateOptions().label
    with progress(quiet) as report:
        return estimate_areas(subject, reference, EstimateOptions(label=label, **chosen), progress=report)
