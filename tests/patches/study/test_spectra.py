"""The rules about spectra against 220 real 13-band patches and thirteen other places, in the right order and in wrong ones."""

import numpy as np
import pytest
from affine import Affine

from lulc.bands import Radiometry
from lulc.grid import Grid, Shape
from lulc.patches.dataset import open_patch_set
from lulc.patches.image import EUROSAT_MS, PatchImage
from lulc.patches.study.spectra import RULES, check_band_order, count_rules, level_of, patch_means

NATURAL = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12")
NINE = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B11", "B12")

MEASURED = {
    ("any", "B09", "B8A"): (220, 220),
    ("vegetation", "B04", "B05"): (101, 101),
    ("vegetation", "B05", "B06"): (101, 101),
    ("vegetation", "B06", "B07"): (101, 101),
    ("vegetation", "B07", "B8A"): (101, 101),
    ("vegetation", "B08", "B8A"): (101, 101),
    ("vegetation", "B8A", "B08"): (101, 101),
    ("vegetation", "B8A", "B07"): (101, 101),
    ("vegetation", "B12", "B11"): (101, 101),
    ("vegetation", "B12", "B8A"): (101, 101),
    ("vegetation", "B02", "B01"): (101, 101),
    ("vegetation", "B04", "B02"): (96, 101),
    ("water", "B02", "B01"): (27, 27),
    ("water", "B04", "B02"): (27, 27),
    ("water", "B8A", "B03"): (27, 27),
    ("water", "B11", "B03"): (27, 27),
}
"""How often each rule holds over the 220 patches of EuroSAT, Level-1C."""


@pytest.fixture(scope="module")
def real(data):
    """Mean reflectance of the real patches, in the order of the file."""
    patches = open_patch_set(data / "eurosat_ms.zip", ["eurosat-ms"])
    return patch_means(patches.read(patch) for patch in patches.patches)


def renamed(means, names):
    return dict(zip(names, means.values(), strict=True))


def swapped(names, *pairs):
    other = {**dict(pairs), **{b: a for a, b in pairs}}
    return tuple(other.get(name, name) for name in names)


@pytest.mark.whole
def test_the_right_order_passes_and_every_rule_is_measured(real):
    assert tuple(real) == EUROSAT_MS
    assert {len(values) for values in real.values()} == {220}
    for level in ("L1C", ""):
        assert check_band_order(real, level) == ()
    found = {
        (one.rule.ground, one.rule.darker, one.rule.brighter): (one.held, one.patches) for one in count_rules(real)
    }
    assert found == MEASURED
    assert set(np.argmin(list(real.values()), axis=0)) == {EUROSAT_MS.index("B10")}


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (NATURAL, ("B10 (cirrus)", "B09 is in 220 of 220 patches")),
        (swapped(EUROSAT_MS, ("B09", "B10")), ("B10 (cirrus)", "B09 is in 220 of 220 patches")),
        (EUROSAT_MS[::-1], ("B10 (cirrus)", "B04 is in 220 of 220 patches")),
        (NATURAL[::-1], ("B10 (cirrus)", "B04 is in 220 of 220 patches")),
        (swapped(EUROSAT_MS, ("B02", "B04")), ("B02 should be brighter than B04 over vegetation (path radiance)",)),
        (swapped(EUROSAT_MS, ("B11", "B12")), ("B11 should be brighter than B12 over vegetation",)),
        (swapped(EUROSAT_MS, ("B05", "B06")), ("B06 should be brighter than B05 over vegetation (red edge)",)),
        (swapped(EUROSAT_MS, ("B08", "B8A")), ("B8A should be brighter than B07 over vegetation",)),
    ],
)
def test_wrong_orders_are_told(real, names, words):
    for level in ("L1C", ""):
        problems = check_band_order(renamed(real, names), level)
        assert all(word in problems[0] for word in words)
        assert problems[0].endswith(f"; they would fit in the order {' '.join(EUROSAT_MS)}")
        assert not any("\n" in problem for problem in problems)


def test_b8a_in_its_natural_place_is_told_band_by_band(real):
    problems = check_band_order(renamed(real, NATURAL), "L1C")
    assert [problem.split(" should")[0] for problem in problems] == ["B10 (cirrus)", "B8A", "B8A", "B11", "B8A"]


def test_the_lack_of_b10_is_told(real):
    twelve = {name: values for name, values in real.items() if name != "B10"}
    (problem,) = check_band_order(twelve, "L1C")
    assert problem == "B10 (cirrus) is missing: Level-1C has it, twelve bands without it are Level-2A"
    named_on = dict(zip([name for name in NATURAL if name != "B10"], twelve.values(), strict=True))
    assert "B10 (cirrus) is missing" in check_band_order(named_on, "L1C")[0]
    assert check_band_order(real, "L2A")[0].startswith("B10 (cirrus) is named, but Level-2A has no such band")


def test_fewer_bands(real):
    ten = ("B02", "B03", "B04", "B08", "B05", "B06", "B07", "B8A", "B11", "B12")
    by_resolution = {name: real[name] for name in ten}
    assert check_band_order(by_resolution, "L1C") == ()
    in_line = renamed(by_resolution, sorted(ten, key=NATURAL.index))
    (problem,) = check_band_order(in_line, "L1C")
    assert problem.startswith("B06 should be brighter than B05 over vegetation (red edge), but is so in 0 of 103")
    assert problem.endswith("; they would fit in the order B02 B03 B04 B08 B05 B06 B07 B8A B11 B12")
    four = {name: real[name] for name in ("B02", "B03", "B04", "B08")}
    assert check_band_order(four, "L1C") == ()
    (problem,) = check_band_order(renamed(four, tuple(four)[::-1]), "L1C")
    assert problem.startswith("B08 should vary more than B02 from patch to patch")


