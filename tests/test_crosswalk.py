"""Crosswalks: every class named once, codes relabelled, activations summed."""

import numpy as np
import pytest

from lulc.crosswalk import Crosswalk, coarsened, load_crosswalk
from lulc.errors import ConfigError
from lulc.legend import LandClass, Legend, load_legend
from lulc.resources import shipped_names

FINE = Legend(
    "fine", "fine", tuple(LandClass(i, name, "#000000") for i, name in enumerate(("oak", "pine", "sea", "cloud"), 1))
)
COARSE = Legend("coarse", "coarse", (LandClass(1, "forest", "#000000"), LandClass(2, "water", "#0000ff")))
WALK = Crosswalk(FINE, COARSE, (1, 1, 2, 255))


@pytest.mark.parametrize("name", shipped_names("crosswalks"))
def test_shipped_crosswalks_name_every_class(name):
    source, _, target = name.partition("-to-")
    crosswalk = load_crosswalk(load_legend(source), load_legend(target))
    assert len(crosswalk.codes) == len(load_legend(source))
    assert set(crosswalk.codes) - {255}


@pytest.mark.parametrize("name", shipped_names("legends"))
def test_shipped_legends_have_their_file_name_and_distinct_colours(name):
    legend = load_legend(name)
    assert legend.name == name
    assert len({entry.color for entry in legend}) == len(legend)


def test_the_levels_of_corine_follow_the_digits():
    third, second = load_legend("corine-3"), load_legend("corine-2")
    crosswalk = load_crosswalk(third, second)
    for entry, code in zip(third, crosswalk.codes, strict=True):
        assert entry.values[0] // 10 == second.classes[code - 1].values[0]
    two_steps = load_crosswalk(second, load_legend("corine-1"))
    one_step = load_crosswalk(third, load_legend("corine-1"))
    assert tuple(two_steps.codes[code - 1] for code in crosswalk.codes) == one_step.codes


def test_both_codings_of_corine_mean_the_same():
    codes = load_legend("corine-3").code_of_value()
    assert codes[111] == codes[1] == 1
    assert codes[523] == codes[44] == 44
    assert codes[48] == 255


def test_codes_are_relabelled():
    codes = np.array([[1, 2, 3], [4, 255, 3]], np.uint8)
    assert WALK.relabel(codes).tolist() == [[1, 1, 2], [255, 255, 2]]


def test_activations_are_summed_and_ignored_mass_is_dropped():
    given = np.array([[0.3, 0.0, np.nan], [0.3, 0.0, np.nan], [0.2, 0.0, np.nan], [0.2, 1.0, np.nan]], np.float32)
    summed = WALK.sum_activations(given)
    assert summed[:, 0] == pytest.approx([0.75, 0.25])
    assert np.isnan(summed[:, 1:]).all()


def test_summing_is_not_renaming():
    """Two halves of one class beat a larger single one."""
    given = np.array([0.3, 0.3, 0.4, 0.0], np.float32)[:, None]
    assert WALK.sum_activations(given).argmax(0) == 0
    assert WALK.relabel(np.array([given.argmax(0)[0] + 1], np.uint8)) == [2]


def test_equal_legends_need_no_file():
    assert load_crosswalk(FINE, FINE).is_identity


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('source = "fine"\ntarget = "coarse"\n[classes]\noak = "forest"\n', "'pine' once"),
        ('source = "fine"\ntarget = "coarse"\n[classes]\noka = "forest"\n', "did you mean 'oak'"),
        ('source = "fine"\ntarget = "coarse"\n[classes]\noak = "woods"\n', "no class 'woods'"),
        ('source = "other"\ntarget = "coarse"\n', "source is 'other'"),
        (
            'source = "fine"\ntarget = "coarse"\nmore = 1\n',
            r"walk\.toml: there is no key more; .*; a crosswalk is: source = ",
        ),
        ('source = "fine"\ntarget = "coarse"\n[classes]\noak = 3\n', "classes.oak = 3: must be the name of a class"),
        ('source = "fine"\ntarget = "coarse"\n[classes]\noak = []\n', "classes.oak: must be the name of a class"),
        ('source = "fine"\ntarget = "coarse"\nclasses = ["oak"]\n', "classes: must be a table"),
        ('target = "coarse"\n', "source is missing; add it; a crosswalk is"),
    ],
)
def test_a_crosswalk_that_is_wrong_says_where(tmp_path, text, message):
    file = tmp_path / "walk.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_crosswalk(FINE, COARSE, file)


def test_no_crosswalk_lists_what_there_is():
    with pytest.raises(ConfigError, match="corine-3-to-corine-2"):
        load_crosswalk(FINE, COARSE)


SHRUBBY = """source = "mine"
target = "dynamic-world"
[classes]
lake = "water"
forest = "trees"
range = ["grass", "shrub & scrub"]
"""
MINE = Legend(
    "mine", "mine", tuple(LandClass(i, name, "#000000") for i, name in enumerate(("lake", "forest", "range"), 1))
)


@pytest.fixture
def undecided(tmp_path):
    (tmp_path / "walk.toml").write_text(SHRUBBY)
    return load_crosswalk(MINE, load_legend("dynamic-world"), tmp_path / "walk.toml")


def test_a_class_that_may_be_any_of_several_is_none_of_them(undecided):
    assert undecided.codes == (1, 2, 255)
    assert undecided.ignored == ()
    assert undecided.undecided == ("mine's range may be grass or shrub & scrub",)


def test_a_comparison_takes_those_several_as_one_class(undecided):
    world = load_legend("dynamic-world")
    of_labels, of_map = coarsened(undecided, load_crosswalk(world, world))
    assert of_labels.target == of_map.target
    assert of_map.target.names[:4] == ("water", "trees", "grass or shrub & scrub", "flooded vegetation")
    assert len(of_map.target) == 8
    assert of_labels.relabel(np.array([1, 2, 3, 255], np.uint8)).tolist() == [1, 2, 3, 255]
    shares = np.array([0.0, 0.4, 0.3, 0.0, 0.0, 0.3, 0.0, 0.0, 0.0], np.float32)[:, None]
    assert of_map.sum_activations(shares)[:, 0] == pytest.approx([0, 0.4, 0.6, 0, 0, 0, 0, 0])
    assert of_map.merged == ("grass or shrub & scrub count as one class",)


def test_crosswalks_without_such_a_class_stay_as_they_are():
    assert coarsened(WALK) == (WALK,)


def test_classes_that_overlap_in_pairs_become_one():
    legend = Legend("abcd", "abcd", tuple(LandClass(i, name, "#000000") for i, name in enumerate("abcd", 1)))
    pairs = Crosswalk(FINE, legend, (255, 255, 4, 255), {1: (1, 2), 2: (2, 3)})
    assert coarsened(pairs)[0].target.names == ("a or b or c", "d")
    every = Crosswalk(FINE, legend, (255, 255, 255, 255), {1: (1, 2), 2: (2, 3), 3: (3, 4)})
    with pytest.raises(ConfigError, match="all classes of abcd become one, because fine's oak may be a or b"):
        coarsened(every)


@pytest.mark.parametrize("codes", [(1, 1, 2), (1, 1, 2, 3)])
def test_codes_that_miss_a_class_or_name_one_that_is_not_there(codes):
    with pytest.raises(ConfigError, match="fine to coarse does not name every class once"):
        Crosswalk(FINE, COARSE, codes)
