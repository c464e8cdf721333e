"""Where the tests find real imagery, and what tests of several packages share."""

import os
import signal
from pathlib import Path

import hypothesis
import pytest

pytest_plugins = ("tests.support.tiers",)

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("LULC_TEST_DATA", ROOT.parent / "shared" / "data"))

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell starts what it puts in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)


hypothesis.settings.register_profile("lulc", deadline=None)  # its 200 ms would judge the machine, not the code
hypothesis.settings.load_profile("lulc")


@pytest.fixture(scope="session")
def data() -> Path:
    """Folder of real Sentinel-2 imagery; tests that need it are skipped where it is absent."""
    if not DATA.is_dir():
        pytest.skip(f"no test data in {DATA}; set LULC_TEST_DATA to a folder that holds it")
    return DATA


@pytest.fixture
def impatient(monkeypatch):
    """Failed requests are sent again as often as ever, but sooner."""
    from lulc.io.files.http import GDAL_HTTP

    monkeypatch.setattr("lulc.io.files.http._BACKOFF_S", 0.01)
    monkeypatch.setitem(GDAL_HTTP, "GDAL_HTTP_RETRY_DELAY", 0.02)


@pytest.fixture(scope="session")
def bundle(tmp_path_factory):
    """Folder of the model bundle of `tests.support.whole_runs`."""
    from tests.support.whole_runs import write_textured_bundle

    return write_textured_bundle(tmp_path_factory.mktemp("bundles") / "textured")


@pytest.fixture(scope="session")
def cloud_bundle(tmp_path_factory):
    """Folder of the model bundle of `tests.support.cloud_bundles`."""
    from tests.support.cloud_bundles import write_cloud_bundle

    return write_cloud_bundle(tmp_path_factory.mktemp("bundles") / "cloudy")


@pytest.fixture
def scene_file(tmp_path):
    """Factory: write a scene of a name; keyword arguments as for `write_scene`."""
    from tests.support.whole_runs import write_scene

    def write(height, width, *, name="scene.tif", **given):
        return write_scene(tmp_path / name, height, width, **given)

    return write


@pytest.fixture(scope="session")
def tree(tmp_path_factory):
    """Class folders of 20 patches each."""
    from tests.support.patch_samples import write_tree

    return write_tree(tmp_path_factory.mktemp("patches") / "tree")


@pytest.fixture(scope="session")
def trained(tree, tmp_path_factory):
    """Folder of a trained run of a patch model, and its report."""
    from lulc.patches.learn.train import train_patches
    from tests.support.patch_samples import settings_for

    folder = tmp_path_factory.mktemp("model") / "run"
    return folder, train_patches(settings_for(tree, card__picture_white=0.275, card__resolution_m=10.0), folder)
