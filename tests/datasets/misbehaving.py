"""A server on loopback that misbehaves on request, and pictures to serve."""

from __future__ import annotations

import contextlib
import io
import socket
import struct
import threading
import time
import zipfile
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pandas as pd
from PIL import Image

from sluguq.datasets.registry import Entry, load_registry


def picture(seed: int = 0, size: tuple[int, int] = (48, 40), kind: str = "JPEG") -> bytes:
    """The bytes of a picture with smooth, seeded content."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(out, kind)
    return out.getvalue()


class Server:
    """Files to serve, and for each path a list of misdeeds, one used up by each request.

    Misdeeds: a status as a number (`404`), `429 <Retry-After>`, `cut` (half of what was promised), `drip`, `slow`
    (to answer), `html`, `redirect <path>`, `no-range` (answers a range with the whole), `wrong` (other bytes of equal
    length), `changed` (a new ETag), `no-length`, `chunked`, `chunked-cut` (the last chunk never comes), `reset` (the
    connection is torn down half-way).
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.misdeeds: dict[str, list[str]] = defaultdict(list)
        self.always: dict[str, str] = {}
        self.headers: dict[str, dict[str, str]] = defaultdict(dict)
        self.requests: list[tuple[str, dict[str, str], float]] = []
        self.sent: dict[str, int] = defaultdict(int)
        self.running = 0
        self.most_running = 0
        self.lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"owner": self})
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.http.daemon_threads = True
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self.http.server_address[1]}"

    def asked(self, path: str) -> int:
        return sum(1 for asked, _, _ in self.requests if asked == path)


class _Handler(BaseHTTPRequestHandler):
    owner: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        server = self.owner
        path = self.path
        with server.lock:
            server.requests.append((path, dict(self.headers), time.monotonic()))
            server.running += 1
            server.most_running = max(server.most_running, server.running)
            misdeed = server.misdeeds[path].pop(0) if server.misdeeds[path] else server.always.get(path, "")
        if misdeed == "slow":
            time.sleep(0.1)
        # Before the answer goes out: whoever has read its end may ask again before this thread runs on.
        with server.lock:
            server.running -= 1
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._answer(path, misdeed)

    def _answer(self, path: str, misdeed: str) -> None:
        server = self.owner
        body = server.files.get(path.partition("?")[0])
        word, _, argument = misdeed.partition(" ")
        if word == "redirect":
            return self._send(302, b"", {"Location": argument})
        if word.isdigit():
            return self._send(int(word), b"no", {"Retry-After": argument} if argument else {})
        if word == "html":
            return self._send(200, b"<!DOCTYPE html><html>gone</html>", {"Content-Type": "image/jpeg"})
        if body is None:
            return self._send(404, b"no such file", {})
        if word == "wrong":
            body = bytes(reversed(body))
        headers = {"ETag": f'"{hash(body) if word != "changed" else "new"}"', **server.headers[path]}
        status, start = 200, 0
        asked = self.headers.get("Range", "")
        if asked and word != "no-range" and self.headers.get("If-Range") == headers.get("ETag"):
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= len(body):
                return self._send(416, b"", {})
            status, headers["Content-Range"] = 206, f"bytes {start}-{len(body) - 1}/{len(body)}"
        self._send(status, body[start:], headers, word)

    def _send(self, status: int, body: bytes, headers: dict[str, str], misdeed: str = "") -> None:
        self.send_response(status)
        for name, value in headers.items():
            if value:
                self.send_header(name, value)
        if misdeed.startswith("chunked"):
            self.send_header("Transfer-Encoding", "chunked")
        elif misdeed != "no-length":
            self.send_header("Content-Length", str(len(body)))
        else:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        if misdeed == "cut":
            body = body[: len(body) // 2]
            self.close_connection = True
        if misdeed.startswith("chunked"):
            half = len(body) // 2
            for part in (body[:half], body[half:], b"")[: 1 if misdeed == "chunked-cut" else 3]:
                self.wfile.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
            self.close_connection = True
            return
        if misdeed == "reset":
            self.wfile.write(body[: len(body) // 2])
            # No lingering: what is not sent yet is dropped, and the other side sees a reset.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            return
        if misdeed == "drip":
            for position in range(len(body)):
                self.wfile.write(body[position : position + 1])
                self.wfile.flush()
                time.sleep(0.05)
        # Counted first: the other side may have read all and gone on before this thread runs again.
        with self.owner.lock:
            self.owner.sent[self.path] += len(body)
        self.wfile.write(body)


def mirrored(server: Server) -> dict[str, Entry]:
    """The packaged registry with every address on the server, as `/<data set>/<file key>`, and no checksums."""
    registry = {}
    for name, entry in load_registry().items():
        moved = {
            key: file.model_copy(update={"url": f"{server.root}/{name}/{key}", "sha256": None})
            for key, file in entry.files.items()
        }
        registry[name] = entry.model_copy(update={"files": moved})
    return registry


def table(rows: list[dict[str, object]]) -> bytes:
    """Rows as a csv."""
    return pd.DataFrame(rows).to_csv(index=False).encode()


def zipped(members: dict[str, bytes]) -> bytes:
    """Members as a zip file."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()
