"""Colour masks: exact for every colour, forgiving towards JPEG, not towards unknown colours."""

import numpy as np
import pytest
from rasterio.io import MemoryFile

from lulc.errors import ConfigError, InputError
from lulc.io.labels.color_mask import decode_colors
from lulc.legend import LandClass, Legend, load_legend

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


def through_jpeg(rgb, quality):
    _, height, width = rgb.shape
    with MemoryFile() as memory:
        with memory.open(driver="JPEG", count=3, height=height, width=width, dtype="uint8", quality=quality) as target:
            target.write(rgb)
        with memory.open() as source:
            return source.read()


def voronoi(legend_size, side, seed):
    """Areas with borders at every angle, so that they never follow the blocks of JPEG."""
    rng = np.random.default_rng(seed)
    seeds = rng.uniform(0, side, (rng.integers(2, 8), 2))
    rows, cols = np.mgrid[:side, :side]
    nearest = ((rows[..., None] - seeds[:, 0]) ** 2 + (cols[..., None] - seeds[:, 1]) ** 2).argmin(axis=-1)
    return rng.integers(0, legend_size, len(seeds))[nearest]


def inner(classes, margin):
    """Pixels with one class all around."""
    same = np.ones(classes.shape, bool)
    for shift in np.ndindex(2 * margin + 1, 2 * margin + 1):
        same &= np.roll(classes, np.array(shift) - margin, (0, 1)) == classes
    same[:margin], same[-margin:], same[:, :margin], same[:, -margin:] = False, False, False, False
    return same


@pytest.mark.parametrize("quality", [95, 75, 50])
@pytest.mark.parametrize("seed", range(8))
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_jpeg_smear_gives_no_wrong_class_inside(quality, seed):
    classes = voronoi(7, 128, seed)
    decoded = decode_colors(through_jpeg(painted(classes), quality), DEEPGLOBE)
    expected = np.where(classes == 6, 255, classes + 1)
    far = inner(classes, 4)
    assert (decoded[far] == expected[far]).all()
    assert (decoded == expected).mean() > 0.98


@pytest.mark.parametrize("quality", [95, 90, 75])
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_small_jpeg_of_few_colours_is_no_clean_mask(quality):
    """Yellow beside magenta smears to red, the one corner of the cube that is no class."""
    classes = np.full((64, 64), 1)
    classes[:, 33:] = 2
    decoded = decode_colors(through_jpeg(painted(classes), quality), DEEPGLOBE)
    assert (decoded[:, :30] == 2).all()
    assert (decoded[:, 36:] == 3).all()


def test_channels_are_cut_in_the_middle_as_deepglobe_says():
    """Each channel is low or high; none of the 128 levels on either side is refused."""
    classes = patches()
    ideal = painted(classes).astype(int)
    for level in (10, 60, 127):
        bent = np.where(ideal == 255, 255 - level, level).astype(np.uint8)
        mixed = np.where(np.random.default_rng(0).random((96, 96)) < 0.3, bent, ideal).astype(np.uint8)
        assert (decode_colors(mixed, DEEPGLOBE) == np.where(classes == 6, 255, classes + 1)).all()


def test_an_image_is_no_mask():
    """In the colours of DeepGlobe every image would decode to something."""
    image = np.clip(np.random.default_rng(0).normal(110, 30, (3, 128, 128)), 0, 255).astype(np.uint8)
    with pytest.raises(InputError, match=r"sat\.jpg is no mask in the legend's colours"):
        decode_colors(image, DEEPGLOBE, name="sat.jpg")


def test_a_legend_of_one_colour():
    one = Legend("one", "one", (LandClass(1, "all", "#0000ff"),))
    rgb = np.zeros((3, 2, 2), np.uint8)
    rgb[2] = 250
    assert (decode_colors(rgb, one) == 1).all()


def test_two_classes_of_one_colour_cannot_be_told_apart():
    twins = Legend("twins", "twins", (LandClass(1, "a", "#0000ff"), LandClass(2, "b", "#0000ff")))
    with pytest.raises(ConfigError, match="twins has one colour for two classes"):
        decode_colors(np.zeros((3, 2, 2), np.uint8), twins)


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
