"""A Prometheus with our rules and an Alertmanager that tells a mailbox, all of the loopback and as quick as they go."""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from conftest import _await_ready, free_port, tool

RULES = Path(__file__).resolve().parents[1] / "alerts" / "drift-monitor.rules.yml"


class Mailbox:
    """What a webhook receiver was told: alerts of each message, in the order they came."""

    def __init__(self) -> None:
        self.alerts: list[dict[str, Any]] = []

    def firing(self) -> dict[str, dict[str, Any]]:
        """Alerts by name whose last word was that they fire."""
        last = {alert["labels"]["alertname"]: alert for alert in self.alerts}
        return {name: alert for name, alert in last.items() if alert["status"] == "firing"}


@contextmanager
def mailbox() -> Iterator[tuple[str, Mailbox]]:
    """A webhook receiver and its address."""
    box = Mailbox()

    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            box.alerts += json.loads(self.rfile.read(int(self.headers["Content-Length"])))["alerts"]
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Door) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/alerts", box
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def alerting(folder: Path, target: str, receiver: str) -> Iterator[str]:
    """Prometheus with the rules, kept firing for a second only, and Alertmanager; gives the URL of Prometheus."""
    folder.mkdir()
    rules = re.sub(r"keep_firing_for: \d+m", "keep_firing_for: 1s", RULES.read_text(encoding="utf-8"))
    (folder / "rules.yml").write_text(rules, encoding="utf-8")
    doors = [f"127.0.0.1:{free_port()}" for _ in range(2)]
    route = {
        "receiver": "box",
        "group_by": ["monitor"],
        "group_wait": "0s",
        "group_interval": "1s",
        "repeat_interval": "1h",
    }
    to = {"receivers": [{"name": "box", "webhook_configs": [{"url": receiver, "send_resolved": True}]}], "route": route}
    (folder / "alertmanager.yml").write_text(json.dumps(to))
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(folder / "rules.yml")],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [doors[1]]}]}]},
        "scrape_configs": [{"job_name": "drift-monitor", "static_configs": [{"targets": [target]}]}],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config))
    commands = [
        [tool("prometheus"), f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}"],
        [
            tool("prometheus-alertmanager"),
            f"--config.file={folder / 'alertmanager.yml'}",
            f"--storage.path={folder / 'am'}",
        ],
    ]
    more = [["--rules.alert.resend-delay=1s"], ["--cluster.listen-address="]]
    with ExitStack() as stack:
        for place, (command, door, extra) in enumerate(zip(commands, doors, more, strict=True)):
            log = stack.enter_context((folder / f"log-{place}").open("wb"))
            # Debian's, unpacked, finds its templates from there.
            where = Path(command[0]).resolve().parents[2]
            server = subprocess.Popen([*command, f"--web.listen-address={door}", *extra, "--log.level=warn"], stdout=log, stderr=log, cwd=where)  # fmt: skip
            stack.callback(server.wait, 30)
            stack.callback(server.terminate)
            _await_ready(server, f"http://{door}", folder / f"log-{place}")
        yield f"http://{doors[0]}"


def until(true: Callable[[], bool], what: str, patience: float = 30.0) -> None:
    """Wait for something to become so."""
    deadline = time.monotonic() + patience
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)
