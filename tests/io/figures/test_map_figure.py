import json
import subprocess
import sys

import numpy as np
import pytest

from lulc.errors import StorageError
from lulc.io.figures.map_figure import _area, _percent, _round_length, _rows, class_colors, write_quicklook
from tests.support.product_samples import LEGEND, pixels


def test_the_same_picture_gives_the_same_bytes(tmp_path):
    classes = pixels(100, 120)[0]
    for name in ("a.png", "b.png"):
        write_quicklook(tmp_path / name, None, classes, LEGEND, None, "title")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_titles_are_taken_as_they_are(tmp_path):
    title = r"S2A_$MSI_a_b$_{L1C}^20180101%T105441 \\frac " * 20
    write_quicklook(tmp_path / "a.png", None, pixels(50, 50)[0], LEGEND, None, title, subtitle="$x_y_z$")
    assert (tmp_path / "a.png").exists()


def test_a_folder_that_is_missing(tmp_path):
    with pytest.raises(StorageError, match="folder"):
        write_quicklook(tmp_path / "no" / "a.png", None, pixels(50, 50)[0], LEGEND, None, "title")


def test_classes_have_the_colours_of_the_legend():
    codes = np.array([[1, 9, 255, 0]], np.uint8)
    assert class_colors(codes, LEGEND)[0].tolist() == [[65, 155, 223], [179, 159, 225], [235] * 3, [235] * 3]


def test_legend_rows_take_areas_where_known_and_pixels_otherwise():
    codes = np.array([[1, 1, 1, 2, 255, 255]], np.uint8)
    by_pixels = _rows(codes, LEGEND, None)
    assert [(row.name, *row.cells) for row in by_pixels[:3]] == [
        ("water", "", "75.0 %"),
        ("trees", "", "25.0 %"),
        ("grass", "", "0.0 %"),
    ]
    areas = {entry.name: 0.0 for entry in LEGEND} | {"water": 1234.5, "trees": 8765.5}
    by_area = _rows(codes, LEGEND, areas)
    assert [row.cells for row in by_area[:3]] == [
        ("1,234 ha", "12.3 %"),
        ("8,766 ha", "87.7 %"),
        ("0 ha", "0.0 %"),
    ]
    assert _rows(codes, LEGEND, areas | {"crops": 20_000.0})[0].cells[0] == "12.3 km²"


def test_numbers_for_people():
    assert [_area(value, in_km2=False) for value in (None, 0.0, 0.24, 99.94, 12_345.6)] == [
        "",
        "0 ha",
        "0.2 ha",
        "99.9 ha",
        "12,346 ha",
    ]
    assert [_percent(value) for value in (0.0, 0.04, 0.1, 99.99)] == ["0.0 %", "< 0.1 %", "0.1 %", "100.0 %"]
    assert [_round_length(value) for value in (1, 1.99, 2, 7.3, 99, 1000, 54_321)] == [1, 1, 2, 5, 50, 1000, 50_000]


@pytest.mark.process
def test_a_map_is_drawn_without_matplotlib(tmp_path):
    code = (
        "import sys, json, numpy as np\n"
        "from pathlib import Path\n"
        "from lulc.io.figures.map_figure import write_quicklook\n"
        "from lulc.legend import load_legend\n"
        f"path = Path({json.dumps(str(tmp_path / 'a.png'))})\n"
        "write_quicklook(path, None, np.ones((9, 9), np.uint8), load_legend('dynamic-world'), None, 't')\n"
        "assert 'matplotlib' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
