import json

import numpy as np
import pytest
import rasterio
from affine import Affine
from click.testing import CliRunner

from lulc.cli.main import cli
from lulc.tasks.accuracy.agreement_report import PICTURES

TWO = """name = "two"
[[classes]]
code = 1
name = "land"
color = "#00ff00"
[[classes]]
code = 2
name = "sea"
color = "#0000ff"
"""


def geojson(kind, coordinates):
    """One labelled feature."""
    place = {"type": kind, "coordinates": coordinates}
    feature = {"type": "Feature", "geometry": place, "properties": {"reference": "land"}}
    return json.dumps({"type": "FeatureCollection", "features": [feature]})


def raster(path, seed):
    values = np.kron(np.random.default_rng(seed).integers(1, 3, (10, 10)), np.ones((16, 16))).astype(np.uint8)
    profile = {"driver": "GTiff", "dtype": "uint8", "crs": "EPSG:32633", "transform": Affine(10, 0, 35e4, 0, -10, 5e6)}
    with rasterio.open(path, "w", count=1, height=160, width=160, **profile) as target:
        target.write(values, 1)
    return path


@pytest.fixture
def files(tmp_path):
    raster(tmp_path / "map.tif", 0)
    raster(tmp_path / "reference.tif", 1)
    (tmp_path / "two.toml").write_text(TWO)
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(cli, ["evaluate", *map(str, arguments)])


def compared(folder, *arguments):
    pair = folder / "map.tif", folder / "reference.tif"
    return run(*pair, "--legend", folder / "two.toml", "--block", "32", *arguments)


class TestDone:
    def test_markdown(self, files):
        result = compared(files)
        assert result.exit_code == 0, result.output
        assert result.stdout.startswith("# Agreement of map.tif with reference.tif\n\n**Overall agreement 0.")
        assert "95 % block-bootstrap interval" in result.stdout
        assert "Borders" not in result.stdout

    def test_json_is_one_object_on_stdout(self, files):
        report = json.loads(compared(files, "--json", "--edges").stdout)
        assert report["kind"] == "agreement"
        assert report["pixels"] == 160 * 160
        assert report["interval"]["blocks"] == 25
        assert report["edges"]["any_in_3x3"] > report["overall_agreement"]

    def test_seed(self, files):
        first, second = (json.loads(compared(files, "--json", "--seed", seed).stdout) for seed in (0, 1))
        assert first["overall_agreement"] == second["overall_agreement"]
        assert first["overall_agreement_interval"] != second["overall_agreement_interval"]

    def test_quiet(self, files):
        assert compared(files, "-qq").output == ""

    def test_folder(self, files):
        result = compared(files, "--out", files / "out", "-qq")
        assert result.exit_code == 0, result.output
        assert sorted(path.name for path in (files / "out").iterdir()) == ["confusion.png", "report.json", "report.md"]
        assert compared(files, "--out", files / "out").exit_code == 5
        assert compared(files, "--out", files / "out", "--overwrite").exit_code == 0


