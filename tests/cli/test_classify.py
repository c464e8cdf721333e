"""What `lulc classify` says to people."""

import pytest
from click.testing import CliRunner

from lulc.cli.classify import report_text
from lulc.cli.main import cli
from lulc.io.product.areas import ClassArea
from lulc.tasks.classify.report import ClassifyReport, DateUsed
from lulc.tasks.classify.seams import SeamReport

_FLIPS = "seams: 2 windows inferred again: 0.5000 % of classes change (1.0000 % near seams, 0.2500 % elsewhere)"


@pytest.mark.parametrize(
    ("more", "lines"),
    [
        (
            ["--window", "272"],
            ["windows      4 of 272 px, of which 128 px are kept (halo 72)", "blend        none: the cut is exact"],
        ),
        (["--window", "256", "--halo", "16", "--blend", "0"], ["blend        none"]),
        (["--window", "256", "--halo", "64", "--blend", "16"], ["blend        16 px", "halo 64 px as asked"]),
    ],
)
def test_a_plan(scene_file, bundle, tmp_path, more, lines):
    given = ["classify", scene_file(200, 230), tmp_path / "map.tif", "--model", bundle, "--plan"]
    done = CliRunner().invoke(cli, [*map(str, given), "--device", "cpu", "--precision", "fp32", *more])
    assert done.exit_code == 0, done.output
    said = done.stdout.splitlines()
    assert said[0] == "scene        230 x 200 px"
    assert "device       cpu, fp32" in said
    assert set(lines) <= set(said)
    assert not (tmp_path / "map.tif").exists()


def test_clouds_of_the_network_are_asked_of_a_model_that_sees_them(scene_file, bundle, cloud_bundle, tmp_path):
    given = ["classify", scene_file(200, 230), tmp_path / "map.tif", "--plan", "--clouds", "network", "--model"]
    assert CliRunner().invoke(cli, [*map(str, given), str(cloud_bundle)]).exit_code == 0
    refused = CliRunner().invoke(cli, [*map(str, given), str(bundle)])
    assert isinstance(refused.exception, SystemExit)
    assert refused.exit_code == 4
    assert "textured has no cloud head" in refused.output


def report(**changes):
    facts = {
        "output": "map.tif",
        "plan": {"halo": 72, "cost_factor": 1.25, "device": "cpu", "precision": "fp32"},
        "classes": (ClassArea(1, "water", 75, 0.75, 0.75), ClassArea(2, "trees", 0, 0.0, 0.0)),
        "valid_share": 1.0,
        "megapixels": 4.0,
        "seconds": 3.0,
        "start_up_s": 1.0,
        "start_up_cpu_s": 1.0,
        "mpx_per_s": 2.0,
        "stages": {},
        "bound": "infer",
        "resumed_chunks": 0,
        "peak_bytes": 10**9,
        "output_bytes": 10**6,
        "seams": None,
        "warnings": (),
    }
    return report_text(ClassifyReport(**facts | changes)).splitlines()


def test_a_report_says_what_was_mapped_and_how_fast():
    said = report()
    assert said[0] == "map.tif: 4.00 Mpx, 100.0% with data, 1.00 MB"
    assert said[1].split() == ["water", "0.8", "ha", "75.0%"]
    assert said[2].endswith("2.00 Mpx/s, bound by infer; peak memory 1.00 GB")
    assert said[3] == "halo 72 px, cost factor 1.25, cpu fp32"
    assert len(said) == 4
    assert "75 px" in report(classes=(ClassArea(1, "water", 75, None, 0.75),))[1]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"dates": (DateUsed("a.tif", "2021-05-03", "SCL 1,3,8,9,10"),)},
            "2021-05-03  a.tif, clouds by SCL 1,3,8,9,10",
        ),
        ({"dates": (DateUsed("b.tif", "", "none"),)}, "undated  b.tif, clouds by none"),
        ({"clouds": {"cloud": 0.125, "shadow": 0.03}}, "under cloud 12.5% and shadow 3.0%"),
        ({"resumed_chunks": 3}, "3 finished parts were taken over from an interrupted run"),
        ({"seams": SeamReport(0, 0, None, 0.0, 0.0, 0.0)}, "seams: none, the scene is one window"),
        (
            {"seams": SeamReport(2, 9, 0.004, 0.5, 1.0, 0.25)},
            f"{_FLIPS}, activations differ by at most 0.0040",
        ),
        (
            {"seams": SeamReport(2, 9, None, 0.5, 1.0, 0.25)},
            _FLIPS,
        ),
        ({"warnings": ("it is dark",)}, "warning: it is dark"),
    ],
)
def test_a_report_says_what_else_there_is_to_know(changes, line):
    assert report(**changes)[4:] == [line]
