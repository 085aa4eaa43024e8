"""What a webhook may talk to: a tracker with an API of its own that can be asked, and a receiver that only listens."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import Any

import yaml
from trackers import TOKEN, Refused, Reply, Request, Tracker

from monitor import plugins
from monitor.tickets.webhook import WebhookTickets

SIGNING = "left-boot-stapler"
_TEXT = "{body_markdown}\n\n{mark}"

ASKED = {
    "number": "id",
    "location_url": "https://issues.example.org/{number}",
    "requests": {
        "create": {"url": "/issues", "body": {"subject": "{title}", "text": _TEXT}},
        "update": {"method": "PATCH", "url": "/issues/{number}", "body": {"subject": "{title}", "text": _TEXT}},
        "comment": {"url": "/issues/{number}/comments", "body": {"text": _TEXT}},
        "close": {"method": "PATCH", "url": "/issues/{number}", "body": {"done": True, "text": _TEXT}},
        "reopen": {"method": "PATCH", "url": "/issues/{number}", "body": {"done": False, "text": _TEXT}},
    },
    "find": {
        "url": "/issues?q={key}",
        "list": "found.issues",
        "number": "id",
        "read": "/issues/{number}",
        "state": "done",
        "closed": ["true"],
        "labels": "tags",
        "title": "subject",
        "text": "text",
        "notes": "comments",
        "note_text": "text",
    },
}


class AskedTracker(Tracker):
    """A tracker with issues; it knows nothing of us and honours no key."""

    name = "webhook"

    def __init__(self) -> None:
        super().__init__()
        self.issues: list[dict[str, Any]] = []

    def backend(self, timeout: float = 45.0, **options: Any) -> WebhookTickets:
        given = {
            "url": self.url,
            "headers": {"Authorization": f"Bearer {TOKEN}"},
            "timeout": timeout,
            **ASKED,
            **options,
        }
        made: WebhookTickets = plugins.build("tickets", "webhook", given)
        return made

    def count(self) -> int:
        return len(self.issues)

    def comments(self, number: int) -> list[str]:
        return [comment["text"] for comment in self.issues[number - 1]["comments"]]

    def is_open(self, number: int) -> bool:
        return not self.issues[number - 1]["done"]

    def opens(self, request: Request) -> bool:
        return request.method == "POST" and request.path == "/issues"

    def check(self, request: Request) -> None:
        if request.headers["Authorization"] != f"Bearer {TOKEN}":
            raise Refused(401, {"message": "who are you?"})

    def answer(self, request: Request) -> Reply:
        match (request.method, *request.path.strip("/").split("/")):
            case ("GET", "issues"):
                found = [issue for issue in self.issues if request.query["q"] in issue["text"]]
                return 200, {}, {"found": {"issues": found}}
            case ("POST", "issues"):
                made = {"id": len(self.issues) + 1, "done": False, "tags": [], "comments": [], **request.json}
                assert set(request.json) == {"subject", "text"}
                self.issues.append(made)
                return 201, {}, made
            case (_, "issues", number, *rest):
                if int(number) > len(self.issues) or "deleted" in self.issues[int(number) - 1]:
                    raise Refused(404, {"message": "no such issue"})
                issue = self.issues[int(number) - 1]
                if request.method == "PATCH":
                    assert set(request.json) <= {"subject", "text", "done"}
                    issue.update(request.json)
                elif rest == ["comments"]:
                    issue["comments"].append(request.json)
                return 200, {}, issue
        raise Refused(404)


def hmac_of(secret: str, message: bytes) -> str:
    """HMAC-SHA256 by RFC 2104 itself."""
    key = (hashlib.sha256(secret.encode()).digest() if len(secret.encode()) > 64 else secret.encode()).ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in key) + message).digest()
    return hashlib.sha256(bytes(byte ^ 0x5C for byte in key) + inner).hexdigest()


class Receiver(Tracker):
    """Takes the documented payload, checks the signature and does nothing twice for one key."""

    name = "webhook"

    def __init__(self) -> None:
        super().__init__()
        self.done: dict[str, Any] = {}
        self.events: list[dict[str, Any]] = []

    def backend(self, **options: Any) -> WebhookTickets:
        given = {"url": f"{self.url}/hook", "secret": SIGNING, **options}
        made: WebhookTickets = plugins.build("tickets", "webhook", given)
        return made

    def opens(self, request: Request) -> bool:
        return request.headers["X-Drift-Monitor-Event"] == "create"

    def check(self, request: Request) -> None:
        timestamp = request.headers["X-Drift-Monitor-Timestamp"]
        told = f"sha256={hmac_of(SIGNING, timestamp.encode() + b'.' + request.data)}"
        if request.headers["X-Drift-Monitor-Signature"] != told or abs(time.time() - int(timestamp)) > 300:
            raise Refused(401, {"message": "signature does not match"})

    def answer(self, request: Request) -> Reply:
        identity = request.headers["Idempotency-Key"]
        if identity not in self.done:
            self.events.append(request.json)
            self.done[identity] = {
                "number": len(self.done) + 1,
                "location": f"https://issues.example.org/T{len(self.done) + 1}",
            }
        return 201, {}, self.done[identity]


def documented(heading: str) -> str:
    """The first block of code below a heading of the page on webhooks."""
    page = (Path(__file__).resolve().parents[1] / "docs" / "tickets-webhook.md").read_text(encoding="utf-8")
    _, _, below = page.partition(f"\n## {heading}\n")
    assert below, heading
    return below.split("```")[1].partition("\n")[2]


def documented_settings(heading: str) -> Any:
    return yaml.safe_load(documented(heading))


def copied(data: Any) -> Any:
    return json.loads(json.dumps(data))