class TestDispatch:
    """Each kind of evaluation goes its way; what is behind is replaced, and tested at its own place."""

    class Report:
        def to_json(self):
            return {"kind": "other"}

        def to_markdown(self):
            return "# other\n"

        def pictures(self):
            return dict.fromkeys(PICTURES)

    def test_points(self, files, monkeypatch):
        estimate = pytest.importorskip("lulc.tasks.accuracy.estimate")
        asked = []
        monkeypatch.setattr(estimate, "estimate_areas", lambda *args, **_: asked.append(args) or self.Report())
        (files / "points.csv").write_text("reference,lon,lat\nland,1,2\n")
        (files / "points.geojson").write_text(geojson("Point", [1, 2]))
        for name in ("points.csv", "points.geojson"):
            result = run(files / "map.tif", files / name, "--out", files / name.partition(".")[2])
            assert result.exit_code == 0, result.output
            assert result.stdout == "# other\n"
            assert asked[-1][:2] == (files / "map.tif", files / name)
        assert json.loads((files / "csv" / "report.json").read_text()) == {"kind": "other"}
        assert (files / "csv" / "report.md").read_text() == "# other\n"

    def test_pictures_of_a_former_report_go(self, files, monkeypatch):
        estimate = pytest.importorskip("lulc.tasks.accuracy.estimate")
        monkeypatch.setattr(estimate, "estimate_areas", lambda *_, **__: self.Report())
        (files / "points.csv").write_text("reference,lon,lat\nland,1,2\n")
        compared(files, "--out", files / "out")
        result = run(files / "map.tif", files / "points.csv", "--out", files / "out", "--overwrite")
        assert result.exit_code == 0, result.output
        assert sorted(path.name for path in (files / "out").iterdir()) == ["report.json", "report.md"]

    @pytest.mark.torch
    def test_a_model_and_a_training_set(self, files, monkeypatch):
        module = pytest.importorskip("lulc.tasks.accuracy.evaluate_model")
        asked = []
        monkeypatch.setattr(module, "evaluate_model", lambda *args: asked.append(args) or self.Report())
        (files / "set").mkdir()
        (files / "set" / "set.json").write_text("{}")
        result = run("dw9-s2-10m", files / "set", "--split", "test", "--to", "corine-1")
        assert result.exit_code == 0, result.output
        assert dict(asked[0][2]) == {"split": "test", "to": "corine-1", "crosswalk": (), "seed": 0}


@pytest.mark.torch
class TestRobustness:
    """A model and scenes, without labels."""

    def run(self, bundle, *arguments):
        return run(bundle, *arguments, "--robustness", "--device", "cpu", "--precision", "fp32")

    def test_markdown_json_and_folder(self, bundle, scene_file, tmp_path):
        scene, out = scene_file(64, 80, tags={"LEVEL": "L2A"}), tmp_path / "out"
        result = self.run(bundle, scene, "--out", out)
        assert result.exit_code == 0, result.output
        assert result.stdout.startswith("# Robustness of textured 1\n")
        assert (out / "report.md").read_text() == result.stdout
        assert sorted(path.name for path in out.iterdir()) == ["report.json", "report.md"]
        table = json.loads(self.run(bundle, scene, "--json", "--windows", "1").stdout)
        assert table["kind"] == "robustness"
        assert {change["change"]: change["pixels"] for change in table["changes"]}["other level"] == 64 * 80
        assert [scene["windows"] for scene in table["scenes"]] == [1]
        assert self.run(bundle, scene, "--out", out).exit_code == 5
        assert self.run(bundle, scene, "--out", out, "--overwrite").exit_code == 0

    def test_what_is_known_of_the_scenes(self, bundle, scene_file):
        paths = [scene_file(64, 80, name=name, descriptions=None) for name in ("one.tif", "two.tif")]
        table = json.loads(self.run(bundle, *paths, "--bands", "B02,B03,B04,B08", "--json").stdout)
        assert [scene["scene"] for scene in table["scenes"]] == [*map(str, paths)]
        assert self.run(bundle, *paths).exit_code == 3

    def test_a_device_that_is_not_there(self, bundle, scene_file):
        result = run(bundle, scene_file(64, 80), "--robustness", "--device", "abacus")
        assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
        assert result.stderr.startswith("lulc: there is no device 'abacus'; use --device cpu")

    def test_an_input_is_no_folder_for_the_report(self, bundle, scene_file, tmp_path):
        scene = scene_file(64, 80)
        result = self.run(bundle, scene, "--out", bundle, "--overwrite")
        assert (result.exit_code, result.stderr) == (2, f"lulc: {bundle} is an input; choose another name\n")
        item = tmp_path / "report.json"
        item.write_text("{}")
        result = self.run(bundle, item, "--out", tmp_path, "--overwrite")
        assert (result.exit_code, result.stderr) == (2, f"lulc: {item} is an input; choose another name\n")
        assert item.read_text() == "{}"


