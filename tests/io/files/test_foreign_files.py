"""Rasters whose metadata name other files: refused before GDAL opens these."""

import shutil
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from lulc.errors import InputError
from lulc.io.labels.labels import open_labels
from lulc.io.product.reader import open_product
from lulc.io.scene.scene import open_scene
from lulc.legend import load_legend
from tests.support.product_samples import pixels, write


@contextmanager
def listener():
    """A port, and who connected to it."""
    heard = []
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()

        def run():
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    heard.append(connection.recv(100))
                    connection.sendall(b"HTTP/1.1 404 no\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

        threading.Thread(target=run, daemon=True).start()
        yield server.getsockname()[1], heard
        server.shutdown(socket.SHUT_RDWR)


def scene(path, **metadata):
    profile = {"driver": "GTiff", "height": 600, "width": 600, "count": 1, "dtype": "uint16", "crs": "EPSG:32631"}
    with rasterio.open(path, "w", transform=from_origin(300_000, 4_900_020, 10, 10), **profile) as target:
        target.write(np.ones((1, 600, 600), np.uint16))
        target.update_tags(ns="OVERVIEWS", **metadata)
    return path


@pytest.mark.parametrize("name", ["/vsicurl/http://127.0.0.1:{port}/x.tif", "/etc/hostname", "../other.tif"])
def test_overviews_elsewhere_are_refused_unopened(tmp_path, name):
    with listener() as (port, heard):
        path = scene(tmp_path / "a.tif", OVERVIEW_FILE=name.format(port=port))
        with pytest.raises(InputError, match="names another file as its overviews"):
            open_scene([path], bands=["B02"])
    assert heard == []


def test_so_they_are_in_products(tmp_path):
    with listener() as (port, heard):
        write(tmp_path / "map.tif", pixels(600, 600))
        with rasterio.open(tmp_path / "map.tif", "r+", IGNORE_COG_LAYOUT_BREAK="YES") as product:
            product.update_tags(ns="OVERVIEWS", OVERVIEW_FILE=f"/vsicurl/http://127.0.0.1:{port}/x.tif")
        with (
            pytest.raises(InputError, match="names another file as its overviews"),
            open_product(tmp_path / "map.tif"),
        ):
            pass
    assert heard == []


def test_so_they_are_in_labels(tmp_path):
    with listener() as (port, heard):
        path = scene(tmp_path / "a.tif", OVERVIEW_FILE=f"/vsicurl/http://127.0.0.1:{port}/x.tif")
        with pytest.raises(InputError, match="names another file as its overviews"):
            open_labels(path, load_legend("esri"))
    assert heard == []


@pytest.mark.process
@pytest.mark.skipif(shutil.which("strace") is None, reason="apt install strace")
@pytest.mark.parametrize("arguments", [("evaluate", "map.tif", "a.tif"), ("evaluate", "a.tif", "map.tif")])
def test_no_system_call_of_a_comparison_touches_them(tmp_path, arguments):
    write(tmp_path / "map.tif", pixels(600, 600))
    scene(tmp_path / "a.tif", OVERVIEW_FILE=str(tmp_path / "secret.tif"))
    command, *files = arguments
    called = [sys.executable, "-m", "lulc", command, *(str(tmp_path / name) for name in files), "--legend", "esri"]
    traced = subprocess.run(["strace", "-f", "-e", "trace=%file", *called], capture_output=True, text=True, check=False)
    assert traced.returncode == 3
    assert "names another file as its overviews" in traced.stderr
    touching = [line for line in traced.stderr.splitlines() if "secret.tif" in line and not line.startswith("lulc: ")]
    assert touching == []


def test_overviews_beside_a_file_are_its_own(tmp_path):
    path = scene(tmp_path / "a.tif")
    with rasterio.open(path) as source, rasterio.Env(USE_RRD=False):
        assert source.overviews(1) == []
    with rasterio.Env(TIFF_USE_OVR=True), rasterio.open(path, "r+") as target:
        target.build_overviews([2, 4])
    assert (tmp_path / "a.tif.ovr").exists()
    with open_scene([path], bands=["B02"]) as opened:
        assert opened.names == ("B02",)
