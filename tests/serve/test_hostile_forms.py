"""Names and forms that were made to do harm."""

import json

import pytest

from tests.support.hostile_files import picture
from tests.support.running import BOUNDARY, form, refused

FORM = f"multipart/form-data; boundary={BOUNDARY}"
NAMES = {
    "../../etc/passwd": "passwd",
    "/etc/passwd": "passwd",
    "..\\..\\boot.ini": "boot.ini",
    "C:\\a\\b.jpg": "b.jpg",
    "a\0b.jpg": "ab.jpg",
    "x" * 4000 + ".jpg": "x" * 196 + ".jpg",
    "\u202egpj.exe": "gpj.exe",
    "a\u2028b.jpg": "ab.jpg",
    "CON": "CON",
    "..": "..",
    ".": ".",
    "": "upload",
    " ": "upload",
    "<img src=x onerror=alert(1)>": "<img src=x onerror=alert(1)>",
    "'; DROP TABLE jobs; --.jpg": "'; DROP TABLE jobs; --.jpg",
    "%00%0d%0a.jpg": "%00%0d%0a.jpg",
    "{0.__class__}${HOME}": "{0.__class__}${HOME}",
    "\udcff\udcfe.jpg": "\ufffd\ufffd.jpg",
    "\U0001f600.jpg": "\U0001f600.jpg",
}


def part(header, content=b"1"):
    return f"--{BOUNDARY}\r\n{header}\r\n\r\n".encode() + content + b"\r\n"


IMAGE = 'Content-Disposition: form-data; name="image"; filename="a.jpg"'
END = f"--{BOUNDARY}--\r\n".encode()
DAMAGED = {
    "no boundary": ("multipart/form-data", form(picture("JPEG"), "a.jpg")),
    "empty boundary": ("multipart/form-data; boundary=", form(picture("JPEG"), "a.jpg")),
    "another boundary": ("multipart/form-data; boundary=other", form(picture("JPEG"), "a.jpg")),
    "endless boundary": (f"multipart/form-data; boundary={'x' * 4000}", form(picture("JPEG"), "a.jpg")),
    "no body": (FORM, b""),
    "no parts": (FORM, END),
    "no end": (FORM, part(IMAGE, picture("JPEG"))),
    "no file": (FORM, part('Content-Disposition: form-data; name="as"', b"patch") + END),
    "no name": (FORM, part("Content-Disposition: form-data") + END),
    "no header": (FORM, part("") + END),
    "two files": (FORM, part(IMAGE, picture("JPEG")) * 2 + END),
    "thousand fields": (
        FORM,
        b"".join(part(f'Content-Disposition: form-data; name="f{n}"') for n in range(1000)) + END,
    ),
    "field again and again": (
        FORM,
        part('Content-Disposition: form-data; name="as"') * 1000 + part(IMAGE, picture("JPEG")) + END,
    ),
    "unknown field": (FORM, form(picture("JPEG"), "a.jpg", {"path": "/etc/passwd"})),
    "lines in a field": (FORM, form(picture("JPEG"), "a.jpg", {"as": "patch\r\nX-Evil: 1"})),
    "no number": (FORM, form(picture("JPEG"), "a.jpg", {"offset": "nan"})),
    "endless number": (FORM, form(picture("JPEG"), "a.jpg", {"offset": "9" * 4000})),
    "thousand headers": (FORM, part("\r\n".join(f"X-{n}: 1" for n in range(1000)) + "\r\n" + IMAGE) + END),
    "header without end": (FORM, f"--{BOUNDARY}\r\nX-Endless: ".encode() + b"x" * (4 << 20)),
    "extended name alone": (FORM, part("Content-Disposition: form-data; name=image; filename*=utf-8''a.jpg") + END),
}


