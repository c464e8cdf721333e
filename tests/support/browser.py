"""Chromium on the page of a real server: what it draws, pixel by pixel, and what it must not do meanwhile."""

import os
import re
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.support.running import Served, children_of

CHROMIUM = shutil.which("chromium")
DESKTOP = {"width": 1360, "height": 860}
_PATIENCE_MS = 120_000
_WITHIN_TAB = ("data:", "blob:", "about:")

expect.set_options(timeout=_PATIENCE_MS)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's Chromium; tests are skipped where it is not installed."""
    if CHROMIUM is None:
        pytest.skip("there is no `chromium` on the PATH: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"], timeout=2 * _PATIENCE_MS
        )
        yield browser
        browser.close()


@dataclass
class Visits:
    """Opens pages of a server and notes what goes wrong on them.

    Attributes:
        refused: Statuses of 400 and more that the server may answer.
        wrong: Errors on the console, requests to other hosts, dialogs, refusals that were not expected.
        posted: Paths that were posted to.
    """

    browser: Browser
    served: Served
    refused: set[int] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)
    posted: list[str] = field(default_factory=list)
    contexts: list[BrowserContext] = field(default_factory=list)

    @property
    def origin(self) -> str:
        return f"http://{self.served.host}/"

    def __call__(self, address: str = "", **context: Any) -> Page:
        """A page in a fresh context: nothing is remembered of others. Nothing moves, so that pixels are final."""
        made = self.browser.new_context(**{"viewport": DESKTOP, "reduced_motion": "reduce", **context})
        self.contexts.append(made)
        return self.tab(made, address)

    def tab(self, context: BrowserContext, address: str = "") -> Page:
        """One more page in a context."""
        page = context.new_page()
        page.set_default_timeout(_PATIENCE_MS)
        self._watch(page)
        page.goto(self.origin + address)
        return page

    def _watch(self, page: Page) -> None:
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.wrong.append(f"error {error}"))
        page.on("request", self._on_request)
        page.on("response", self._on_response)
        page.on("dialog", lambda dialog: (self.wrong.append(f"dialog {dialog.message}"), dialog.dismiss()))

    def _on_console(self, message: Any) -> None:
        # Chromium says of every refusal that it failed to load; which refusals there may be is checked by status.
        if message.type in {"error", "warning"} and "Failed to load resource: the server" not in message.text:
            self.wrong.append(f"console {message.text}")

    def _on_request(self, request: Any) -> None:
        if not request.url.startswith((self.origin, *_WITHIN_TAB)):
            self.wrong.append(f"request to {request.url}")
        if request.method == "POST":
            self.posted.append(request.url.removeprefix(self.origin))

    def _on_response(self, response: Any) -> None:
        if response.status >= 400 and response.status not in self.refused:
            self.wrong.append(f"{response.status} for {response.url}")


@contextmanager
def visiting(browser: Browser, served: Served) -> Iterator[Visits]:
    """Visits to a server; nothing may have gone wrong on them."""
    visits = Visits(browser, served)
    try:
        yield visits
    finally:
        for context in visits.contexts:
            context.close()
    assert visits.wrong == []


# --- files and jobs ---


def choose(page: Page, *files: Any) -> None:
    """Give files to the file button."""
    expect(page.locator("#new-map")).to_be_visible()
    page.locator("#file").set_input_files(files)


def drop(page: Page, *files: Path) -> None:
    """Drag files over the middle of the window and let go, as a hand does."""
    expect(page.locator("#new-map")).to_be_visible()
    session = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(file) for file in files], "dragOperationsMask": 1}
    for step in ("dragEnter", "dragOver"):
        session.send("Input.dispatchDragEvent", {"type": step, "x": 600, "y": 400, "data": data})
    expect(page.locator("#drop-overlay")).to_be_visible()
    session.send("Input.dispatchDragEvent", {"type": "drop", "x": 600, "y": 400, "data": data})
    expect(page.locator("#drop-overlay")).to_be_hidden()


