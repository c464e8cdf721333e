import numpy as np
import pytest
from PIL import Image

from lulc.io.figures.page import DPI, KeyRow, Page, fitting, shortened


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


def test_what_fits_is_whole():
    assert fitting("Agreement 82 % (60,000 pixels)", 6, 11) == "Agreement 82 % (60,000 pixels)"
    assert fitting("two\nlines", 6, 11) == "two\nlines"


@pytest.mark.parametrize("words", ["Земля", "água", "\n", "", "a\nb", "漢字", "$x^2$"])
def test_any_words_are_one_line(tmp_path, words):
    page = Page(3, 1)
    page.title(words, words)
    page.key((0.2, 0.6, 2, 0.3), [KeyRow("#ff0000", words, (words,))], 0.3, 9)
    page.text(1, 0.5, words, 9, anchor="ms", halo=True)
    page.save(tmp_path / "a.png")


def test_charts_lie_over_what_is_drawn(tmp_path):
    page = Page(2, 1)
    page.picture((0, 0, 2, 1), np.zeros((1, 2, 3), np.uint8))
    axes = page.axes((0, 0, 1, 1), facecolor="none", xlim=(0, 1), ylim=(0, 1))
    axes.axis("off")
    axes.fill_between([0, 1], [0.5, 0.5], [1, 1], color="#ff0000", linewidth=0)
    page.save(tmp_path / "a.png")
    pixels = np.asarray(Image.open(tmp_path / "a.png"))
    assert pixels.shape == (DPI, 2 * DPI, 3)
    assert pixels[DPI // 4, DPI // 2].tolist() == [255, 0, 0]
    assert pixels[3 * DPI // 4, DPI // 2].tolist() == pixels[DPI // 4, 3 * DPI // 2].tolist() == [0, 0, 0]


def test_a_picture_of_numbers_has_the_colours_of_one_of_bytes(tmp_path):
    for name, pixels in {"a": np.full((3, 3, 3), 0.2), "b": np.full((3, 3, 3), 51, np.uint8)}.items():
        page = Page(1, 1)
        page.picture((0.1, 0.1, 0.5, 0.5), pixels)
        page.save(tmp_path / f"{name}.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_smooth_pictures_are_averaged_only_when_made_smaller(tmp_path):
    stripes = np.repeat(np.tile(np.array([0, 255], np.uint8), 600)[None, :, None], 3, axis=2).repeat(9, axis=0)
    shown = {}
    for smooth in (True, False):
        page = Page(2, 1)
        page.picture((0, 0, 2, 1), stripes, smooth=smooth)
        page.save(tmp_path / "a.png")
        shown[smooth] = np.asarray(Image.open(tmp_path / "a.png"))[50, 50:250, 0]
    assert np.ptp(shown[True].astype(int)) < 60
    assert set(np.unique(shown[False])) <= {0, 255}


def test_shapes_have_smooth_edges(tmp_path):
    page = Page(1, 1)
    with page.shapes((0.2, 0.2, 0.6, 0.6)) as (draw, dots):
        draw.polygon([(0, 0), (0.6 * dots, 0.1 * dots), (0, 0.6 * dots)], fill="black")
    page.save(tmp_path / "a.png")
    assert len(np.unique(np.asarray(Image.open(tmp_path / "a.png")))) > 5


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


def test_a_name_ends_before_the_cells(tmp_path):
    page = Page(4, 1)
    page.key((0, 0.3, 4, 0.4), [KeyRow("#ffffff", "W" * 20, ("1,234,568 km²", "100.0 %"))], 0.4, 20)
    page.save(tmp_path / "a.png")
    ink = (np.asarray(Image.open(tmp_path / "a.png").convert("L"))[70:90, 40:] < 128).any(axis=0)
    gaps = np.diff(np.flatnonzero(ink))
    assert (gaps > 0.07 * DPI).sum() == 2
