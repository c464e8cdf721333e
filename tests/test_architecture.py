"""The layers of ARCHITECTURE.md, held by the imports themselves: of packages, and of every single module."""

import ast
import subprocess
import sys
import time
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "lulc"

LAYERS = [
    ("errors", "ground_area", "threads", "turns"),
    ("resources", "run"),
    ("config",),
    ("grid", "bands", "legend"),
    ("crosswalk", "footprints", "indices", "options", "projection", "split", "tiling"),
    ("features", "blend"),
    ("metrics",),
    ("io.files",),
    ("io.scene",),
    ("io.cog", "io.labels", "io.stack", "io.figures", "io.report"),
    ("io.product",),
    ("model",),
    ("training",),
    ("tasks",),
    ("patches",),
    ("tasks.describe", "explain"),
    ("tasks.verify",),
    ("hpc", "serve"),
    ("cli",),
    ("__main__",),
]
"""Packages and modules, the lowest first: each imports from lower layers, and from itself."""

RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}

ONLY_IN = {
    "torch": {"blend", "model", "training", "patches", "explain"},
    "segmentation_models_pytorch": {"model", "training"},
    "timm": {"patches"},
    "captum": {"explain"},
    "openai": {"patches"},
    "rasterio": {
        "grid",
        "ground_area",
        "turns",
        "io.files",
        "io.scene",
        "io.cog",
        "io.labels",
        "io.stack",
        "io.figures",
        "io.product",
    }
    | {"patches.image", "serve.map_tiles"},
    "fastapi": {"serve"},
    "starlette": {"serve"},
    "uvicorn": {"serve"},
    "click": {"cli"},
    "subprocess": {"hpc"},
    "pickle": set(),
    "exactextract": set(),  # the tests hold covered fractions against it; it may end the process
}
"""Libraries, and the rooms or single modules that may use them."""

MOST_MODULES = 20
MOST_LINES = 350
MOST_LINES_OF_A_FUNCTION = 40
FEW_LINES = 20
"""What 95 of 100 functions keep to."""


def modules(package: Path) -> dict[str, Path]:
    """Every module under its dotted name, `lulc` left out; a package under its own name."""
    return {
        ".".join(path.relative_to(package).with_suffix("").parts).removesuffix("__init__").rstrip("."): path
        for path in sorted(package.rglob("*.py"))
    }


def imports(path: Path) -> list[tuple[str, str]]:
    """Module and name of every import of a file: at its head, inside functions, and for annotations alone."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide layers"
            found += [(str(node.module), alias.name) for alias in node.names]
    return found


def graph(package: Path) -> dict[str, set[str]]:
    """What every module imports of its own package, by module."""
    known = modules(package)
    edges: dict[str, set[str]] = {}
    for name, path in known.items():
        edges[name] = set()
        for module, imported in imports(path):
            if module.split(".")[0] == "lulc":
                inner = ".".join(module.split(".")[1:])
                whole = f"{inner}.{imported}".lstrip(".")
                edges[name].add(whole if whole in known else inner)
    return edges


def room(module: str) -> str:
    """The entry of LAYERS that a module belongs to."""
    parts = module.split(".")
    pair = ".".join(parts[:2])
    return pair if pair in RANK else parts[0]


def package_of(module: str) -> str:
    """The folder of a module, among its siblings: `tasks.change`, `patches.learn`, `patches`."""
    parts = module.split(".")
    return ".".join(parts[:2]) if len(parts) > 2 or (PACKAGE / Path(*parts)).is_dir() else parts[0]


def upward(edges: dict[str, set[str]]) -> list[str]:
    """Imports that do not point to a lower layer or stay in their room."""
    return [
        f"{here} imports {there}"
        for here, targets in edges.items()
        for there in sorted(targets)
        if here and there and room(here) != room(there) and RANK[room(there)] >= RANK[room(here)]
    ]


def cycle(edges: dict[str, set[str]]) -> list[str]:
    """A cycle of imports, or nothing."""
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


MODULES = modules(PACKAGE)
EDGES = graph(PACKAGE)


def test_every_module_has_a_layer():
    assert {room(name) for name in MODULES if name} - {"io"} == set(RANK), "give it one in ARCHITECTURE.md and here"


def test_imports_point_to_lower_layers():
    assert upward(EDGES) == []


def test_no_module_imports_itself_by_a_detour():
    """Imports for annotations count: two files that need each other's types are one idea in two files."""
    assert cycle(EDGES) == []


