"""Small training sets that the tests of training share."""

import pytest

from tests.support.training_sets import make_set


@pytest.fixture(scope="session")
def blob_set(tmp_path_factory):
    return make_set(tmp_path_factory.mktemp("sets") / "blobs")


@pytest.fixture(scope="session")
def soft_set(tmp_path_factory):
    return make_set(tmp_path_factory.mktemp("sets") / "soft", labels="shares")
