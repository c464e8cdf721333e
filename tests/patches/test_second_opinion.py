import asyncio
import base64
import gzip
import io
import json
import socket
import sys
import threading
import time

import numpy as np
import pytest
from PIL import Image

from lulc.errors import UsageError
from lulc.patches import second_opinion
from lulc.patches.second_opinion import Adviser, Opinion
from tests.support.vision_server import Reply, VisionServer, completion, says, sends

CLASSES = ("AnnualCrop", "Forest", "HerbaceousVegetation", "Highway", "River", "SeaLake")
PATCH = np.mgrid[:64, :64, :3].sum(axis=0).astype(np.uint8)
SECRET = "sk-lulc-0123456789abcdef"  # noqa: S105 - nobody's
FOREST = json.dumps({"class": "Forest", "reason": "dark green and rough"})
VARIABLES = ("LULC_ASK_KEY", "OPENAI_API_KEY", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "all_proxy")


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(second_opinion, "_FIRST_PAUSE_S", 0.01)


def ask(*replies, timeout_s=60.0, classes=CLASSES):
    """The opinion of a server that sends those replies, and what it was asked; on a busy machine too."""
    with VisionServer(*replies) as server:
        opinion = Adviser(server.url, "eyes", classes, timeout_s=timeout_s).ask(PATCH)
    return opinion, server.asked


def problem(*replies, **options):
    opinion, _ = ask(*replies, **options)
    assert opinion.answer is None
    assert opinion.problem
    assert opinion.problem.isprintable()
    return opinion.problem


def test_the_class_and_the_reason_come_back():
    opinion, asked = ask(says(FOREST))
    assert opinion == Opinion("Forest", "dark green and rough", "")
    assert opinion.to_json() == {"class": "Forest", "reason": "dark green and rough", "problem": ""}
    assert [request.path for request in asked] == ["/v1/chat/completions"]
    assert asked[0].body["model"] == "eyes"


def test_the_question_names_classes_sensor_and_form():
    _, asked = ask(says(FOREST))
    assert json.dumps(list(CLASSES)) in asked[0].text
    assert "Sentinel-2" in asked[0].text
    assert '"class"' in asked[0].text
    assert '"reason"' in asked[0].text


@pytest.mark.parametrize(
    ("shape", "factor"), [((64, 64), 4), ((60, 100), 5), ((256, 300), 1), ((1, 1), 256), ((8, 2048), 1), ((8, 400), 5)]
)
def test_the_picture_is_a_png_enlarged_by_a_whole_factor(shape, factor):
    picture = np.zeros((*shape, 3), np.uint8)
    picture[..., 0], picture[..., 2] = 200, 50
    with VisionServer(says(FOREST)) as server:
        Adviser(server.url, "eyes", CLASSES).ask(picture)
    head, _, data = server.asked[0].picture.partition(",")
    assert head == "data:image/png;base64"
    with Image.open(io.BytesIO(base64.b64decode(data, validate=True))) as image:
        assert (image.format, image.mode) == ("PNG", "RGB")
        assert image.size == (shape[1] * factor, shape[0] * factor)
        assert image.getpixel((0, 0)) == (200, 0, 50)


def test_views_of_pictures_are_sent_as_they_look():
    with VisionServer(says(FOREST)) as server:
        adviser = Adviser(server.url, "eyes", CLASSES)
        adviser.ask(PATCH.transpose(1, 0, 2)[::-1])
        adviser.ask(np.ascontiguousarray(PATCH.transpose(1, 0, 2)[::-1]))
    assert server.asked[0].picture == server.asked[1].picture


