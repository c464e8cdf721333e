"""The guard, as an application calls it: what never comes over a socket in another form."""

import asyncio
import json

import pytest

from lulc.serve.app import _defect
from lulc.serve.guard import Guard, own_names
from lulc.serve.refusal import Refusal


@pytest.mark.parametrize(
    ("host", "names"),
    [
        ("127.0.0.1", ("127.0.0.1", "localhost", "[::1]")),
        ("0.0.0.0", ("127.0.0.1", "localhost", "[::1]")),  # noqa: S104
        ("localhost", ("localhost", "127.0.0.1", "localhost", "[::1]")),
        ("maps.example.org", ("maps.example.org",)),
        ("10.0.0.7", ("10.0.0.7",)),
        ("2001:db8::7", ("[2001:db8::7]",)),
    ],
)
def test_names_of_a_server(host, names):
    assert own_names(host) == names


def guarded(app, **scope):
    """What is sent for a request."""
    sent = []

    async def receive():
        return {"type": "http.request", "body": b""}

    async def send(message):
        sent.append(message)

    guard = Guard(app, host="127.0.0.1", allowed_hosts=(), upload_bytes=1000, basemap="")
    known = {"type": "http", "method": "GET", "path": "/", "headers": [(b"host", b"127.0.0.1:80")]}
    asyncio.run(guard(known | scope, receive, send))
    return sent


def test_what_is_no_request_is_passed_on():
    seen = []

    async def app(scope, _receive, _send):
        seen.append(scope["type"])

    assert guarded(app, type="lifespan") == []
    assert seen == ["lifespan"]


def test_a_length_that_is_no_number():
    start, *rest = guarded(None, headers=[(b"host", b"127.0.0.1"), (b"content-length", b"many")])
    assert start["status"] == 400
    body = b"".join(message["body"] for message in rest)
    assert json.loads(body)["error"]["problem"] == "Content-Length is no number"


def test_a_refusal_after_the_answer_has_begun_is_no_second_answer():
    async def app(_scope, _receive, send):
        await send({"type": "http.response.start", "status": 200})
        raise Refusal(413, "too large")

    with pytest.raises(Refusal, match="too large"):
        guarded(app)


def test_a_defect_is_said_without_its_words():
    answer = _defect(None, RuntimeError("at /home/me/secret"))
    assert answer.status_code == 500
    assert json.loads(answer.body)["error"]["problem"] == "lulc failed"
    assert b"secret" not in answer.body
