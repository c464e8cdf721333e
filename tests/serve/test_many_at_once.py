"""Too much at once: crowds of uploads, bodies of a gigabyte, senders that take their time, connections that say nothing."""

import signal
import socket
import time
from collections import Counter
from contextlib import ExitStack, suppress

import pytest

from tests.support.hostile_files import PHOTOMETRIC, picture, plain, short
from tests.support.running import (
    BOUNDARY,
    Watch,
    chunked,
    crowd,
    form,
    gone,
    heard,
    in_buffers_bytes,
    refused,
    request_head,
    serving,
)

OPTIONS = ("--max-upload", "30M")
_MEGA = 1 << 20
_GROWN_BYTES = 10**9
FORM = f"multipart/form-data; boundary={BOUNDARY}"


@pytest.fixture
def scene(data):
    return (data / "scenes" / "australia_20181201_l2a_12band.tif").read_bytes()


@pytest.fixture(autouse=True)
def nothing_left(served):
    yield
    served.clear()
    assert served.get("/about").status == 200
    assert served.left_over() == []


@pytest.mark.serial
@pytest.mark.parametrize("size", [2_000_000, 20_000_000], ids=["2 MB", "20 MB"])
def test_a_hundred_uploads(served, scene, size):
    with Watch(served) as watch:
        answers = crowd(served, scene.ljust(size, b"\0"), 100)
    assert set(Counter(answer.status for answer in answers)) <= {202, 429, 503}
    for answer in answers:
        if answer.status != 202:
            refused(answer, 429, 503)
    assert watch.asked > 3
    assert watch.slowest_s < 1
    assert watch.grown_bytes < _GROWN_BYTES
    jobs = [answer.json["job"] for answer in answers if answer.status == 202]
    assert jobs
    for job in jobs:
        served.remove(job)
        assert served.get(f"/jobs/{job}").status == 404


def test_a_hundred_patches(served):
    answers = crowd(served, picture("JPEG"), 100)
    assert set(Counter(answer.status for answer in answers)) <= {200, 429, 503}


def upload_head(served, **about):
    return request_head("/classify?name=a.tif", "POST", served.host, headers=about)


def test_a_gigabyte_that_is_announced(served):
    pieces = [plain(), *[bytes(_MEGA)] * 999]
    answer = served.send(upload_head(served, Content_Length=str(10**9)), pieces)
    refused(answer, 413)
    assert answer.sent < 4 * _MEGA + in_buffers_bytes()  # the server drains 4 MB
    assert answer.seconds < 4


def test_a_gigabyte_that_waits_to_be_asked_for(served):
    refused(served.send(upload_head(served, Content_Length=str(10**9), Expect="100-continue")), 413)


def test_a_gigabyte_without_a_length(served):
    answer = served.send(upload_head(served, Transfer_Encoding="chunked"), chunked([plain(), *[bytes(_MEGA)] * 1000]))
    refused(answer, 413)
    assert answer.sent < 32 * _MEGA + in_buffers_bytes()  # --max-upload is 30 MB


def test_a_gigabyte_of_no_image(served):
    answer = served.send(upload_head(served, Transfer_Encoding="chunked"), chunked([bytes(_MEGA)] * 1000))
    refused(answer, 415)
    assert answer.sent < 4 * _MEGA + in_buffers_bytes()


def test_a_gigabyte_in_a_form_of_no_image(served):
    start = form(b"", "a.tif").partition(f"\r\n--{BOUNDARY}--".encode())[0]
    head = upload_head(served, Transfer_Encoding="chunked", Content_Type=FORM)
    answer = served.send(head, chunked([start, *[bytes(_MEGA)] * 1000]))
    refused(answer, 415)
    assert answer.sent < 4 * _MEGA + in_buffers_bytes()


@pytest.mark.parametrize("address", ["/jobs/none/explanation", "/maps/none/report", "/about", "/"])
def test_bodies_where_none_belong(served, address):
    head = request_head(address, "POST", served.host, headers={"Transfer-Encoding": "chunked"})
    answer = served.send(head, chunked([bytes(_MEGA)] * 200))
    refused(answer, 400, 404, 405, 413)
    assert answer.sent < 4 * _MEGA + in_buffers_bytes()


