"""Requests of every kind to the service as it runs in its own process, on raw sockets."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from conftest import free_port
from fuzz_tally import Tally, each
from hypothesis import strategies as st
from shop import desk, open_shop, raw_settings, window

from monitor.pipeline import run_window

SAFE = ("content-security-policy", "x-content-type-options", "x-frame-options", "referrer-policy", "cache-control")
PATHS = [
    "/", "/metrics", "/healthz", "/readyz", "/monitors/shop", "/monitors/shop/newest", "/monitors/none", "/tickets",
    "/runs/RUN", "/runs/RUN/candidates", "/runs/RUN/candidates.csv", "/runs/RUN/candidates.jsonl", "/runbooks", "/pages.css",
]  # fmt: skip
TAILS = [
    "", "/", "//", "/.", "/..", "/../../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2fetc%2fpasswd", "/%00", "%00",
    "/%", "/%zz", "%f0%9f%98%80", "%ff%fe", "%ed%a0%80", "/%c0%ae%c0%ae", ";x=1", "#a", "/\\..\\x", "." * 300, "a" * 20_000,
    "/%0d%0aX-Bad:%201", "%25%32%65", "'--", "%27%20OR%201=1", "<script>", "%3Cscript%3E",
]  # fmt: skip
QUERIES = [
    "", "?", "?&&&===", "?before=x", "?before=2026-03-03T00:00:00Z", "?before=9999-12-31T23:59:59-14:00", "?before=0001-01-01T00:00:00%2B14:00",
    "?before=2026-03-03T00:00:00%2B00:00&key=%00&to=%00", "?before=2026-03-03T00:00:00Z&key=%ed%a0%80&to=%ff", "?monitor=shop", "?monitor=%00",
    "?monitor=shop&monitor=none", "?sort=need&order=desc", "?sort=__class__", "?order=x", "?id=%00&label=%ff", "?strategy=" + "x" * 5_000,
    "?sort=risk&order=desc&id=%C4%B0", "?" + "&".join(f"a{n}=1" for n in range(1_500)), "?%00", "?%", "?before=%00", "?before=" + "9" * 5_000,
    "?before=2026-W10-1T00:00:00Z", "?before=" + "%D9%A1" * 10,
]  # fmt: skip
METHODS = [
    *["GET"] * 20,
    "HEAD",
    "POST",
    "PUT",
    "DELETE",
    "OPTIONS",
    "TRACE",
    "CONNECT",
    "PATCH",
    "get",
    "X" * 300,
    "G\0T",
    "PRI",
]
HEADERS = [
    b"Host: x", b"Host: 127.0.0.1", b"Host: [::1", b"Host: \xff\xfe", b"Host: a\tb", b"Host: evil.example:99999", b"Host: a, b", b"Host:",
    b"Authorization: Basic", b"Authorization: Basic ====", b"Authorization: Basic \xff\xfe", b"Authorization: Basic YW5hOnJpZ2h0", b"Authorization: Bearer x",
    b"Authorization: Basic " + b"QUFB" * 5_000, b"Authorization: " + b"\xc3\xa9" * 10, b"Authorization: Basic AA==\xb2",
    b"Accept: */*", b"Accept: application/openmetrics-text", b"Accept: application/openmetrics-text;version=9;q=x", b"Accept: ,;,;q=", b"Accept: \xff",
    b"Accept: application/openmetrics-text; version=1.0.0; q=0.5; escaping=" + b"x" * 1_000, b"Accept: text/plain;version=1.0.0;escaping=allow-utf-8",
    b"Accept: " + b"a/b," * 3_000, b"Accept-Encoding: gzip", b"Accept-Encoding: \x00", b"Range: bytes=0-", b"Range: bytes=9999999999-1",
    b"Transfer-Encoding: chunked", b"Transfer-Encoding: x", b"Content-Length: 5", b"Content-Length: -1", b"Content-Length: 99999999999999999999",
    b"Content-Length: 0\r\nContent-Length: 1", b"Expect: 100-continue", b"Connection: Upgrade\r\nUpgrade: websocket", b"Connection: close",
    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA", b"If-Modified-Since: x", b"Cookie: " + b"a=b;" * 2_000,
    b"X: \r\n folded", b": nameless", b"no colon", b"X" * 70_000 + b": 1", b"X-Forwarded-For: \x00", b"X-Forwarded-Proto: gopher",
    b"Upgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
]  # fmt: skip
REQUEST = st.tuples(
    st.sampled_from(METHODS),
    st.sampled_from(PATHS),
    st.just("") | st.just("") | st.sampled_from(TAILS) | st.text(st.characters(codec="ascii"), max_size=8),
    st.just("") | st.sampled_from(QUERIES),
    st.just([]) | st.lists(st.sampled_from(HEADERS), max_size=2) | st.lists(st.sampled_from(HEADERS), max_size=4),
    st.sampled_from([*["1.1"] * 12, "1.0", "0.9", "2", "9.9", ""]),
    st.binary(max_size=12),
)
RAW = st.binary(max_size=200) | st.sampled_from(
    [
        b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 300,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\0" * 70_000,
        b"GET /" + b"a" * 100_000,
    ]
)


def written(request: Any, run: str) -> bytes:
    """The request as it goes over the line."""
    method, path, tail, query, headers, version, body = request
    target = f"{path.replace('RUN', run)}{tail}{query}".encode("latin-1", "replace")
    head = method.encode("latin-1") + b" " + target + (f" HTTP/{version}".encode() if version else b"") + b"\r\n"
    # Most with what a request must have; the odd ones come first.
    usual = (
        []
        if len(body) % 5 == 4
        else [b"Host: 127.0.0.1"] * (b"Host:" not in b" ".join(headers)) + [b"Connection: close"]
    )
    return head + b"".join(one + b"\r\n" for one in (*headers, *usual)) + b"\r\n" + body


class Service:
    """``drift-monitor serve`` on a shop that has runs."""

    def __init__(self, folder: Path, users: str) -> None:
        self.port = free_port()
        raw = raw_settings(folder)
        serve: dict[str, Any] = {"port": self.port, "log_format": "json"}
        if users:
            (folder / "users").write_text(users)
            serve["auth_file"] = str(folder / "users")
        path = folder / f"serve-{self.port}.yaml"
        path.write_text(yaml.safe_dump({**raw, "serve": serve}))
        self.log = folder / f"serve-{self.port}.log"
        with self.log.open("w") as log:
            command = [sys.executable, "-m", "monitor", "serve", "--no-schedule", "-c", str(path)]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        until = time.monotonic() + 90
        while not self.alive():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < until, self.log.read_text()
            time.sleep(0.1)

    def alive(self) -> bool:
        """Whether ``/healthz`` says so."""
        try:
            return b"alive" in self.answer(
                [b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"], silence=10
            )
        except OSError:
            return False

    def answer(self, parts: list[bytes], *, pause: float = 0, silence: float = 0.5) -> bytes:
        """Everything that comes back until the other end closes, or is silent for so long."""
        got = b""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as line:
            try:
                for part in parts:
                    line.sendall(part)
                    time.sleep(pause)
                line.settimeout(silence)
                while more := line.recv(1 << 16):
                    got += more
            except OSError:
                pass
        return got

    def stop(self) -> int:
        """SIGTERM; its exit status."""
        os.kill(self.process.pid, signal.SIGTERM)
        return self.process.wait(30)


@contextmanager
def serving(folder: Path, users: str) -> Iterator[Service]:
    """A service, ended whatever comes."""
    service = Service(folder, users)
    try:
        yield service
    finally:
        if service.process.poll() is None:
            service.process.kill()
            service.process.wait()


STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) [^\r\n]*\r\n((?:[^\r\n]+\r\n)*)\r\n")


def play(tally: Tally, folder: Path, cases: int, seed: int | None) -> None:
    """Half of the cases go to a service that knows everyone, half to one that asks who it is."""
    _, store, monitor = open_shop(folder, days=(0, 40))
    run_window(monitor, window(1), desk(store))
    run = store.runs("shop")[0].id
    store.close()
    for users in ("", "ana:right\n"):
        with serving(folder, users) as service:
            shots(tally, service, run, cases // 2, seed)
            judge_end(tally, service)


def shots(tally: Tally, service: Service, run: str, cases: int, seed: int | None) -> None:
    """Requests, pipelined ones, ones in pieces and bytes."""

    def judge(got: bytes, given: object) -> None:
        heads = STATUS.findall(got)
        if b"Traceback" in got:
            tally.fault("traceback", "in an answer", given)
        elif any(status.startswith(b"5") for status, _ in heads):
            tally.fault("crash", f"answered {[status.decode() for status, _ in heads]}", given)
        elif got and not heads:
            tally.fault("wrong data", "an answer that is no HTTP", given)
        else:
            for status, head in heads:
                names = {line.partition(b":")[0].decode("latin-1").lower() for line in head.splitlines()}
                # 1xx are no answers yet.
                if not status.startswith(b"1") and not set(SAFE) <= names:
                    tally.fault("wrong data", f"{status.decode()} without safe headers", given)
                    return
            taken = any(status[:1] in (b"2", b"3") for status, _ in heads)
            tally.counts["accepted" if taken else "refused"] += 1
        if service.process.poll() is not None:
            tally.fault("crash", "the service ended", given)

    def one(request: Any) -> None:
        judge(service.answer([written(request, run)]), request)

    def several(requests: list[Any]) -> None:
        judge(service.answer([b"".join(written(request, run) for request in requests)]), requests)

    def slow(request: Any) -> None:
        whole = written(request, run)[:4_000]
        size = max(len(whole) // 5, 1)
        judge(service.answer([whole[at : at + size] for at in range(0, len(whole), size)], pause=0.005), request)

    def cut(given: tuple[Any, float]) -> None:
        whole = written(given[0], run)
        judge(service.answer([whole[: int(given[1] * len(whole))]], silence=0.05), given)

    def noise(given: bytes) -> None:
        judge(service.answer([given], silence=0.05), given)

    each(tally, REQUEST, cases // 2, seed, one)
    each(tally, st.lists(REQUEST, min_size=2, max_size=5), cases // 8, seed, several)
    each(tally, REQUEST, cases // 8, seed, slow)
    each(tally, st.tuples(REQUEST, st.floats(0, 1)), cases // 8, seed, cut)
    each(tally, RAW, cases // 8, seed, noise)


def judge_end(tally: Tally, service: Service) -> None:
    """The service still answers, has logged no fault and ends as it should."""
    if not service.alive():
        tally.fault("hang", "/healthz does not answer any more", "at the end")
    code = service.stop()
    if code:
        tally.fault("crash", f"the service ended with {code}", "at the end")
    log = service.log.read_text()
    for line in log.splitlines():
        if "Traceback" in line or "page failed" in line or "Exception in" in line or '"level": "error"' in line:
            tally.fault("traceback", f"in the log: {re.sub('[0-9]{4,}', 'N', line)[-220:]}", "in the log")