@pytest.mark.parametrize(
    "text",
    [
        f"```json\n{FOREST}\n```",
        f"Sure! {{as asked}} Here it is:\n{FOREST}\nI hope {{this}} helps.",
        '{"CLASS": "forest", "Reason": "dark green and rough"}',
        '{"class": ["Forest"], "reason": "dark green and rough"}',
        '{"result": {"class": "Forest", "reason": "dark green and rough"}}',
        '{"class": "Forest", "reason": "dark green and rough", "others": [{"class": "River"}]}',
        '{"class": "<one of the classes>", "reason": "..."}\n' + FOREST,
        f"{FOREST}\n{FOREST}",
        '<think>{"class": "River"} no, wait</think>' + FOREST,
        'the opening tag was left out: {"class": "River"}</think>' + FOREST,
        '{"class": "Forest", "reason": "dark green\nand rough"}',
        '{"class": "Forest", "reason": "dark green and rough',
        "{'class': 'Forest', 'reason': \"dark green and rough\"}",
        "**Class:** Forest\n**Reason:** dark green and rough",
        "Forest\ndark green and rough",
        "[" * 3000 + "{" * 3000 + FOREST,
        [{"type": "text", "text": FOREST[:9]}, {"type": "text", "text": FOREST[9:]}],
    ],
)
def test_answers_in_many_forms_are_understood(text):
    assert ask(says(text))[0] == Opinion("Forest", "dark green and rough")


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("annual crop", "AnnualCrop"),
        ("Annual_Crop", "AnnualCrop"),
        (" ANNUAL-CROP. ", "AnnualCrop"),
        ("Sea/Lake", "SeaLake"),
        ("Sea & Lake", "SeaLake"),
        ("herbaceous  vegetation", "HerbaceousVegetation"),
    ],
)
def test_the_name_of_a_class_may_be_written_otherwise(word, expected):
    assert ask(says(json.dumps({"class": word})))[0] == Opinion(expected)


def test_names_that_differ_only_in_signs_are_told_apart():
    classes = ("crop 1", "crop-1", "water")
    assert ask(says('{"class": "crop-1"}'), classes=classes)[0].answer == "crop-1"
    assert "'CROP1', which is not one" in problem(says('{"class": "CROP1"}'), classes=classes)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"class": "Volcano", "reason": "smoke"}', "answered 'Volcano', which is not one of the classes"),
        ('{"class": 3}', "answered '3', which is not one of the classes"),
        ('{"class": ""}', "empty answer"),
        ('{"class": ["River", "Forest"]}', "answered 2 classes: Forest, River"),
        ('{"class": "River"} or rather {"class": "Forest"}', "answered 2 classes: Forest, River"),
        ("This is not a Forest", "answered 'This is not a Forest', which is not one of the classes"),
        ("{}", "answered '{}', which is not one of the classes"),
        ("<think>it may be Forest", "empty answer"),
        ("", "empty answer"),
        (" \n", "empty answer"),
        (None, "empty answer"),
        (7, "empty answer"),
        ([], "empty answer"),
        (["Forest"], "empty answer"),
        ([{"type": "refusal", "refusal": "I would rather not"}], "refused: I would rather not"),
    ],
)
def test_an_answer_that_is_no_class_is_a_problem(text, expected):
    assert problem(says(text)) == expected


def test_the_reason_for_a_foreign_class_is_kept():
    assert ask(says('{"class": "Volcano", "reason": "smoke"}'))[0].reason == "smoke"


