import numpy as np
import pytest
from PIL import Image

from lulc.io.figures.page import DPI, KeyRow, Page, shortened


def ink_of(path):
    """Columns of a picture that are not white."""
    pixels = np.asarray(Image.open(path).convert("L"))
    return np.flatnonzero((pixels < 255).any(axis=0))


@pytest.mark.parametrize("letter", ["i", "W", "$"])
def test_a_title_ends_before_the_margin(tmp_path, letter):
    """Letters differ in width: what fits is measured."""
    page = Page(4, 1, margin=0.3)
    page.title(letter * 400, letter * 900)
    page.save(tmp_path / "a.png")
    ink = ink_of(tmp_path / "a.png")
    assert ink.min() >= 0.3 * DPI - 2
    assert ink.max() <= 3.7 * DPI + 2
    assert ink.max() > 3.4 * DPI


def test_a_title_that_fits_is_whole(tmp_path):
    page = Page(6, 1)
    page.title("Agreement 82 % (60,000 pixels)", "map.tif and reference.tif")
    assert [text.get_text() for text in page.figure.texts] == [
        "Agreement 82 % (60,000 pixels)",
        "map.tif and reference.tif",
    ]


@pytest.mark.parametrize("width", [0.41, 0.1])
def test_a_page_without_room_for_a_title(tmp_path, width):
    page = Page(width, 1)
    page.title("title", "subtitle")
    page.save(tmp_path / "a.png")


@pytest.mark.parametrize(("longest", "text"), [(10, "0123456789"), (9, "012…6789"), (4, "0…9"), (3, "…"), (1, "…")])
def test_the_middle_goes(longest, text):
    assert shortened("0123456789", longest) == text
    assert len(text) <= longest


def test_a_box_is_counted_from_the_upper_left_corner(tmp_path):
    page = Page(4, 2)
    page.picture((1, 0.5, 2, 1), np.zeros((2, 2, 3), np.uint8))
    page.save(tmp_path / "a.png")
    dark = np.asarray(Image.open(tmp_path / "a.png").convert("L")) < 10
    rows, columns = np.nonzero(dark)
    assert (rows.min(), rows.max()) == (pytest.approx(0.5 * DPI, abs=2), pytest.approx(1.5 * DPI, abs=2))
    assert (columns.min(), columns.max()) == (pytest.approx(DPI, abs=2), pytest.approx(3 * DPI, abs=2))


@pytest.mark.parametrize("rows", [0, 1, 90])
def test_a_key_of_any_length(tmp_path, rows):
    page = Page(4, 2)
    page.key((0.5, 0.5, 3, 1), [KeyRow("#ff0000", "$class$ " * 9, ("1 ha", "2 %"))] * rows, 0.29, 20)
    page.save(tmp_path / "a.png")
