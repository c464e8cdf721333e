"""`lulc patches bands`."""

from pathlib import Path
from typing import Any

import click

from lulc.cli.console import Console, speaking
from lulc.cli.options import changes_option, model_options
from lulc.patches.options import StudyOptions


@click.command()
@click.argument("data", metavar="DATA", type=click.Path(path_type=Path))
@click.argument("output", metavar="OUT", type=click.Path(path_type=Path))
@click.option(
    "--config",
    default="eurosat-ms",
    show_default=True,
    metavar="NAME|PATH",
    help="How to train; a patch model as its start is replaced by ImageNet, so that no band has an advantage.",
)
@changes_option
@model_options(options=StudyOptions)
@speaking()
def bands(
    data: Path,
    output: Path,
    *,
    config: str,
    changes: dict[str, Any],
    options: StudyOptions,
    console: Console,
) -> None:
    """Say which bands tell the classes of DATA apart, in OUT/bands.md, bands.png and bands.json.

    The same network is trained on single bands, on colours (RGB), colour-infrared (CIR: B08, B04, B03), short-wave
    infrared (SWIR: B12, B08, B04) and all bands, and tested on patches that it has not seen.
    """
    from lulc.config import read_config
    from lulc.patches.learn.settings import PatchSettings
    from lulc.patches.study.bands import study_bands
    from lulc.resources import config_path

    asked = {"data": data, **changes}
    settings = read_config(PatchSettings, config_path("patches", config), bands=options.bands, **asked)
    with console.progress("step") as report:
        study = study_bands(data, output, settings=settings, options=options, progress=report)
    console.show(study.to_json, study.to_text)
