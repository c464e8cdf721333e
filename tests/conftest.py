"""Where the tests find real imagery."""

import os
import signal
from pathlib import Path

import pytest

DATA = Path(os.environ.get("LULC_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell starts what it puts in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def data() -> Path:
    """Folder of real Sentinel-2 imagery; tests that need it are skipped where it is absent."""
    if not DATA.is_dir():
        pytest.skip(f"no test data in {DATA}; set LULC_TEST_DATA to a folder that holds it")
    return DATA
