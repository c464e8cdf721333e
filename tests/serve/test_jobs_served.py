"""Jobs: a full queue, ends of all kinds, limits, many who look on."""

import asyncio
import socket
import time
from pathlib import Path

import pytest

from lulc.serve.children import Child
from lulc.serve.refusal import Refusal
from tests.support.hostile_files import picture
from tests.support.running import check_text, children_of, gone, heard, refused, request_head, serving

OPTIONS = ("--queue", "2")
NO_JOB = "A" * 24


@pytest.fixture(scope="module")
def scene(data):
    """A small one, and one that takes longer."""
    return (data / "scenes" / "australia_20181201_l2a_12band.tif").read_bytes()


@pytest.fixture(scope="module")
def large(data):
    return (data / "scenes" / "aquileia_20190416_l2a_12band.tif").read_bytes()


@pytest.fixture(autouse=True)
def nothing_left(served):
    yield
    served.clear()
    assert served.left_over() == []


def uploaded(served, content, count=1):
    return [served.classify(content, f"{number}.tif") for number in range(count)]


def test_a_full_queue(served, large):
    first = served.classify(large).json["job"]
    served.wait(first, ("running",))
    answers = uploaded(served, large, 4)
    assert [answer.status for answer in answers] == [202, 202, 503, 503]
    for answer in answers[2:]:
        refused(answer, 503)
    waiting = [answer.json["job"] for answer in answers[:2]]
    assert [served.get(f"/jobs/{job}").json["ahead"] for job in waiting] == [1, 2]
    assert served.get(f"/jobs/{waiting[0]}", "DELETE").status == 204
    assert served.get(f"/jobs/{waiting[0]}").json["state"] == "cancelled"
    assert served.get(f"/jobs/{waiting[1]}").json["ahead"] == 1
    assert not (served.folder / waiting[0]).exists()
    assert served.classify(large).status == 202


def test_cancelled_while_it_runs(served, large):
    before = children_of(served.pid)
    job = served.classify(large).json["job"]
    with socket.create_connection(("127.0.0.1", served.port), 30) as watching:
        watching.sendall(request_head(f"/jobs/{job}/events", "GET", served.host, headers={}))
        served.wait(job, ("running",))
        time.sleep(1)
        child = children_of(served.pid) - before
        assert len(child) == 1
        assert served.get(f"/jobs/{job}", "DELETE").status == 204
        assert gone(child, 2)
        assert not (served.folder / job).exists()
        assert b'"cancelled"' in heard(watching).body  # and the stream has ended
    refused(served.get(f"/maps/{job}"), 404, 409)
    assert served.get(f"/jobs/{job}", "DELETE").status == 204
    refused(served.get(f"/jobs/{job}"), 404)


def test_events_end(served, scene):
    job = served.classify(scene).json["job"]
    states = [event["state"] for event in served.events(job)]
    assert states[-1] == "done"
    assert [event["state"] for event in served.events(job)] == ["done"]


@pytest.mark.serial
def test_two_hundred_who_look_on(served, scene):
    job = served.classify(scene).json["job"]
    head = request_head(f"/jobs/{job}/events", "GET", served.host, headers={})
    watching = [socket.create_connection(("127.0.0.1", served.port), 60) for _ in range(200)]
    for connection in watching:
        connection.sendall(head)
    slowest = 0.0
    while served.get(f"/jobs/{job}").json["state"] not in {"done", "failed"}:
        page = served.get("/about")
        assert page.status == 200
        slowest = max(slowest, page.seconds)
    assert slowest < 1
    assert all(b'"done"' in heard(connection).body for connection in watching)
    for connection in watching:
        connection.close()


def test_jobs_nobody_knows(served):
    for job in (NO_JOB, "lock", "..", "%2e%2e", "..%2flock", "x" * 5000, "%00"):
        for method, address in (
            ("GET", ""),
            ("DELETE", ""),
            ("GET", "/events"),
            ("GET", "/files/map.tif"),
            ("GET", "/heat/1/0/0/0.png"),
        ):
            refused(served.get(f"/jobs/{job}{address}", method), 404, 405)
    refused(served.post(f"/jobs/{NO_JOB}/explanation", b"{}", "application/json"), 404)
    refused(served.get(f"/maps/{NO_JOB}"), 404)
    refused(served.get("/maps/none/report", "POST"), 404)
    assert (served.folder / "lock").exists()