REFUSALS = {
    "no legend": (["{folder}/map.tif", "{folder}/reference.tif"], 2),
    "no such map": (["{folder}/absent.tif", "{folder}/reference.tif", "--legend", "{folder}/two.toml"], 3),
    "no such reference": (["{folder}/map.tif", "{folder}/absent.tif", "--legend", "{folder}/two.toml"], 3),
    "no raster": (["{folder}/text.tif", "{folder}/reference.tif", "--legend", "{folder}/two.toml"], 3),
    "no such legend": (["{folder}/map.tif", "{folder}/reference.tif", "--legend", "three"], 4),
    "no crosswalk": (
        ["{folder}/map.tif", "{folder}/reference.tif", "--legend", "{folder}/two.toml", "--to", "dynamic-world"],
        4,
    ),
    "no such crosswalk": (
        ["{folder}/map.tif", "{folder}/reference.tif", "--legend", "{folder}/two.toml", "--crosswalk", "x.toml"],
        4,
    ),
    "a model on a raster": (["dw9-s2-10m", "{folder}/reference.tif"], 2),
    "two references": (["{folder}/map.tif", "{folder}/reference.tif", "{folder}/map.tif"], 2),
    "an option for robustness": (["{folder}/map.tif", "{folder}/reference.tif", "--windows", "4"], 2),
    "an option for maps with robustness": (["dw9-s2-10m", "{folder}/map.tif", "--robustness", "--edges"], 2),
    "a map on a training set": (["{folder}/map.tif", "{folder}/set"], 2),
    "an option for points": (["{folder}/map.tif", "{folder}/reference.tif", "--allow-missing"], 2),
    "an option for maps": (["{folder}/map.tif", "{folder}/points.csv", "--edges"], 2),
    "block of 1 px": (["{folder}/map.tif", "{folder}/reference.tif", "--block", "1"], 2),
    "out is a file": (
        ["{folder}/map.tif", "{folder}/reference.tif", "--legend", "{folder}/two.toml", "--out", "{folder}/text.tif"],
        5,
    ),
}


REFUSED_WITH_TORCH = {
    "a map in place of a model": (["{folder}/map.tif", "{folder}/map.tif", "--robustness"], 4),
    "a model for patches": (["eurosat-rgb", "{folder}/map.tif", "--robustness"], 4),
    "no such scene": (["dw9-s2-10m", "{folder}/absent.tif", "--robustness"], 3),
    "a scene without bands": (["dw9-s2-10m", "{folder}/map.tif", "--robustness"], 3),
}


@pytest.mark.torch
@pytest.mark.parametrize("case", REFUSED_WITH_TORCH)
def test_refusals_of_robustness_are_one_line_with_an_exit_code(files, case):
    arguments, code = REFUSED_WITH_TORCH[case]
    result = run(*(text.format(folder=files) for text in arguments))
    assert (result.exit_code, result.stdout) == (code, ""), result.output
    assert result.stderr.startswith("lulc: ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals_are_one_line_with_an_exit_code(files, case):
    (files / "text.tif").write_text("no raster")
    (files / "set").mkdir()
    (files / "set" / "set.json").write_text("{}")
    arguments, code = REFUSALS[case]
    result = run(*(text.format(folder=files) for text in arguments))
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    lines = [line for line in result.stderr.splitlines() if not line.startswith(("Usage:", "Try ")) and line]
    assert len(lines) == 1, result.stderr
    assert result.stdout == ""


def test_polygons_are_no_points(tmp_path):
    from lulc.io.labels.polygons import holds_points

    (tmp_path / "polygons.geojson").write_text(geojson("Polygon", [[[0, 0], [1, 0], [1, 1], [0, 0]]]))
    (tmp_path / "virtual.geojson").write_text("<OGRVRTDataSource></OGRVRTDataSource>")
    (tmp_path / "broken.geojson").write_text("{")
    for name in ("polygons.geojson", "virtual.geojson", "broken.geojson", "absent.gpkg"):
        assert not holds_points(tmp_path / name)


def test_help_names_every_option():
    text = run("--help").output
    for name in (
        "--robustness",
        "--windows",
        "--out",
        "--legend",
        "--crosswalk",
        "--to",
        "--split",
        "--block",
        "--seed",
        "--edges",
        "--json",
    ):
        assert name in text
