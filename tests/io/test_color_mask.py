"""Colour masks: exact for every colour, forgiving towards JPEG, not towards unknown colours."""

import numpy as np
import pytest
from rasterio.io import MemoryFile

from lulc.errors import InputError
from lulc.io.color_mask import decode_colors
from lulc.legend import load_legend

DEEPGLOBE = load_legend("deepglobe")
COLORS = [entry.rgb for entry in DEEPGLOBE] + [(0, 0, 0)]


def painted(codes):
    """RGB of class numbers 0..6, the last one unknown."""
    return np.array(COLORS, np.uint8)[codes].transpose(2, 0, 1)


def patches(side=96, cell=16, seed=0):
    return np.kron(np.random.default_rng(seed).integers(0, 7, (side // cell, side // cell)), np.ones((cell, cell), int))


def test_all_seven_colours_are_exact():
    classes = patches()
    assert set(classes.ravel()) == set(range(7))
    expected = np.where(classes == 6, 255, classes + 1)
    assert (decode_colors(painted(classes), DEEPGLOBE) == expected).all()


@pytest.mark.parametrize("quality", [95, 75, 50])
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_jpeg_smear_never_gives_a_wrong_class_inside(quality):
    classes = patches(cell=32)
    with MemoryFile() as memory:
        with memory.open(driver="JPEG", count=3, height=96, width=96, dtype="uint8", quality=quality) as target:
            target.write(painted(classes))
        with memory.open() as source:
            smeared = source.read()
    decoded = decode_colors(smeared, DEEPGLOBE)
    expected = np.where(classes == 6, 255, classes + 1)
    inner = np.zeros((96, 96), bool)
    for row in range(0, 96, 32):
        for col in range(0, 96, 32):
            inner[row + 8 : row + 24, col + 8 : col + 24] = True
    assert (decoded[inner] == expected[inner]).all()
    assert (decoded == expected).mean() > 0.97


def test_an_unknown_colour_is_named_with_its_place():
    rgb = painted(patches())
    rgb[:, 40:50, 60:70] = np.array([200, 10, 10], np.uint8)[:, None, None]
    with pytest.raises(InputError, match=r"my\.png has the colour #c80a0a at row 40, column 60 \(100 pixels"):
        decode_colors(rgb, DEEPGLOBE, tolerance=20, name="my.png")


def test_one_strange_pixel_in_a_clean_mask_is_an_error():
    rgb = painted(patches())
    rgb[:, 5, 7] = (255, 0, 0)
    with pytest.raises(InputError, match="#ff0000 at row 5, column 7"):
        decode_colors(rgb, DEEPGLOBE)


def test_the_default_tolerance_keeps_colours_apart():
    legend = load_legend("dynamic-world")
    rgb = np.array([entry.rgb for entry in legend], np.uint8).T[:, None]
    for shift in (-4, 4):
        moved = np.clip(rgb.astype(int) + shift, 0, 255).astype(np.uint8)
        assert decode_colors(moved, legend)[0].tolist() == list(range(1, 10))
