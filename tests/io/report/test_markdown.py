import math

import numpy as np
import pytest

from lulc.io.report.markdown import interval, markdown_table, number, page


@pytest.mark.parametrize(
    ("value", "style", "text"),
    [
        (0.5, ".3f", "0.500"),
        (1234.56, ",.1f", "1,234.6"),
        (None, ".3f", "-"),
        (math.nan, ".3f", "-"),
        (0, ".2%", "0.00%"),
    ],
)
def test_numbers(value, style, text):
    assert number(value, style) == text


def test_an_interval_needs_both_ends():
    assert interval(np.array([0.25, 0.5])) == "0.250 to 0.500"
    assert interval((1e4, 2e4), ",.1f") == "10,000.0 to 20,000.0"
    assert interval((0.25, math.nan)) == "-"


def test_columns_are_aligned():
    assert markdown_table(["class", "px"], [["a", "1"], ["longer", "1,000"]]) == [
        "| class  |    px |",
        "| :----- | ----: |",
        "| a      |     1 |",
        "| longer | 1,000 |",
    ]


def test_blocks_stand_apart_and_those_without_lines_are_left_out():
    assert page([["# A"], ["b", "c"]], [], [[]], [["## C"]]) == "# A\n\nb\nc\n\n## C\n"
