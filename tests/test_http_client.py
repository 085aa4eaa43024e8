"""The one HTTP client on real sockets: proxies, certificates, redirects, bounds."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from conftest import missing

from monitor import __version__
from monitor.errors import PublishError
from monitor.http_client import HttpClient

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@contextmanager
def listening(answer: Callable[[bytes], bytes], context: ssl.SSLContext | None = None) -> Iterator[tuple[int, list]]:
    """A server that answers one request a connection; its port, and the heads of what it was sent."""
    heads: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    line, _ = server.accept()
                except OSError:
                    return
                with line:
                    try:
                        wrapped = context.wrap_socket(line, server_side=True) if context else line
                        head = wrapped.recv(65_536)
                        while head.startswith(b"POST") and head.endswith(b"\r\n\r\n"):
                            head += wrapped.recv(65_536)
                        heads.extend([head] if head else [])
                        wrapped.sendall(answer(head))
                        wrapped.close()
                    except OSError:
                        pass  # the other side would not have it

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1], heads
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def refusal(client: HttpClient, path: str = "/x", **options) -> PublishError:
    with pytest.raises(PublishError) as caught:
        client.call("GET", path, doing="look", **options)
    return caught.value


def test_a_call_says_who_calls_and_sends_what_it_was_given():
    with listening(lambda head: OK) as (port, heads):
        client = HttpClient("Web", f"http://127.0.0.1:{port}/base/", headers={"Authorization": "Bearer t"})
        assert client.call("POST", "/x", doing="x", query={"a": "b c"}, json={"text": "é\udc80"}).read(dict) == {}
    assert heads[0].startswith(b"POST /base/x?a=b+c HTTP/1.1\r\n")
    assert f"User-Agent: drift-monitor/{__version__}\r\n".encode() in heads[0]
    assert b"Authorization: Bearer t\r\n" in heads[0]
    assert heads[0].endswith(b'{"text": "\\u00e9\\udc80"}')


def test_redirects_are_followed_at_home_and_take_the_token_nowhere_else():
    def moved(head: bytes) -> bytes:
        where = {b"/near": "/x", b"/far": "http://localhost:1/x", b"/round": "/round"}.get(head.split()[1])
        return f"HTTP/1.1 301 Moved\r\nLocation: {where}\r\nContent-Length: 0\r\n\r\n".encode() if where else OK

    with listening(moved) as (port, heads):
        client = HttpClient("Web", f"http://127.0.0.1:{port}")
        assert client.call("GET", "/near", doing="look").status == 200
        error = refusal(client, "/far")
        assert error.permanent
        assert "301 Moved Permanently; correct the address" in str(error)
        assert "redirects without end" in str(refusal(client, "/round"))
        before = len(heads)
        assert "another host" in str(refusal(client, f"http://localhost:{port}/x"))
        assert len(heads) == before


def test_pages_without_end_are_refused():
    def another(head: bytes) -> bytes:
        link = b'<https://elsewhere.example/x?page=2>; rel="next"'
        return b"HTTP/1.1 200 OK\r\nLink: " + link + b"\r\nContent-Length: 2\r\n\r\n[]"

    with listening(another) as (port, heads):
        client = HttpClient("Web", f"http://127.0.0.1:{port}")
        with pytest.raises(PublishError, match="could not look: there are more than 100 pages") as caught:
            list(client.pages("/x", doing="look"))
    assert caught.value.permanent
    assert len(heads) == 100
    assert heads[-1].startswith(b"GET /x?page=2 ")


def test_an_answer_without_end_is_refused():
    with listening(lambda head: b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 100_000) as (port, heads):
        error = refusal(HttpClient("Web", f"http://127.0.0.1:{port}", max_answer=50_000))
        assert "its answer is longer than 50000 bytes" in str(error)
        assert not error.permanent
        assert len(heads) == 1


def test_nobody_listening_is_tried_again_even_for_a_post(monkeypatch):
    naps: list[float] = []
    monkeypatch.setattr("monitor.http_client.sleep", naps.append)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(
        PublishError, match="could not open it: it cannot be reached; it is tried again later"
    ) as caught:
        HttpClient("Web", f"http://127.0.0.1:{port}").call("POST", doing="open it", json={})
    assert not caught.value.permanent
    assert len(naps) == 2


def test_the_environments_proxy_is_used_with_its_password_and_never_named(monkeypatch):
    with listening(lambda head: OK) as (port, heads):
        monkeypatch.setenv("http_proxy", f"http://me:s3cret%21@127.0.0.1:{port}")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert HttpClient("Web", "http://service.invalid/api").call("GET", "/x", doing="look").status == 200
        assert heads[0].startswith(b"GET http://service.invalid/api/x HTTP/1.1\r\n")
        assert b"proxy-authorization: Basic " + b64encode(b"me:s3cret!") in heads[0]
        assert HttpClient("Web", f"http://127.0.0.1:{port}").call("GET", "/y", doing="look").status == 200
        assert heads[1].startswith(b"GET /y HTTP/1.1\r\n")
    monkeypatch.setattr("monitor.http_client.sleep", lambda seconds: None)
    error = refusal(HttpClient("Web", "http://service.invalid/api"))
    assert "the proxy cannot be reached" in str(error)
    assert "s3cret" not in str(error)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory) -> str:
    """A certificate of its own authority for 127.0.0.1, with its key, in one file."""
    if not shutil.which("openssl"):
        missing("no openssl")
    folder = tmp_path_factory.mktemp("tls")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(folder / "key"), "-out", str(folder / "cert")]
    subprocess.run(command, check=True, capture_output=True)
    both = folder / "both.pem"
    both.write_text((folder / "cert").read_text() + (folder / "key").read_text())
    return str(both)


def test_certificates_are_verified_by_the_authorities_that_are_named(certificate, tmp_path):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with listening(lambda head: OK, context) as (port, heads):
        error = refusal(HttpClient("Web", f"https://127.0.0.1:{port}"))
        assert error.permanent
        assert "its certificate is signed by nobody known; name its authority by ca_file" in str(error)
        assert heads == []
        trusting = HttpClient("Web", f"https://127.0.0.1:{port}", ca_file=certificate)
        assert trusting.call("GET", "/x", doing="look").status == 200
    (tmp_path / "no.pem").write_text("no certificate")
    for name in ("no.pem", "missing.pem"):
        with pytest.raises(ValueError, match="cannot be read as certificates in PEM form"):
            HttpClient("Web", "https://x.example", ca_file=str(tmp_path / name))


def test_a_handshake_that_drips_is_cut_off():
    stop = threading.Event()

    def silent(head: bytes) -> bytes:
        stop.wait(30)
        return b""

    with listening(silent) as (port, heads):
        client = HttpClient("Web", f"https://127.0.0.1:{port}", total=0.3, read=60, connect=60)
        error = refusal(client)
        stop.set()
    assert "no whole answer within 0.3 s" in str(error) or "did not answer in time" in str(error)
    assert len(heads) == 1


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"message": "Not Found"}', ": Not Found;"),
        (b'{"message": {"title": ["is too long"], "base": ["no"]}}', ": title: is too long; no;"),
        (b'{"error": "insufficient_scope", "error_description": "needs api"}', ": insufficient_scope; needs api;"),
        (b'{"errorMessages": ["No project"], "errors": {"x": "is needed"}}', ": No project; x: is needed;"),
        (b'{"message": "a\\u0007\\u001b[31m b"}', ": a[31m b;"),
        (b"<html>login</html>", ": (its answer is no JSON; is there a proxy or a login page in between?);"),
        (b"", "404 Not Found; check"),
        (b"[" * 100_000, ": (its answer is no JSON"),
        (b'{"message": "' + b"word " * 500 + b'"}', "word …;"),
        (b'{"message": "key sesame and my own long text here"}', ": key *** and [what was sent];"),
    ],
)
def test_the_services_own_words_are_read_in_every_form_and_made_safe(body, words):
    head = b"HTTP/1.1 404 Not Found\r\nContent-Length: %d\r\n\r\n" % len(body)
    with listening(lambda _: head + body) as (port, _):
        client = HttpClient("Web", f"http://127.0.0.1:{port}", secrets=("sesame",), retry="drift-monitor run")
        error = refusal(client, json={"deep": [{"text": "  my own long text here  "}]})
    assert words in str(error)
    assert str(error).endswith("then drift-monitor run")
    assert len(str(error)) < 600


@pytest.mark.parametrize("url", ["x.example", "ftp://x.example", "https://", "https://a:b@x.example"])
def test_wrong_addresses_are_refused_at_once(url):
    with pytest.raises(ValueError, match=r"https://|password"):
        HttpClient("Web", url)
