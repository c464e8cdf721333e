"""Lists of scenes: one process, a map of each, and a failure that stops nobody else."""

import json
import signal
from pathlib import Path

import pytest
from click.testing import CliRunner

from lulc.cli.main import cli
from lulc.errors import Interrupted, ModelError, UsageError
from lulc.io.product.areas import class_areas
from lulc.tasks.classify.classify import classify
from lulc.tasks.classify.many import classify_many
from lulc.tasks.classify.options import ClassifyOptions
from lulc.tasks.classify.scene_list import listed_scenes, map_of

pytestmark = pytest.mark.torch


@pytest.fixture
def scenes(scene_file):
    return [(scene_file(60, 70, name="a.tif"),), (scene_file(64, 50, name="b.tif"),)]


@pytest.fixture
def options(bundle):
    return ClassifyOptions(model=bundle, device="cpu", precision="fp32")


def states(outcomes):
    return [outcome.state for outcome in outcomes]


def test_each_map_is_that_of_a_run_of_its_own(scenes, options, tmp_path):
    told = []
    outcomes = classify_many(scenes, tmp_path / "maps", options, told=told.append)
    assert states(outcomes) == ["classified", "classified"]
    assert tuple(told) == outcomes
    for (scene,), outcome in zip(scenes, outcomes, strict=True):
        assert outcome.output == tmp_path / "maps" / scene.name
        classify([scene], tmp_path / "alone.tif", options.model_copy(update={"overwrite": True}))
        assert outcome.output.read_bytes() == (tmp_path / "alone.tif").read_bytes()


def test_a_scene_that_fails_stops_no_other(scenes, options, tmp_path):
    damaged = tmp_path / "damaged.tif"
    damaged.write_bytes(scenes[0][0].read_bytes()[:900])
    outcomes = classify_many([(damaged,), (tmp_path / "none.tif",), *scenes], tmp_path / "maps", options)
    assert states(outcomes) == ["failed", "failed", "classified", "classified"]
    assert "no such file" in str(outcomes[1].error)
    assert sorted(path.name for path in (tmp_path / "maps").glob("*.tif")) == ["a.tif", "b.tif"]


def test_maps_that_are_there_are_kept(scenes, options, tmp_path):
    first = classify_many(scenes[:1], tmp_path / "maps", options)[0].output
    before = first.stat()
    assert states(classify_many(scenes, tmp_path / "maps", options)) == ["there already", "classified"]
    assert (first.stat().st_mtime_ns, first.stat().st_ino) == (before.st_mtime_ns, before.st_ino)


@pytest.mark.parametrize(
    ("changes", "tag"), [({"window": 400}, "LULC_WINDOW"), ({"activations": "none"}, "LULC_ACTIVATIONS")]
)
def test_a_map_of_other_settings_is_refused_unless_it_may_be_replaced(scenes, options, tmp_path, changes, tag):
    first = classify_many(scenes[:1], tmp_path / "maps", options)[0].output
    before, other = first.read_bytes(), options.model_copy(update=changes)
    refused = classify_many(scenes[:1], tmp_path / "maps", other)[0]
    assert refused.error.exit_code == 5
    assert f"exists and differs in {tag}" in str(refused.error)
    assert first.read_bytes() == before
    assert states(classify_many(scenes[:1], tmp_path / "maps", other.model_copy(update={"overwrite": True}))) == [
        "classified"
    ]
    assert first.read_bytes() != before


def test_a_map_without_clouds_is_another_one(scene_file, cloud_bundle, tmp_path):
    """The tags of one are a part of the other's."""
    scene, flagged = (scene_file(60, 70),), ClassifyOptions(model=cloud_bundle, device="cpu", precision="fp32")
    without = flagged.model_copy(update={"clouds": "none"})
    for given, then in ((flagged, without), (without, flagged)):
        folder = tmp_path / given.clouds
        assert states(classify_many([scene], folder, given)) == ["classified"]
        assert "LULC_CLOUDS" in str(classify_many([scene], folder, then)[0].error)


def test_a_file_that_is_no_map_is_left_alone(scenes, options, tmp_path):
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps" / "a.tif").write_bytes(b"somebody's")
    outcomes = classify_many(scenes, tmp_path / "maps", options)
    assert states(outcomes) == ["failed", "classified"]
    assert outcomes[0].error.exit_code == 5
    assert (tmp_path / "maps" / "a.tif").read_bytes() == b"somebody's"


def test_what_fails_for_all_is_told_before_any_work(scenes, options, tmp_path):
    with pytest.raises(UsageError, match=r"a\.tif and .*a\.tif would both become .*a\.tif; name each scene once"):
        classify_many([*scenes, scenes[0]], tmp_path / "maps", options)
    with pytest.raises(UsageError, match="nonsense"):
        classify_many(scenes, tmp_path / "maps", options.model_copy(update={"device": "nonsense"}))
    with pytest.raises(UsageError, match="is an input"):
        classify_many(scenes, tmp_path, options)
    with pytest.raises(ModelError):
        classify_many(scenes, tmp_path / "maps", options.model_copy(update={"model": tmp_path}))
    assert not (tmp_path / "maps").exists()


