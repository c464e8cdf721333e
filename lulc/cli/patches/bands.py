"""`lulc patches bands`."""

import json
from pathlib import Path
from typing import Any

import click

from lulc.cli.main import set_verbosity
from lulc.cli.options import bands_option, changes_option, json_option, split_names, verbosity_options
from lulc.cli.progress import step_progress


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
@click.option(
    "--folds",
    type=click.IntRange(1, 100),
    default=5,
    show_default=True,
    help="Parts of the patches that are tested in turn; 1 tests the test split alone.",
)
@click.option(
    "--combinations",
    callback=split_names,
    metavar="NAME,...",
    help="singles, RGB, CIR, SWIR, all, a band, or bands joined by +. [default: singles,RGB,CIR,SWIR,all]",
)
@bands_option
@click.option("--resume", is_flag=True, help="Continue the study in OUT; start it when there is none.")
@click.option("--overwrite", is_flag=True, help="Replace the study in OUT.")
@json_option
@verbosity_options
def bands(
    data: Path,
    output: Path,
    config: str,
    changes: dict[str, Any],
    bands: tuple[str, ...] | None,
    as_json: bool,  # noqa: FBT001 - click passes flags by name
    verbose: int,
    quiet: int,
    **options: Any,  # noqa: ANN401 - arguments of `study_bands`
) -> None:
    """Say which bands tell the classes of DATA apart, in OUT/bands.md, bands.png and bands.json.

    The same network is trained on single bands, on colours (RGB), colour-infrared (CIR: B08, B04, B03), short-wave
    infrared (SWIR: B12, B08, B04) and all bands, and tested on patches that it has not seen.
    """
    from lulc.config import read_config
    from lulc.patches.learn.settings import PatchSettings
    from lulc.patches.study.bands import study_bands
    from lulc.resources import config_path

    set_verbosity(verbose, quiet)
    settings = read_config(PatchSettings, config_path("patches", config), bands=bands, **{"data": data, **changes})
    with step_progress(bool(quiet)) as report:
        study = study_bands(data, output, settings=settings, progress=report, **options)
    if as_json:
        click.echo(json.dumps(study.to_json()))
    elif not quiet:
        click.echo(study.to_text())
