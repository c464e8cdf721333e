"""The request guard before every route: who may use the server, how much they may send, and which headers browsers get.

A page of another site that is open in the same browser can send requests to 127.0.0.1. By a name that it points there
(DNS rebinding) it can even read the responses. So the Host must be one of the server's own names, and an Origin must be
the server's own.
"""

import asyncio
import ipaddress
import json
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lulc.serve.refusal import Refusal
from lulc.serve.uploads import too_large

UPLOAD_PATH = "/classify"
"""The only route that takes a large body."""

_SMALL_BODY = 64 << 10
_SMALL_BODY_S = 15.0
_FORM_BYTES = 64 << 10
"""Bytes that a form may hold beside its file."""

_DRAINED_BYTES, _DRAINED_S = 4 << 20, 2.0
"""Bytes and seconds of a refused body that are read and discarded.

The sender then gets the response before the connection closes.
"""

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


class Guard:
    """ASGI middleware that checks each request and adds security headers to each response.

    Args:
        app: Application to guard.
        host: Address that the server listens on.
        allowed_hosts: Further names of the server.
        upload_bytes: Largest upload, bytes.
        basemap: URL template of an online base map, or empty.
    """

    def __init__(
        self, app: ASGIApp, *, host: str, allowed_hosts: Iterable[str], upload_bytes: int, basemap: str
    ) -> None:
        self._app, self._upload_bytes = app, upload_bytes
        self._names = {name.lower() for name in (*own_names(host), *allowed_hosts)}
        self._headers = {
            "Content-Security-Policy": _content_policy(basemap),
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Cross-Origin-Opener-Policy": "same-origin",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on to the application, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = _Body(receive, self._most(scope), ended=not _has_body(scope))
        response = _Response(send, body, self._headers)
        try:
            self._check(scope)
            body_receive = body.receive if scope["path"] == UPLOAD_PATH or body.ended else await body.whole()
            await self._app(scope, body_receive, response.send)
        except Refusal as refusal:
            if response.started:
                raise
            await response.refuse(refusal)

    def _most(self, scope: Scope) -> int:
        return self._upload_bytes + _FORM_BYTES if scope["path"] == UPLOAD_PATH else _SMALL_BODY

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if _without_port(host) not in self._names:
            raise Refusal(403, f"this server is not called {host[:100]!r}", "start it with --allow-host NAME")
        origin = headers.get("origin")
        if origin is not None and origin.lower().partition("://")[2] != host.lower():
            raise Refusal(403, "a page of another site may not use this server", "open the server's own page")
        foreign = headers.get("sec-fetch-site") in {"cross-site", "same-site"}
        if foreign and not (scope["method"] == "GET" and headers.get("sec-fetch-mode") == "navigate"):
            raise Refusal(403, "a page of another site may not use this server", "open the server's own page")
        declared = headers.get("content-length", "0")
        if not declared.isdigit():
            raise Refusal(400, "Content-Length is no number")
        if int(declared) > self._most(scope):
            raise too_large(self._upload_bytes) if scope["path"] == UPLOAD_PATH else _too_long()


class _Body:
    """The body of a request, with its bytes counted as they arrive."""

    def __init__(self, receive: Receive, most: int, *, ended: bool) -> None:
        self._receive, self._most = receive, most
        self._count = 0
        self.ended = ended

    async def receive(self) -> Message:
        """The next ASGI message.

        Raises:
            Refusal: The body is larger than the limit.
        """
        message = await self._next()
        if self._count > self._most:
            raise too_large(self._most)
        return message

    async def whole(self) -> Receive:
        """Read a small body completely, and return the callable that passes it to the application.

        Raises:
            Refusal: The body is too large or arrives too slowly.
        """
        pieces = []
        try:
            async with asyncio.timeout(_SMALL_BODY_S):
                while not self.ended:
                    pieces.append((await self._next()).get("body", b""))
                    if self._count > self._most:
                        raise _too_long()
        except TimeoutError as error:
            raise Refusal(408, "the request arrives too slowly", "send it over a faster connection") from error
        waiting = [b"".join(pieces)]

        async def receive() -> Message:
            return {"type": "http.request", "body": waiting.pop()} if waiting else await self._receive()

        return receive

    async def drain(self) -> None:
        """Read on for a moment and discard what arrives."""
        until = self._count + _DRAINED_BYTES
        try:
            async with asyncio.timeout(_DRAINED_S):
                while not self.ended and self._count < until:
                    await self._next()
        except TimeoutError:
            pass

    async def _next(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._count += len(message.get("body", b""))
            self.ended = not message.get("more_body", False)
        else:
            self.ended = True
        return message


class _Response:
    """The response to a request, with the headers that every response has."""

    def __init__(self, send: Send, body: _Body, headers: dict[str, str]) -> None:
        self._send, self._body, self._headers = send, body, headers
        self._draining = False
        self.started = False

    async def send(self, message: Message) -> None:
        """Pass a message on. The end of a refusal waits until the rest of the request was discarded."""
        if message["type"] == "http.response.start":
            self.started = True
            self._draining = message["status"] >= 400 and not self._body.ended  # noqa: PLR2004 - an error
            headers = MutableHeaders(raw=message.setdefault("headers", []))
            for name, value in self._headers.items():
                headers[name] = value
            if self._draining:
                headers["Connection"] = "close"
        elif self._draining and not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            await self._body.drain()
            message = {"type": "http.response.body", "body": b""}
        await self._send(message)

    async def refuse(self, refusal: Refusal) -> None:
        """Respond with a refusal."""
        body = json.dumps(refusal.body).encode()
        headers = {"content-type": "application/json", "content-length": str(len(body)), **refusal.headers}
        raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        await self.send({"type": "http.response.start", "status": refusal.status, "headers": raw})
        await self.send({"type": "http.response.body", "body": body})


def own_names(host: str) -> tuple[str, ...]:
    """Host names under which a server at an address may be reached."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return (host, *_LOOPBACK) if host == "localhost" else (host,)
    if address.is_loopback or address.is_unspecified:
        return _LOOPBACK
    return (f"[{host}]" if address.version == 6 else host,)  # noqa: PLR2004 - of IP


def _too_long() -> Refusal:
    return Refusal(413, f"a request like this holds at most {_SMALL_BODY >> 10} kB", "send files to POST /classify")


def _has_body(scope: Scope) -> bool:
    headers = Headers(scope=scope)
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


def _without_port(host: str) -> str:
    """A Host header without its port."""
    name, colon, port = host.lower().rpartition(":")
    return name if colon and port.isdigit() else host.lower()


def _content_policy(basemap: str) -> str:
    address = urlsplit(basemap)
    pictures = f" {address.scheme}://{address.netloc.replace('{s}', '*')}" if basemap else ""
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; font-src 'self'; form-action 'self'; "
        f"base-uri 'none'; frame-ancestors 'none'; img-src 'self' data: blob:{pictures}"
    )
