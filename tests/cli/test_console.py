"""What reaches the console of what libraries log."""

import io
import logging

import pytest

from lulc.cli.terminal.console import OfGdalOnce


@pytest.mark.parametrize(("name", "printed"), [("rasterio._env", 2), ("lulc.io.files.tries", 4)])
def test_what_gdal_says_for_every_handle_is_printed_once(name, printed):
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(OfGdalOnce())
    for said in ("a.tif is odd", "a.tif is odd", "b.tif is odd", "a.tif is odd"):
        handler.handle(logging.LogRecord(name, logging.WARNING, "", 0, "%s", (said,), None))
    lines = stream.getvalue().splitlines()
    assert len(lines) == printed
    assert set(lines) == {"a.tif is odd", "b.tif is odd"}