def test_a_long_foreign_answer_is_cut():
    assert len(problem(says("It is hard to say " * 200))) < 120


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (says(None, refusal="I cannot look at this"), "refused: I cannot look at this"),
        (says("", finish="content_filter"), "refused: content filter"),
        (says(FOREST, finish="content_filter"), "refused: content filter"),
        (says("", finish="length"), "empty answer, cut off by its limit of length"),
        (sends({"choices": []}), "empty answer"),
        (sends({"choices": None}), "empty answer"),
        (sends({"choices": [None]}), "empty answer"),
        (sends({"choices": [{"message": None}]}), "empty answer"),
        (sends({}), "empty answer"),
        (sends([1]), "a reply that is not JSON"),
        (sends(b""), "a reply that is not JSON"),
        (sends(b"\xff\xfe{"), "a reply that is not JSON"),
        (sends(b"[" * 100_000), "a reply that is not JSON"),
        (sends(b"<!doctype html><h1>Hello</h1>"), "a web page: does the address end in /v1?"),
        (sends({"error": {"message": "no such model"}}), "the server reports an error: no such model"),
        (sends({"error": True}), "the server reports an error: no reason given"),
        (sends({"error": {"message": "bad key"}}, 401), "HTTP 401: bad key"),
        (sends({"error": "model 'eyes' not found"}, 404), "HTTP 404: model 'eyes' not found"),
        (sends({"detail": "no image, please"}, 422), "HTTP 422: no image, please"),
        (sends({"detail": [{"loc": 1}]}, 400), "HTTP 400: does the address end in /v1?"),
        (sends(b"<html>nginx</html>", 403), "HTTP 403: does the address end in /v1?"),
        (sends(b"", 307, Location="http://elsewhere.example/v1"), "HTTP 307: moved to http://elsewhere.example/v1"),
    ],
)
def test_replies_that_are_no_answer_are_problems(reply, expected):
    opinion, asked = ask(reply)
    assert opinion == Opinion(None, "", expected)
    assert len(asked) == 1


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_is_asked_three_times_at_most(status):
    busy = sends({"error": {"message": "later"}}, status)
    opinion, asked = ask(busy, busy, says(FOREST))
    assert (opinion.answer, len(asked)) == ("Forest", 3)
    opinion, asked = ask(busy)
    assert (opinion.problem, len(asked)) == (f"HTTP {status}: later", 3)


@pytest.mark.parametrize("wish", ["0.02", "nan", "-5", "Wed, 21 Oct 2015 07:28:00 GMT"])
def test_a_wish_for_a_pause_is_heard(wish):
    assert ask(sends({}, 429, **{"Retry-After": wish}), says(FOREST))[0].answer == "Forest"


@pytest.mark.parametrize("wish", ["3600", "inf"])
@pytest.mark.serial
def test_a_wish_that_outlasts_the_time_out_is_not_waited_for(wish):
    start = time.monotonic()
    opinion, asked = ask(sends({"error": "later"}, 429, **{"Retry-After": wish}))
    assert (opinion.problem, len(asked)) == ("HTTP 429: later", 1)
    assert time.monotonic() - start < 2


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    "reply",
    [
        Reply(b"", raw=True, drip=b""),
        Reply(b"HTTP/1.1 200 OK\r\nX-Slow: ", raw=True, drip=b"a"),
        Reply(b"", drip=b" "),
        Reply(b"", status=500, drip=b" "),
        Reply(json.dumps(completion(FOREST)).encode(), drip=b" "),
        Reply(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", raw=True, drip=b"1\r\n \r\n"),
    ],
    ids=["silent", "headers", "body", "error", "after the answer", "chunks"],
)
@pytest.mark.serial
def test_a_slow_server_is_left_at_the_time_out(reply):
    before = threading.active_count()
    with VisionServer(reply) as server:
        adviser = Adviser(server.url, "eyes", CLASSES, timeout_s=0.3)
        start = time.monotonic()
        opinion = adviser.ask(PATCH)
        assert time.monotonic() - start < 0.9
        assert opinion.problem == "timed out after 0.3 s"
        assert len(server.asked) == 1
    until = time.monotonic() + 5
    while threading.active_count() > before + 1 and time.monotonic() < until:
        time.sleep(0.01)
    assert threading.active_count() <= before + 1


@pytest.mark.serial
def test_retries_count_for_the_time_out(monkeypatch):
    monkeypatch.setattr(second_opinion, "_FIRST_PAUSE_S", 0.05)
    start = time.monotonic()
    opinion, asked = ask(sends({}, 503), Reply(b"", drip=b" "), timeout_s=0.3)
    assert (opinion.problem, len(asked)) == ("timed out after 0.3 s", 2)
    assert time.monotonic() - start < 1.0


