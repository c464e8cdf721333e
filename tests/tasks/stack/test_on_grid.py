"""A scene on the grid of another: shared pixels are copied, as the interpolation would give them but for rounding."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lulc.errors import InputError
from lulc.grid import Window
from lulc.io.scene.clouds import ClearScene
from lulc.io.scene.scene import open_scene
from lulc.projection import GridProjection
from lulc.tasks.stack.on_grid import _OtherGrid, donor
from tests.support.date_scenes import SHAPE, write_date


@pytest.fixture
def opened(tmp_path):
    """Factory: the first scene, and another whose corner is moved by rows and columns; both without masks."""
    scenes = []

    def open_both(shift):
        for name, moved in (("first", (0, 0)), ("other", shift)):
            scenes.append(open_scene([write_date(tmp_path / f"{name}.tif", len(scenes), shift=moved)]))
        return ClearScene(scenes[-2]), ClearScene(scenes[-1])

    yield open_both
    for scene in scenes:
        scene.close()


@given(rows=st.integers(-190, 190), cols=st.integers(-270, 270))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_shared_pixels_are_those_of_the_interpolation(opened, rows, cols):
    first, other = opened((rows, cols))
    copied = donor(other, first, other.scene.names)
    interpolated = _OtherGrid(other, other.scene.names, GridProjection(first.grid, other.grid))
    planes = copied.whole(first.grid.window)
    np.testing.assert_allclose(planes, interpolated.whole(first.grid.window), atol=1e-5)
    at = np.mgrid[0 : SHAPE[0] : 7, 0 : SHAPE[1] : 11].reshape(2, -1)
    np.testing.assert_array_equal(copied.at(*at), planes[:, at[0], at[1]])
    raw, valid = copied.raw(first.grid.window)
    np.testing.assert_array_equal(valid, ~np.isnan(planes[0]))
    np.testing.assert_allclose(copied.radiometry.reflectance(raw.astype(np.float32))[:, valid], planes[:, valid])


def test_shared_pixels_are_read_as_they_are_stored(opened):
    first, other = opened((-40, 60))
    raw, valid = donor(other, first, other.scene.names).raw(Window(120, 150, 80, 110))
    stored = other.scene.read(other.scene.names, Window(160, 90, 40, 110)).data
    assert raw.dtype == np.uint16
    np.testing.assert_array_equal(raw[:, :40], stored)
    assert valid[:40].all()
    assert not valid[40:].any()


def test_pixels_between_are_reflectance(opened):
    first, other = opened((0.5, 10.25))
    reader = donor(other, first, other.scene.names)
    raw, valid = reader.raw(Window(20, 0, 50, 60))
    assert (raw.dtype, reader.radiometry.quantification) == (np.float32, 1)
    assert not valid[:, :10].any()
    assert valid[:, 11:].all()


def test_a_scene_beside_the_first_is_refused(opened):
    first, other = opened((0, 300))
    with pytest.raises(InputError, match=r"other\.tif lies outside first\.tif"):
        donor(other, first, other.scene.names)
