"""A disk that fails at any read of a file, for a while or for good: equal pixels or a refusal, never others."""

import json
import subprocess
import sys

import pytest

from tests.support.faults import shimmed
from tests.support.product_samples import grid_of, pixels, write
from tests.support.whole_runs import write_scene

pytestmark = pytest.mark.process

_READS = 40
_SCRIPT = """
import hashlib, json, os, sys, threading
from pathlib import Path
from lulc.errors import LulcError
from lulc.grid import Window
from lulc.io.product.reader import open_product
from lulc.io.scene.scene import open_scene

path, reads = Path(sys.argv[1]), int(sys.argv[2])

def product():
    with open_product(path) as opened:
        parts = opened.classes(window), opened.stored_activations(window), repr(opened.grid), opened.tags
    return hashlib.sha256(b"".join(repr(part).encode() if isinstance(part, (str, dict)) else part.tobytes() for part in parts))

def scene():
    with open_scene([path]) as opened:
        raw, valid = opened.read(opened.names, window)
        said = repr((opened.grid, opened.radiometry, opened.names))
    return hashlib.sha256(raw.tobytes() + valid.tobytes() + said.encode())

def outcome(read):
    try:
        return read().hexdigest()
    except LulcError as error:
        return "refused" if error.exit_code == 5 and str(path) in str(error) else repr(error)

window, found = Window(0, 0, 300, 300), {}
read = product if path.name == "map.tif" else scene
for number, times in enumerate((0, 1, 2, 1000)):
    found[times] = []
    for skip in range(reads):
        os.environ |= {"FI_ROUND": str(1000 * number + skip + 1), "FI_SKIP": str(skip), "FI_TIMES": str(times)}
        answers = []
        thread = threading.Thread(target=lambda: answers.append(outcome(read)))
        thread.start()
        thread.join()
        found[times] += answers
print(json.dumps(found))
"""


@pytest.mark.parametrize("name", ["map.tif", "scene.tif"])
def test_whatever_read_fails(tmp_path, name):
    if name == "map.tif":
        write(tmp_path / name, pixels(300, 300), grid=grid_of(300, 300))
    else:
        write_scene(tmp_path / name, 300, 300)
    command = [sys.executable, "-c", _SCRIPT, tmp_path / name, str(_READS)]
    environment = shimmed(tmp_path, FI_PATH=f"/{name}")
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    (expected,) = set(found["0"])
    assert set(found["1"] + found["2"]) == {expected}
    assert set(found["1000"]) <= {expected, "refused"}
    assert found["1000"][0] == "refused"
