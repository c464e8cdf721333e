"""`lulc sample`."""

import json
import re
from pathlib import Path
from typing import Any

import click

from lulc.cli.main import set_verbosity
from lulc.cli.options import checked, json_option, output_argument, overwrite_option, verbosity_options
from lulc.cli.progress import progress

_EXPECTED = re.compile(r"\s*(?:(?P<every>[\d.]+)|(?P<name>[^=]+)=\s*(?P<one>[\d.]+))\s*(?:,|$)")


def _split_expected(_context: click.Context, _parameter: click.Parameter, value: str) -> dict[str, Any]:
    """`0.9` or `water=0.95,crops=0.8`, or both; names may hold commas."""
    expected: dict[str, Any] = {"expected_of": {}}
    place = 0
    while place < len(value) or not place:
        found = _EXPECTED.match(value, place)
        try:
            accuracy = float((found["every"] or found["one"]) if found else "")
        except ValueError as error:
            raise click.BadParameter(f"{value!r}: write 0.9 or water=0.95,crops=0.8") from error
        assert found
        if found["every"]:
            expected["expected"] = accuracy
        else:
            expected["expected_of"][found["name"].strip()] = accuracy
        place = found.end()
    return expected


@click.command()
@click.argument("map_path", metavar="MAP", type=click.Path(path_type=Path))
@output_argument
@click.option(
    "--target-se",
    type=float,
    default=0.01,
    show_default=True,
    help="Standard error wanted for the overall accuracy; decides how many points are drawn.",
)
@click.option(
    "--expected",
    callback=_split_expected,
    default="0.9",
    show_default=True,
    metavar="SHARE|CLASS=SHARE,...",
    help="User's accuracy that is expected, of all classes or of some; the others have 0.9.",
)
@click.option("--total", type=int, metavar="N", help="Points to draw.  [default: as --target-se needs]")
@click.option(
    "--min-per-class",
    type=int,
    default=50,
    show_default=True,
    help="Fewest points of a class; 2 or more. A class with fewer pixels gives all of them.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="One seed and one map give one sample.")
@overwrite_option
@json_option
@verbosity_options
def sample(
    map_path: Path,
    output: Path,
    expected: dict[str, Any],
    as_json: bool,  # noqa: FBT001 - click passes flags by name
    verbose: int,
    quiet: int,
    **options: Any,  # noqa: ANN401 - fields of SampleOptions
) -> None:
    """Draw points of a MAP to be labelled by eye or in the field: a random sample inside each class.

    OUT is .gpkg, .geojson or .csv. Fill in its column `reference`, then `lulc evaluate MAP OUT` estimates accuracy and
    areas. Label without looking at the column `map_class`.
    """
    from lulc.tasks.accuracy.sample import SampleOptions, sample_map

    set_verbosity(verbose, quiet)
    chosen = checked(SampleOptions, options | expected)
    with progress(bool(quiet)) as report:
        result = sample_map(map_path, output, chosen, progress=report)
    if as_json:
        click.echo(json.dumps(result.to_json()))
    elif not quiet:
        click.echo(result.to_text())