def test_a_signal_ends_the_list(scenes, options, tmp_path):
    def stopped(*_):
        raise Interrupted("stopped")

    with pytest.raises(Interrupted):
        classify_many(scenes, tmp_path / "maps", options, progress=stopped)
    assert states(classify_many(scenes, tmp_path / "maps", options)) == ["classified", "classified"]


def test_a_signal_between_two_scenes_ends_the_list_too(scenes, options, tmp_path):
    """The run of one scene is over, that of the next has not begun."""

    def asked(outcome):
        if outcome.output.name == "a.tif":
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(Interrupted, match="SIGTERM"):
        classify_many(scenes, tmp_path / "maps", options, told=asked)
    assert [path.name for path in (tmp_path / "maps").iterdir() if path.suffix == ".tif"] == ["a.tif"]


def test_a_signal_that_comes_while_a_map_is_published_ends_the_list(scenes, options, tmp_path, monkeypatch):
    def asked(path):
        signal.raise_signal(signal.SIGTERM)
        return class_areas(path)

    monkeypatch.setattr("lulc.tasks.classify.classify.class_areas", asked)
    with pytest.raises(Interrupted):
        classify_many(scenes, tmp_path / "maps", options)


def test_a_damaged_map_is_not_kept(scenes, options, tmp_path):
    first = classify_many(scenes[:1], tmp_path / "maps", options)[0].output
    first.write_bytes(first.read_bytes()[:-2000])
    outcomes = classify_many(scenes, tmp_path / "maps", options)
    assert states(outcomes) == ["failed", "classified"]
    assert outcomes[0].error.exit_code == 5


def test_lines_of_a_list(tmp_path):
    listed = tmp_path / "list.txt"
    listed.write_bytes("\ufeffa b.tif\t\r\n\n  \t \n B02.tif \tB03.tif\n".encode())
    assert listed_scenes(listed) == [(Path("a b.tif"),), (Path("B02.tif"), Path("B03.tif"))]


@pytest.mark.parametrize(
    ("name", "expected"), [("x.2021.05.27", "x.2021.05.27"), ("T31.SAFE", "T31"), ("cube.zarr", "cube")]
)
def test_a_folder_keeps_its_dots(tmp_path, name, expected):
    (tmp_path / name).mkdir()
    assert map_of([tmp_path / name], Path("maps")) == Path(f"maps/{expected}.tif")


def test_a_map_does_not_lie_in_a_folder_that_is_its_input(scenes, options, tmp_path):
    (tmp_path / "bands").mkdir()
    with pytest.raises(UsageError, match="would lie in the input"):
        classify([tmp_path / "bands"], tmp_path / "bands" / "deep" / "map.tif", options)


def run(*arguments):
    return CliRunner().invoke(cli, ["classify", *map(str, arguments)])


def test_the_command_tells_every_scene_and_exits_as_the_first_failure(scenes, bundle, tmp_path):
    listed = tmp_path / "list.txt"
    listed.write_text(f"{tmp_path / 'none.tif'}\n\n{scenes[0][0]}\n")
    ran = run("--list", listed, "--out", tmp_path / "maps", "--model", bundle, "--device", "cpu")
    assert ran.exit_code == 3
    assert "a.tif: classified" in ran.stdout
    assert "1 of 2 scenes have their map" in ran.stdout
    assert "lulc: no such file" in ran.stderr
    ran = run("--list", listed, "--out", tmp_path / "maps", "--model", bundle, "--device", "cpu", "--json")
    failed, kept = json.loads(ran.stdout)
    assert (failed["state"], failed["exit_code"], kept["state"]) == ("failed", 3, "there already")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--list", "l.txt"), "--list and --out belong together"),
        (("--out", "maps", "scene.tif", "map.tif"), "--list and --out belong together"),
        (("--list", "l.txt", "--out", "maps", "scene.tif", "map.tif"), "--list goes without SCENE and OUT"),
        (("--list", "l.txt", "--out", "maps", "--plan"), "--list goes without --plan"),
        (("--list", "l.txt", "--out", "maps", "--dates"), "--dates makes one map"),
        ((), "name a scene and its map"),
        (("scene.tif",), "name a scene and its map"),
    ],
)
def test_arguments_that_do_not_fit_are_one_line(arguments, said):
    ran = run(*arguments)
    assert ran.exit_code == 2
    assert said in ran.stderr


def test_an_empty_list_is_refused(tmp_path):
    (tmp_path / "l.txt").write_text("\n")
    ran = run("--list", tmp_path / "l.txt", "--out", tmp_path / "maps")
    assert (ran.exit_code, ran.stderr) == (3, f"lulc: {tmp_path / 'l.txt'} names no scene; write one scene a line\n")