@pytest.mark.serial
def test_a_gigabyte_that_is_taken(data, tmp_path):
    """All of it is written, then looked at; nothing of it stays."""
    with serving(tmp_path / "work", "--max-upload", "2G") as served:
        head = upload_head(served, Content_Length=str(1000 * _MEGA + len(plain())))
        with Watch(served) as watch:
            answer = served.send(head, [plain(), *[bytes(_MEGA)] * 1000])
        refused(answer, 413, 422)
        assert answer.sent > 10**9
        assert watch.grown_bytes < _GROWN_BYTES
        assert watch.slowest_s < 1
        assert served.left_over() == []


@pytest.mark.slow
def test_slow_senders(served):
    """A few bytes a second: the body of an upload, of another request, and headers."""
    heads = {
        "upload": upload_head(served, Content_Length="1000000") + plain()[:100],
        "form": upload_head(served, Content_Length="1000000", Content_Type=FORM) + form(plain(), "a")[:100],
        "other": request_head("/jobs/none/explanation", "POST", served.host, headers={"Content-Length": "1000"}) + b"{",
        "headers": b"GET /about HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ",
        "nothing": b"",
    }
    connections = {name: socket.create_connection(("127.0.0.1", served.port), 60) for name in heads}
    started, ended = time.monotonic(), dict[str, float]()
    for name, head in heads.items():
        connections[name].sendall(head)
    while len(ended) < len(heads) and time.monotonic() - started < 60:
        time.sleep(1)
        for name, connection in connections.items():
            if name not in ended and not _still_open(connection):
                ended[name] = time.monotonic() - started
    statuses = {name: heard(connection).status for name, connection in connections.items() if name in ended}
    for connection in connections.values():
        connection.close()
    assert set(ended) == set(heads)
    assert (statuses["upload"], statuses["form"], statuses["other"]) == (408, 408, 408)


def _still_open(connection):
    """Sends one more byte, unless the other side has said something or closed."""
    connection.settimeout(0)
    try:
        connection.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        connection.settimeout(60)
        connection.sendall(b" ")
        return True
    except OSError:
        pass
    finally:
        connection.settimeout(60)
    return False


@pytest.mark.slow
def test_connections_that_say_nothing(served):
    """More than there may be: the page comes back before long."""
    with ExitStack() as silent:
        for _ in range(600):
            connection = silent.enter_context(socket.create_connection(("127.0.0.1", served.port)))
            with suppress(OSError):
                connection.sendall(b"GET /about HTTP/1.1\r\nX: ")
        started = time.monotonic()
        while (page := served.get("/about")).status != 200 and time.monotonic() - started < 60:
            assert page.status == 503
            time.sleep(0.5)
        assert page.status == 200


def test_senders_that_leave(served):
    for size in (0, 100, 100_000):
        with socket.create_connection(("127.0.0.1", served.port)) as connection:
            connection.sendall(upload_head(served, Content_Length="1000000") + plain(256).ljust(size, b"\0")[:size])
    time.sleep(0.5)
    assert "Traceback" not in served.log.read_text()


def test_the_end(tmp_path, data):
    """Whatever goes on: no folder and no process is left. (Other signals: tests/cli/test_serve.py.)"""
    scene = (data / "scenes" / "aquileia_20190416_l2a_12band.tif").read_bytes()
    with serving(tmp_path / "work") as served:
        job = served.classify(scene).json["job"]
        served.wait(job, ("running",))
        waiting = socket.create_connection(("127.0.0.1", served.port))
        waiting.sendall(upload_head(served, Content_Length="1000000") + plain())
        events = socket.create_connection(("127.0.0.1", served.port))
        events.sendall(request_head(f"/jobs/{job}/events", "GET", served.host, headers={}))
        time.sleep(0.5)
        assert len(served.processes()) == 3
        assert served.end(signal.SIGTERM) == 0
        assert gone(served.seen)
        assert list(served.work.iterdir()) == []
        waiting.close()
        events.close()


def test_a_sudden_end(tmp_path, data):
    """Killed: its children end by themselves, its folder is removed by the next one, that of a living one is not."""
    scene = (data / "scenes" / "aquileia_20190416_l2a_12band.tif").read_bytes()
    with serving(tmp_path / "work") as served:
        served.wait(served.classify(scene).json["job"], ("running",))
        time.sleep(1)
        assert len(served.processes()) == 3
        served.end(signal.SIGKILL)
        assert gone(served.seen)
        left = served.folder
        with serving(tmp_path / "work") as following:
            assert not left.exists()
            with serving(tmp_path / "work"):
                assert len(list(served.work.iterdir())) == 2
            assert following.get("/about").status == 200


def test_a_patch_after_all_that(served):
    answer = served.classify(plain(64, 3, 8, {PHOTOMETRIC: short(2)}))
    assert answer.status == 200
