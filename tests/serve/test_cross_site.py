"""Pages of other sites, other names for this server, and files that nobody named: none of them gets in."""

import shutil
import socket
from pathlib import Path

import pytest

from tests.support.hostile_files import geo_keys, picture, plain, vrt
from tests.support.running import Served, refused, request_head, serving

ELSEWHERE = [
    {"Host": "evil.example"},
    {"Host": "evil.example:80"},
    {"Host": ""},
    {"Host": "127.0.0.1.evil.example"},
    {"Host": "127.0.0.2"},
    {"Host": "10.0.0.1"},
    {"Host": "localhost@evil.example"},
    {"Host": "[::1"},
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Origin": ""},
    {"Origin": "http://[::1"},
    {"Origin": "http://127.0.0.1:1"},
    {"Origin": "file://"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Origin": "http://evil.example"},
]


def product_in(served: Served, scene: Path, folder: Path) -> Path:
    """A product, as `lulc classify` leaves it."""
    job = served.classify(scene.read_bytes(), "scene.tif").json["job"]
    served.wait(job)
    folder.mkdir()
    for name in ("map.tif", "map.qml", "map.tif.aux.xml"):
        (folder / name).write_bytes(served.get(f"/jobs/{job}/files/{name}").body)
    served.remove(job)
    return folder / "map.tif"


@pytest.fixture(scope="module")
def product(served, data, tmp_path_factory):
    return product_in(
        served, data / "scenes" / "australia_20181201_l2a_12band.tif", tmp_path_factory.mktemp("product") / "maps"
    )


@pytest.mark.parametrize("headers", ELSEWHERE, ids=str)
def test_other_sites(served, headers):
    head = request_head("/about", "GET", served.host, headers=headers)
    refused(served.send(head), 403)
    body = picture("JPEG")
    head = request_head("/classify", "POST", served.host, headers={"Content-Length": str(len(body)), **headers})
    refused(served.send(head, [body]), 403)
    refused(served.get("/jobs/none", "DELETE", **headers), 403)
    assert served.left_over() == []


def test_posts_that_navigate(served):
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Content-Length": "0"}
    refused(served.get("/classify", "POST", **headers), 403)


def test_links_from_other_sites(served):
    assert served.get("/", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate").status == 200


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LOCALHOST", "[::1]"])
def test_own_names(served, name):
    for host in (name, f"{name}:{served.port}"):
        assert served.send(request_head("/about", "GET", host, headers={"Origin": f"http://{host}"})).status == 200


def test_answers_forbid_what_they_can(served):
    for address in ("/", "/about", "/jobs/none", "/static/none", "/docs"):
        headers = served.get(address).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "access-control-allow-origin" not in headers
        assert "server" not in headers
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "PUT", "PATCH", "CONNECT", "EVIL"])
def test_other_methods(served, method):
    refused(served.get("/classify", method), 400, 405)


def test_only_loopback_is_bound(served):
    listening = {
        line.split()[1]
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/{served.pid}/net/{table}").read_text().splitlines()[1:]
        if line.split()[1].endswith(f":{served.port:04X}") and line.split()[3] == "0A"
    }
    assert listening == {f"0100007F:{served.port:04X}"}
    for address in {entry[4][0] for entry in socket.getaddrinfo(socket.gethostname(), None)} - {"127.0.0.1", "::1"}:
        with pytest.raises(OSError, match="refused"):
            socket.create_connection((address, served.port), timeout=2).close()


PATHS = [
    "/static/../run.py",
    "/static/..%2frun.py",
    "/static/%2e%2e/run.py",
    "/static/..%5crun.py",
    "/static//etc/passwd",
    "/static/%2fetc%2fpasswd",
    "/static/leaflet/",
    "/../../etc/passwd",
    "//etc/passwd",
    "/maps/..%2f..%2fetc%2fpasswd",
    "/maps/../about%00",
    "/maps/%2e%2e/files/map.tif",
    "/maps/{id}/files/..%2fsecret.txt",
    "/maps/{id}/files/../secret.txt",
    "/maps/{id}/files/secret.txt",
    "/maps/{id}/files/secret.tif",
    "/maps/{id}/files/%2fetc%2fpasswd",
    "/maps/{id}/files/map.tif%00.png",
    "/maps/{id}/files/",
    "/maps/{id}/tiles/..%2f..%2fx/0/0/0.png",
    "/maps/{id}/tiles/activation-99/0/0/0.png",
    "/maps/{id}/tiles/activation--1/0/0/0.png",
    "/maps/{id}/tiles/activation-0/0/0/0.png",
    "/maps/{id}/tiles/__class__/0/0/0.png",
    "/maps/{id}/tiles/class/-1/0/0.png",
    "/maps/{id}/tiles/class/1000000000/0/0.png",
    "/maps/{id}/tiles/class/5/99999999999999999999999/-5.png",
    "/maps/{id}/tiles/class/5/1e3/0.png",
    "/maps/{id}/base/0/0/0.png",
    "/maps/{id}/value?row=1",
    "/maps/{id}/value?lon=nan&lat=0",
    "/maps/{id}/value?lon=1e999&lat=0",
    "/maps/{id}/value?row=" + "9" * 5000 + "&col=0",
]


