"""The explorer's server from outside, byte by byte: what it takes, what it refuses, and that it stays up."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from convforge.web import Explorer, handler, server as server_module
from convforge.web.api import QUESTIONS
from support.explorer import asked, body_of, sent, serving, status_of

STATIC = Path(server_module.__file__).parent / "static"
LAYER = {"layer": "Conv2d(1, 1, 3)", "input_size": [5, 5]}


@pytest.fixture(scope="module")
def server() -> Iterator[Explorer]:
    with serving() as running:
        yield running


def get(server: Explorer, path: str, *headers: str, method: str = "GET", host: str | None = None) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host or f'127.0.0.1:{server.port}'}", *headers, "", ""]
    return sent(server, "\r\n".join(lines).encode("latin-1"))


def post(server: Explorer, path: str, body: bytes, *headers: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", f"Host: localhost:{server.port}", *headers, "", ""]
    return sent(server, "\r\n".join(lines).encode(), body)


JSON = "Content-Type: application/json"


def test_every_file_of_the_page_is_served(server: Explorer) -> None:
    names = {path.name for path in STATIC.iterdir()}
    assert {"index.html", "main.js", "core.js", "style.css"} <= names
    for name in names - {"index.html"}:
        answer = get(server, f"/{name}")
        assert status_of(answer) == 200
        assert body_of(answer) == (STATIC / name).read_bytes()
    assert body_of(get(server, "/?seen=before")) == (STATIC / "index.html").read_bytes()


def test_the_page_is_small_and_fetches_nothing_from_elsewhere() -> None:
    assert sum(path.stat().st_size for path in STATIC.iterdir()) < 300_000
    for path in STATIC.iterdir():
        addresses = set(re.findall(r"(?:https?:)?//[\w.-]+\.\w+[^\s\"')]*", path.read_text("utf-8")))
        assert addresses <= {"http://www.w3.org/2000/svg"}, path.name


def test_every_answer_keeps_the_page_to_itself(server: Explorer) -> None:
    for answer in (get(server, "/"), get(server, "/nothing"), post(server, "/api/trace", b"", JSON)):
        head = answer.partition(b"\r\n\r\n")[0].decode()
        assert "Content-Security-Policy: default-src 'self'" in head
        assert "frame-ancestors 'none'" in head
        assert "X-Content-Type-Options: nosniff" in head
        assert "Cache-Control: no-store" in head
        assert "Access-Control-Allow" not in head
        assert "Python" not in head


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/static/",
        "/../server.py",
        "/..%2fserver.py",
        "/%2e%2e/server.py",
        "//etc/passwd",
        "/core.js/",
        "/./core.js",
        "/core.js%00",
        "/index.html",
        "/api",
        "/api/",
        "/api/trace/",
        "http://127.0.0.1/../../etc/passwd",
    ],
)
def test_other_paths_are_not_there(server: Explorer, path: str) -> None:
    answer = get(server, path)
    assert status_of(answer) == 404
    assert json.loads(body_of(answer)) == {"error": "no such path"}
    answer = post(server, path, b"{}", JSON, "Content-Length: 2")
    assert status_of(answer) == 404


@pytest.mark.parametrize(
    "host",
    ["example.com", "127.0.0.1", "localhost:1", "127.0.0.1.example.com:{port}", "evil:{port}", "", "[::1"],
)
def test_a_foreign_host_is_refused(server: Explorer, host: str) -> None:
    lines = ["GET / HTTP/1.1", f"Host: {host.format(port=server.port)}", "", ""]
    assert status_of(sent(server, "\r\n".join(lines).encode())) == 403


def test_own_hosts_are_taken_and_two_or_none_refused(server: Explorer) -> None:
    for host in ("127.0.0.1", "localhost", "LOCALHOST", "[::1]"):
        assert status_of(get(server, "/", host=f"{host}:{server.port}")) == 200
    assert status_of(sent(server, b"GET / HTTP/1.1\r\n\r\n")) == 403
    assert status_of(get(server, "/", f"Host: 127.0.0.1:{server.port}")) == 403


@pytest.mark.parametrize(
    "header",
    [
        "Origin: https://example.com",
        "Origin: null",
        "Origin: http://localhost:1",
        "Origin: https://127.0.0.1:{port}",
        "Origin: http://127.0.0.1:{port}.example.com",
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Site: same-site",
    ],
)
def test_another_pages_requests_are_refused(server: Explorer, header: str) -> None:
    header = header.format(port=server.port)
    body = json.dumps(LAYER).encode()
    answer = post(server, "/api/trace", body, JSON, f"Content-Length: {len(body)}", header)
    assert status_of(answer) == 403
    assert status_of(get(server, "/core.js", header)) == 403


def test_a_link_from_elsewhere_opens_the_page_and_nothing_else(server: Explorer) -> None:
    link = ("Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate")
    assert status_of(get(server, "/", *link)) == 200
    assert status_of(get(server, "/core.js", *link)) == 403
    assert status_of(get(server, "/", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors")) == 403


def test_its_own_origin_is_taken(server: Explorer) -> None:
    origin = {"Origin": f"http://127.0.0.1:{server.port}", "Sec-Fetch-Site": "same-origin"}
    assert asked(server, "/api/trace", LAYER, **origin)[0] == 200


@pytest.mark.parametrize(
    "method", ["PUT", "DELETE", "OPTIONS", "TRACE", "HEAD", "PATCH", "CONNECT", "get", "X"]
)
def test_other_methods_are_refused(server: Explorer, method: str) -> None:
    answer = get(server, "/", method=method)
    assert status_of(answer) == 405
    assert b"Allow: GET, POST" in answer


def test_a_file_is_read_and_a_question_is_posted(server: Explorer) -> None:
    assert status_of(post(server, "/core.js", b"", JSON, "Content-Length: 0")) == 405
    for path in (*QUESTIONS, "/api/apply"):
        assert status_of(get(server, path)) == 405


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ((), 411),
        (("Transfer-Encoding: chunked",), 411),
        (("Transfer-Encoding: chunked", "Content-Length: 2"), 411),
        (("Content-Length: 2", "Content-Length: 3"), 400),
        (("Content-Length: -1",), 400),
        (("Content-Length: +2",), 400),
        (("Content-Length: 2.0",), 400),
        (("Content-Length: ²",), 400),
        (("Content-Length: 99999999999999999999999",), 400),
        (("Content-Length: 65537",), 413),
    ],
)
def test_a_body_has_one_bounded_length(server: Explorer, headers: tuple[str, ...], status: int) -> None:
    lines = ["POST /api/trace HTTP/1.1", f"Host: localhost:{server.port}", JSON, *headers, "", ""]
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall("\r\n".join(lines).encode("utf-8"))
        assert status_of(connection.recv(1 << 16)) == status


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_what_a_form_could_send_is_refused(server: Explorer, kind: str) -> None:
    assert status_of(post(server, "/api/trace", b"{}", f"Content-Type: {kind}", "Content-Length: 2")) == 415


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON: .* at character 2"),
        (b"[" * 30_000, "too deep"),
        (b'{"layer": NaN}', "NaN"),
        (b"\xff\xfe", "not UTF-8"),
        (b"[]", "must be a JSON object"),
        (b'"text"', "must be a JSON object"),
        (b"{}", "layer must be"),
        (b'{"layer": 3}', "layer must be"),
        (b'{"layer": {"rank": 4}}', "rank must be 1, 2 or 3"),
        (b'{"layer": {"rank": true, "transposed": false}}', "rank must be"),
        (b'{"layer": {"rank": 1, "transposed": 0}}', "transposed must be"),
        (b'{"layer": {"rank": 1, "transposed": false, "evil": 1}}', "evil is no parameter"),
        (b'{"layer": {"rank": 1, "transposed": false}}', "in_channels is missing"),
        (b'{"layer": "Conv1d(1, 1, 1)"}', "input_size must be a list"),
        (b'{"layer": "Conv1d(1, 1, 1)", "input_size": [3, 3]}', "input_size must be a list of 1"),
        (b'{"layer": "Conv1d(1, 1, 1)", "input_size": [3], "numbers": []}', "numbers must be"),
        (b"1" * 60_000, "too deep, or a number too long"),
    ],
)
def test_a_broken_question_is_told_why(server: Explorer, body: bytes, reason: str) -> None:
    answer = post(server, "/api/trace", body, JSON, f"Content-Length: {len(body)}")
    assert status_of(answer) == 400
    assert re.search(reason, json.loads(body_of(answer))["error"])


@pytest.mark.parametrize(
    "line",
    [
        b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n",
        b"GET / " + b"x" * 70_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n",
    ],
)
def test_broken_requests_do_not_break_it(server: Explorer, line: bytes) -> None:
    answer = sent(server, line)
    # Nothing at all may be sent for an empty line.
    assert not answer or 400 <= status_of(answer) < 506
    assert status_of(get(server, "/")) == 200


def test_a_long_address_is_refused(server: Explorer) -> None:
    assert status_of(get(server, f"/?{'x' * 3000}")) == 414


def test_too_large_a_photograph_is_refused_with_the_reason(server: Explorer) -> None:
    length = handler.LARGEST_PHOTO + 1
    head = (
        f"POST /api/apply?question={{}} HTTP/1.1\r\nHost: localhost:{server.port}\r\n"
        f"Content-Type: application/octet-stream\r\nContent-Length: {length}\r\n\r\n"
    )
    answer = sent(server, head.encode(), b"x" * length)
    assert status_of(answer) == 413
    assert "more than 20 MB" in json.loads(body_of(answer))["error"]


def test_a_body_cut_short_is_refused(server: Explorer) -> None:
    head = f"POST /api/trace HTTP/1.1\r\nHost: localhost:{server.port}\r\n{JSON}\r\nContent-Length: 9\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(head.encode() + b"{}")
        connection.shutdown(socket.SHUT_WR)
        assert status_of(connection.recv(1 << 16)) == 400


def drip(connection: socket.socket) -> None:
    """A byte each 50 ms is never silent, and would take 20 s."""
    for _ in range(400):
        connection.sendall(b"x")
        time.sleep(0.05)


def test_silent_and_dripping_peers_are_cut_off() -> None:
    with serving(silence_s=0.3, request_s=0.8) as server:
        silent = socket.create_connection(("127.0.0.1", server.port), timeout=20)
        assert silent.recv(1) == b""
        dripping = socket.create_connection(("127.0.0.1", server.port), timeout=20)
        with pytest.raises(OSError, match=r"reset|[Bb]roken pipe|aborted"):
            drip(dripping)
        for connection in (silent, dripping):
            connection.close()
        assert status_of(get(server, "/")) == 200


def test_so_many_connections_and_no_more() -> None:
    with serving(silence_s=5) as server:
        address = ("127.0.0.1", server.port)
        held = [socket.create_connection(address, timeout=10) for _ in range(server_module.CONNECTIONS)]
        time.sleep(0.3)
        with socket.create_connection(address, timeout=10) as one_more:
            assert status_of(one_more.recv(1 << 10)) == 503
        for connection in held:
            connection.close()
        deadline = time.monotonic() + 10
        while True:  # the closed ones make room as their threads see it
            with socket.create_connection(address, timeout=10) as connection:
                connection.sendall(f"GET / HTTP/1.1\r\nHost: localhost:{server.port}\r\n\r\n".encode())
                if status_of(connection.recv(1 << 10)) == 200:
                    break
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_it_answers_while_a_peer_is_slow(server: Explorer) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as slow:
        slow.sendall(b"GET / HT")
        assert status_of(get(server, "/")) == 200


def test_many_at_once_get_their_own_answers(server: Explorer) -> None:
    found: dict[int, str] = {}

    def ask(n: int) -> None:
        question = {"layer": f"Conv1d(1, 1, {n})", "input_size": [9]}
        found[n] = asked(server, "/api/trace", question)[1]["layer"]

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {n: f"Conv1d(1, 1, {n})" for n in range(1, 9)}


@pytest.mark.parametrize("host", ["0.0.0.0", "", "192.168.0.1", "::", "example.com", "localhost"])
def test_it_binds_to_loopback_alone(host: str) -> None:
    with pytest.raises(ValueError, match="must be a loopback address"):
        Explorer(host=host)


def test_it_listens_on_loopback_alone(server: Explorer) -> None:
    assert server.socket.getsockname()[0] == "127.0.0.1"
    assert server.url == f"http://127.0.0.1:{server.port}/"


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_out_of_range_is_refused(port: int) -> None:
    with pytest.raises(ValueError, match="must be from 0 to 65535"):
        Explorer(port)


def explore(*arguments: str, folder: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "HOME": str(folder), "XDG_CACHE_HOME": str(folder / "cache")}
    environment.pop("CONVFORGE_CACHE_DIR", None)
    environment["PYTHONPATH"] = os.pathsep.join(p for p in sys.path if p)
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    return subprocess.Popen(
        [sys.executable, "-m", "convforge", "explore", "--no-browser", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=environment,
    )


def test_the_command_prints_its_address_writes_nothing_and_ends_on_ctrl_c(tmp_path: Path) -> None:
    process = explore(folder=tmp_path)
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.match(r"http://127\.0\.0\.1:(\d+)/", line)
    assert found, line
    port = int(found[1])
    questions = {
        "/api/stack": {"layers": ["Conv2d(3, 8, 3)"], "input_size": [8, 8]},
        # Forges kernels and times them: what the library would keep on disk elsewhere.
        "/api/advise": {"layer": "Conv2d(8, 8, 3, groups=8)", "input_size": [8, 8], "measure": True},
    }
    for path, question in questions.items():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("POST", path, json.dumps(question), {"Content-Type": "application/json"})
        response = connection.getresponse()
        assert response.status == 200
        assert "error" not in json.loads(response.read())
        connection.close()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")
    assert list(tmp_path.iterdir()) == []


def test_a_port_that_is_taken_is_said_in_one_line(server: Explorer, tmp_path: Path) -> None:
    process = explore("--port", str(server.port), folder=tmp_path)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert (
        errors == f"convforge: --port {server.port}: address already in use: use another, or leave it out\n"
    )
