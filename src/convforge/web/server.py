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
import json
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from pathlib import PurePath
from typing import Any
from urllib.parse import urlsplit

from convforge._version import __version__
from convforge.errors import ConvValueError
from convforge.web import api, photo
from convforge.web.asked import BadRequestError

KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
LARGEST_QUESTION = 64 << 10
LARGEST_PHOTO = 20 << 20
LARGEST_TARGET = 2 << 10
CONNECTIONS = 16
# A silent peer is let go after the first, a dripping one after the second; answers take as long as they take.
SILENCE_S, REQUEST_S = 10.0, 30.0
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


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
        super().__init__((host, port), Handler)
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


class Handler(BaseHTTPRequestHandler):
    """One request. Checked in the order: host, origin, method, path, length, body."""

    server: Explorer  # pyright: ignore[reportIncompatibleVariableOverride]
    server_version = f"convforge/{__version__}"
    sys_version = ""
    # Of a request line that is broken: else the base class would leave out every header of the refusal.
    default_request_version = "HTTP/1.0"

    def setup(self) -> None:
        """Gives up on a peer that is silent."""
        self.request.settimeout(self.server.silence_s)
        super().setup()

    def handle_one_request(self) -> None:
        """As the base class, and a peer that goes away in the middle ends quietly."""
        with contextlib.suppress(ConnectionError, TimeoutError):
            super().handle_one_request()

    def do_GET(self) -> None:
        """A file of the page."""
        self.guarded(self.send_file)

    def do_POST(self) -> None:
        """A question, or a photograph."""
        self.guarded(self.send_answer)

    def guarded(self, respond: Callable[[], None]) -> None:
        """Responds to what comes from our own page, and to nothing else."""
        try:
            reason = self.why_foreign()
            if reason:
                self.refuse(HTTPStatus.FORBIDDEN, reason)
            elif len(self.path) > LARGEST_TARGET:
                self.refuse(HTTPStatus.REQUEST_URI_TOO_LONG, f"more than {LARGEST_TARGET} characters")
            else:
                respond()
        except (ConnectionError, TimeoutError):
            raise
        except BadRequestError as error:
            self.refuse(HTTPStatus.BAD_REQUEST, str(error))
        except MemoryError:
            self.refuse(HTTPStatus.INTERNAL_SERVER_ERROR, "out of memory: use smaller sizes")
        except Exception as error:
            # Ours, not the user's: said, so that it is reported, and the server lives on.
            self.refuse(HTTPStatus.INTERNAL_SERVER_ERROR, f"{type(error).__name__}: {error}")

    def why_foreign(self) -> str | None:
        """Why the request does not come from our own page, or None."""
        hosts = self.headers.get_all("Host", [])
        if len(hosts) != 1 or hosts[0].strip().lower() not in self.server.hosts:
            return "Host is not this server: open the address that was printed"
        for origin in self.headers.get_all("Origin", []):
            scheme, _, host = origin.strip().lower().partition("://")
            if scheme != "http" or host not in self.server.hosts:
                return "Origin is another page"
        if self.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
            # A link from elsewhere may open the page itself, and nothing more.
            opens_page = self.command == "GET" and self.path.partition("?")[0] == "/"
            if not opens_page or self.headers.get("Sec-Fetch-Mode") != "navigate":
                return "the request comes from another site"
        return None

    def send_file(self) -> None:
        """GET: one of the page's own files."""
        path = urlsplit(self.path).path
        file = self.server.files.get(path)
        if file is not None:
            self.send(HTTPStatus.OK, file.kind, file.content)
        elif path in api.QUESTIONS or path == photo.PATH:
            self.refuse(HTTPStatus.METHOD_NOT_ALLOWED, "a question is asked with POST", Allow="POST")
        else:
            self.refuse(HTTPStatus.NOT_FOUND, "no such path")

    def send_answer(self) -> None:
        """POST: a question as JSON, or a photograph with its question in the query."""
        target = urlsplit(self.path)
        if target.path in api.QUESTIONS:
            body = self.body(LARGEST_QUESTION, "application/json")
            if body is not None:
                self.send_json(HTTPStatus.OK, api.answer(target.path, parsed(body)))
        elif target.path == photo.PATH:
            body = self.body(LARGEST_PHOTO, "application/octet-stream")
            if body is not None:
                self.send_json(HTTPStatus.OK, photo.answer(target.query, body))
        elif target.path in self.server.files:
            self.refuse(HTTPStatus.METHOD_NOT_ALLOWED, "a file is read with GET", Allow="GET")
        else:
            self.refuse(HTTPStatus.NOT_FOUND, "no such path")

    def body(self, most: int, kind: str) -> bytes | None:
        """The request's body, or None once it has been refused."""
        lengths = self.headers.get_all("Content-Length", [])
        if self.headers.get("Transfer-Encoding") or not lengths:
            self.refuse(HTTPStatus.LENGTH_REQUIRED, "send the body with a Content-Length, not in chunks")
            return None
        text = lengths[0].strip()
        if len(lengths) != 1 or not (text.isascii() and text.isdigit() and len(text) < 20):
            self.refuse(HTTPStatus.BAD_REQUEST, "Content-Length must be one whole number")
            return None
        if int(text) > most:
            self.refuse(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"{int(text) / 2**20:.1f} MB, more than {most / 2**20:g} MB: send less",
            )
            self.drain(int(text))
            return None
        # A form of another page cannot send these types without asking first, which is refused.
        if self.headers.get_content_type() != kind:
            self.refuse(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Content-Type must be {kind}")
            return None
        body = self.rfile.read(int(text))
        if len(body) < int(text):
            self.refuse(HTTPStatus.BAD_REQUEST, f"the body ends after {len(body)} of {text} bytes")
            return None
        self.server.received(self.connection)
        return body

    def drain(self, length: int) -> None:
        """Reads on a little after a refusal: a browser that is still sending shows no answer otherwise."""
        self.wfile.flush()
        left = min(length, 4 * LARGEST_PHOTO)
        until = time.monotonic() + 2
        while left > 0 and time.monotonic() < until:
            part = self.rfile.read(min(left, 1 << 16))
            if not part:
                return
            left -= len(part)

    def send_json(self, status: HTTPStatus, value: Any, **headers: str) -> None:
        """Answers with JSON."""
        content = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
        self.send(status, "application/json; charset=utf-8", content, **headers)

    def send(self, status: HTTPStatus, kind: str, content: bytes, **headers: str) -> None:
        """Answers, with the headers that keep the page to itself."""
        self.send_response(status)
        for name, value in {**HEADERS, **headers, "Content-Type": kind, "Connection": "close"}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def refuse(self, status: HTTPStatus, reason: str, **headers: str) -> None:
        """Answers {"error": reason}."""
        self.close_connection = True
        self.send_json(status, {"error": reason}, **headers)

    def send_error(self, code: int, *_: Any, **__: Any) -> None:
        """What the base class refuses: broken request lines, and methods that there is no do_… for.

        Its own words are left out: they repeat what was sent.
        """
        status = HTTPStatus(code)
        if status is HTTPStatus.NOT_IMPLEMENTED:
            self.refuse(HTTPStatus.METHOD_NOT_ALLOWED, "only GET and POST are taken", Allow="GET, POST")
        else:
            self.refuse(status, status.phrase.lower())

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing: the terminal belongs to whoever started the explorer."""


def parsed(body: bytes) -> Any:
    """The JSON in a body. Raises BadRequestError that says where it is broken."""
    try:
        return json.loads(body.decode(), parse_constant=_no_constant)
    except UnicodeDecodeError:
        raise BadRequestError("the body is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise BadRequestError(f"the body is not JSON: {error.msg} at character {error.pos + 1}") from None
    except (RecursionError, ValueError):
        raise BadRequestError("the body is not JSON: too deep, or a number too long") from None


def _no_constant(name: str) -> Any:
    raise BadRequestError(f"the body is not JSON: {name}")


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
