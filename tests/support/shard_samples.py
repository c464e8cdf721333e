"""What the tests of shards share: sizes, an environment, command lines."""

import hashlib
import os
import sys

SIZE = (3000, 400)
WINDOW = 272
ENVIRONMENT = os.environ | {"OMP_WAIT_POLICY": "PASSIVE"}


def lulc(*arguments):
    """A command line."""
    return [sys.executable, "-m", "lulc", *map(str, arguments)]


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()
