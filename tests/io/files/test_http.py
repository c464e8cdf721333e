"""Documents and files from the disk and from servers: what is too large, not there, or not answered."""

import pytest

from lulc.errors import InputError, StorageError
from lulc.io.files import http
from lulc.io.files.http import asset_refusal, read_json
from tests.support.stac_server import served


def test_documents_that_are_too_large(tmp_path, monkeypatch):
    monkeypatch.setattr(http, "_LARGEST", 8)
    (tmp_path / "a.json").write_text('{"id": "long"}')
    with served(tmp_path) as server:
        for place in (str(tmp_path / "a.json"), f"{server.root}/files/a.json"):
            with pytest.raises(InputError, match=r"a\.json is larger than 0 MiB; that is no STAC document"):
                read_json(place)


def test_a_name_that_no_file_can_have():
    with pytest.raises(InputError, match="is no path; check it"):
        read_json("a\0b.json")


def test_a_file_that_its_server_gives_is_not_refused(tmp_path):
    (tmp_path / "a.tif").write_bytes(b"II*")
    with served(tmp_path) as server:
        assert asset_refusal(f"{server.root}/files/a.tif") is None
        missing = asset_refusal(f"{server.root}/files/b.tif")
    assert (type(missing), missing.problem) == (InputError, "it is not there (HTTP 404)")


@pytest.mark.usefixtures("impatient")
def test_a_server_that_is_not_there():
    refusal = asset_refusal("http://127.0.0.1:9/a.tif")
    assert (type(refusal), refusal.problem) == (StorageError, "its server does not answer")
