"""What `import lulc` offers: functions and classes by name, imported when they are asked for."""

import pytest

import lulc


@pytest.mark.torch
def test_public_names_are_imported_when_asked_for():
    from lulc.grid import Grid
    from lulc.tasks.classify.classify import classify

    assert lulc.classify is classify
    assert lulc.Grid is Grid
    assert dir(lulc) == sorted(lulc.__all__)


def test_a_name_that_is_none():
    with pytest.raises(AttributeError, match="module 'lulc' has no attribute 'clasify'"):
        lulc.clasify  # noqa: B018
