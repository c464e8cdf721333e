import ctypes

import pytest

from lulc.model.allocator import keep_freed_memory


class Libc:
    """A C library that notes how it is set."""

    def __init__(self):
        self.asked = []

    def mallopt(self, option, value):
        self.asked.append((option, value))


@pytest.mark.parametrize(("platform", "options"), [("linux", [-8, -3, -1]), ("darwin", [])])
def test_only_linux_is_told_to_keep_memory(monkeypatch, platform, options):
    libc = Libc()
    monkeypatch.setattr(ctypes, "CDLL", lambda _: libc)
    monkeypatch.setattr("sys.platform", platform)
    keep_freed_memory()
    assert [option for option, _ in libc.asked] == options


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    keep_freed_memory()
