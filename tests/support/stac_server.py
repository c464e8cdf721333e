"""A STAC API on this machine: landing page, conformance, search with paging by POST, and files with range requests.

Follows STAC API 1.0.0 (core, item-search, query extension) and RFC 9110 (ranges).
"""

import json
import re
import threading
import time
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import shapely

CONFORMS = (
    "https://api.stacspec.org/v1.0.0/core",
    "https://api.stacspec.org/v1.0.0/item-search",
    "https://api.stacspec.org/v1.0.0/item-search#query",
)


class StacServer(ThreadingHTTPServer):
    """Serves the files of a folder and searches the items among them.

    Attributes:
        folder: What is served under /files/.
        page: Items on a page of answers.
        faults: Path to statuses that are answered first, one a request; `cut` answers half of the bytes.
        always: Path to a status that is always answered; in place of a status also (status, body).
        asked: How often each path was asked for.
        bodies: Bodies of the searches.
        conforms: Conformance classes.
        delay_s: How long each answer waits.
        most_at_once: Most requests that waited at the same time.
    """

    daemon_threads = True

    def __init__(self, folder):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder, self.page, self.faults, self.always = folder, 2, {}, {}
        self.asked, self.bodies, self.conforms = Counter(), [], CONFORMS
        self.delay_s, self.waiting, self.most_at_once = 0.0, [], 0

    @property
    def root(self):
        return f"http://127.0.0.1:{self.server_port}"

    def items(self):
        documents = (json.loads(path.read_text()) for path in sorted(self.folder.rglob("*.json")))
        return [document for document in documents if document.get("type") == "Feature"]


@contextmanager
def served(folder):
    server = StacServer(folder)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one piece: else every answer waits 40 ms for an acknowledgement
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self._get()

    def do_GET(self):
        self._get()

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self._fault():
            self._json(self._search(body))

    def _get(self):
        self.server.waiting.append(self)
        self.server.most_at_once = max(self.server.most_at_once, len(self.server.waiting))
        time.sleep(self.server.delay_s)
        self.server.waiting.remove(self)
        if self._fault():
            return
        if self.path == "/":
            self._json(self._landing())
        elif self.path.startswith("/files/"):
            self._file(self.server.folder / self.path.removeprefix("/files/"))
        else:
            self._answer(404, b"not here")

    def _fault(self):
        """Answer as the test wants it to go wrong."""
        self.server.asked[self.path] += 1
        waiting = self.server.faults.get(self.path, [])
        status = waiting.pop(0) if waiting else self.server.always.get(self.path)
        if status in (None, "cut"):
            return False
        self._answer(*(status if isinstance(status, tuple) else (status, b"as the test asked")))
        return True

    def _landing(self):
        root = self.server.root
        return {
            "type": "Catalog",
            "stac_version": "1.0.0",
            "id": "local",
            "description": "of a test",
            "conformsTo": list(self.server.conforms),
            "links": [
                {"rel": "self", "href": root, "type": "application/json"},
                {"rel": "root", "href": root, "type": "application/json"},
                {"rel": "search", "href": f"{root}/search", "type": "application/geo+json", "method": "POST"},
            ],
        }

    def _search(self, body):
        self.server.bodies.append(body)
        found = [item for item in self.server.items() if _matches(item, body)]
        start = int(body.get("token", "0"))
        end = start + self.server.page
        links = [{"rel": "root", "href": self.server.root}]
        if end < len(found):
            links.append(
                {
                    "rel": "next",
                    "href": f"{self.server.root}/search",
                    "method": "POST",
                    "body": body | {"token": str(end)},
                }
            )
        return {"type": "FeatureCollection", "features": found[start:end], "links": links}

    def _json(self, document):
        self._answer(200, json.dumps(document).encode(), kind="application/geo+json")

    def _file(self, path):
        if not path.is_file():
            return self._answer(404, b"not here")
        content = path.read_bytes()
        if self.server.always.get(self.path) == "cut":
            content = content[: len(content) // 2]
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not asked:
            return self._answer(200, content, {"Accept-Ranges": "bytes"})
        first, last = int(asked[1]), min(int(asked[2] or len(content)), len(content) - 1)
        if first >= len(content):
            return self._answer(416, b"", {"Content-Range": f"bytes */{len(content)}"})
        return self._answer(206, content[first : last + 1], {"Content-Range": f"bytes {first}-{last}/{len(content)}"})

    def _answer(self, status, content, headers=None, kind="application/octet-stream"):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
        self.wfile.flush()


def _matches(item, body):
    if item["collection"] not in body.get("collections", [item["collection"]]):
        return False
    shape = shapely.geometry.shape(item["geometry"])
    if "bbox" in body and not shape.intersects(shapely.box(*body["bbox"])):
        return False
    if "intersects" in body and not shape.intersects(shapely.geometry.shape(body["intersects"])):
        return False
    start, _, end = body.get("datetime", "../..").partition("/")
    when = item["properties"]["datetime"]
    if (start not in ("", "..") and when < start) or (end not in ("", "..") and when > end):
        return False
    limit = body.get("query", {}).get("eo:cloud_cover", {}).get("lte")
    return limit is None or item["properties"]["eo:cloud_cover"] <= limit
