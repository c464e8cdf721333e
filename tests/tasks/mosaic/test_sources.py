import os

import pytest

from lulc.tasks.mosaic.sources import source_names


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("number,map\n1,a.tif\n2,b.tif\n", {1: "a.tif", 2: "b.tif"}),
        (None, {}),
        ("number,file\n1,a.tif\n", {}),
        ("number,map\none,a.tif\n", {}),
    ],
)
def test_names_of_maps_are_read_where_there_are_any(tmp_path, text, names):
    if text is not None:
        (tmp_path / "sources.csv").write_text(text)
    assert source_names(tmp_path / "sources.csv") == names


def test_a_pipe_in_place_of_the_table_is_no_table(tmp_path):
    os.mkfifo(tmp_path / "m.tif.sources.csv")
    assert source_names(tmp_path / "m.tif.sources.csv") == {}