@pytest.fixture(scope="module")
def shown(product, tmp_path_factory):
    """A server for a folder of one product and much else."""
    folder, outside = tmp_path_factory.mktemp("named"), tmp_path_factory.mktemp("outside")
    for beside in product.parent.iterdir():
        shutil.copy(beside, folder)
    shutil.copy(product, outside / "outside.tif")
    (outside / "outside.qml").write_text("not to be seen")
    (folder / "secret.txt").write_text("not to be seen")
    (folder / "secret.tif").write_bytes(plain())
    (folder / "vrt.tif").write_bytes(vrt(str(product)))
    (folder / "placed.tif").write_bytes(plain(more=geo_keys(32631)))
    (folder / "cut.tif").write_bytes(product.read_bytes()[:10_000])
    (folder / "empty.tif").touch()
    (folder / "dir.tif").mkdir()
    (folder / "link.tif").symlink_to(outside / "outside.tif")
    (folder / "link.d").symlink_to(outside)
    (folder / "gone.tif").symlink_to(outside / "gone.tif")
    (folder / "map.qml").unlink()
    (folder / "map.qml").symlink_to(outside / "outside.qml")
    with serving(tmp_path_factory.mktemp("shown") / "work", "--map", str(folder), "--view-only") as running:
        yield running


@pytest.fixture(scope="module")
def own(shown):
    """Id of the product; of one that was cut only the header is known to be one."""
    listed = {entry["title"]: entry["id"] for entry in shown.get("/maps").json["maps"]}
    assert set(listed) - {"cut.tif"} == {"map.tif"}
    return listed["map.tif"]


def test_other_files_in_the_folder(shown, own):
    described = shown.get(f"/maps/{own}").json
    assert [one["url"].rpartition("/")[2] for one in described["downloads"]] == ["map.tif", "map.tif.aux.xml"]
    assert shown.get(f"/maps/{own}/files/map.tif").status == 200
    refused(shown.get(f"/maps/{own}/files/map.qml"), 404)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path[:40])
def test_paths(shown, own, path):
    answer = shown.get(path.replace("{id}", own))
    refused(answer, 400, 403, 404)
    assert answer.seconds < 2
    assert b"not to be seen" not in answer.body
    assert b"root:" not in answer.body


def test_a_product_that_becomes_a_link(product, tmp_path):
    folder = tmp_path / "maps"
    shutil.copytree(product.parent, folder)
    other = shutil.copy(product, tmp_path / "other.tif")
    with serving(tmp_path / "work", "--map", str(folder), "--view-only") as running:
        (entry,) = running.get("/maps").json["maps"]
        (folder / "map.tif").unlink()
        (folder / "map.tif").symlink_to(other)
        for address in ("", "/files/map.tif", "/tiles/class/0/0/0.png", "/value?row=1&col=1", "/areas"):
            refused(running.get(f"/maps/{entry['id']}{address}"), 404)
        assert running.get("/maps").json["maps"] == []


def test_a_link_to_itself(product, tmp_path):
    folder = tmp_path / "maps"
    shutil.copytree(product.parent, folder)
    (folder / "loop.tif").symlink_to(folder / "loop.tif")
    with serving(tmp_path / "work", "--map", str(folder), "--view-only") as running:
        assert [entry["title"] for entry in running.get("/maps").json["maps"]] == ["map.tif"]


def test_uploads_where_maps_are_only_shown(shown):
    refused(shown.classify(picture("JPEG"), "a.jpg"), 403)
