"""The minimum mapping unit as text, and areas in whole numbers."""

from pathlib import Path

import numpy as np
import pytest

from lulc.errors import InputError
from lulc.io.product.areas import PixelAreas
from lulc.tasks.clean.unit import MinimumUnit, UnitAreas


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0.5ha", "0.5 ha"),
        ("25ha", "25 ha"),
        ("10px", "10 px"),
        ("0.5", "0.5 ha"),
        (" 1 HA ", "1 ha"),
        (".25ha", "0.25 ha"),
    ],
)
def test_texts(text, said):
    assert str(MinimumUnit.parse(text)) == said
    assert MinimumUnit.parse(said) == MinimumUnit.parse(text)


@pytest.mark.parametrize(
    "text", ["", "0", "0ha", "-1ha", "ha", "5 km", "1e3ha", "nan", "inf", "5haha", "1,5ha", "9" * 400]
)
def test_what_is_no_unit(text):
    with pytest.raises(ValueError, match=r"0\.5ha or 10px"):
        MinimumUnit.parse(text)


@pytest.mark.parametrize("side", [10.0, 10.000001, 14.2, 0.3])
@pytest.mark.parametrize("pixels", [1, 7, 50, 2500])
def test_so_many_pixels_are_a_unit(side, pixels):
    """Fifty pixels of 0.01 ha are half a hectare, whatever the last digit says; forty-nine are not."""
    hectares = side * side / 10_000
    areas = UnitAreas.of(
        MinimumUnit(pixels * hectares, "ha"), PixelAreas(np.full(10_980, hectares), np.ones(10_980)), Path("m")
    )
    assert areas.rows[0] * pixels >= areas.least > areas.rows[0] * pixels - areas.rows[0] // 2
    assert int(areas.rows.sum()) * 10_980 < 2**63


def test_rows_and_the_last_column_count_with_their_ground():
    rows = np.array([0.01, 0.012, 0.006])
    areas = UnitAreas.of(MinimumUnit(0.05, "ha"), PixelAreas(rows, np.array([1, 1, 1, 0.25])), Path("m"))
    found = areas.of_runs(np.array([0, 1, 2]), np.array([0, 2, 1]), np.array([3, 4, 4]))
    expected = np.array([3 * 0.01, 1.25 * 0.012, 2.25 * 0.006])
    np.testing.assert_allclose(found / areas.least, expected / 0.05, rtol=1e-8)


def test_parts_of_pixels_add_up_to_whole_ones():
    areas = UnitAreas.of(MinimumUnit(0.05, "ha"), PixelAreas(np.full(9, 0.01), np.array([1, 1, 0.4])), Path("m"))
    assert 5 * areas.last[0] == 2 * areas.rows[0]


def test_pixels_are_counted_where_the_ground_is_not_known():
    unknown = PixelAreas(np.full(5, np.nan), np.ones(4))
    assert UnitAreas.of(MinimumUnit(2.5, "px"), unknown, Path("m")).least == 3
    with pytest.raises(InputError, match=r"m: its CRS .*--mmu 50px"):
        UnitAreas.of(MinimumUnit(1, "ha"), unknown, Path("m"))


def test_a_unit_larger_than_any_map():
    areas = UnitAreas.of(MinimumUnit(1e300, "ha"), PixelAreas(np.full(4, 0.01), np.ones(4)), Path("m"))
    assert areas.rows.sum() * 4 < areas.least < 2**63
