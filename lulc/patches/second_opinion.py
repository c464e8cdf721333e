"""A second opinion on a patch: a vision model behind an OpenAI-compatible URL names a class and a reason.

A picture leaves the machine in `Adviser.ask` and nowhere else. It goes to the URL that the user gave: no proxy,
environment variable or redirect sends it elsewhere. The key is read from the environment when it is needed, kept in no
attribute, and removed from everything that a server sends. An error of the server becomes the `problem` of an
`Opinion`: the network's own prediction does not depend on it.
"""

import asyncio
import base64
import io
import json
import math
import os
import re
import ssl
import unicodedata
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

import numpy as np
from numpy.typing import NDArray

from lulc.config import parse_json
from lulc.errors import UsageError

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_KEY_VARIABLES = ("LULC_ASK_KEY", "OPENAI_API_KEY")
_NO_KEY, _SHORTEST_SECRET = "none", 8
_LEAST_SIDE, _MOST_SIDE = 256, 2048
_RETRIES, _FIRST_PAUSE_S, _GRACE_S = 2, 0.5, 1.0
_BUSY, _SERVER_ERROR = (408, 409, 429), 500
_MOST_BYTES, _MOST_ERROR_BYTES = 4 << 20, 64 << 10
_LONGEST_TEXT, _LONGEST_REASON, _LONGEST_PROBLEM, _LONGEST_NAME = 20_000, 500, 300, 60
_KEPT_HEADERS = {"accept", "connection", "content-length", "content-type", "user-agent", "x-stainless-raw-response"}
_CLASS_KEYS, _REASON_KEYS = ("class", "answer", "label", "category"), ("reason", "explanation", "rationale")
_LOOPBACK = re.compile(r"(.+\.)?localhost|127(\.\d{1,3}){3}|::1")
_KEY = re.compile(r"[!-~]+")
_OSC, _CSI = r"(?:\x1b\]|\x9d)[^\x07\x1b\x9c]*(?:\x07|\x9c|\x1b\\)?", r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
_ESCAPES = re.compile(rf"{_OSC}|{_CSI}|\x1b[ -/]*.?")
_SPOKEN_CLASS = re.compile(r"""\bclass["'*]*\s*[:=]\s*["'*]*([^"'*\n,.;}]*)""", re.IGNORECASE)
_SPOKEN_REASON = re.compile(r"""\breason["'*]*\s*[:=]\s*["'*]*([^"\n]*)""", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Opinion:
    """Opinion on a patch.

    Attributes:
        answer: One of the classes as given, or None.
        reason: Reason in the model's words: one line of at most 500 characters, or empty.
        problem: Why there is no class, in one line; empty when there is one.
    """

    answer: str | None
    reason: str = ""
    problem: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain form."""
        return {"class": self.answer, "reason": self.reason, "problem": self.problem}


class _NoAnswerError(Exception):
    """A server gave no answer; `pause_s` is the time to wait before a retry, infinite when none would help."""

    def __init__(self, problem: str, pause_s: float = math.inf) -> None:
        super().__init__(problem)
        self.problem, self.pause_s = problem, pause_s


class Adviser:
    """Client of a vision model. Nothing is sent before `ask`.

    Args:
        url: URL up to and with `/v1`, such as `https://api.openai.com/v1` or `http://localhost:11434/v1`.
        model: Name of the model on that server.
        classes: Class names to choose from.
        timeout_s: Longest time for one answer, all retries included, seconds.

    Raises:
        UsageError: The URL is not HTTP, the key for another machine is missing, an argument is out of range, or openai
            is not installed.
    """

    def __init__(self, url: str, model: str, classes: Sequence[str], *, timeout_s: float = 60.0) -> None:
        parts = _address(url)
        self._url = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/').removesuffix('/chat/completions')}"
        self._host, self._local = parts.netloc, _LOOPBACK.fullmatch(parts.hostname or "") is not None
        if not model.strip():
            raise UsageError("--ask-model is empty", "name a model of that server")
        if not (math.isfinite(timeout_s) and timeout_s > 0):
            raise UsageError(f"a time-out of {timeout_s:g} s", "give seconds above 0")
        self._model, self._classes, self._timeout_s = model.strip(), tuple(classes), timeout_s
        self._late = f"timed out after {timeout_s:g} s"
        trust = ssl.create_default_context() if os.environ.keys() & {"SSL_CERT_FILE", "SSL_CERT_DIR"} else True
        # Plain HTTP gets a context that trusts nobody: it is never used, and takes no time to make.
        self._trust = trust if parts.scheme == "https" else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._key()
        try:
            import openai  # noqa: F401
        except ImportError:
            raise UsageError("--ask needs the package openai", "pip install 'lulc[ask]'") from None

    def ask(self, picture: NDArray[np.uint8]) -> Opinion:
        """Send a picture and wait for the opinion, no longer than the time-out.

        Args:
            picture: Red, green and blue, uint8 (height, width, 3).

        Raises:
            UsageError: The key is no longer in the environment.
        """
        key = self._key()
        content = _question(picture, self._classes)
        said: SimpleQueue[str | _NoAnswerError] = SimpleQueue()
        # A thread of its own, since the caller may run a loop, and the look-up of a name cannot be interrupted.
        Thread(target=lambda: said.put(asyncio.run(self._converse(content, key))), daemon=True).start()
        try:
            reply = said.get(timeout=self._timeout_s + _GRACE_S)
        except Empty:
            reply = _NoAnswerError(self._late)
        if isinstance(reply, _NoAnswerError):
            return Opinion(None, problem=_plain(reply.problem, key, _LONGEST_PROBLEM))
        return _parsed_opinion(reply, self._classes, key)

    def _key(self) -> str:
        """Key from the environment; a placeholder for a server on this machine when there is none."""
        for variable in _KEY_VARIABLES:
            key = os.environ.get(variable, "").strip()
            if key and not _KEY.fullmatch(key):
                raise UsageError(f"{variable} holds characters that no key has", "copy the key again")
            if key:
                return key
        if not self._local:
            raise UsageError(f"no key for {self._host}", f"set {_KEY_VARIABLES[0]}, to any word if it needs none")
        return _NO_KEY

    async def _converse(self, content: list[Any], key: str) -> str | _NoAnswerError:
        """Text of the model; the request is repeated while the server is busy and time is left."""
        attempt, loop = 0, asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._timeout_s) as limit:
                while True:
                    try:
                        return _reply_text(await self._request(content, key))
                    except _NoAnswerError as error:
                        pause_s = max(_FIRST_PAUSE_S * 2**attempt, error.pause_s)
                        if attempt == _RETRIES or loop.time() + pause_s >= (limit.when() or 0):
                            return error
                    await asyncio.sleep(pause_s)
                    attempt += 1
        except TimeoutError:
            return _NoAnswerError(self._late)

    async def _request(self, content: list[Any], key: str) -> bytes:
        """Body of one reply."""
        try:
            async with self._client(key) as client:
                create = client.chat.completions.with_streaming_response.create
                async with create(model=self._model, messages=[{"role": "user", "content": content}]) as response:
                    body = await _bounded_body(response.iter_bytes(), _MOST_BYTES)
        except Exception as error:  # noqa: BLE001 - a server can break HTTP, TLS and its encodings in any way
            first: BaseException = error
            while not isinstance(first, _NoAnswerError) and (cause := first.__cause__ or first.__context__):
                first = cause  # some versions of openai wrap what `check` raises
            if isinstance(first, _NoAnswerError):
                raise first from None
            raise _NoAnswerError(f"no answer from {self._host}: {str(first) or type(first).__name__}") from None
        if len(body) > _MOST_BYTES:
            raise _NoAnswerError(f"an answer larger than {_MOST_BYTES >> 20} MiB")
        return body

    def _client(self, key: str) -> "AsyncOpenAI":
        """A client that takes nothing from the environment except the user's own certificates."""
        from openai import AsyncOpenAI, DefaultAsyncHttpxClient

        async def strip_headers(request: Any) -> None:  # noqa: ANN401 - of httpx or httpx2, as openai's version has it
            for name in set(request.headers) - _KEPT_HEADERS:
                del request.headers[name]
            request.headers["Host"] = request.url.netloc.decode("ascii")
            request.headers["Authorization"] = f"Bearer {key}"

        async def check(response: Any) -> None:  # noqa: ANN401
            if not response.is_success:
                body = await _bounded_body(response.aiter_bytes(), _MOST_ERROR_BYTES)
                raise _refused(response.status_code, response.headers, body)

        hooks: dict[str, list[Any]] = {"request": [strip_headers], "response": [check]}
        http = DefaultAsyncHttpxClient(
            trust_env=False, verify=self._trust, follow_redirects=False, timeout=None, event_hooks=hooks
        )
        return AsyncOpenAI(
            api_key=key, base_url=self._url, organization="", project="", max_retries=0, http_client=http
        )


def _address(url: str) -> SplitResult:
    """Parts of a URL; no message contains the URL itself, since users paste keys into wrong places."""
    remedy = "give an address like https://host/v1"
    try:
        parts = urlsplit(url)
        host, _ = (parts.hostname or "").encode("idna"), parts.port
    except ValueError:
        raise UsageError("--ask is not an address", remedy) from None
    if parts.scheme not in ("http", "https") or not host:
        raise UsageError("--ask is not an http:// or https:// address with a host", remedy)
    if "@" in parts.netloc:
        raise UsageError("--ask holds a user's name or password", f"put the key into {_KEY_VARIABLES[0]}")
    if parts.query or parts.fragment or any(letter.isspace() or not letter.isprintable() for letter in url):
        raise UsageError("--ask holds blanks or what follows ? or #", remedy)
    return parts


def _question(picture: NDArray[np.uint8], classes: Sequence[str]) -> list[Any]:
    """The question, and the picture as PNG in base64, enlarged by a whole factor to at least 256 px a side."""
    from PIL import Image

    height, width = picture.shape[:2]
    factor = max(1, min(math.ceil(_LEAST_SIDE / min(height, width)), _MOST_SIDE // max(height, width)))
    size = (width * factor, height * factor)
    png = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).resize(size, Image.Resampling.BICUBIC).save(png, "PNG")
    enlarged = f"{height} x {width} pixels" + (f", enlarged {factor} times" if factor > 1 else "")
    text = (
        f"This is a patch of a Sentinel-2 satellite image, seen from above ({enlarged}). Which one of these classes of "
        f"land use and land cover does it show: {json.dumps(list(classes), ensure_ascii=False)}? Answer with JSON "
        'alone: {"class": "<one of the classes, spelled as above>", "reason": "<why, in one sentence>"}'
    )
    address = f"data:image/png;base64,{base64.b64encode(png.getvalue()).decode('ascii')}"
    return [{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": address}}]


async def _bounded_body(chunks: AsyncIterator[bytes], most: int) -> bytes:
    """The whole body, or slightly more than `most` bytes of a larger one."""
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > most:
            break
    return bytes(body)


def _refused(status: int, headers: Any, body: bytes) -> _NoAnswerError:  # noqa: ANN401 - as above
    """Error for an HTTP status other than success."""
    detail = _complaint(_json(body)) or "does the address end in /v1?"
    if "Location" in headers:
        detail = f"moved to {headers['Location']}"
    pause_s = 0.0
    with suppress(ValueError):
        pause_s = float(headers.get("Retry-After", 0))
    again = status in _BUSY or status >= _SERVER_ERROR
    return _NoAnswerError(f"HTTP {status}: {detail}", pause_s if again else math.inf)


def _json(text: bytes) -> Any:  # noqa: ANN401 - whatever a server says
    with suppress(ValueError):
        return parse_json(text)
    return None


def _complaint(said: Any) -> str:  # noqa: ANN401
    """Error text in a server's JSON, in any of the usual forms."""
    for key in ("error", "message", "detail"):
        said = said.get(key, said) if isinstance(said, dict) else said
    return said if isinstance(said, str) else ""


def _reply_text(body: bytes) -> str:
    """Text of a chat completion."""
    completion = _json(body)
    if not isinstance(completion, dict):
        page = body.lstrip()[:1] == b"<"
        raise _NoAnswerError("a web page: does the address end in /v1?" if page else "a reply that is not JSON")
    if completion.get("error"):
        raise _NoAnswerError(f"the server reports an error: {_complaint(completion) or 'no reason given'}")
    choices = completion.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, dict) or not isinstance(message := choice.get("message"), dict):
        raise _NoAnswerError("empty answer")
    content, finish = message.get("content"), choice.get("finish_reason")
    parts = [part for part in content if isinstance(part, dict)] if isinstance(content, list) else [{"text": content}]
    refusal = next((one.get("refusal") for one in [message, *parts] if one.get("refusal")), None)
    if refusal or finish == "content_filter":
        raise _NoAnswerError(f"refused: {refusal or 'content filter'}")
    texts = [part.get("text") for part in parts]
    text = "".join(text for text in texts if isinstance(text, str))
    text = text.rpartition("</think>")[2].partition("<think>")[0].strip()
    if not text:
        raise _NoAnswerError("empty answer" + (", cut off by its limit of length" if finish == "length" else ""))
    return text[-_LONGEST_TEXT:]


def _parsed_opinion(text: str, classes: Sequence[str], key: str) -> Opinion:
    """Parse the opinion in a model's text: JSON with anything around it, `Class: ...`, or the first line."""
    statements = _from_json(text)
    if not statements:
        found, (first, _, rest) = _SPOKEN_REASON.search(text), text.partition("\n")
        reason = found.group(1) if found else ""
        statements = [(word, reason) for word in _SPOKEN_CLASS.findall(text) if _folded(word)] or [(first, rest)]
    reasons = {name: reason for word, reason in reversed(statements) for name in _meant(word, classes)}
    if len(reasons) == 1:
        name, reason = reasons.popitem()
        return Opinion(name, _plain(reason, key, _LONGEST_REASON))
    if reasons:
        return Opinion(None, problem=f"answered {len(reasons)} classes: {', '.join(sorted(reasons))}")
    named, reason = _plain(statements[0][0], key, _LONGEST_NAME), _plain(statements[0][1], key, _LONGEST_REASON)
    return Opinion(None, reason, f"answered {named!r}, which is not one of the classes" if named else "empty answer")


def _from_json(text: str) -> list[tuple[str, str]]:
    """Class and reason of every JSON object in a text that names a class; nested objects are skipped."""
    decoder, found, offset = json.JSONDecoder(strict=False), list[tuple[str, str]](), text.find("{")
    while offset >= 0:
        try:
            value, end = decoder.raw_decode(text, offset)
        except (ValueError, RecursionError):
            value, end = {}, offset
        fields = {_folded(name): item for name, item in value.items()}
        said = next((fields[name] for name in _CLASS_KEYS if fields.get(name) is not None), None)
        reason = next((fields[name] for name in _REASON_KEYS if isinstance(fields.get(name), str)), "")
        found += [(str(word), reason) for word in (said if isinstance(said, list) else [said]) if word is not None]
        offset = text.find("{", offset + 1 if said is None else end)
    return found


def _meant(word: str, classes: Sequence[str]) -> list[str]:
    """The class that a word means, or none. Letters and digits count; case, blanks and signs do not."""
    same = [name for name in classes if name == word] or [name for name in classes if _folded(name) == _folded(word)]
    return same if len(same) == 1 and _folded(word) else []


def _folded(word: str) -> str:
    return "".join(letter for letter in unicodedata.normalize("NFKC", word).casefold() if letter.isalnum())


def _plain(text: str, key: str, longest: int) -> str:
    """One printable line: no escapes, controls, invisible letters or key, and at most `longest` characters."""
    text = _ESCAPES.sub("", text[:_LONGEST_TEXT])
    visible = (letter for letter in text if letter.isspace() or not unicodedata.category(letter).startswith("C"))
    line = " ".join("".join(visible).split())
    line = line.replace(key, "***") if len(key) >= _SHORTEST_SECRET else line
    return line if len(line) <= longest else f"{line[: longest - 1]}…"
