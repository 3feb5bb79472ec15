"""The explorer's server: standard library, loopback only, its own paths only, everything bounded.

    browser on this machine ──> Handler: host, origin, method, path, length ──> static table | api | photo

What is refused, and how: another address than loopback when it is made (ValueError); a foreign Host or
Origin 403 (so that no web page can reach it through a name of its own, which is DNS rebinding, or by a form);
a method that is neither GET nor POST 405; a path that is not in the table 404; a body without a length 411,
above its bound 413, slower than its deadline not at all; more than 16 connections at a time 503. Nothing is
ever written to disk.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import ThreadingHTTPServer
from importlib import resources
from pathlib import PurePath
from typing import Any

from convforge.errors import ConvValueError
from convforge.web import handler

KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
CONNECTIONS = 16
# A silent peer is let go after the first, a dripping one after the second; answers take as long as they take.
SILENCE_S, REQUEST_S = 10.0, 30.0


@dataclass(frozen=True, slots=True)
class File:
    """A file of the page, read when the server is made."""

    kind: str
    content: bytes


def static_files() -> dict[str, File]:
    """Every file of the page by its path: "/" and "/core.js". A request only ever looks into this table."""
    table = {
        f"/{entry.name}": File(KINDS[PurePath(entry.name).suffix], entry.read_bytes())
        for entry in resources.files("convforge.web").joinpath("static").iterdir()
        if PurePath(entry.name).suffix in KINDS
    }
    table["/"] = table.pop("/index.html")
    return table


class Explorer(ThreadingHTTPServer):
    """The server, bound and listening once made; `serve_forever` answers until `shutdown`.

        with Explorer() as server:
            print(server.url)               # http://127.0.0.1:54321/
            server.serve_forever()

    port: 0 takes a free one. host: a loopback address; any other raises ValueError.
    silence_s, request_s: how long a peer may be silent, and how long it may take to send a request.
    """

    daemon_threads = True
    # Ctrl-C ends it at once: no answer is worth waiting for, as nothing is written.
    block_on_close = False
    request_queue_size = 2 * CONNECTIONS

    def __init__(
        self,
        port: int = 0,
        *,
        host: str = "127.0.0.1",
        silence_s: float = SILENCE_S,
        request_s: float = REQUEST_S,
    ) -> None:
        try:
            loopback = ipaddress.ip_address(host).is_loopback
        except ValueError:
            loopback = False
        if not loopback:
            raise ConvValueError(
                f"host (={host!r}) must be a loopback address, as anyone who reaches the page can use this "
                "machine's processor: use host='127.0.0.1'"
            )
        if not 0 <= port <= 65535:
            raise ConvValueError(f"port (={port}) must be from 0 to 65535: use port=0 for a free one")
        if ":" in host:
            self.address_family = socket.AF_INET6
        self.silence_s = silence_s
        self.request_s = request_s
        self.files = static_files()
        self._free = threading.BoundedSemaphore(CONNECTIONS)
        self._deadlines: dict[socket.socket, float] = {}
        self._lock = threading.Lock()
        super().__init__((host, port), handler.Handler)
        self.port = int(self.server_address[1])
        names = ("127.0.0.1", "localhost", "[::1]")
        self.hosts = frozenset(f"{name}:{self.port}" for name in names) | (
            frozenset(names) if self.port == 80 else frozenset[str]()
        )
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{self.port}/"

    def server_bind(self) -> None:
        """Binds without asking the resolver for this machine's name, which can take seconds."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        """A thread for the connection, if there are not too many already."""
        if not self._free.acquire(blocking=False):
            with contextlib.suppress(OSError):
                request.settimeout(1)
                request.sendall(
                    b"HTTP/1.0 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"
                )
            self.shutdown_request(request)
            return
        with self._lock:
            self._deadlines[request] = time.monotonic() + self.request_s
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answers, and makes room for the next connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.received(request)
            self._free.release()

    def received(self, request: socket.socket) -> None:
        """The request has come in whole: its deadline is met."""
        with self._lock:
            self._deadlines.pop(request, None)

    def service_actions(self) -> None:
        """Cuts off connections that have been sending for too long; called twice a second."""
        now = time.monotonic()
        with self._lock:
            late = [request for request, deadline in self._deadlines.items() if deadline < now]
            for request in late:
                del self._deadlines[request]
                with contextlib.suppress(OSError):
                    request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A peer that goes away is no error; anything else was answered with 500 already."""


def open_explorer(port: int = 0, *, browser: bool = True, say: Callable[[str], None] = print) -> None:
    """Serves the explorer until Ctrl-C, and opens it in the browser.

    Raises ConvValueError for a port out of range, OSError for one that is taken.
    """
    import webbrowser

    from convforge import runtime

    # The explorer keeps nothing: kernels of photographs live as long as it does.
    runtime.set_cache_dir(None)
    with Explorer(port) as server:
        say(server.url)
        if browser:
            webbrowser.open(server.url)
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()
