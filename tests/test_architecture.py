"""The layers of ARCHITECTURE.md, held by the imports themselves."""

import ast
import subprocess
import sys
import time
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "lulc"
MODULES = sorted(PACKAGE.rglob("*.py"))

LAYERS = [
    {"errors"},
    {"resources", "nearest", "interruption"},
    {"grid", "bands", "legend"},
    {"config", "crosswalk", "footprints", "indices", "projection", "split", "tiling", "metrics"},
    {"features", "blend"},
    {"io"},
    {"model"},
    {"training"},
    {"tasks", "patches"},
    {"hpc", "serve"},
    {"cli"},
    {"__main__"},
]
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}

ONLY_IN = {
    "torch": {"blend", "model", "training", "patches"},
    "segmentation_models_pytorch": {"model", "training"},
    "timm": {"patches"},
    "captum": {"model"},
    "openai": {"patches"},
    "rasterio": {"grid", "io"},
    "fastapi": {"serve"},
    "starlette": {"serve"},
    "uvicorn": {"serve"},
    "click": {"cli"},
    "subprocess": {"hpc"},
    "pickle": set(),
}


def part(path):
    """Which part of the package a module belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path):
    """Every module that a file imports, at its head or inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide layers"
            yield node.module


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_to_lower_layers(path):
    here = part(path)
    if here == "__init__":
        return
    assert here in RANK, f"{here} has no layer: give it one in ARCHITECTURE.md and here"
    for module in imports(path):
        if module.startswith("lulc."):
            there = module.split(".")[1]
            assert RANK[there] < RANK[here] or there == here, f"{here} imports {there}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_libraries_stay_in_their_rooms(path):
    for module in imports(path):
        library = module.split(".")[0]
        assert part(path) in ONLY_IN.get(library, {part(path)}), f"{library} does not belong into {part(path)}"


def test_there_is_no_room_for_things_without_a_name():
    names = {path.stem for path in MODULES}
    assert not names & {"utils", "util", "helpers", "common", "misc"}


def test_files_stay_readable():
    lengths = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert {name: length for name, length in lengths.items() if length > 350} == {}


@pytest.mark.parametrize("module", ["lulc", "lulc.cli.main", "lulc.io.scene", "lulc.serve.app"])
def test_importing_does_not_load_torch(module):
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_help_answers_at_once():
    """Best of three, against the bare interpreter: a heavy import at the head of a command would cost seconds."""
    code = "import lulc.cli.main"

    def best(command):
        def once():
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", command], check=True)
            return time.perf_counter() - start

        return min(once() for _ in range(3))

    assert best(code) - best("pass") < 1.0
