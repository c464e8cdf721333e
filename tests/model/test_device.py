from pathlib import Path

import pytest
import torch

from lulc.errors import UsageError
from lulc.model.device import (
    affordable_batch,
    choose_device,
    choose_placement,
    has_bfloat16,
    keep_float32,
    placement_elsewhere,
)


@pytest.mark.parametrize(
    ("text", "known"),
    [("flags\t\t: fpu amx_bf16 sse\n", True), ("flags\t\t: fpu sse\n", False), ("", False), (None, False)],
)
def test_bfloat16_by_what_the_system_says_of_the_processor(monkeypatch, text, known):
    def read(_path, **_):
        if text is None:
            raise FileNotFoundError
        return text

    monkeypatch.setattr(Path, "read_text", read)
    assert has_bfloat16(torch.device("cpu")) is known


class Gpus:
    """GPUs that are not there, by name."""

    def __init__(self, monkeypatch, *names, free=10**9):
        self.names = names
        monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(names))
        monkeypatch.setattr(torch.cuda, "device_count", lambda: len(names))
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: names[device.index])
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: (9, 0))
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device: (free, free))
        monkeypatch.setattr(torch, "empty", self.empty)

    def empty(self, _size, *, device):
        if device.index is not None and device.index >= len(self.names):
            raise RuntimeError("invalid device ordinal")


def test_several_gpus_by_number_or_all(monkeypatch):
    Gpus(monkeypatch, "H200", "H200", "H200")
    for name, found in {"cuda:0,2": [0, 2], "cuda:0,cuda:1": [0, 1], "all": [0, 1, 2], "cuda:1": [1]}.items():
        placement = choose_placement(name)
        assert [one.device.index for one in placement.each()] == found
        assert placement.precision == "bf16"
        assert all(one.others == () for one in placement.each())
    assert choose_placement("all").name == "cuda:0,1,2"
    assert choose_placement("auto").name == "cuda"


@pytest.mark.parametrize(
    ("names", "device", "message"),
    [
        ([], "all", "no GPU"),
        (["H200"], "cuda:0,1", "cuda:1 cannot be used"),
        (["H200", "H200"], "cuda:1,1", "named twice: cuda:1,1"),
        ([], "cuda:0,0", "named twice"),
        (["H200", "L4"], "all", "different maps: H200, L4"),
        (["H200", "H200"], "cuda:0,x", "no device 'x'; use --device cpu"),
        ([], "meta", "no device 'meta'"),
        ([], "gpu", "no device 'gpu'"),
        ([], "", "no device ''"),
        ([], ",", "no device ''"),
        ([], "cpu,cpu", "named twice"),
        ([], "all,0", "no device 'all'"),
        ([], "cpu:0,1", "cannot be used|only GPUs"),
    ],
)
def test_devices_that_cannot_share_are_refused(monkeypatch, names, device, message):
    Gpus(monkeypatch, *names)
    with pytest.raises(UsageError, match=message):
        choose_placement(device)


@pytest.mark.parametrize("device", ["all", "cuda:0,1"])
def test_what_takes_one_device_refuses_several(monkeypatch, device):
    Gpus(monkeypatch, "H200", "H200")
    for choose in (choose_device, lambda name: placement_elsewhere(name, "bf16")):
        with pytest.raises(UsageError, match="takes one device"):
            choose(device)


def test_the_batch_follows_the_free_memory(monkeypatch):
    Gpus(monkeypatch, "H200", free=10**9)
    gpu = torch.device("cuda", 0)
    assert [affordable_batch(gpu, window, 2) for window in (10**6, 10**8, 2 * 10**8, 10**9)] == [4, 4, 2, 1]
    assert affordable_batch(torch.device("cpu"), 1, 1) == 1


def test_float32_of_a_gpu_is_float32():
    convolutions = torch.backends.cudnn.conv
    before = convolutions.fp32_precision
    try:
        convolutions.fp32_precision = "tf32"
        keep_float32()
        assert convolutions.fp32_precision == "ieee"
    finally:
        convolutions.fp32_precision = before