@pytest.mark.parametrize("status", [200, 500])
def test_an_endless_answer_is_not_kept_in_memory(status, monkeypatch):
    monkeypatch.setattr(second_opinion, "_RETRIES", 0)
    said = problem(Reply(b"", status=status, drip=b"x" * (1 << 20), every_s=0))
    assert said == ("an answer larger than 4 MiB" if status == 200 else "HTTP 500: does the address end in /v1?")


def test_a_compressed_answer_is_read_and_a_bomb_is_not():
    fair = gzip.compress(json.dumps(completion(FOREST)).encode())
    assert ask(sends(fair, **{"Content-Encoding": "gzip"}))[0].answer == "Forest"
    bomb = gzip.compress(b" " * (32 << 20))
    assert problem(sends(bomb, **{"Content-Encoding": "gzip"})) == "an answer larger than 4 MiB"
    assert problem(sends(b"no gzip", **{"Content-Encoding": "gzip"})).startswith("no answer from 127.0.0.1:")


@pytest.mark.parametrize(
    "reply",
    [
        Reply(b"", raw=True),
        Reply(b"SSH-2.0-OpenSSH\r\n", raw=True),
        Reply(HEAD + b"Content-Length: 99\r\n\r\n{", raw=True),
    ],
)
def test_a_server_that_breaks_http_is_a_problem(reply):
    assert problem(reply).startswith("no answer from 127.0.0.1:")


def test_a_refused_connection_is_a_problem():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for host in ("127.0.0.1", "localhost"):
        opinion = Adviser(f"http://{host}:{port}/v1", "eyes", CLASSES).ask(PATCH)
        assert opinion.problem.startswith(f"no answer from {host}:{port}: ")
        assert "onne" in opinion.problem


def test_plain_http_behind_an_https_address_is_a_problem():
    with VisionServer(says(FOREST)) as server:
        opinion = Adviser(server.url.replace("http:", "https:"), "eyes", CLASSES).ask(PATCH)
    assert opinion.problem.startswith(f"no answer from {server.place}: ")
    assert server.asked == []


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://host/v1",
        "localhost:8000/v1",
        "127.0.0.1:8000",
        "http://",
        "http:///v1",
        "https://:443/v1",
        "http://[::1/v1",
        "http://localhost:99999/v1",
        "http://a..b/v1",
        "http://local host/v1",
        "http://localhost/v1\n",
        "http://me:word@localhost/v1",
        "http://localhost/v1?key=1",
        "http://localhost/v1#part",
        SECRET,
        "",
    ],
)
def test_a_wrong_address_is_refused_in_one_line(url):
    with pytest.raises(UsageError, match=r"^--ask .*; .*$") as refusal:
        Adviser(url, "eyes", CLASSES)
    assert SECRET not in str(refusal.value)
    assert "word" not in str(refusal.value).replace("password", "")


@pytest.mark.parametrize(
    ("model", "timeout_s"), [(" ", 60), ("eyes", 0), ("eyes", float("nan")), ("eyes", float("inf"))]
)
def test_other_wrong_options_are_refused(model, timeout_s):
    with pytest.raises(UsageError, match=";"):
        Adviser("http://localhost/v1", model, CLASSES, timeout_s=timeout_s)


@pytest.mark.parametrize("tail", ["/", "/chat/completions", "/chat/completions/"])
def test_the_address_may_have_a_tail(tail):
    with VisionServer(says(FOREST)) as server:
        opinion = Adviser(server.url + tail, "eyes", CLASSES).ask(PATCH)
    assert opinion.answer == "Forest"


def test_a_wrong_path_is_a_problem():
    with VisionServer(says(FOREST)) as server:
        opinion = Adviser(f"http://{server.place}", "eyes", CLASSES).ask(PATCH)
    assert opinion.problem == "HTTP 404: no such path"


def test_nothing_is_sent_before_it_is_asked():
    with VisionServer(says(FOREST)) as server:
        Adviser(server.url, "eyes", CLASSES)
        time.sleep(0.05)
        assert server.asked == []


