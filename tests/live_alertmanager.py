"""Prometheus with the rules, Alertmanager with the example's routes, a server that takes its messages, the oldest programs of the family."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from conftest import _await_ready, free_port, missing
from live_prometheus import served

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "alerts" / "alertmanager.yml"
RULES = ROOT / "alerts" / "drift-monitor.rules.yml"

Message = tuple[str, str | None, Any]
"""Path, header Authorization and JSON."""


def oldest(name: str) -> str:
    """A program of the oldest Prometheus family that the rules are made for."""
    found = shutil.which(name, path=str(ROOT / ".ci-tools-old" / "usr" / "bin"))
    if found is None:
        missing(
            f"no {name} of Prometheus 2.42: .ci/unpack-debian .ci-tools-old bookworm prometheus prometheus-alertmanager"
        )
    return found


@contextmanager
def mailbox() -> Iterator[tuple[str, list[Message]]]:
    """A server that takes every message: its address, and what it got."""
    got: list[Message] = []

    class Box(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            got.append((self.path, self.headers.get("Authorization"), body))
            answer = b'{"status": "success", "dedup_key": "x"}' if self.path == "/pager" else b"ok"
            self.send_response(202 if self.path == "/pager" else 200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *args: object) -> None:
            """Quiet."""

    with served(Box) as address:
        yield f"http://{address}", got


@contextmanager
def alertmanager(program: str, folder: Path, box: str) -> Iterator[str]:
    """The example as it is, but for addresses, secrets and pauses: messages go to ``box`` at once. Gives its address ``127.0.0.1:port``."""
    secrets = folder / "secrets"
    secrets.mkdir(parents=True)
    for name, secret in {
        "slack-url": f"{box}/slack",
        "webhook-token": "hook-token",
        "smtp-password": "unused",
        "pagerduty-search": "key-of-search",
        "pagerduty-platform": "key-of-platform",
    }.items():
        (secrets / name).write_text(secret)
    text = EXAMPLE.read_text()
    for told, changed in (
        ("/etc/alertmanager/secrets", str(secrets)),
        ("https://hooks.example.org/drift-monitor", f"{box}/hook"),
        ("group_wait: 1m", "group_wait: 1s"),
        ("group_interval: 15m", "group_interval: 1s"),
        ("global:\n", f"global:\n  pagerduty_url: {box}/pager\n"),
    ):
        assert told in text
        text = text.replace(told, changed)
    (folder / "alertmanager.yml").write_text(text)
    address = f"127.0.0.1:{free_port()}"
    command = [program, f"--config.file={folder / 'alertmanager.yml'}", f"--storage.path={folder / 'data'}"]
    command += [f"--web.listen-address={address}", "--cluster.listen-address="]
    with (folder / "log").open("wb") as log:
        # Debian's, unpacked, finds its templates from there.
        server = subprocess.Popen(command, stdout=log, stderr=log, cwd=Path(program).resolve().parents[2])
    try:
        wait_for(lambda: server.poll() is not None or _answers(f"http://{address}/-/ready"), folder / "log")
        assert server.poll() is None, (folder / "log").read_text()
        yield address
    finally:
        server.terminate()
        server.wait(30)


@contextmanager
def watching(program: str, folder: Path, *targets: str, manager: str | None = None, keep: bool = True) -> Iterator[str]:
    """A Prometheus with the rules, asking and judging each second and telling that Alertmanager; gives its URL.

    Without ``keep`` alerts go on for a second only when what they tell of is over.
    """
    rules = RULES.read_text(encoding="utf-8")
    if not keep:
        rules = re.sub(r"keep_firing_for: \d+m", "keep_firing_for: 1s", rules)
    folder.mkdir()
    (folder / "rules.yml").write_text(rules, encoding="utf-8")
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(folder / "rules.yml")],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [manager]}]}] if manager else []},
        "scrape_configs": [{"job_name": "drift-monitor", "static_configs": [{"targets": targets}]}],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config))
    address = f"127.0.0.1:{free_port()}"
    command = [program, f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}"]
    command += [f"--web.listen-address={address}", "--rules.alert.resend-delay=1s"]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _await_ready(server, f"http://{address}", folder / "log")
        yield f"http://{address}"
    finally:
        server.terminate()
        server.wait(30)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:
        return False


def wait_for(true: Callable[[], object], told: object, seconds: float = 60) -> None:
    """Returns as soon as it is true; fails with what is ``told``, or stands in that file, when it does not become so."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, told.read_text() if isinstance(told, Path) else told
        time.sleep(0.05)
