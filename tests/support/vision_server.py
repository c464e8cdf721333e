"""A small server on this machine that speaks the chat-completions protocol of OpenAI, and can be told to break it."""

import json
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Asked:
    """A request as it came."""

    path: str
    headers: dict
    body: dict

    @property
    def text(self):
        return self.body["messages"][0]["content"][0]["text"]

    @property
    def picture(self):
        return self.body["messages"][0]["content"][1]["image_url"]["url"]


@dataclass
class Reply:
    """A reply as it goes.

    Attributes:
        body: Bytes of it; the end of the connection comes after them.
        drip: Bytes that follow every `every_s` seconds until the server is closed; empty ones only keep it waiting.
        raw: Whether `body` is all there is, its status line and headers included.
    """

    body: bytes
    status: int = 200
    headers: dict = field(default_factory=lambda: {"Content-Type": "application/json"})
    drip: bytes | None = None
    every_s: float = 0.02
    raw: bool = False


def completion(content, finish="stop", **message):
    """A completion whose message has that content."""
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 0,
        "model": "eyes",
        "choices": [
            {
                "index": 0,
                "finish_reason": finish,
                "message": {"role": "assistant", "content": content, "refusal": None, **message},
            }
        ],
    }


def says(content, finish="stop", **message):
    return sends(completion(content, finish, **message))


def sends(body, status=200, **headers):
    """JSON, or bytes as they are."""
    plain = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Reply(plain, status, {"Content-Type": "application/json"} | headers)


class VisionServer:
    """The server, running inside `with`.

    Args:
        replies: In order; the last is repeated.
    """

    def __init__(self, *replies):
        self.replies = list(replies)
        self.asked = []
        self.closing = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                server.answer(self)

            def do_GET(self):
                server.answer(self)

            def do_CONNECT(self):
                server.answer(self)

            def log_message(self, *words):
                """Quiet."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads, self._http.block_on_close = True, False
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.002}, daemon=True)

    @property
    def place(self):
        return f"127.0.0.1:{self._http.server_address[1]}"

    @property
    def url(self):
        return f"http://{self.place}/v1"

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *error):
        self.closing.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def answer(self, handler):
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        self.asked.append(Asked(handler.path, dict(handler.headers), json.loads(body) if body else {}))
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if handler.path != "/v1/chat/completions":
            reply = sends({"error": {"message": "no such path"}}, 404)
        with suppress(OSError):  # the other side may have hung up
            self._send(handler, reply)
        handler.close_connection = True

    def _send(self, handler, reply):
        if not reply.raw:
            handler.send_response(reply.status)
            for name, value in reply.headers.items():
                handler.send_header(name, value)
            if reply.drip is None:
                handler.send_header("Content-Length", str(len(reply.body)))
            handler.send_header("Connection", "close")
            handler.end_headers()
        handler.wfile.write(reply.body)
        while reply.drip is not None and not self.closing.is_set():
            handler.wfile.write(reply.drip)
            handler.wfile.flush()
            time.sleep(reply.every_s)