def test_other_machines_need_a_key(monkeypatch):
    for host in ("api.example.com", "192.168.1.5:8000", "127.0.0.1.example.com", "[2001:db8::1]"):
        with pytest.raises(UsageError, match=r"^no key for .*LULC_ASK_KEY"):
            Adviser(f"http://{host}/v1", "eyes", CLASSES)
    for host in ("localhost", "127.0.0.2:1", "[::1]:80", "lulc.localhost"):
        Adviser(f"http://{host}/v1", "eyes", CLASSES)
    for name in ("OPENAI_API_KEY", "LULC_ASK_KEY"):
        monkeypatch.setenv(name, SECRET)
        Adviser("https://api.example.com/v1", "eyes", CLASSES)
        monkeypatch.setenv(name, "  ")
        with pytest.raises(UsageError, match="no key"):
            Adviser("https://api.example.com/v1", "eyes", CLASSES)


def test_the_key_that_is_sent(monkeypatch):
    def sent():
        return ask(says(FOREST))[1][0].headers["Authorization"]

    assert sent() == "Bearer none"
    monkeypatch.setenv("OPENAI_API_KEY", "the-other-key")
    assert sent() == "Bearer the-other-key"
    monkeypatch.setenv("LULC_ASK_KEY", f"{SECRET}\n")
    assert sent() == f"Bearer {SECRET}"


@pytest.mark.parametrize(
    "key", [f"{SECRET}\n{SECRET}", f"{SECRET} {SECRET}", f"{SECRET}…", f"{SECRET}\x00"[:-1] + "\x7f"]
)
def test_a_key_that_cannot_be_one_is_refused_without_showing_it(key, monkeypatch):
    monkeypatch.setenv("LULC_ASK_KEY", key)
    with pytest.raises(UsageError, match="LULC_ASK_KEY holds characters") as refusal:
        Adviser("http://localhost/v1", "eyes", CLASSES)
    assert SECRET not in str(refusal.value)
    assert refusal.value.__cause__ is None