def job_of(page: Page) -> str:
    """Id of the job that the address names, once it does."""
    expect(page).to_have_url(re.compile(r"#job="))
    return page.url.partition("#job=")[2].partition("&")[0]


def map_shown(page: Page, title: str) -> None:
    """Wait for a map and all of its tiles."""
    expect(page.locator("#map-title")).to_have_text(title)
    settle(page)


def settle(page: Page) -> None:
    """Wait until all tiles are drawn."""
    expect(page.locator("#map .leaflet-tile-loaded").first).to_be_attached()
    expect(page.locator("#map .leaflet-tile:not(.leaflet-tile-loaded)")).to_have_count(0)


class Still:
    """The process of the next job, to be stopped and let go on; made before the job is."""

    def __init__(self, served: Served) -> None:
        self._served, self._known = served, children_of(served.pid)
        self._held: set[int] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.go_on()

    def stop(self) -> None:
        """As soon as the job's process is there."""
        until = time.monotonic() + _PATIENCE_MS / 1000
        while not (new := children_of(self._served.pid) - self._known):
            assert time.monotonic() < until, "no job has started"
            time.sleep(0.01)
        self._held = new
        self._signal(signal.SIGSTOP)

    def stop_halfway(self, job: str) -> int:
        """In the middle of the pixels; percents that are done."""
        state: dict[str, Any] = {"stage": "", "done": 0}
        while not (state["stage"] == "classifying" and state["done"]):
            time.sleep(0.02)
            state = self._served.get(f"/jobs/{job}").json
            assert state["state"] in {"queued", "running"}, state
        self.stop()
        state = self._served.get(f"/jobs/{job}").json
        assert state["stage"] == "classifying", state
        assert state["done"] < state["total"], "the scene is too small to be stopped in its middle"
        return int(100 * state["done"] / state["total"])

    def go_on(self) -> None:
        self._signal(signal.SIGCONT)
        self._held = set()

    def _signal(self, which: signal.Signals) -> None:
        for pid in self._held:
            with suppress(ProcessLookupError):
                os.kill(pid, which)


# --- who sees little, or nothing ---

_CONTRAST = """() => {
    const numbers = (color) => color.match(/[\\d.]+/g).map(Number);
    const light = (rgb) => rgb.slice(0, 3).map((one) => one / 255).map((one) => (one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4))
        .reduce((sum, one, at) => sum + one * [0.2126, 0.7152, 0.0722][at], 0);
    const ground = (element) => {
        for (let each = element; each; each = each.parentElement) {
            const color = numbers(getComputedStyle(each).backgroundColor);
            if (color.length === 3 || color[3] === 1) return color;
        }
        return [255, 255, 255];
    };
    const found = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const element = walker.currentNode.parentElement, text = walker.currentNode.textContent.trim();
        if (!text || !element.checkVisibility() || element.closest("script, noscript, .unseen, #drop-overlay, :disabled")) continue;
        const [one, other] = [light(numbers(getComputedStyle(element).color)), light(ground(element))].sort((a, b) => b - a);
        found.push([(one + 0.05) / (other + 0.05), text]);
    }
    return found.sort((a, b) => a[0] - b[0]);
}"""
_CONTROLS = {
    "button",
    "checkbox",
    "combobox",
    "link",
    "listbox",
    "progressbar",
    "radio",
    "slider",
    "spinbutton",
    "textbox",
}


def least_contrast(page: Page) -> float:
    """Of all text that is seen, against what it stands on."""
    found = page.evaluate(_CONTRAST)
    assert len(found) > 10
    return float(found[0][0])


def nameless(page: Page) -> list[str]:
    """Controls that a screen reader cannot name."""
    nodes = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    seen = [node for node in nodes if not node["ignored"] and node["role"]["value"].lower() in _CONTROLS]
    assert len(seen) > 3
    return [node["role"]["value"] for node in seen if not node.get("name", {}).get("value", "").strip()]
