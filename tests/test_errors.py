import inspect

import pytest

from lulc import errors
from lulc.errors import EXIT_CODES, InputError, LulcError

KINDS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, LulcError) and kind is not LulcError
]


def test_problem_and_remedy_make_one_line():
    error = InputError("scene.tif has no CRS", "set one")
    assert str(error) == "scene.tif has no CRS; set one"
    assert (error.problem, error.remedy) == ("scene.tif has no CRS", "set one")


def test_without_a_remedy():
    assert str(InputError("it is empty")) == "it is empty"


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_documented_exit_code(kind):
    assert kind.exit_code in EXIT_CODES
    assert kind.exit_code != 0


def test_every_exit_code_has_an_error():
    assert set(EXIT_CODES) - {0, 130} == {kind.exit_code for kind in KINDS}  # 130: KeyboardInterrupt