@pytest.fixture(autouse=True)
def nothing_left(served):
    yield
    assert served.get("/about").status == 200
    left = served.left_over()
    served.clear()
    assert left == []


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name)[:30])
def test_names(served, name):
    answer = served.classify(picture("JPEG"), name)
    assert answer.status == 200, answer
    assert answer.json["name"] == NAMES[name]
    job = answer.json["job"]
    state = served.get(f"/jobs/{job}")
    assert state.json["name"] == NAMES[name]
    shown = served.get(f"/jobs/{job}/files/picture.png?download")
    assert (shown.status, shown.headers["content-type"]) == (200, "image/png")
    assert set(shown.headers) - {"content-disposition"} == set(served.get(f"/jobs/{job}/files/picture.png").headers) - {
        "content-disposition"
    }
    assert shown.headers["content-disposition"].startswith("attachment; filename")
    assert all(32 <= ord(letter) < 127 for letter in shown.headers["content-disposition"])
    served.remove(job)


def test_names_with_quotes_and_lines(served):
    for name in ('a"; filename="b.jpg', "a\r\nX-Evil: 1\r\n\r\n.jpg", "a\nb.jpg"):
        answer = served.classify(picture("JPEG"), name)
        assert "x-evil" not in answer.headers
        if answer.status == 200:
            assert answer.json["name"].isprintable()
            served.remove(answer.json["job"])
        else:
            refused(answer, 400, 415)


@pytest.mark.parametrize("name", ["../../x.jpg", "a%00b.jpg", "%0d%0aX-Evil:%201.jpg", "%ff.jpg", "%E2%80%AEgpj.exe"])
def test_names_of_raw_bodies(served, name):
    answer = served.post(f"/classify?name={name}", picture("JPEG"), "image/jpeg")
    assert answer.status == 200
    assert answer.json["name"].isprintable()
    assert "/" not in answer.json["name"]
    served.remove(answer.json["job"])


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_forms(served, name):
    kind, body = DAMAGED[name]
    answer = served.post("/classify", body, kind)
    refused(answer, 400, 413, 415)
    assert answer.seconds < 5


def test_fields_that_are_too_long(served):
    body = part('Content-Disposition: form-data; name="bands"', b"B02," * (1 << 20)) + form(picture("JPEG"), "a.jpg")
    refused(served.post("/classify", body, FORM), 413)


@pytest.mark.parametrize(
    "query", ["a%0Ab=1", "a=1&" * 1000, "%3Cscript%3E=1", "as=%00", "bands=" + "B02,," * 500, "offset=1e999"]
)
def test_queries(served, query):
    refused(served.post(f"/classify?{query}", picture("JPEG")), 400, 422)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[" * 60_000,
        b'{"lon": 1e999}',
        b'{"lon": NaN}',
        b'{"row": 1' + b"0" * 5000 + b"}",
        b'{"evil": 1}',
        b'"x"',
        b"\xff",
    ],
    ids=range(9),
)
def test_what_to_explain(served, body):
    job = served.classify(picture("JPEG"), "a.jpg").json["job"]
    refused(served.post(f"/jobs/{job}/explanation", body, "application/json"), 400, 422)
    served.remove(job)


def test_requests_that_are_none(served):
    heads = [
        b"GET /about HTTP/1.1\r\n\r\n",
        b"GET http://evil.example/about HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        b"GET /about HTTP/9.9\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /" + b"a" * (1 << 20) + b" HTTP/1.1\r\n\r\n",
        b"POST /classify HTTP/1.1\r\nHost: %b\r\nContent-Length: -1\r\n\r\n" % served.host.encode(),
        b"POST /classify HTTP/1.1\r\nHost: %b\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n" % served.host.encode(),
        b"POST /classify HTTP/1.1\r\nHost: %b\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" % served.host.encode(),
    ]
    for head in heads:
        assert served.send(head, seconds=15).status in {400, 403, 404, 431}, head[:50]


def test_errors_are_whole_json(served):
    answer = served.classify(b"GIF89a" + bytes(100), '</script><script>"\\')
    assert json.loads(json.dumps(answer.json)) == answer.json
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "script-src 'self'" in answer.headers["content-security-policy"]
