"""Classes made of several, from texts."""

import pytest

from lulc.errors import ConfigError, UsageError
from lulc.legend import load_legend
from lulc.tasks.clean.legend import clean_crosswalk, merged_classes

LEGEND = load_legend("dynamic-world")


def test_the_merged_class_has_the_colour_of_the_first_named():
    found = merged_classes(LEGEND, ["crops,grass=open", "snow & ice, bare=bare"])
    assert found.target.names == ("water", "trees", "open", "flooded vegetation", "shrub & scrub", "built", "bare")
    assert found.codes == (1, 2, 3, 4, 3, 5, 6, 7, 7)
    colors = {entry.name: entry.color for entry in found.target}
    assert colors["open"] == LEGEND.classes[4].color
    assert colors["bare"] == LEGEND.classes[8].color
    assert found.target.title == f"{LEGEND.title}, crops and grass as open; snow & ice and bare as bare"


def test_a_class_is_renamed_by_merging_it_alone():
    assert merged_classes(LEGEND, ["trees=forest"]).target.names[1] == "forest"


def test_names_with_commas():
    legend = load_legend("corine-3")
    found = merged_classes(legend, ["beaches, dunes, sands,bare rocks=bare"])
    assert len(found.target) == len(legend) - 1
    assert "bare" in found.target.names


@pytest.mark.parametrize(
    ("merge", "words"),
    [
        (["crosp,grass=open"], "has no class 'crosp'; did you mean 'crops'"),
        (["crops,=open"], "no class ''"),
        (["crops,grass"], "names no classes and no new one"),
        (["=open"], "names no classes"),
        (["crops="], "names no classes"),
        (["crops,grass=open", "crops,built=town"], "names the class 'crops' twice"),
        (["crops,crops=open"], "names the class 'crops' twice"),
        (["crops=open", "grass=open"], "two of --merge make a class 'open'"),
        (["crops,grass=water"], "makes a class 'water', and there is one"),
    ],
)
def test_refusals(merge, words):
    with pytest.raises(UsageError, match=words):
        merged_classes(LEGEND, merge)


def test_a_crosswalk_that_leads_elsewhere(tmp_path):
    file = tmp_path / "walk.toml"
    file.write_text('source = "dynamic-world"\ntarget = "esri"\n[classes]\n')
    with pytest.raises(ConfigError, match="does not lead to"):
        clean_crosswalk(LEGEND, "corine-1", file, ())
    assert clean_crosswalk(LEGEND, None, None, ()).is_identity
