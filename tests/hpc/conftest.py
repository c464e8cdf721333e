"""A plan of two shards over one scene with texture, and what one run makes of that scene."""

import shutil

import pytest

from tests.support.shard_samples import SIZE, WINDOW, sha256
from tests.support.whole_runs import write_scene


@pytest.fixture(scope="session")
def settings(bundle):
    """Options of the runs: chunks are 512 px high, and the bytes do not depend on the machine's cores."""
    from lulc.tasks.classify.options import ClassifyOptions

    return ClassifyOptions(model=bundle, window=WINDOW, precision="fp32", device="cpu", threads=1)


@pytest.fixture(scope="session")
def ready(settings, tmp_path_factory):
    """A scene of six chunks and the SHA-256 of the map that one run makes of it."""
    from lulc.tasks.classify.classify import classify

    folder = tmp_path_factory.mktemp("scene")
    scene = write_scene(folder / "scene.tif", *SIZE)
    classify([scene], folder / "whole.tif", settings)
    return scene, sha256(folder / "whole.tif")


@pytest.fixture
def region(ready, settings, tmp_path):
    """Path of a plan of two shards of three chunks, its product, and the expected SHA-256."""
    from lulc.hpc.plan import make_plan, write_plan

    shared, expected = ready
    folder, scenes = tmp_path / "maps", tmp_path / "scenes"
    folder.mkdir()
    scenes.mkdir()
    scene = shutil.copy(shared, scenes / shared.name)  # a test may write to its own
    path = tmp_path / "region.json"
    write_plan(make_plan([(scene,)], folder, settings, 3), path)
    return path, folder / "scene.tif", expected