@pytest.mark.parametrize(
    "reply",
    [
        says(json.dumps({"class": "Forest", "reason": f"{'x' * 490} {SECRET}"})),
        says(json.dumps({"class": "Forest", "reason": f"the key is {SECRET[:5]}\u200b\x1b[1m{SECRET[5:]}"})),
        says(json.dumps({"class": SECRET, "reason": SECRET})),
        says(f"{'y' * 50}{SECRET}"),
        says(None, refusal=f"{'y' * 280} {SECRET}"),
        sends({"error": {"message": f"bad key {SECRET}"}}, 401),
        sends({"error": f"{'y' * 280}{SECRET}"}),
        sends(b"", 302, Location=f"http://elsewhere.example/{SECRET}"),
        Reply(f"HTTP/1.1 {SECRET}\r\n\r\n".encode(), raw=True),
    ],
)
def test_the_key_is_in_no_message(reply, monkeypatch, capfd):
    monkeypatch.setenv("LULC_ASK_KEY", SECRET)
    with VisionServer(reply) as server:
        adviser = Adviser(server.url, "eyes", CLASSES)
        opinion = adviser.ask(PATCH)
        assert server.asked[0].headers["Authorization"] == f"Bearer {SECRET}"
    shown = [repr(adviser), str(vars(adviser)), repr(opinion), json.dumps(opinion.to_json()), *capfd.readouterr()]
    for part in (SECRET, SECRET[: len(SECRET) // 2]):
        assert not [text for text in shown if part in text]


def test_a_short_word_for_a_key_does_not_bend_reasons(monkeypatch):
    monkeypatch.setenv("LULC_ASK_KEY", "none")
    assert ask(says('{"class": "Forest", "reason": "none of it is water"}'))[0].reason == "none of it is water"


def test_the_environment_leads_nothing_elsewhere(monkeypatch):
    with VisionServer(says('{"class": "River"}')) as other:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://{other.place}")
        monkeypatch.setenv("OPENAI_BASE_URL", other.url)
        monkeypatch.setenv("OPENAI_ORG_ID", "org-of-somebody")
        monkeypatch.setenv("OPENAI_PROJECT_ID", "project-of-somebody")
        monkeypatch.setenv("OPENAI_ADMIN_KEY", "admin-of-somebody")
        headers = f"Host: {other.place}\nAuthorization: Bearer of-somebody\nX-Of-Somebody: 1"
        monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", headers)
        with VisionServer(says(FOREST)) as server:
            assert Adviser(server.url, "eyes", CLASSES).ask(PATCH).answer == "Forest"
    assert other.asked == []
    (request,) = server.asked
    assert request.headers["Host"] == server.place
    assert request.headers["Authorization"] == "Bearer none"
    assert "somebody" not in str(request.headers)
    allowed = {"Host", "Authorization", "Accept", "Connection", "Content-Length", "Content-Type", "User-Agent"}
    allowed.add("X-Stainless-Raw-Response")  # by which the openai package knows that it was asked for the raw reply
    assert {name.title() for name in request.headers} <= allowed


def test_a_server_does_not_lead_elsewhere():
    with VisionServer(says(FOREST)) as other:
        assert problem(sends(b"", 307, Location=f"{other.url}/chat/completions")).startswith("HTTP 307: moved to ")
        assert other.asked == []


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("x" * 900, "x" * 499 + "…"),
        ("red\x1b[31m roofs\x1b[0m", "red roofs"),
        ("a \x1b]8;;http://evil.example\x07link\x1b]8;;\x07", "a link"),
        ("a\x1b]0;title\x1b\\b", "ab"),
        ("up\x9b2A down", "up down"),
        ("two\r\nlines\tand\u2028more", "two lines and more"),
        ("be\x07ll \x00nul\x7f", "bell nul"),
        ("\u202eturned \u200bzero\ufeff", "turned zero"),
        ("half \ud800 pair", "half pair"),
        ("Wälder, 森林 🌲", "Wälder, 森林 🌲"),
        (None, ""),
        (["list"], ""),
    ],
)
def test_reasons_are_one_plain_line(said, shown):
    opinion, _ = ask(says(json.dumps({"class": "Forest", "reason": said})))
    assert opinion == Opinion("Forest", shown)
    opinion.reason.encode()


def test_refusals_are_one_plain_line():
    assert problem(says(None, refusal="no\x1b[2J\nway\ud800")) == "refused: no way"
    assert len(problem(says(None, refusal="no " * 900))) == 300


def test_asking_works_inside_a_running_loop():
    async def inside(adviser):
        return adviser.ask(PATCH)

    with VisionServer(says(FOREST)) as server:
        assert asyncio.run(inside(Adviser(server.url, "eyes", CLASSES))).answer == "Forest"


def test_one_adviser_answers_many_threads():
    answers = []
    with VisionServer(says(FOREST)) as server:
        adviser = Adviser(server.url, "eyes", CLASSES)
        threads = [threading.Thread(target=lambda: answers.append(adviser.ask(PATCH).answer)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert answers == ["Forest"] * 4


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(UsageError, match=r"openai; pip install 'lulc\[ask\]'$"):
        Adviser("http://localhost/v1", "eyes", CLASSES)


def test_a_look_up_that_hangs_is_left_at_the_time_out(monkeypatch):
    async def hangs(_self, _content, _key):
        time.sleep(0.5)  # noqa: ASYNC251 - as the look-up of a name, it cannot be interrupted

    monkeypatch.setattr("lulc.patches.second_opinion._GRACE_S", 0.0)
    monkeypatch.setattr(Adviser, "_converse", hangs)
    opinion = Adviser("http://127.0.0.1:9/v1", "eyes", CLASSES, timeout_s=0.05).ask(PATCH)
    assert opinion.problem == "timed out after 0.05 s"
