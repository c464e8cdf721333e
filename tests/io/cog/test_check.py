"""What makes a GeoTIFF no Cloud-Optimised one."""

import numpy as np
import pytest
import rasterio

from lulc.io.cog.check import cog_problems

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


@pytest.fixture
def plain(tmp_path):
    """A tiled GeoTIFF without overviews."""
    path = tmp_path / "a.tif"
    profile = {"count": 1, "height": 600, "width": 600, "dtype": "uint8", "tiled": True}
    with rasterio.open(path, "w", driver="GTiff", **profile) as target:
        target.write(np.ones((1, 600, 600), np.uint8))
    return path


def test_overviews_that_were_appended_come_after_the_pixels(plain):
    assert "it has no overviews" in cog_problems(plain)
    with rasterio.open(plain, "r+") as target:
        target.build_overviews([2, 4])
    problems = cog_problems(plain)
    assert "pixels come before the last directory" in problems
    assert "pixels of a large overview come before those of a smaller one" in problems
    assert "it has no overviews" not in problems


def test_a_directory_that_was_rewritten_comes_last(plain):
    with rasterio.open(plain, "r+") as target:
        target.build_overviews([2, 4])
    assert "its directories are not in order of size" not in cog_problems(plain)
    with rasterio.open(plain, "r+") as target:
        target.update_tags(NOTE="x" * 5000)
    assert "its directories are not in order of size" in cog_problems(plain)
