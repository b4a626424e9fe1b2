"""A plain HTTP server in this process that counts what is asked of it."""

from __future__ import annotations

import functools
import http.server
import time
from collections import Counter
from pathlib import Path


class Server(http.server.ThreadingHTTPServer):
    """Plain HTTP on loopback.

    Attributes:
        requests: how often each path was asked for.
        failures: statuses of the next answers; 0 breaks one off.
        pause_s: time before a shard is sent.
    """

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), functools.partial(_Handler, directory=str(folder)))
        self.requests: Counter[str] = Counter()
        self.authorizations: list[str | None] = []
        self.failures: list[int] = []
        self.pause_s = 0.0
        self.address = f"http://127.0.0.1:{self.server_port}"


class _Handler(http.server.SimpleHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.requests[self.path] += 1
        time.sleep(self.server.pause_s if self.path.endswith(".tar") else 0)
        self.server.authorizations.append(self.headers["Authorization"])
        if not self.server.failures:
            super().do_GET()
        elif status := self.server.failures.pop(0):
            self.send_error(status)
        else:
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"{")

    def log_message(self, *_: object) -> None:
        pass
