import pytest

from lulc.errors import ConfigError
from lulc.legend import NODATA_CODE, LandClass, Legend, load_legend
from lulc.resources import shipped_names

TWO = {
    "name": "two",
    "classes": [
        {"code": 1, "name": "land", "color": "#00ff00"},
        {"code": 2, "name": "sea", "color": "#0000ff"},
    ],
}


class TestDynamicWorld:
    def test_nine_classes_in_the_order_of_the_labels(self):
        legend = load_legend("dynamic-world")
        assert len(legend) == 9
        assert [entry.code for entry in legend] == list(range(1, 10))
        assert legend.classes[0].name == "water"
        assert "snow" in legend.classes[-1].name

    def test_nodata_is_no_class(self):
        assert NODATA_CODE not in [entry.code for entry in load_legend("dynamic-world")]


@pytest.mark.parametrize("name", shipped_names("legends"))
def test_shipped_legends_survive_their_own_table(name):
    legend = load_legend(name)
    again = Legend.from_table(legend.to_table())
    assert again.to_table() == legend.to_table()
    assert again.code_of_value() == {code: code for code in range(1, len(legend) + 1)}  # lulc's own codes


class TestLandClass:
    def test_rgb(self):
        assert LandClass(1, "x", "#0A80ff").rgb == (10, 128, 255)

    @pytest.mark.parametrize("code", [0, -1, 251, 255])
    def test_code_out_of_range(self, code):
        with pytest.raises(ConfigError, match="0 is never a class"):
            LandClass(code, "x", "#000000")

    @pytest.mark.parametrize("color", ["red", "#12345", "#1234567", "123456", "#gggggg", "#123456\n"])
    def test_colour_that_is_none(self, color):
        with pytest.raises(ConfigError, match="#rrggbb"):
            LandClass(1, "x", color)


class TestLegend:
    def test_title_is_the_name_unless_given(self):
        assert Legend.from_table(TWO).title == "two"

    @pytest.mark.parametrize("codes", [(2, 1), (1, 3), (1, 1)])
    def test_codes_count_from_one(self, codes):
        classes = [{**entry, "code": code} for entry, code in zip(TWO["classes"], codes, strict=True)]
        with pytest.raises(ConfigError, match="number the classes"):
            Legend.from_table({**TWO, "classes": classes})

    def test_a_name_twice(self):
        classes = [{**entry, "name": "land"} for entry in TWO["classes"]]
        with pytest.raises(ConfigError, match="name twice"):
            Legend.from_table({**TWO, "classes": classes})

    def test_a_pixel_value_twice(self):
        classes = [{**entry, "values": [7]} for entry in TWO["classes"]]
        with pytest.raises(ConfigError, match="pixel value twice"):
            Legend.from_table({**TWO, "classes": classes})

    @pytest.mark.parametrize(
        "table",
        [
            {},
            {"name": "x"},
            {"classes": TWO["classes"]},
            {"name": "x", "classes": 3},
            {"name": "x", "classes": [{"code": 1, "name": "a"}]},
            {"name": "x", "classes": [{"code": 1, "name": "a", "color": "#000000", "kolor": 1}]},
            {"name": "x", "classes": [{"code": "1", "name": "a", "color": "#000000"}]},
            {"name": "x", "classes": []},
        ],
    )
    def test_incomplete_tables_are_refused(self, table):
        with pytest.raises(ConfigError):
            Legend.from_table(table)

    def test_from_a_path(self, tmp_path):
        path = tmp_path / "mine.toml"
        path.write_text('name = "mine"\n[[classes]]\ncode = 1\nname = "all"\ncolor = "#123456"\n')
        assert load_legend(path).classes == (LandClass(1, "all", "#123456"),)
