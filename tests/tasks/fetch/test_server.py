"""`lulc fetch` against servers and signals: answers that go wrong, waits that must end."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import rasterio
from click.testing import CliRunner

from lulc.cli.main import cli
from lulc.errors import Interrupted
from lulc.io.files.http import IN_FLIGHT, unsigned, web_address, web_path
from lulc.io.scene.scene import open_scene
from lulc.tasks.fetch.fetch import fetch
from lulc.tasks.fetch.options import FetchOptions
from tests.support.fetch_samples import DATES, DEEP, EVERYWHERE, OPTIONS, edited, few_pixels, line, run
from tests.support.stac_items import random_pixels, write_item
from tests.support.stac_server import served

pytestmark = pytest.mark.usefixtures("impatient")


@pytest.fixture
def item(tmp_path):
    """A static catalogue of one item, which is its own root."""
    return write_item(tmp_path / "c", few_pixels(), item_id="one", layout="planetary-computer")


@pytest.fixture
def server(item):
    with served(item.parent) as server:

        def change(document):
            for name, asset in document["assets"].items():
                asset["href"] = f"{server.root}/files/one_{name}.tif"

        edited(item, change)
        yield server


class TestServer:
    def test_an_item_of_a_server_never_points_into_this_machine(self, server, item, tmp_path):
        secret = item.parent / "secret"
        secret.mkdir()
        (item.parent / "one_B04.tif").rename(secret / "one_B04.tif")

        def change(document):
            document["links"] = [{"rel": "self", "href": str(secret / "one.json")}]
            document["assets"]["B04"]["href"] = "./one_B04.tif"

        edited(item, change)
        result = run(server.root, tmp_path / "out", *OPTIONS)
        assert result.exit_code == 5
        assert f"cannot read {server.root}/" in json.loads(result.stdout)["failures"][0]
        assert not (tmp_path / "out" / "one.tif").exists()

    @pytest.mark.parametrize(
        "answer",
        [
            b"<html>",
            b'{"type": "FeatureCollection", "features": [{',
            b'{"features": 1}',
            b'{"features": [{}], "links": [{}]}',
            b"[1]",
            DEEP.encode(),
        ],
    )
    def test_a_search_that_answers_nonsense(self, server, tmp_path, answer):
        server.faults["/search"] = [(200, answer)]
        told = run(server.root, tmp_path / "out", *OPTIONS)
        assert told.exit_code in (3, 5), told.output
        assert "Traceback" not in told.stderr
        assert 1 <= len(told.stderr.splitlines()) <= 2

    def test_features_that_are_none_do_not_stop_the_others(self, server, item, tmp_path):
        page = {"features": [1, None, json.loads(item.read_text()), {"type": "Feature"}], "links": []}
        server.faults["/search"] = [(200, json.dumps(page).encode())]
        result = run(server.root, tmp_path / "out", *OPTIONS)
        report = json.loads(result.stdout)
        assert ([entry["id"] for entry in report["items"]], len(report["failures"])) == (["one"], 3)

    def test_a_next_link_that_never_changes(self, server, item, tmp_path):
        again = {"rel": "next", "href": f"{server.root}/search", "method": "POST", "body": {"token": "0"}}
        page = json.dumps({"features": [json.loads(item.read_text())], "links": [again]}).encode()
        server.faults["/search"] = [(200, page)] * 5
        assert run(server.root, tmp_path / "out", *OPTIONS).exit_code == 0
        assert server.asked["/search"] == 2

    @pytest.mark.parametrize(("status", "reason"), [(401, "HTTP 401"), (403, "HTTP 403"), (500, "HTTP 500")])
    def test_the_status_of_an_asset_is_told(self, server, tmp_path, status, reason):
        server.always["/files/one_B04.tif"] = status
        (told,) = json.loads(run(server.root, tmp_path / "out", *OPTIONS).stdout)["failures"]
        assert reason in told
        assert "whole" not in told

    def test_a_collection_of_an_api(self, server, item, tmp_path):
        links = [{"rel": "root", "href": server.root}, {"rel": "items", "href": f"{server.root}/c/items"}]
        document = {"type": "Collection", "id": "c1", "stac_version": "1.0.0", "links": links}
        (item.parent / "c1.json").write_text(json.dumps(document))
        told = line(run(f"{server.root}/files/c1.json", tmp_path / "out", *OPTIONS), 3)
        assert f"give {server.root} and --collection c1" in told

    def test_a_signature_is_sent_as_it_is_and_stays_out_of_tags_and_messages(self, server, item, tmp_path):
        query = "sig=SECRET//a/./b/&x=%2F"
        address = f"{server.root}/files/one.json?{query}"
        server.always[f"/files/one.json?{query}"] = 200, item.read_bytes()
        result = CliRunner().invoke(cli, ["stack", address, str(tmp_path / "s.tif"), "--select", "B04"])
        assert result.exit_code == 0, result.output
        with rasterio.open(tmp_path / "s.tif") as raster:
            assert raster.tags()["LULC_INPUT"] == "one.json"
            assert "SECRET" not in str(raster.tags())
        with open_scene([address]) as scene:
            assert "SECRET" not in str(scene.info)
        server.always[f"/files/one.json?{query}"] = 403
        refused = CliRunner().invoke(cli, ["stack", address, str(tmp_path / "t.tif")])
        assert "HTTP 403" in refused.stderr
        assert "SECRET" not in refused.stderr


@pytest.mark.parametrize("text", ["https://h/a//b.json", "https://h/a.json?u=http://x//y/./z/", "http://h/./a/"])
def test_an_address_comes_through_a_path_unchanged(text):
    assert web_address(Path(web_path(str(web_path(text))))) == text


def test_a_message_loses_its_queries():
    told = "Max retries exceeded with url: /a/B04.tif?sig=SE%2FCRET&x=1\n (B04.tif?sig=SECRET, band 1): why?"
    assert unsigned(told) == "Max retries exceeded with url: /a/B04.tif (B04.tif, band 1): why?"


@pytest.fixture
def deaf():
    """A server that takes connections and never answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(8)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