def test_packages_do_not_import_each_other():
    between: dict[str, set[str]] = {}
    for here, targets in EDGES.items():
        between.setdefault(package_of(here), set()).update(
            package_of(there) for there in targets if package_of(there) != package_of(here)
        )
    assert cycle(between) == []


@pytest.mark.parametrize(
    ("planted", "found"),
    [
        ({"io/scene/scene.py": "from lulc.model.bundle import load_bundle"}, ["io.scene.scene imports model.bundle"]),
        ({"grid.py": "def f():\n    from lulc.io.files import atomic"}, ["grid imports io.files.atomic"]),
    ],
)
def test_a_planted_import_upwards_is_found(tmp_path, planted, found):
    for name in ("io/files/atomic.py", "io/scene/scene.py", "model/bundle.py", "grid.py"):
        path = tmp_path / "lulc" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(planted.get(name, ""))
    assert upward(graph(tmp_path / "lulc")) == found


def test_a_planted_cycle_for_annotations_alone_is_found(tmp_path):
    package = tmp_path / "lulc"
    (package / "io").mkdir(parents=True)
    (package / "io" / "a.py").write_text("from lulc.io.b import B")
    (package / "io" / "b.py").write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from lulc.io.a import A"
    )
    assert set(cycle(graph(package))) == {"io.a", "io.b"}


@pytest.mark.parametrize("name", [name for name in MODULES if name])
def test_libraries_stay_in_their_rooms(name):
    here = {name, room(name), name.split(".")[0]}
    for module, _ in imports(MODULES[name]):
        library = module.split(".")[0]
        assert here & ONLY_IN.get(library, here), f"{library} does not belong into {name}"


def test_only_who_begins_a_process_tunes_it():
    """glibc's settings are those of the whole process: a library call must not change them for its host."""
    assert {name for name in MODULES if "model.allocator" in EDGES[name]} == {
        "cli.main",
        "hpc.chunk_worker",
        "serve.child",
    }


def test_there_is_no_room_for_things_without_a_name():
    names = {path.stem for path in MODULES.values()}
    assert not names & {"utils", "util", "helpers", "common", "misc"}


def test_packages_stay_small():
    folders = [path.parent for path in MODULES.values() if path.name != "__init__.py"]
    sizes = {str(folder.relative_to(ROOT)): folders.count(folder) for folder in set(folders)}
    assert {name: size for name, size in sizes.items() if size > MOST_MODULES} == {}


def test_files_stay_readable():
    lengths = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in MODULES.items()}
    assert {name: length for name, length in lengths.items() if length > MOST_LINES} == {}


@cache
def functions():
    """Every function of the library: its name, and its node."""
    return [
        (f"{name}.{node.name}", node)
        for name, path in MODULES.items()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def body_lines(node):
    """Lines of a function below its head and docstring."""
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def test_functions_stay_short():
    lengths = [(body_lines(node), name) for name, node in functions()]
    assert [each for each in lengths if each[0] > MOST_LINES_OF_A_FUNCTION] == []
    assert sorted(lengths)[len(lengths) * 95 // 100][0] <= FEW_LINES


def test_a_docstring_has_each_section_once():
    sections = ("Args:", "Returns:", "Yields:", "Raises:")
    twice = [
        (name, section)
        for name, node in functions()
        for section in sections
        if (ast.get_docstring(node) or "").splitlines().count(section) > 1
    ]
    assert twice == []


def test_tests_mirror_the_packages():
    """A test of a package lies in the folder of its name; whole programs have `e2e` and `pipelines`."""
    tests = ROOT / "tests"
    folders = {path.parent.relative_to(tests) for path in tests.rglob("test_*.py")} - {Path("e2e"), Path("pipelines")}
    assert {str(folder) for folder in folders if not (PACKAGE / folder).is_dir()} == set()


def test_tests_find_their_samples_without_changing_the_path():
    """`tests/support` holds what tests share, and is imported by its name."""
    changing = [path for path in (ROOT / "tests").rglob("*.py") if "sys.path." + "insert" in path.read_text("utf-8")]
    assert changing == []


@pytest.mark.parametrize("module", ["lulc", "lulc.cli.main", "lulc.io.scene.scene", "lulc.serve.app"])
@pytest.mark.process
def test_importing_does_not_load_torch(module):
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.process
@pytest.mark.serial
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
