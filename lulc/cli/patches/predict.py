"""`lulc patches predict`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from lulc.cli.params.options import model_options
from lulc.cli.terminal.console import Console, with_console
from lulc.errors import LulcError, UsageError
from lulc.patches.options import PredictOptions

if TYPE_CHECKING:
    from lulc.patches.second_opinion import Adviser

_OF_GRIDS = ("cell", "step", "offset", "quantification", "quicklook")


@click.command()
@click.argument("inputs", metavar="INPUT...", nargs=-1, required=True, type=click.Path(path_type=Path))
@model_options(options=PredictOptions)
@with_console()
def predict(inputs: tuple[Path, ...], options: PredictOptions, console: Console) -> None:
    """Say what patches show: files, folders of them, or with --grid every cell of a scene.

    A picture of red, green and blue needs no more; a GeoTIFF whose bands have no names needs --bands, or
    --bands eurosat-ms for EuroSAT's 13 bands. A file in a folder that cannot be read is reported, the others go on.
    """
    if options.grid is not None:
        _predict_cells(inputs, options.grid, options, console)
        return
    unfit = [name for name in _OF_GRIDS if getattr(options, name) is not None]
    if unfit:
        raise UsageError(f"--{unfit[0]} belongs to --grid", "leave it out, or give --grid OUT.tif")
    _predict_files(inputs, options, console)


def _predict_files(inputs: tuple[Path, ...], options: PredictOptions, console: Console) -> None:
    from lulc.io.files.outputs import check_outputs
    from lulc.patches.predict import classify_files, image_files, write_answers

    if options.table is not None:
        check_outputs([options.table], image_files(inputs), overwrite=options.overwrite)
    classifier = options.classifier()
    adviser = _adviser(options, classifier.card.classes.names)
    errors: list[LulcError] = []

    def refused(error: LulcError) -> None:
        errors.append(error)
        console.refused(error)

    answers = []
    for answer in classify_files(inputs, classifier, bands=options.bands, adviser=adviser, refused=refused):
        console.show(answer.to_json, answer.to_text)
        if options.table is not None:
            answers.append(answer)
    if options.table is not None:
        write_answers(options.table, answers, overwrite=options.overwrite)
    if errors:
        click.get_current_context().exit(errors[0].exit_code)


def _adviser(options: PredictOptions, classes: tuple[str, ...]) -> "Adviser | None":
    if bool(options.ask_url) != bool(options.ask_model):
        raise UsageError("--ask and --ask-model belong together", "give both")
    if not options.ask_url:
        return None
    from lulc.patches.second_opinion import Adviser

    return Adviser(options.ask_url, options.ask_model, classes, timeout_s=options.ask_timeout)


def _predict_cells(inputs: tuple[Path, ...], grid: Path, options: PredictOptions, console: Console) -> None:
    from lulc.patches.cell_map import classify_grid

    if options.table or options.ask_url or options.ask_model:
        raise UsageError("--csv and --ask are for patches, not for --grid", "leave them out")
    with console.progress() as report:
        result = classify_grid(inputs, grid, options, quicklook=options.quicklook, progress=report)
    console.show(result.to_json, result.to_text)
