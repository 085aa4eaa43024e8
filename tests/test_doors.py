"""The service's door as it stands: where it listens, by which names it answers, and how long it waits for whom."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from pathlib import Path

import pytest
import uvicorn
import yaml
from conftest import free_port
from run_examples import store_with_a_run
from shop import raw_settings, write_shop
from starlette.testclient import TestClient
from test_serve import Running
from typer.testing import CliRunner

from monitor.cli import app
from monitor.door import hosts_served, open_to_others
from monitor.serve import application
from monitor.slow_clients import Impatient


def listening_at(port: int) -> set[str]:
    """Addresses on which this machine listens at the port, in the kernel's own hexadecimal."""
    found = set()
    for table in ("tcp", "tcp6"):
        path = Path(f"/proc/net/{table}")
        if path.exists():
            for line in path.read_text(encoding="ascii").splitlines()[1:]:
                local, state = line.split()[1], line.split()[3]
                address, _, number = local.partition(":")
                if state == "0A" and int(number, 16) == port:
                    found.add(address)
    return found


@pytest.fixture
def serving(tmp_path):
    started = []

    def start(**serve):
        raw, port = raw_settings(tmp_path), free_port()
        raw["serve"] |= {"port": port, **serve}
        one = Running(tmp_path, port, raw, "--no-schedule")
        started.append(one)
        one.wait_for("/healthz", lambda answer: answer.status_code == 200)
        return one, port

    yield start
    for one in started:
        one.process.kill()
        one.process.wait()


def test_it_listens_on_loopback_and_nowhere_else_unless_told(serving):
    one, port = serving()
    assert listening_at(port) == {"0100007F"}
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", port), timeout=5)
    assert one.stop() == 0
    assert not [line for line in one.lines() if line["message"] == "open to others"]


def test_opened_to_others_it_says_in_one_line_what_to_see_to(serving):
    one, port = serving(host="0.0.0.0")
    assert listening_at(port) == {"00000000"}
    socket.create_connection(("127.0.0.2", port), timeout=5).close()
    assert one.stop() == 0
    (said,) = [line for line in one.lines() if line["message"] == "open to others"]
    assert said["level"] == "warning"
    assert said["what"].startswith("serve.host 0.0.0.0: whoever reaches it reads the pages without being asked")
    assert "set serve.auth_file and serve.tls_certificate" in said["what"]


@pytest.mark.parametrize(
    ("host", "users", "tls", "said"),
    [
        ("127.0.0.1", False, False, ""),
        ("127.8.8.8", False, False, ""),
        ("::1", False, False, ""),
        ("localhost", False, False, ""),
        ("0.0.0.0", True, True, ""),
        ("::", False, True, "set serve.auth_file,"),
        ("10.0.0.5", True, False, "sends the password for all on the way to read; set serve.tls_certificate,"),
        ("drift.example.org", False, False, "set serve.auth_file and serve.tls_certificate"),
    ],
)
def test_what_is_to_be_seen_to_before_others_are_let_in(host, users, tls, said):
    found = open_to_others(host, users=users, tls=tls)
    assert (said in found) if said else found == ""


def test_the_check_says_it_too_and_fails_for_nothing_else(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_shop(tmp_path)
    raw = raw_settings(tmp_path)
    raw["serve"]["host"] = "0.0.0.0"
    (tmp_path / "drift-monitor.yaml").write_text(yaml.safe_dump(raw))
    done = CliRunner().invoke(app, ["check", "--json"])
    assert done.exit_code == 0
    (row,) = [row for row in json.loads(done.stdout) if row["what"] == "pages"]
    assert (row["result"], "set serve.auth_file" in row["detail"]) == ("warning", True)


@pytest.fixture
def store(tmp_path):
    with store_with_a_run(tmp_path) as opened:
        yield opened


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:9464", 200),
        ("127.0.0.1:9464", 200),
        ("127.0.0.1", 200),
        ("[::1]:9464", 200),
        ("LOCALHOST", 200),
        ("drift.example.org", 200),
        ("evil.example", 421),
        ("evil.example:9464", 421),
        ("127.0.0.1.evil.example", 421),
        ("localhost@evil.example", 421),
        ("localhost/../x", 421),
        ("", 421),
        ("[::1", 421),
    ],
)
def test_on_loopback_a_page_is_asked_for_by_our_own_names(store, host, status):
    """DNS rebinding: a site that a browser visits has its name lead to 127.0.0.1 and asks there, by its own name."""
    served = application(store, {}, hosts=hosts_served("127.0.0.1", "https://drift.example.org"))
    client = TestClient(served)
    assert client.get("/", headers={"Host": host}).status_code == status
    assert client.get("/healthz", headers={"Host": host}).status_code == 200
    assert hosts_served("0.0.0.0", "") is None


@pytest.fixture
def port(store):
    """The pages behind a real server that loses its patience soon."""

    class Soon(Impatient):
        patience, most = 0.3, 5

    config = uvicorn.Config(application(store, {}), port=free_port(), log_config=None, http=Soon, server_header=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        thread.join(0.01)
    yield config.port
    server.should_exit = True
    thread.join()


def ended(line: socket.socket) -> bytes:
    """What still came until the other side closed."""
    found = b""
    with contextlib.suppress(ConnectionResetError):
        while part := line.recv(65_536):
            found += part
    return found


def test_who_does_not_ask_or_asks_byte_by_byte_is_not_waited_for(port):
    with socket.create_connection(("127.0.0.1", port), timeout=30) as silent:
        assert ended(silent) == b""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=30) as dripping,
        contextlib.suppress(BrokenPipeError, ConnectionResetError),
    ):
        for letter in b"GET / HTTP/1.1\r\nX: " + b"x" * 10_000:
            dripping.sendall(bytes([letter]))
            time.sleep(0.01)
        pytest.fail("it waited for the whole request")
    with socket.create_connection(("127.0.0.1", port), timeout=30) as idle:
        idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert ended(idle).startswith(b"HTTP/1.1 200 OK\r\n")
    with socket.create_connection(("127.0.0.1", port), timeout=30) as second:
        second.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        second.recv(1)
        second.sendall(b"GET /healthz HTTP/1.1\r\nX: never ends")
        assert b"200 OK" not in ended(second)[1_000:]


def test_there_are_no_more_connections_than_allowed(port):
    with contextlib.ExitStack() as lines:
        held = [lines.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30)) for _ in range(5)]
        for line in held:
            line.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert line.recv(12) == b"HTTP/1.1 200"
        beyond = lines.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
        assert ended(beyond) == b""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        with socket.create_connection(("127.0.0.1", port), timeout=30) as line:
            line.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            if ended(line).startswith(b"HTTP/1.1 200"):
                return
    pytest.fail("nobody is served any more")


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 1_000_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
        b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
    ],
)
def test_a_request_that_is_too_long_or_none_is_refused(port, request_):
    with socket.create_connection(("127.0.0.1", port), timeout=30) as line:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            line.sendall(request_)
        answer = ended(line)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 4")
