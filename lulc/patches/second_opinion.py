"""A second opinion on a patch: a vision model behind an OpenAI-compatible address says which class it sees, and why.

A picture leaves the machine in `Adviser.ask` and nowhere else, and goes to the address that the user named: no proxy,
no variable of the environment and no redirect of the server sends it elsewhere. The key is read from the environment
when it is needed, kept in no attribute, and taken out of whatever a server says. What a server does wrong becomes the
`problem` of an `Opinion`: the network's own answer does not depend on it.
"""

import asyncio
import base64
import io
import ipaddress
import json
import math
import os
import re
import ssl
import unicodedata
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

import numpy as np
from numpy.typing import NDArray

from lulc.errors import UsageError

if TYPE_CHECKING:
    from openai import AsyncOpenAI

KEY_VARIABLES = ("LULC_ASK_KEY", "OPENAI_API_KEY")
"""Where the key is looked for, the first that is set."""

_NO_KEY = "none"
_SHORTEST_SECRET = 8
_LEAST_SIDE, _MOST_SIDE = 256, 2048
_RETRIES, _FIRST_PAUSE_S, _GRACE_S = 2, 0.5, 1.0
_PASSING = (408, 409, 429)
_SERVER_ERROR = 500
_MOST_BYTES, _MOST_ERROR_BYTES = 4 << 20, 64 << 10
_LONGEST_REASON, _LONGEST_TEXT, _LONGEST_DETAIL, _LONGEST_NAME = 500, 20_000, 200, 60
_KEPT_HEADERS = {"accept", "connection", "content-length", "content-type", "transfer-encoding", "user-agent"}
_CLASS_KEYS, _REASON_KEYS = ("class", "answer", "label", "category"), ("reason", "explanation", "rationale")