def test_places_that_cannot_be_explained(served, scene):
    job = served.classify(scene).json["job"]
    refused(served.post(f"/jobs/{job}/explanation", b'{"row": 1, "col": 1}', "application/json"), 409)
    served.wait(job)
    for body, status in (
        (b"{}", 400),
        (b'{"row": 1}', 400),
        (b'{"row": -1, "col": 1}', 400),
        (b'{"row": 1e99, "col": 1}', 400),
        (b'{"row": %d, "col": 1}' % 10**30, 422),
        (b'{"lon": 0, "lat": 0}', 422),
        (b'{"lon": 181, "lat": 0}', 400),
        (b'{"row": 5, "col": 5, "class": "no such class"}', 422),
        (b'{"row": 5, "col": 5, "class": "%b"}' % (b"x" * 300), 400),
    ):
        answer = served.post(f"/jobs/{job}/explanation", body, "application/json")
        refused(answer, status, 400, 422)
    for name in ("upload", "base.tif", "..%2f..%2flock", "explanation-1.tif", "explanation-0.png", "map.tif%00"):
        refused(served.get(f"/jobs/{job}/files/{name}"), 404)
    for heat in ("0/0/0/0", "-1/0/0/0", "1/0/0/0", "x/0/0/0"):
        refused(served.get(f"/jobs/{job}/heat/{heat}.png"), 400, 404)


def test_a_job_that_goes_while_it_is_explained(served):
    job = served.classify(picture("JPEG", side=1024), "a.jpg").json["job"]
    with socket.create_connection(("127.0.0.1", served.port), 60) as asking:
        about = {"Content-Length": "2", "Content-Type": "application/json"}
        asking.sendall(request_head(f"/jobs/{job}/explanation", "POST", served.host, headers=about) + b"{}")
        time.sleep(0.1)
        assert served.get(f"/jobs/{job}", "DELETE").status == 204
        answer = heard(asking)
    if answer.status != 200:
        refused(answer, 404, 409, 422)
    assert not (served.folder / job).exists()


def test_too_long(tmp_path, large):
    with serving(tmp_path / "work", "--max-time", "3") as served:
        before = children_of(served.pid)
        state = served.wait(served.classify(large).json["job"])
        assert state["state"] == "failed"
        assert "longer than 3 s" in state["error"]["problem"]
        check_text(*state["error"].values())
        assert gone(children_of(served.pid) - before, 2)
        assert served.left_over() == []
        assert served.get("/about").status == 200


@pytest.mark.parametrize("memory_bytes", [1_200_000_000, 900_000_000, 500_000_000])
def test_too_much_memory(tmp_path, large, memory_bytes):
    """Less than a server may be started with: no scene of these tests needs more than that."""
    (tmp_path / "upload").write_bytes(large)
    server = {"model": "dw9-s2-10m", "patch_model": None, "device": "cpu", "max_memory": 8_000_000_000}
    request = {"path": str(tmp_path / "upload"), "name": "a.tif", "folder": str(tmp_path), "options": {}, **server}

    async def ask():
        child = Child(memory_bytes, 60, tmp_path)
        try:
            return await child.ask("scene", request, 60)
        finally:
            await child.end()

    with pytest.raises(Refusal, match=r"needs more than|process that read it ended") as caught:
        asyncio.run(ask())
    assert caught.value.status in {413, 422}
    check_text(caught.value.problem, caught.value.remedy)


def test_a_job_that_would_not_fit_is_refused_when_it_arrives(tmp_path, large):
    with serving(tmp_path / "work", "--max-memory", "2G") as served:
        answer = served.classify(large)
        if answer.status != 202:
            refused(answer, 413)
        else:
            assert served.wait(answer.json["job"])["state"] == "done"


@pytest.mark.slow
def test_results_are_not_kept_for_ever(tmp_path, scene):
    """Their files go, and with them their disk: nobody keeps them open."""
    with serving(tmp_path / "work", "--keep", "0.05") as served:
        job = served.classify(scene).json["job"]
        served.wait(job)
        assert served.get(f"/maps/{job}/tiles/class/0/0/0.png").status == 200
        until = time.monotonic() + 120
        while (served.folder / job).exists() and time.monotonic() < until:
            time.sleep(0.2)
        assert not (served.folder / job).exists()
        assert [link for link in open_files(served.pid) if "map.tif" in link or "base.tif" in link] == []
        refused(served.get(f"/maps/{job}"), 404)


def open_files(pid):
    return [str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir() if entry.is_symlink()]
