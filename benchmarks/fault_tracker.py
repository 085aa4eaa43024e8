"""A tracker with GitHub's interface for issues that keeps all that it was told: what the world outside saw of a run."""

from __future__ import annotations

import json
import re
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit

REPOSITORY = "acme/shops"
_ISSUES = re.compile(rf"/repos/{REPOSITORY}/issues(?:/(\d+))?(/comments)?")


class Tracker:
    """Issues and their comments, on a port of the loopback."""

    def __init__(self) -> None:
        self.issues: list[dict[str, Any]] = []
        self.comments: dict[int, list[str]] = {}
        self.requests = 0
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        tracker = self

        class Asked(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1

            def _any(self) -> None:
                told = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                status, content = tracker.answer(self.command, self.path, json.loads(told or b"null"))
                body = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PATCH = _any  # noqa: N815 - the server's names

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """Connections that break are the point."""

        self._server = Server(("127.0.0.1", 0), Asked)
        self.port: int = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, method: str, target: str, told: Any) -> tuple[int, Any]:
        """Status and content for a request; a change is kept before it is answered, and all that there is stands on one page."""
        parts = urlsplit(target)
        found = _ISSUES.fullmatch(parts.path)
        with self._lock:
            self.requests += 1
            if found is None:
                return 404, {"message": "Not Found"}
            number = int(found[1]) if found[1] else None
            if number is None:
                return (201, self._create(told)) if method == "POST" else (200, self.issues[::-1])
            if not 0 < number <= len(self.issues):
                return 404, {"message": "Not Found"}
            issue, notes = self.issues[number - 1], self.comments[number]
            if found[2]:
                if method == "GET":
                    return 200, [{"body": note} for note in notes]
                notes.append(told["body"])
                issue["comments"] = len(notes)
                return 201, told
            if method == "PATCH":
                issue |= told
            return 200, issue

    def _create(self, told: Any) -> Any:
        number, now = len(self.issues) + 1, f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        made = {
            "number": number,
            "html_url": f"https://github.example/{REPOSITORY}/issues/{number}",
            "state": "open",
            "comments": 0,
            "created_at": now,
            "title": told["title"],
            "body": told["body"],
        }
        self.issues.append(made)
        self.comments[number] = []
        return made
