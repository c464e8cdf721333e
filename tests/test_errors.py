import errno
import inspect
import os

import pytest

from lulc import errors
from lulc.errors import EXIT_CODES, InputError, LulcError, StorageError, lacks_memory, raised_as

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


@pytest.mark.parametrize(("number", "kind"), [(errno.EIO, StorageError), (errno.EINVAL, InputError)])
def test_a_failing_disk_is_no_fault_of_the_input(number, kind):
    with (
        pytest.raises(kind, match=r"^a\.tif is not readable: "),
        raised_as(InputError, "a.tif is not readable", "", OSError),
    ):
        raise OSError(number, os.strerror(number))


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:118] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("can't start new thread"),
        RuntimeError("CUDA out of memory"),
        OSError(12, "Cannot allocate memory"),
        ImportError("libtorch.so: failed to map segment from shared object"),
    ],
    ids=str,
)
def test_out_of_memory_is_known_from_every_library_and_as_a_cause(error):
    assert lacks_memory(error)
    refusal = StorageError("cannot read a.tif")
    refusal.__cause__ = error
    assert lacks_memory(refusal)


@pytest.mark.parametrize("error", [None, ValueError("no"), StorageError("the disk is full")], ids=str)
def test_other_errors_are_not_out_of_memory(error):
    assert not lacks_memory(error)
