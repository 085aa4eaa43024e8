"""GitHub's issues as its description has them; every request is held against it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import cache
from typing import Any

from trackers import TOKEN, Refused, Reply, Request, Tracker, described, paged, validate

from monitor.secrets import Secret
from monitor.tickets.github import GitHubTickets


@cache
def _description() -> Any:
    return described("github-rest-issues.openapi.json")


class GitHub(Tracker):
    name = "GitHub"

    def __init__(self) -> None:
        super().__init__()
        self.issues: list[dict[str, Any]] = []
        self.notes: dict[int, list[dict[str, Any]]] = {}
        self.hidden = False
        self.clock = datetime(2026, 1, 6, tzinfo=UTC)

    def backend(self, **options: Any) -> GitHubTickets:
        return GitHubTickets("acme/robots", Secret(TOKEN), self.url, **options)

    # What people do, and what they see.

    def count(self) -> int:
        return len(self.issues)

    def body(self, number: int) -> str:
        return str(self.issues[number - 1]["body"])

    def comments(self, number: int) -> list[str]:
        return [note["body"] for note in self.notes[number]]

    def is_open(self, number: int) -> bool:
        return self.issues[number - 1]["state"] == "open"

    def close(self, number: int) -> None:
        self.issues[number - 1]["state"] = "closed"

    def label(self, number: int, name: str) -> None:
        self.issues[number - 1]["labels"].append({"name": name})

    def labels(self, number: int) -> list[str]:
        return [label["name"] for label in self.issues[number - 1]["labels"]]

    def delete(self, number: int) -> None:
        self.issues[number - 1]["deleted"] = True

    def opens(self, request: Request) -> bool:
        return request.method == "POST" and request.path.endswith("/issues")

    # The service.

    def check(self, request: Request) -> None:
        validate(_description(), "https://api.github.com", request)
        if request.headers.get("User-Agent", "").partition("/")[0] != "drift-monitor":
            raise ValueError("GitHub asks for a User-Agent")

    def answer(self, request: Request) -> Reply:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            raise Refused(401, {"message": "Bad credentials"})
        if self.hidden:
            raise Refused(404, {"message": "Not Found"})
        base, issue = re.fullmatch(r"(/repos/acme/robots)(?:/issues(?:/(\d+))?(?:/comments)?)?", request.path).groups()
        if request.path == base:
            return 200, {}, {"full_name": "acme/robots", "has_issues": True}
        if issue is None:
            return self._create(request.json) if request.method == "POST" else self._list(request)
        found = self.issues[int(issue) - 1]
        if found.get("deleted"):
            raise Refused(410, {"message": "This issue was deleted"})
        if request.path.endswith("/comments"):
            return self._comments(found, request)
        if request.method == "PATCH":
            found |= request.json
        return 200, {}, found

    def _list(self, request: Request) -> Reply:
        there = [one for one in self.issues if not one.get("deleted")]
        there = [one for one in there if one["updated_at"] >= request.query.get("since", "")]
        if request.query.get("state", "open") != "all":
            there = [one for one in there if one["state"] == request.query.get("state", "open")]
        there.sort(key=lambda one: one["number"], reverse=request.query.get("direction", "desc") == "desc")
        shown, headers = paged(there, request, self.url, 30)
        return 200, headers, shown

    def _create(self, data: dict[str, Any]) -> Reply:
        if "nobody" in data.get("assignees", ()):
            quoted = {"resource": "Issue", "field": "assignees", "code": "invalid", "value": data["body"]}
            raise Refused(422, {"message": f"Validation Failed: {data['body']}", "errors": [quoted]})
        number = len(self.issues) + 1
        labels = [{"name": name} for name in data.get("labels", ())]
        now = self.clock.strftime("%Y-%m-%dT%H:%M:%SZ")
        made = {
            "number": number,
            "html_url": f"https://github.example/acme/robots/issues/{number}",
            "repository_url": f"{self.url}/repos/acme/robots",
            "state": "open",
            "comments": 0,
            "created_at": now,
            "updated_at": now,
            **data,
            "labels": labels,
        }
        self.issues.append(made)
        self.notes[number] = []
        return 201, {}, made

    def _comments(self, issue: dict[str, Any], request: Request) -> Reply:
        notes = self.notes[issue["number"]]
        if request.method == "GET":
            shown, headers = paged(notes, request, self.url, 30)
            return 200, headers, shown
        notes.append(request.json)
        issue["comments"] += 1
        return 201, {}, request.json
