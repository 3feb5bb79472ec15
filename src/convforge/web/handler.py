"""One request to the explorer: checked in order, then answered from the page, by `api` or by `photo`."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any, Protocol
from urllib.parse import urlsplit

from convforge._version import __version__
from convforge.web import api, photo
from convforge.web.asked import BadRequestError

LARGEST_QUESTION = 64 << 10
LARGEST_PHOTO = 20 << 20
LARGEST_TARGET = 2 << 10
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


class File(Protocol):
    """A file of the page."""

    @property
    def kind(self) -> str:
        """Its media type."""
        ...

    @property
    def content(self) -> bytes:
        """All of it."""
        ...


class Server(Protocol):
    """What a request needs of the server."""

    silence_s: float
    hosts: frozenset[str]

    @property
    def files(self) -> Mapping[str, File]:
        """The page's files by path."""
        ...

    def received(self, request: socket.socket) -> None:
        """The request has come in whole."""
        ...


class Handler(BaseHTTPRequestHandler):
    """One request. Checked in the order: host, origin, method, path, length, body."""

    server: Server  # pyright: ignore[reportIncompatibleVariableOverride]
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
