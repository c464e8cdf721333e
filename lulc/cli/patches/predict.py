"""`lulc patches predict`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lulc.cli.main import set_verbosity
from lulc.cli.options import (
    bands_option,
    checked,
    json_option,
    offset_option,
    overwrite_option,
    quantification_option,
    verbosity_options,
)
from lulc.cli.progress import progress
from lulc.errors import LulcError, UsageError

if TYPE_CHECKING:
    from lulc.patches.second_opinion import Adviser

_OF_GRIDS = ("cell", "step", "offset", "quantification", "quicklook")


@click.command()
@click.argument("inputs", metavar="INPUT...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--model", metavar="NAME|PATH", help="A patch model. [default: eurosat-rgb]")
@click.option(
    "--grid",
    metavar="OUT.tif",
    type=click.Path(path_type=Path),
    help="INPUT is a scene: classify each of its cells into this map.",
)
@click.option("--cell", type=click.IntRange(8, 2048), help="Side of a cell, pixels. [default: the model's patches]")
@click.option("--step", type=click.IntRange(1), help="Distance of cells, pixels. [default: --cell]")
@bands_option
@offset_option
@quantification_option
@click.option(
    "--turns", is_flag=True, help="Average over the eight turns and mirror images: surer, eight times the work."
)
@click.option(
    "--csv", "table", metavar="OUT.csv", type=click.Path(path_type=Path), help="Also write all probabilities."
)
@click.option("--quicklook", metavar="PNG", type=click.Path(path_type=Path), help="With --grid: also draw the map.")
@click.option("--ask", "ask_url", metavar="URL", help="Send each image to this OpenAI-compatible endpoint as well.")
@click.option("--ask-model", metavar="NAME", help="Model to ask there.")
@click.option(
    "--ask-timeout", type=click.FloatRange(1, 3600), default=60.0, show_default=True, help="Seconds for one answer."
)
@click.option("--device", default="auto", show_default=True, metavar="auto|cpu|cuda", help="Where the network runs.")
@click.option(
    "--precision",
    type=click.Choice(["auto", "fp32", "bf16", "fp16"]),
    default="auto",
    show_default=True,
    help="Of the network.",
)
@overwrite_option
@json_option
@verbosity_options
def predict(
    inputs: tuple[Path, ...],
    grid: Path | None,
    as_json: bool,  # noqa: FBT001 - click passes flags by name
    verbose: int,
    quiet: int,
    **options: Any,  # noqa: ANN401 - of one of the two ways
) -> None:
    """Say what patches show: files, folders of them, or with --grid every cell of a scene.

    A picture of red, green and blue needs no more; a GeoTIFF whose bands have no names needs --bands, or
    --bands eurosat-ms for EuroSAT's 13 bands. A file in a folder that cannot be read is reported, the others go on.
    """
    set_verbosity(verbose, quiet)
    if grid is None:
        unfit = [name for name in _OF_GRIDS if options.pop(name) is not None]
        if unfit:
            raise UsageError(f"--{unfit[0]} belongs to --grid", "leave it out, or give --grid OUT.tif")
        _predict_files(inputs, options, as_json=as_json, quiet=bool(quiet))
    else:
        if options.pop("table") or options.pop("ask_url") or options.pop("ask_model"):
            raise UsageError("--csv and --ask are for patches, not for --grid", "leave them out")
        options.pop("ask_timeout")
        _predict_cells(inputs, grid, options, as_json=as_json, quiet=bool(quiet))


def _predict_files(inputs: tuple[Path, ...], options: dict[str, Any], *, as_json: bool, quiet: bool) -> None:
    from lulc.io.files.outputs import check_outputs
    from lulc.patches.card import SHIPPED_PATCH_MODEL, load_patch_model
    from lulc.patches.classifier import Classifier
    from lulc.patches.predict import classify_files, image_files, write_answers

    table, overwrite = options["table"], options["overwrite"]
    if table is not None:
        check_outputs([table], image_files(inputs), overwrite=overwrite)
    model = load_patch_model(options["model"] or SHIPPED_PATCH_MODEL)
    adviser = _adviser(options, model.card.classes.names)
    classifier = Classifier(model, options["device"], options["precision"], turns=options["turns"])
    errors: list[LulcError] = []

    def refused(error: LulcError) -> None:
        errors.append(error)
        click.echo(f"lulc: {error}", err=True)

    answers = []
    for answer in classify_files(inputs, classifier, bands=options["bands"], adviser=adviser, refused=refused):
        if as_json:
            click.echo(json.dumps(answer.to_json()))
        elif not quiet:
            click.echo(answer.to_text())
        if table is not None:
            answers.append(answer)
    if table is not None:
        write_answers(table, answers, overwrite=overwrite)
    if errors:
        click.get_current_context().exit(errors[0].exit_code)


def _adviser(options: dict[str, Any], classes: tuple[str, ...]) -> "Adviser | None":
    if bool(options["ask_url"]) != bool(options["ask_model"]):
        raise UsageError("--ask and --ask-model belong together", "give both")
    if not options["ask_url"]:
        return None
    from lulc.patches.second_opinion import Adviser

    return Adviser(options["ask_url"], options["ask_model"], classes, timeout_s=options["ask_timeout"])


def _predict_cells(
    inputs: tuple[Path, ...], grid: Path, options: dict[str, Any], *, as_json: bool, quiet: bool
) -> None:
    from lulc.patches.cell_map import CellOptions, classify_grid

    quicklook = options.pop("quicklook")
    with progress(quiet) as report:
        result = classify_grid(inputs, grid, checked(CellOptions, options), quicklook=quicklook, progress=report)
    if as_json:
        click.echo(json.dumps(result.to_json()))
    elif not quiet:
        click.echo(result.to_text())
