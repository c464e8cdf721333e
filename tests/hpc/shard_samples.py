"""What the tests of shards share: the network and the scenes of the tests of whole runs."""

import hashlib
import importlib.util
import os
import sys
from pathlib import Path

_path = Path(__file__).parents[1] / "tasks" / "conftest.py"
_specification = importlib.util.spec_from_file_location("whole_runs", _path)
whole_runs = importlib.util.module_from_spec(_specification)
_specification.loader.exec_module(whole_runs)

SIZE = (3000, 400)
WINDOW = 272
ENVIRONMENT = os.environ | {"OMP_WAIT_POLICY": "PASSIVE"}


def lulc(*arguments):
    """A command line."""
    return [sys.executable, "-m", "lulc", *map(str, arguments)]


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()
