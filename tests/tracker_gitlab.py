"""GitLab's issues as its documentation has them (REST API 4: projects, issues, notes, uploads), quick actions included."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

from trackers import TOKEN, Refused, Reply, Request, Tracker, paged

from monitor.secrets import Secret
from monitor.tickets.gitlab import GitLabTickets

_CREATE = {"title", "description", "labels", "assignee_ids", "confidential"}
_CHANGE = {"title", "description", "state_event", "labels"}
_LIST = {"state", "created_after", "order_by", "sort", "per_page", "page", "labels", "search", "iids[]"}


class GitLab(Tracker):
    name = "GitLab"

    def __init__(self) -> None:
        super().__init__()
        self.issues: list[dict[str, Any]] = []
        self.notes: dict[int, list[dict[str, Any]]] = {}
        self.uploads: list[bytes] = []
        self.hidden = False
        self.takes_uploads = True

    def backend(self, **options: Any) -> GitLabTickets:
        return GitLabTickets("grp/ml", Secret(TOKEN), self.url, **options)

    def count(self) -> int:
        return len(self.issues)

    def body(self, number: int) -> str:
        return str(self.issues[number - 1]["description"])

    def comments(self, number: int) -> list[str]:
        return [note["body"] for note in self.notes[number]]

    def is_open(self, number: int) -> bool:
        return self.issues[number - 1]["state"] == "opened"

    def close(self, number: int) -> None:
        self.issues[number - 1]["state"] = "closed"

    def label(self, number: int, name: str) -> None:
        self.issues[number - 1]["labels"].append(name)

    def labels(self, number: int) -> list[str]:
        return list(self.issues[number - 1]["labels"])

    def delete(self, number: int) -> None:
        self.issues[number - 1]["deleted"] = True

    def opens(self, request: Request) -> bool:
        return request.method == "POST" and request.path.endswith("/issues")

    def error(self, message: str) -> Any:
        return {"message": {"base": [message]}}

    def answer(self, request: Request) -> Reply:
        if request.headers.get("PRIVATE-TOKEN") != TOKEN:
            raise Refused(401, {"message": "401 Unauthorized"})
        project, rest = re.fullmatch(r"/api/v4/projects/([^/]+)(/.*)?", request.path).groups()
        if self.hidden or unquote(project) not in ("grp/ml", "7"):
            raise Refused(404, {"message": "404 Project Not Found"})
        if rest is None:
            return 200, {}, {"id": 7, "path_with_namespace": "grp/ml"}
        if rest == "/uploads":
            return self._upload(request)
        iid, notes = re.fullmatch(r"/issues(?:/(\d+)(/notes)?)?", rest).groups()
        if iid is None:
            return self._create(request.json) if request.method == "POST" else self._list(request)
        found = self.issues[int(iid) - 1] if int(iid) <= len(self.issues) else {"deleted": True}
        if found.get("deleted"):
            raise Refused(404, {"message": "404 Issue Not Found"})
        if notes:
            return self._notes(found, request)
        if request.method == "PUT":
            self._change(found, request.json)
        return 200, {}, found

    def _list(self, request: Request) -> Reply:
        _documented(set(request.query), _LIST)
        there = [one for one in self.issues if not one.get("deleted")]
        there = [one for one in there if one["created_at"] >= request.query.get("created_after", "")]
        if request.query.get("state", "all") != "all":
            there = [one for one in there if one["state"] == request.query["state"]]
        there.sort(key=lambda one: one["iid"], reverse=request.query.get("sort", "desc") == "desc")
        shown, headers = paged(there, request, self.url, 20)
        return 200, headers, shown

    def _create(self, data: dict[str, Any]) -> Reply:
        _documented(set(data), _CREATE)
        if len(data["title"]) > 255:
            raise Refused(400, {"message": {"title": ["is too long (maximum is 255 characters)"]}})
        number = len(self.issues) + 1
        made = {
            "id": 100 + number,
            "iid": number,
            "project_id": 7,
            "web_url": f"{self.url}/grp/ml/-/issues/{number}",
            "state": "opened",
            "user_notes_count": 0,
            "created_at": datetime(2026, 1, 6, tzinfo=UTC).isoformat(),
            **data,
            "labels": data["labels"].split(",") if data.get("labels") else [],
        }
        self.issues.append(made)
        self.notes[number] = []
        _quick_actions(made, made["description"])
        return 201, {}, made

    def _change(self, issue: dict[str, Any], data: dict[str, Any]) -> None:
        _documented(set(data), _CHANGE)
        event = data.pop("state_event", None)
        if event is not None:
            issue["state"] = {"close": "closed", "reopen": "opened"}[event]
        issue |= data
        _quick_actions(issue, data.get("description", ""))

    def _notes(self, issue: dict[str, Any], request: Request) -> Reply:
        notes = self.notes[issue["iid"]]
        if request.method == "GET":
            shown, headers = paged(notes, request, self.url, 20)
            return 200, headers, shown
        _documented(set(request.json), {"body"})
        notes.append({"id": len(notes) + 1, "system": False, **request.json})
        issue["user_notes_count"] += 1
        _quick_actions(issue, request.json["body"])
        return 201, {}, notes[-1]

    def _upload(self, request: Request) -> Reply:
        if not self.takes_uploads:
            raise Refused(413, {"message": "413 Request Entity Too Large"})
        if b'name="file"; filename="report.html"' not in request.data:
            raise ValueError("an upload is a file named file")
        self.uploads.append(request.data)
        url = f"/uploads/{len(self.uploads):032x}/report.html"
        return 201, {}, {"alt": "report.html", "url": url, "markdown": f"[report.html]({url})"}


def _documented(names: set[str], known: set[str]) -> None:
    if names - known:
        raise ValueError(f"GitLab's documentation has no {sorted(names - known)}")


def _quick_actions(issue: dict[str, Any], text: str) -> None:
    if re.search(r"^/close\b", text, re.MULTILINE):
        issue["state"] = "closed"
