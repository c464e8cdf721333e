"""`lulc sample`."""

import re
from pathlib import Path
from typing import Any

import click

from lulc.cli.console import Console, speaking
from lulc.cli.options import checked, model_options, output_argument
from lulc.tasks.accuracy.options import SampleOptions

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
    "--expected",
    callback=_split_expected,
    default="0.9",
    show_default=True,
    metavar="SHARE|CLASS=SHARE,...",
    help=SampleOptions.model_fields["expected"].description,
)
@model_options(options=SampleOptions)
@speaking()
def sample(map_path: Path, output: Path, expected: dict[str, Any], options: SampleOptions, console: Console) -> None:
    """Draw points of a MAP to be labelled by eye or in the field: a random sample inside each class.

    OUT is .gpkg, .geojson or .csv. Fill in its column `reference`, then `lulc evaluate MAP OUT` estimates accuracy and
    areas. Label without looking at the column `map_class`.
    """
    from lulc.tasks.accuracy.sample import sample_map

    chosen = checked(SampleOptions, {**dict(options), **expected})
    with console.progress() as report:
        result = sample_map(map_path, output, chosen, progress=report)
    console.show(result.to_json, result.to_text)
