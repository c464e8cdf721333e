"""How uploads are received: forms and plain bodies as they arrive, and what is refused before it is all there."""

import asyncio
import errno
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lulc.serve import uploads
from lulc.serve.refusal import Refusal
from lulc.serve.uploads import UploadOptions, receive

TIFF = b"II*\0" + bytes(range(256)) * 40
BOUNDARY = b"xBOUNDARYx"
FORM = "multipart/form-data; boundary=xBOUNDARYx"


def part(name, content, filename=None):
    shown = f'; filename="{filename}"' if filename is not None else ""
    return b'--%s\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n' % (
        BOUNDARY,
        name.encode(),
        shown.encode(),
        content,
    )


def form(*parts):
    return b"".join(parts) + b"--%s--\r\n" % BOUNDARY


def received(path: Path, body, content_type=FORM, query=None, most=1 << 20, step=1000):
    async def pieces():
        for start in range(0, len(body), step):
            yield body[start : start + step]

    return asyncio.run(receive(pieces(), content_type, query or {}, path, most))


def refused(path, *args, **options):
    with pytest.raises(Refusal) as caught:
        received(path, *args, **options)
    return caught.value


@settings(max_examples=30, deadline=None)
@given(step=st.integers(1, 300), content=st.binary(min_size=0, max_size=600))
def test_a_form_in_pieces_of_any_size(tmp_path_factory, step, content):
    path = tmp_path_factory.mktemp("upload") / "upload"
    body = form(part("bands", b"B02,B03"), part("image", TIFF[:16] + content, "a.tif"), part("as", b"scene"))
    upload = received(path, body, step=step)
    assert path.read_bytes() == TIFF[:16] + content
    assert upload.name == "a.tif"
    assert upload.fields == {"bands": "B02,B03", "as": "scene"}


def test_a_plain_body_with_its_name_in_the_address(tmp_path):
    upload = received(tmp_path / "u", TIFF, "image/tiff", {"name": "s.tif", "bands": "B02"})
    assert (upload.name, upload.fields, upload.size) == ("s.tif", {"bands": "B02"}, len(TIFF))
    assert (tmp_path / "u").read_bytes() == TIFF


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\scene.tif", "scene.tif"),
        ("/etc/shadow", "shadow"),
        ("a\x00b\n\r\tc.tif", "abc.tif"),
        ("", "upload"),
        ("..", ".."),
        ("x" * 4000 + ".tif", "x" * 196 + ".tif"),
        ("scène ñ 日本.tif", "scène ñ 日本.tif"),
        ("\u202egpj.exe", "gpj.exe"),
        ("<script>alert(1)</script>.tif", "script>.tif"),
    ],
)
def test_names_are_for_people_alone(tmp_path, sent, shown):
    upload = received(tmp_path / "u", TIFF, "image/tiff", {"name": sent})
    assert upload.name == shown
    assert [entry.name for entry in tmp_path.iterdir()] == ["u"]


@pytest.mark.parametrize("step", [1000, 1 << 20])
def test_too_much_is_refused_while_it_arrives(tmp_path, step):
    refusal = refused(tmp_path / "u", form(part("image", TIFF * 10, "a.tif")), most=5000, step=step)
    assert refusal.status == 413
    assert (tmp_path / "u").stat().st_size <= 5000


@pytest.mark.parametrize(
    "content",
    [
        b"hello world, this is text",
        b"GIF89a" + bytes(99),
        b"PK\3\4" + bytes(99),
        b"\0" * 100,
        b"II*",
        b"EHFA_HEADER_TAG" + bytes(99),
    ],
)
@pytest.mark.parametrize("content_type", [FORM, "application/octet-stream"])
def test_what_is_no_image_is_refused_by_its_first_bytes(tmp_path, content, content_type):
    body = form(part("image", content, "a.tif")) if content_type == FORM else content
    assert refused(tmp_path / "u", body, content_type).status == 415
    assert (tmp_path / "u").stat().st_size <= len(content)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nothing like a form",
        form(part("bands", b"B02")),
        form(part("image", TIFF, "a.tif"))[:-30],
        form(part("image", TIFF, "a.tif"), part("image", TIFF, "b.tif")),
        form(*(part(f"f{number}", b"x") for number in range(40)), part("image", TIFF, "a.tif")),
        form(part("", b"x"), part("image", TIFF, "a.tif")),
    ],
)
def test_damaged_forms(tmp_path, body):
    assert refused(tmp_path / "u", body).status == 400


@pytest.mark.parametrize("content_type", ["multipart/form-data", "multipart/form-data; boundary="])
def test_forms_without_a_boundary(tmp_path, content_type):
    assert refused(tmp_path / "u", form(part("image", TIFF, "a.tif")), content_type).status == 400


def test_a_field_that_is_too_long(tmp_path):
    assert refused(tmp_path / "u", form(part("bands", b"B" * 100_000), part("image", TIFF, "a.tif"))).status == 413


def test_a_sender_that_trickles_is_sent_away(tmp_path, monkeypatch):
    monkeypatch.setattr(uploads, "_PATIENCE_S", 0.2)

    async def trickle():
        yield TIFF[:100]
        while True:
            await asyncio.sleep(0.05)
            yield b"."

    async def silent():
        yield TIFF[:100]
        await asyncio.sleep(60)

    for stream in (trickle(), silent()):
        with pytest.raises(Refusal) as caught:
            asyncio.run(receive(stream, "image/tiff", {}, tmp_path / f"u{id(stream)}", 1 << 20))
        assert caught.value.status == 408


def test_a_full_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(uploads, "free_bytes", lambda _path: 1000)
    assert refused(tmp_path / "u", TIFF, "image/tiff").status == 503


def test_a_disk_that_fills_up_meanwhile(tmp_path, monkeypatch):
    def full(*_arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(uploads, "_put", full)
    assert refused(tmp_path / "u", TIFF, "image/tiff").status == 503


class TestFields:
    def test_empty_ones_are_not_given(self):
        asked = UploadOptions.of({"bands": " ", "offset": "", "as": "scene"})
        assert asked.given() == {"as": "scene", "allow_no_georef": False}

    def test_all_of_them(self):
        asked = UploadOptions.of(
            {"as": "patch", "bands": "B02, B03", "offset": "-1000", "quantification": "1e4", "allow_no_georef": "true"}
        )
        assert asked.given() == {
            "as": "patch",
            "bands": ["B02", "B03"],
            "offset": -1000.0,
            "quantification": 10000.0,
            "allow_no_georef": True,
        }

    @pytest.mark.parametrize(
        "fields",
        [
            {"as": "map"},
            {"offset": "x"},
            {"offset": "nan"},
            {"quantification": "0"},
            {"quantification": "inf"},
            {"allow_no_georef": "perhaps"},
            {"band": "B02"},
            {"model": "/etc/passwd"},
        ],
    )
    def test_wrong_ones_are_named(self, fields):
        with pytest.raises(Refusal) as caught:
            UploadOptions.of(fields)
        assert caught.value.status == 400
        assert next(iter(fields)) in caught.value.problem


def test_a_request_without_a_body(tmp_path):
    refusal = refused(tmp_path / "u", b"", "image/tiff", {"name": "s.tif"})
    assert (refusal.status, refusal.problem) == (400, "the request has no body")


def test_another_failure_of_the_disk_is_none_of_the_senders(tmp_path):
    (tmp_path / "u").touch()
    with pytest.raises(FileExistsError):
        received(tmp_path / "u", TIFF, "image/tiff", {"name": "s.tif"})
