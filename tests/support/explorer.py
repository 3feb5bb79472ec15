"""A running explorer, and bytes sent to it without a client in between that would mend them."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

from convforge.web import Explorer

CHROMIUM = "/usr/bin/chromium"
CHROMIUM_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextlib.contextmanager
def serving(**options: Any) -> Iterator[Explorer]:
    """An explorer that answers until the block ends."""
    with Explorer(**options) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def sent(server: Explorer, *parts: bytes, timeout: float = 10) -> bytes:
    """Everything that comes back for these bytes until the server closes."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=timeout) as connection:
        for part in parts:
            connection.sendall(part)
        found = b""
        while part := connection.recv(1 << 16):
            found += part
        return found


def status_of(answer: bytes) -> int:
    """The status of an HTTP answer."""
    return int(answer.split(b" ", 2)[1])


def body_of(answer: bytes) -> bytes:
    """What follows the headers."""
    return answer.partition(b"\r\n\r\n")[2]


def asked(server: Explorer, path: str, question: Any, **headers: str) -> tuple[int, Any]:
    """(status, JSON) of a question as the page asks it."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    body = question if isinstance(question, bytes) else json.dumps(question).encode()
    connection.request("POST", path, body, {"Content-Type": "application/json", **headers})
    response = connection.getresponse()
    answer = json.loads(response.read())
    connection.close()
    return response.status, answer


def why_no_browser() -> str | None:
    """Why there is no browser to test the page in, and how to mend it; None where there is one."""
    import importlib.util
    import pathlib

    if importlib.util.find_spec("playwright") is None:
        return "no Playwright: pip install playwright"
    if not pathlib.Path(CHROMIUM).exists():
        return "no Chromium: apt-get install chromium"
    return None
