"""Patches and a trained model that several tests look at."""

import pytest
from patch_samples import settings_for, write_tree

from lulc.patches.train import train_patches


@pytest.fixture(scope="session")
def tree(tmp_path_factory):
    """Class folders of 20 pictures each."""
    return write_tree(tmp_path_factory.mktemp("patches") / "tree")


@pytest.fixture(scope="session")
def trained(tree, tmp_path_factory):
    """Folder of a trained run and its report."""
    folder = tmp_path_factory.mktemp("model") / "run"
    return folder, train_patches(settings_for(tree, card__picture_white=0.275, card__resolution_m=10.0), folder)