@pytest.mark.whole
def test_no_false_alarm_at_thirteen_other_places(data):
    """Both levels, from rain forest and snow to desert; blue for red is told where Level-1C vegetation shows it."""
    with np.load(data / "segmentation" / "world_train.npz") as file:
        means = file["image"].reshape(len(file["image"]), len(NINE), -1).mean(axis=2) / 1e4
        places = [f"{place} {level}" for place, level in zip(file["place"], file["level"], strict=True)]
    with np.load(data / "segmentation" / "stgallen_l2a_val.npz") as file:
        swiss = file["image"].reshape(len(file["image"]), len(NINE), -1).mean(axis=2) / 1e4
    means, places = np.concatenate([means, swiss]), np.array([*places, *["stgallen L2A"] * len(swiss)])
    assert len(set(places)) == 13
    told = set()
    for place in set(places):
        named, level = dict(zip(NINE, means[places == place].T, strict=True)), place.split()[1]
        assert check_band_order(named, level) == check_band_order(named) == (), place
        if check_band_order(renamed(named, swapped(NINE, ("B02", "B04"))), level):
            told.add(place)
    assert {"brazil_parana_coast L1C", "central_europe_T33UUB L1C"} <= told


SPECTRA = {
    "leaves": (0.12, 0.09, 0.08, 0.05, 0.09, 0.24, 0.31, 0.30, 0.35, 0.09, 0.001, 0.17, 0.08),
    "water": (0.11, 0.08, 0.06, 0.035, 0.03, 0.025, 0.02, 0.02, 0.02, 0.008, 0.001, 0.006, 0.004),
    "sand": (0.16, 0.17, 0.22, 0.30, 0.33, 0.35, 0.37, 0.37, 0.40, 0.12, 0.002, 0.48, 0.42),
}
"""Typical reflectance at the top of the atmosphere, bands in their natural order."""


def made(*grounds, patches=4):
    rng = np.random.default_rng(0)
    rows = np.repeat(np.array([SPECTRA[ground] for ground in grounds]), patches, axis=0)
    return dict(zip(NATURAL, (rows * rng.uniform(0.97, 1.03, (len(rows), 1))).T, strict=True))


def test_made_up_spectra():
    means = made("leaves", "water", "sand")
    assert check_band_order(means, "L1C") == ()
    assert "B10" in check_band_order(renamed(means, EUROSAT_MS), "L1C")[0]
    found = check_band_order(renamed(means, swapped(NATURAL, ("B02", "B04"))), "L1C")
    assert any("B02 should be brighter than B04 over water" in problem for problem in found)


@pytest.mark.parametrize("means", [{}, made("leaves", patches=2), {"B04": [0.1, 0.2], "B08": [0.3, 0.4]}])
def test_abstains_where_it_cannot_know(means):
    assert check_band_order(means, "L1C") == check_band_order(means) == ()


def test_desert_alone_shows_no_more_than_the_cirrus_band():
    means = made("sand")
    assert [one.patches for one in count_rules(means, "L1C")][1:] == [0] * 15
    assert check_band_order(renamed(means, swapped(NATURAL, ("B05", "B06"))), "L1C") == ()
    assert "B10 (cirrus)" in check_band_order(renamed(means, EUROSAT_MS), "L1C")[0]


def test_patches_without_a_mean_are_left_out():
    means = made("leaves", "water")
    means["B09"][3] = np.nan
    assert check_band_order(means, "L1C") == ()
    assert count_rules(means, "L1C")[0].patches == 7


def test_rules_name_bands_of_the_sensor():
    assert {name for rule in RULES for name in (rule.darker, rule.brighter)} <= set(NATURAL)
    assert (level_of(NATURAL, ""), level_of(NINE, ""), level_of(NATURAL, "L2A")) == ("L1C", "", "L2A")


def image(values, names, *, valid=None, picture=False):
    values = np.asarray(values, np.uint16)
    grid = Grid(None, Affine.identity(), Shape(*values.shape[1:]))
    has_data = np.ones(values.shape[1:], bool) if valid is None else np.asarray(valid)
    return PatchImage("a", values, tuple(names), Radiometry(10_000.0, -1000.0), grid, has_data, picture)


def test_means_are_reflectance_of_valid_pixels():
    first = image([[[2000, 9000]], [[3000, 9000]]], ["B08", "B04"], valid=[[True, False]])
    second = image([[[1000, 2000]], [[1500, 1500]]], ["B08", "B04"])
    other = image([[[2000, 2000]], [[3000, 3000]]], ["B04", "B08"])
    empty = image([[[2000, 2000]], [[3000, 3000]]], ["B08", "B04"], valid=[[False, False]])
    picture = image([[[20, 20]], [[30, 30]]], ["B08", "B04"], picture=True)
    means = patch_means([first, second, other, empty, picture])
    assert list(means) == ["B08", "B04"]
    assert np.allclose(means["B08"], [0.1, 0.05])
    assert np.allclose(means["B04"], [0.2, 0.05])
    assert patch_means([]) == {}
