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


def stages(in_flight, log, fail=None):
    """A pipeline that writes down what begins and ends."""

    def infer(item, data):
        log.append(f"begin {item}")

        def finish():
            if item == fail:
                raise ValueError(item)
            log.append(f"end {item}")
            return data * 10

        return finish

    def write(item, result):
        log.append(f"write {item} {result}")

    return Stages(read=lambda item: item + 1, infer=infer, write=write, times=StageTimes(), in_flight=in_flight)


@pytest.mark.parametrize("in_flight", [0, 1, 2, 9])
def test_a_pipeline_begins_ahead_and_ends_in_order(in_flight):
    log = []
    assert list(stages(in_flight, log).run(range(5))) == list(range(5))
    assert [line for line in log if line.startswith("end")] == [f"end {item}" for item in range(5)]
    assert [line for line in log if line.startswith("write")] == [f"write {item} {item * 10 + 10}" for item in range(5)]
    before = log[: log.index("end 0")]
    assert before == [f"begin {item}" for item in range(min(in_flight + 1, 5))]


@pytest.mark.parametrize("in_flight", [0, 1, 3])
def test_what_was_finished_before_an_error_is_written(in_flight):
    log, done = [], []
    with pytest.raises(ValueError, match="2"):
        done.extend(stages(in_flight, log, fail=2).run(range(5)))
    assert [line for line in log if line.startswith("write")] == ["write 0 10", "write 1 20"]
