"""What is decided before a scene is classified: halo, memory."""

import resource

import pytest
import torch

from lulc.model.receptive_field import ReceptiveField
from lulc.tasks.classify import memory
from lulc.tasks.classify.job import choose_halo
from lulc.tasks.classify.options import ClassifyOptions
from lulc.tasks.classify.stages import Stages, StageTimes

assert torch  # what plans a run loads networks


@pytest.mark.parametrize(
    ("half_field", "bounded", "given", "halo", "fade", "why"),
    [
        (71, True, {}, 72, 0, "halo 72 px: half the receptive field is 71 px, so windows agree exactly"),
        (71, True, {"halo": 50}, 56, 32, "halo 56 px as asked"),
        (71, True, {"halo": 80}, 80, 0, "halo 80 px as asked"),
        (
            900,
            True,
            {},
            64,
            32,
            "halo 64 px: half the receptive field is 900 px, which would cost too much; seams are faint",
        ),
        (71, False, {}, 64, 32, "halo 64 px: the network uses statistics of the whole window, so no halo is exact"),
        (71, False, {"blend": 8}, 64, 8, "halo 64 px: the network uses statistics"),
    ],
)
def test_the_halo_is_exact_where_that_can_be_paid(half_field, bounded, given, halo, fade, why):
    found = choose_halo(ReceptiveField(half_field, 8, bounded), ClassifyOptions(**given))
    assert found[:2] == (halo, fade)
    assert found[2].startswith(why)


def test_memory_where_the_system_has_no_proc(monkeypatch, tmp_path):
    here = memory.resident_bytes()
    assert 10**7 < here <= memory.peak_resident_bytes()
    monkeypatch.setattr(memory, "Path", lambda _: tmp_path / "nothing")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    monkeypatch.setattr("sys.platform", "linux")
    assert memory.resident_bytes() >= peak * 1024
    monkeypatch.setattr("sys.platform", "darwin")
    assert peak <= memory.peak_resident_bytes() < peak * 1024


def test_a_pipeline_without_items_ends_at_once():
    assert list(Stages(read=None, infer=None, write=None, times=StageTimes()).run([])) == []
