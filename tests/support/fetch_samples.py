"""What the tests of `lulc fetch` against faults share: options, a run, and changes to items."""

import json

from click.testing import CliRunner

from lulc.cli.main import cli
from tests.support.stac_items import random_pixels

EVERYWHERE = "14,40,20,50"
DATES = "2021-05-01/2021-09-30"
OPTIONS = ("--area", EVERYWHERE, "--dates", DATES, "--json")
DEEP = '{"a":' * 5000 + "1" + "}" * 5000
"""JSON nested deeper than Python follows."""


def few_pixels():
    """Two bands and SCL of a small item."""
    return {name: plane for name, plane in random_pixels(side=48).items() if name in ("B04", "B11", "SCL")}


def run(*arguments):
    result = CliRunner().invoke(cli, ["fetch", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def line(result, code):
    """The one line of a refusal."""
    assert result.exit_code == code, result.output
    (told,) = result.stderr.splitlines()
    return told


def edited(path, change):
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    return path