_ESCAPES = re.compile(r"(?:\x1b\]|\x9d)[^\x07\x1b\x9c]*(?:\x07|\x9c|\x1b\\)?|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|\x1b[ -/]*.?")
_THOUGHTS = re.compile(r"<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
_SPOKEN_CLASS = re.compile(r"""\bclass["'*]*\s*[:=]\s*["'*]*([^"'*\n,.;}]*)""", re.IGNORECASE)
_SPOKEN_REASON = re.compile(r"""\breason["'*]*\s*[:=]\s*["'*]*([^"\n]*)""", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Opinion:
    """What was said of a patch.

    Attributes:
        answer: One of the classes, spelled as they were given, or None.
        reason: Why, in the words of whom was asked: one line of at most 500 characters, or empty.
        problem: Why there is no answer, one line; empty when there is one.
    """

    answer: str | None
    reason: str = ""
    problem: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain form."""
        return {"class": self.answer, "reason": self.reason, "problem": self.problem}


class Adviser:
    """A vision model that is asked over HTTP. Nothing is sent before `ask`.

    Args:
        url: Address up to and with `/v1`, as `https://api.openai.com/v1` or `http://localhost:11434/v1`.
        model: Name of the model there.
        classes: The answers to choose from.
        timeout_s: Seconds for one answer, everything and all retries included.

    Raises:
        UsageError: The address is not one of HTTP, a host other than this one has no key, or openai is not installed.
    """

    def __init__(self, url: str, model: str, classes: Sequence[str], *, timeout_s: float = 60.0) -> None:
        parts = _address(url)
        self._url = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/').removesuffix('/chat/completions')}"
        self._place, self._local = parts.netloc, _is_loopback(parts.hostname or "")
        if not model.strip():
            raise UsageError("--ask-model is empty", "name a model of that server")
        if not (math.isfinite(timeout_s) and timeout_s > 0):
            raise UsageError(f"a time-out of {timeout_s:g} s", "give seconds above 0")
        self._model, self._classes, self._timeout_s = model.strip(), tuple(classes), timeout_s
        _key(self._place, local=self._local)
        try:
            import openai  # noqa: F401
        except ImportError:
            raise UsageError("--ask needs the package openai", "pip install 'lulc[ask]'") from None

    def ask(self, picture: NDArray[np.uint8]) -> Opinion:
        """Send a picture and wait for the answer, no longer than the time-out.

        Args:
            picture: Red, green and blue to look at, uint8 (height, width, 3).

        Raises:
            UsageError: The key is gone from the environment.
        """
        key = _key(self._place, local=self._local)
        png, factor = _png(picture)
        prompt = _prompt(self._classes, (picture.shape[0], picture.shape[1]), factor)
        outcome: SimpleQueue[tuple[str, str]] = SimpleQueue()

        def converse() -> None:
            outcome.put(asyncio.run(self._conversation(prompt, png, key)))

        # A thread of its own, since the caller may run a loop, and a resolver of names cannot be interrupted.
        Thread(target=converse, name="lulc-second-opinion", daemon=True).start()
        try:
            said, problem = outcome.get(timeout=self._timeout_s + _GRACE_S)
        except Empty:
            said, problem = "", self._late()
        found = Opinion(None, problem=problem) if problem else _understood(said, self._classes)
        return Opinion(
            answer=found.answer,
            reason=_plain(found.reason, key, _LONGEST_REASON),
            problem=_plain(found.problem, key, _LONGEST_REASON),
        )

    async def _conversation(self, prompt: str, png: str, key: str) -> tuple[str, str]:
        """What the model said, or an empty text and the problem."""
        from openai import APITimeoutError

        try:
            async with asyncio.timeout(self._timeout_s), self._client(key) as client:
                for attempt in range(_RETRIES + 1):
                    try:
                        return _read_completion(await self._request(client, prompt, png))
                    except Exception as error:
                        pause = _pause_s(error, attempt)
                        if pause is None or pause > self._timeout_s:
                            raise
                        await asyncio.sleep(pause)
        except (TimeoutError, APITimeoutError):
            return "", self._late()
        except Exception as error:  # noqa: BLE001 - a server can break HTTP, TLS and its encodings in any way
            return "", _complaint(error, self._place)
        raise AssertionError

    async def _request(self, client: "AsyncOpenAI", prompt: str, png: str) -> bytes:
        """Body of the reply, no larger than the limit."""
        async with client.chat.completions.with_streaming_response.create(
            model=self._model,
            messages=[
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": prompt},
                        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{png}"}},
                    ],
                }
            ],
        ) as response:
            body = await _beginning(response.iter_bytes(), _MOST_BYTES)
        if len(body) > _MOST_BYTES:
            raise _RefusedError(0, f"an answer larger than {_MOST_BYTES >> 20} MiB")
        return body

    def _client(self, key: str) -> "AsyncOpenAI":
        """A client that sees the address, the key and nothing of the environment."""
        from openai import AsyncOpenAI, DefaultAsyncHttpxClient

        async def tell_little(request: Any) -> None:  # noqa: ANN401 - of httpx or httpx2, as openai's version has it
            for name in set(request.headers) - _KEPT_HEADERS:
                del request.headers[name]
            request.headers["Host"] = request.url.netloc.decode("ascii")
            request.headers["Authorization"] = f"Bearer {key}"

        async def check(response: Any) -> None:  # noqa: ANN401
            if not response.is_success:
                body = await _beginning(response.aiter_bytes(), _MOST_ERROR_BYTES)
                moved = response.headers.get("Location", "") if response.is_redirect else ""
                raise _RefusedError(response.status_code, _detail(body, moved), response.headers.get("Retry-After", ""))

        own = os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR")
        http = DefaultAsyncHttpxClient(
            trust_env=False,
            verify=ssl.create_default_context() if own else True,
            follow_redirects=False,
            timeout=self._timeout_s,
            event_hooks={"request": [tell_little], "response": [check]},
        )
        return AsyncOpenAI(
            api_key=key, organization="", project="", base_url=self._url, max_retries=0, http_client=http
        )

    def _late(self) -> str:
        return f"timed out after {self._timeout_s:g} s"


class _RefusedError(Exception):
    """A reply that is no answer: its status (0 when it is not about that), what it says, and its Retry-After."""

    def __init__(self, status: int, detail: str, retry_after: str = "") -> None:
        super().__init__(detail)
        self.status, self.detail, self.retry_after = status, detail, retry_after


def _address(url: str) -> SplitResult:
    """Parts of an address; the address itself is in no message, since keys are pasted into wrong places."""
    remedy = "give an address like https://host/v1"
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("idna")
        _ = parts.port
    except ValueError:
        raise UsageError("--ask is not an address", remedy) from None
    if parts.scheme not in ("http", "https") or not host:
        raise UsageError("--ask is not an http:// or https:// address with a host", remedy)
    if "@" in parts.netloc:
        raise UsageError("--ask holds a user's name or password", f"put the key into {KEY_VARIABLES[0]}")
    if parts.query or parts.fragment or any(letter.isspace() or not letter.isprintable() for letter in url):
        raise UsageError("--ask holds blanks or what follows ? or #", remedy)
    return parts


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _key(place: str, *, local: bool) -> str:
    """The key of the environment; a harmless word for a server on this machine when there is none."""
    for variable in KEY_VARIABLES:
        key = os.environ.get(variable, "").strip()
        if key and not all("!" <= letter <= "~" for letter in key):
            raise UsageError(f"{variable} holds characters that no key has", "copy the key again")
        if key:
            return key
    if local:
        return _NO_KEY
    raise UsageError(f"no key for {place}", f"set {KEY_VARIABLES[0]} (to any word when that server needs none)")


def _png(picture: NDArray[np.uint8]) -> tuple[str, int]:
    """The picture, enlarged by a whole factor to 256 px or more a side, as PNG in base64; and the factor."""
    from PIL import Image

    height, width = picture.shape[:2]
    factor = max(1, min(math.ceil(_LEAST_SIDE / min(height, width)), _MOST_SIDE // max(height, width)))
    large = Image.fromarray(np.ascontiguousarray(picture)).resize(
        (width * factor, height * factor), Image.Resampling.BICUBIC
    )
    buffer = io.BytesIO()
    large.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode("ascii"), factor


def _prompt(classes: Sequence[str], shape: tuple[int, int], factor: int) -> str:
    size = f"{shape[0]} x {shape[1]} pixels" + (f", enlarged {factor} times" if factor > 1 else "")
    return (
        f"This is a patch of a Sentinel-2 satellite image, seen from above ({size}). Which one of these classes of "
        f"land use and land cover does it show: {json.dumps(list(classes), ensure_ascii=False)}? Answer with JSON "
        'alone: {"class": "<one of the classes, spelled as above>", "reason": "<why, in one sentence>"}'
    )


async def _beginning(chunks: AsyncIterator[bytes], most: int) -> bytes:
    """All of a body, or a little more than `most` bytes of a larger one."""
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > most:
            break
    return bytes(body)


def _pause_s(error: Exception, attempt: int) -> float | None:
    """Seconds to wait before the next attempt; None when another would not help."""
    refused = _refusal(error)
    if refused is None or attempt == _RETRIES or not (refused.status in _PASSING or refused.status >= _SERVER_ERROR):
        return None
    try:
        asked = float(refused.retry_after)
    except ValueError:
        asked = math.nan
    return asked if asked >= 0 else _FIRST_PAUSE_S * 2**attempt


def _refusal(error: BaseException) -> _RefusedError | None:
    return next((one for one in _causes(error) if isinstance(one, _RefusedError)), None)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error, and what lies below it."""
    below = [error]
    while below:
        one = below.pop()
        yield one
        below += one.exceptions if isinstance(one, BaseExceptionGroup) else ()
        below += [cause for cause in (one.__context__, one.__cause__) if cause is not None][-1:]


def _complaint(error: Exception, place: str) -> str:
    """What went wrong, in a line."""
    refused = _refusal(error)
    if refused is not None:
        return (f"HTTP {refused.status}: " if refused.status else "") + (refused.detail or "no reason given")
    if any(isinstance(one, ConnectionRefusedError) for one in _causes(error)):
        return f"connection refused by {place}"
    *_, first = (one for one in _causes(error) if str(one))
    return f"no answer from {place}: {str(first)[:_LONGEST_DETAIL]}"


def _detail(body: bytes, moved: str) -> str:
    """What a server says of its refusal."""
    if moved:
        return f"moved to {moved[:_LONGEST_DETAIL]}"
    said = _json(body)
    for key in ("error", "message", "detail"):
        said = said.get(key, said) if isinstance(said, dict) else said
    return said[:_LONGEST_DETAIL] if isinstance(said, str) else "does the address end in /v1?"


def _json(text: bytes | str) -> Any:  # noqa: ANN401 - whatever a server says
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _read_completion(body: bytes) -> tuple[str, str]:
    """Text of a chat completion, or an empty one and the problem."""
    completion = _json(body)
    if not isinstance(completion, dict):
        page = body.lstrip()[:1] == b"<"
        return "", "a web page instead of an answer: does the address end in /v1?" if page else "not an answer in JSON"
    if completion.get("error"):
        return "", f"the server says: {_detail(body, '')}"
    choices = completion.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or not isinstance(message, dict):
        return "", "empty answer"
    parts = message.get("content")
    parts = [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else [{"text": parts}]
    refusal = next((said for said in (one.get("refusal") for one in (message, *parts)) if said), None)
    if refusal or choice.get("finish_reason") == "content_filter":
        return "", f"refused: {str(refusal or 'content filter')[:_LONGEST_DETAIL]}"
    text = "".join(part["text"] for part in parts if isinstance(part.get("text"), str))
    if text.strip():
        return text, ""
    return "", "empty answer" + (", cut off by its limit of length" if choice.get("finish_reason") == "length" else "")
