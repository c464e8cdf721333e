"""A disk that fails once while the maps of a mosaic are fingerprinted is asked again."""

import subprocess
import sys

import pytest
import rasterio

from tests.support.faults import failing_reads
from tests.support.product_samples import grid_of, pixels, write

pytestmark = pytest.mark.process

_HEAD = 300_000
"""Bytes of a map that GDAL reads before it is fingerprinted; faults lie behind them."""


@pytest.fixture
def maps(tmp_path):
    for number, name in enumerate(("west", "east")):
        data = pixels(600, 700, seed=number)
        write(tmp_path / f"{name}.tif", data, grid=grid_of(600, 700))
        assert (tmp_path / f"{name}.tif").stat().st_size > 2 * _HEAD
    return tmp_path


def run_mosaic(folder, times):
    command = [sys.executable, "-m", "lulc", "mosaic", "west.tif", "east.tif", "out.tif"]
    environment = failing_reads(folder, "east.tif", after=_HEAD, times=times)
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("times", [1, 2])
def test_a_fault_that_passes_costs_a_warning(maps, times):
    ended = run_mosaic(maps, times)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.count("reading again: cannot read east.tif: Input/output error") == times
    with rasterio.open(maps / "out.tif") as done:
        assert done.count == 10 + 2


def test_a_fault_that_stays_ends_in_a_line(maps):
    ended = run_mosaic(maps, None)
    assert ended.returncode == 5
    lines = [line for line in ended.stderr.splitlines() if "reading again" not in line]
    assert lines == ["lulc: cannot read east.tif: Input/output error; check the file, its permissions and its disk"]
    assert not (maps / "out.tif").exists()
