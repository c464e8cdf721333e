"""`lulc patches bands`."""

from pathlib import Path

import click

from lulc.cli.params.options import model_options, output_argument
from lulc.cli.terminal.console import Console, with_console
from lulc.patches.options import StudyOptions, StudyRecipeOptions


@click.command()
@click.argument("data", metavar="DATA", type=click.Path(path_type=Path))
@output_argument
@model_options(recipe=StudyRecipeOptions, options=StudyOptions)
@with_console()
def bands(data: Path, output: Path, recipe: StudyRecipeOptions, options: StudyOptions, console: Console) -> None:
    """Say which bands tell the classes of DATA apart, in OUT/bands.md, bands.png and bands.json.

    The same network is trained on single bands, on colours (RGB), colour-infrared (CIR: B08, B04, B03), short-wave
    infrared (SWIR: B12, B08, B04) and all bands, and tested on patches that it has not seen.
    """
    from lulc.config import read_config
    from lulc.patches.learn.settings import PatchSettings
    from lulc.patches.study.bands import study_bands
    from lulc.resources import config_path

    asked = {"data": data, **recipe.changes}
    settings = read_config(PatchSettings, config_path("patches", recipe.config), bands=options.bands, **asked)
    with console.progress("step") as report:
        study = study_bands(data, output, settings=settings, options=options, progress=report)
    console.show(study.to_json, study.to_text)
