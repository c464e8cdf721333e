from pathlib import Path

import pytest
import torch

from lulc.model.device import has_bfloat16


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
