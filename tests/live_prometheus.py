"""Prometheus as it runs: a small server that exposes a store, a server that scrapes it, and questions to it."""

from __future__ import annotations

import json
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from conftest import _await_ready, free_port, tool


@contextmanager
def served(page: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """A small server of the loopback: ``127.0.0.1:port``."""
    with ThreadingHTTPServer(("127.0.0.1", 0), page) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def exposed(read: Callable[[], bytes]) -> Iterator[str]:
    """Serves this text to scrapers: ``127.0.0.1:port``."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = read()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Quiet."""

    with served(Page) as address:
        yield address


@contextmanager
def scraping(folder: Path, *targets: str, options: tuple[str, ...] = ()) -> Iterator[str]:
    """A Prometheus that scrapes these targets each second; gives its URL. ``folder`` holds its data and may hold blocks already."""
    program = tool("prometheus")
    folder.mkdir(parents=True, exist_ok=True)
    jobs = [{"job_name": "drift-monitor", "static_configs": [{"targets": targets}]}] if targets else []
    config = {"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "scrape_configs": jobs}
    (folder / "prometheus.yml").write_text(json.dumps(config))
    address = f"127.0.0.1:{free_port()}"
    command = [program, f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}"]
    command += [f"--web.listen-address={address}", "--log.level=warn", *options]
    with ExitStack() as stack:
        log = stack.enter_context((folder / "log").open("wb"))
        server = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            _await_ready(server, f"http://{address}", folder / "log")
            yield f"http://{address}"
        finally:
            server.terminate()
            server.wait(30)


def asked(url: str, path: str, parameters: Mapping[str, Any]) -> Any:
    """The data of an answer of Prometheus' API; an error is one here too."""
    query = urllib.parse.urlencode(parameters, doseq=True)
    request = urllib.request.Request(f"{url}/api/v1/{path}", query.encode())
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)["data"]


def now_is(url: str, query: str, at: float | None = None) -> list[tuple[dict[str, str], float]]:
    """Labels and value of every series of an instant query, of this moment or another one."""
    found = asked(url, "query", {"query": query} if at is None else {"query": query, "time": at})
    if found["resultType"] == "scalar":
        return [({}, float(found["result"][1]))]
    return [(one["metric"], float(one["value"][1])) for one in found["result"]]


def moment(url: str, query: str, seconds: float = 60) -> float:
    """The first moment at which the query gives anything. Asked for that moment, every query gives the same for ever."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        at = time.time()
        if now_is(url, query, at):
            return at
        time.sleep(0.1)
    raise AssertionError(f"after {seconds} s Prometheus has nothing for {query}")