class TestSignals:
    @pytest.mark.kill
    def test_a_search_is_left_at_once(self, deaf, tmp_path):
        timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGTERM))
        timer.start()
        start = time.monotonic()
        with pytest.raises(Interrupted):
            fetch(deaf, tmp_path / "out", FetchOptions(area=EVERYWHERE, dates=DATES))
        timer.join()
        assert time.monotonic() - start < 5
        assert not (tmp_path / "out").exists()

    @pytest.mark.process
    @pytest.mark.kill
    def test_a_second_ctrl_c_ends_the_wait_for_an_asset(self, deaf, item, tmp_path):
        edited(item, lambda document: document["assets"]["B04"].update(href=f"{deaf}/B04.tif"))
        command = [sys.executable, "-m", "lulc", "fetch", str(item), str(tmp_path / "out"), *OPTIONS]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            while not (tmp_path / "out").exists():
                assert process.poll() is None
                time.sleep(0.05)
            time.sleep(0.5)
            process.send_signal(signal.SIGINT)
            time.sleep(0.3)
            process.send_signal(signal.SIGINT)
            assert process.wait(8) == 130
            assert "stopped at once" in process.stderr.read()


def test_many_requests_are_on_their_way_at_once_and_the_file_is_the_same(tmp_path, monkeypatch):
    item = write_item(tmp_path / "catalog", random_pixels(side=300))
    with served(item.parent) as server:
        options = FetchOptions(area=EVERYWHERE, dates=DATES)
        monkeypatch.setattr("lulc.tasks.fetch.fetch._CHUNK", 128)
        server.delay_s = 0.02
        fetch(f"{server.root}/files/{item.name}", tmp_path / "many", options)
        assert 4 < server.most_at_once <= IN_FLIGHT + 4
        for module in ("lulc.tasks.fetch.fetch", "lulc.io.scene.stac"):
            monkeypatch.setattr(f"{module}.IN_FLIGHT", 1)
        server.delay_s = 0.0
        fetch(f"{server.root}/files/{item.name}", tmp_path / "one", options)
    (many,), (one,) = (list((tmp_path / folder).glob("*.tif")) for folder in ("many", "one"))
    assert many.read_bytes() == one.read_bytes()
