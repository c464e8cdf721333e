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


TEXT = """name = "mine"
[[classes]]
code = 1
name = "land"
color = "#00ff00"
[[classes]]
code = 2
name = "sea"
color = "#0000ff"
"""

WRONG = [
    ("", "", "name is missing"),
    ('name = "mine"\n', "", "name is missing"),
    ('name = "mine"', "name = 3", "name = 3: must be a text"),
    ('name = "mine"', 'name = ""', "has the name ''"),
    ('name = "mine"', 'name = "mine"\ntitel = "x"', "no key titel; did you mean 'title'"),
    ('name = "mine"', 'name = "mine"\nnodata_values = 0', "nodata_values = 0: must be a list"),
    ('name = "mine"', 'name = "mine"\nnodata_values = ["0"]', r"nodata_values\.0 = '0': must be a whole number"),
    ('name = "mine"', 'name = "mine"\nnodata_values = [1]', "pixel value twice: 1"),
    ('name = "mine"', 'name = "mine"\nnodata_colors = ["black"]', "nodata_colors 'black'; write colours as #rrggbb"),
    ("code = 2\n", "", r"classes\.1\.code is missing \(of 'sea'\)"),
    ('name = "sea"\n', "", r"classes\.1\.name is missing"),
    ('color = "#0000ff"\n', "", r"classes\.1\.color is missing \(of 'sea'\)"),
    ("code = 2", 'code = "2"', r"classes\.1\.code = '2' \(of 'sea'\): must be a whole number"),
    ("code = 2", "code = 2.0", r"classes\.1\.code = 2\.0 \(of 'sea'\): must be a whole number"),
    ("code = 2", "code = true", r"classes\.1\.code = True \(of 'sea'\): must be a whole number"),
    ("code = 2", "code = 0", "class 'sea' has code 0; use 1..250"),
    ("code = 2", "code = 1", r"codes \[1, 1\]; number the classes"),
    ("code = 2", "code = 3", r"codes \[1, 3\]; number the classes"),
    ('"#0000ff"', '"blue"', "class 'sea' has colour 'blue'; write it as #rrggbb"),
    ('"#0000ff"', "[0, 0, 255]", r"classes\.1\.color \(of 'sea'\): must be a text"),
    ('"#0000ff"', "255", r"classes\.1\.color = 255 \(of 'sea'\): must be a text"),
    ('"#0000ff"', '"#0000ff"\nkolor = 1', r"no key classes\.1\.kolor \(of 'sea'\); did you mean 'color'"),
    ('"#0000ff"', '"#0000ff"\nvalues = 7', r"classes\.1\.values = 7 \(of 'sea'\): must be a list"),
    ('"#0000ff"', '"#0000ff"\nvalues = ["7"]', r"classes\.1\.values\.0 = '7' \(of 'sea'\): must be a whole number"),
    ('"#0000ff"', '"#0000ff"\nvalues = [1]', "pixel value twice: 1"),
    ('"#0000ff"', '"#0000ff"\nvalues = [99999999999]', r"classes\.1\.values\.0 = 99999999999 .*must be less than"),
    ('"sea"', '"land"', "name twice: 'land'"),
    ('"sea"', '""', "class 2 has the name ''"),
    ('"sea"', '"s\\nea"', "class 2 has the name"),
    ("[[classes]]", "[classes]", "not valid TOML"),
    ('"mine"', '"mine', "not valid TOML"),
]


@pytest.mark.parametrize(("old", "new", "message"), WRONG)
def test_a_file_that_is_wrong_says_which_key_of_which_class(tmp_path, old, new, message):
    path = tmp_path / "mine.toml"
    path.write_text(TEXT.replace(old, new) if old else "")
    with pytest.raises(ConfigError, match=message) as found:
        load_legend(path)
    assert str(path) in str(found.value)
    assert found.value.remedy
    assert "\n" not in str(found.value)


@pytest.mark.parametrize(
    "table", [{"name": "x", "classes": 3}, {"name": "x", "classes": ["a"]}, {"name": "x"}, [], None]
)
def test_people_who_have_never_seen_a_legend_are_shown_one(table):
    with pytest.raises(ConfigError, match=r'a legend is: name = "mine", then for each class \[\[classes\]\] code = 1'):
        Legend.from_table(table)


def test_a_file_of_windows_is_read_and_one_of_another_code_page_refused(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xef\xbb\xbf" + TEXT.replace("\n", "\r\n").encode())
    assert load_legend(path).names == ("land", "sea")
    path.write_bytes(TEXT.replace("sea", "fôret").encode("latin-1"))
    with pytest.raises(ConfigError, match="line 8 is not UTF-8 text: save the file as UTF-8"):
        load_legend(path)
