"""Tiers of tests: marks that follow from files and fixtures, and what a quick test must not do."""

import platform
import sys
from fnmatch import fnmatch

import pytest

MARKS = {
    "torch": "needs torch although its module does not import it at its head",
    "process": "starts a process",
    "kill": "kills or stops a process",
    "browser": "looks at the page with Chromium",
    "slurm": "starts a Slurm",
    "whole": "makes whole products or thousands of cases, a second of work or more",
    "slow": "takes more than ten seconds",
    "serial": "measures how long something takes: nothing else may run beside it",
}
"""Marks and what they mean; a quick test has none of them."""

BY_FILE = {
    "e2e/*": ("process",),
    "hpc/test_slurm.py": ("slurm", "process", "kill"),
    "pipelines/test_region.py": ("process",),
    "serve/test_browser_*": ("browser", "process"),
    "tasks/dataset/test_prepare.py": ("whole",),
    "tasks/fetch/test_fetch.py": ("whole",),
}
BY_FIXTURE = {"bundle": ("torch",), "cloud_bundle": ("torch",), "served": ("process",), "trained": ("torch",)}

_STARTS = {"subprocess.Popen", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.system"}
_SENDS = {"socket.connect", "socket.sendto", "socket.sendmsg"}
_HERE = ("127.", "::1", "localhost")


def pytest_addoption(parser):
    parser.addoption("--quick", action="store_true", help="tests without torch, processes, a browser or the network")


def pytest_configure(config):
    for name, meaning in MARKS.items():
        config.addinivalue_line("markers", f"{name}: {meaning}")
    if config.getoption("--quick"):
        config.pluginmanager.register(Quick(), "quick")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    for item in items:
        for name in _marks(item):
            item.add_marker(name)


def _marks(item):
    """Marks that follow from where a test lies and from the fixtures it uses."""
    file = item.path.as_posix().rpartition("/tests/")[2]
    yield from (name for pattern, names in BY_FILE.items() if fnmatch(file, pattern) for name in names)
    yield from (name for fixture in BY_FIXTURE.keys() & {*item.fixturenames} for name in BY_FIXTURE[fixture])


class Quick:
    """Leaves out what is marked; a module that imports torch at its head is skipped, and a test that does more fails."""

    def __init__(self):
        self._test, self._offences = "", []
        platform.processor()  # asks a process, once: else the first test that uses openai would
        sys.meta_path.insert(0, self)
        sys.addaudithook(self._heard)

    def find_spec(self, name, _path=None, _target=None):
        """The first finder of modules; knows none, and lets nobody else find torch."""
        if name == "torch" and not self._test:
            pytest.skip("needs torch", allow_module_level=True)
        if name == "torch":
            self._refuse("imports torch: mark it `torch`")

    def _heard(self, event, arguments):
        if not self._test:
            return
        if event in _STARTS:
            self._refuse(f"starts a process ({event}): mark it `process`")
        if event in _SENDS and isinstance(arguments[1], tuple) and not str(arguments[1][0]).startswith(_HERE):
            self._refuse(f"speaks to {arguments[1][0]}")

    def _refuse(self, what):
        self._offences.append(what)
        pytest.fail(f"a quick test {what}")

    def pytest_collection_modifyitems(self, config, items):
        marked = {item for item in items if any(item.get_closest_marker(name) for name in MARKS)}
        config.hook.pytest_deselected(items=[*marked])
        items[:] = [item for item in items if item not in marked]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item):
        self._test = item.nodeid
        try:
            return (yield)
        finally:
            self._test = ""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(self):
        """What happens in a thread, or is caught, fails the test too."""
        result = yield
        offences, self._offences = self._offences, []
        assert not offences, f"a quick test {offences[0]}"
        return result
