"""Tickets as issues of GitLab, its own service or self-hosted, by its REST API version 4."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC
from typing import Any

from pydantic import BaseModel, Field

from monitor.documents.fitting import fitted
from monitor.documents.markdown import markdown
from monitor.errors import PublishError
from monitor.http_client import HttpClient, quoted
from monitor.secrets import Secret
from monitor.tickets import Seen
from monitor.tickets.marks import fingerprint, kept_below, note_mark, notes_marked, same_text, ticket_mark, title_within
from monitor.values import Document, Draft, Note

__all__ = ["GitLabTickets"]

_LONGEST, _LONGEST_TITLE = 1_048_576, 255
_NO_UPLOAD = (403, 404, 413)


class _Issue(BaseModel):
    iid: int
    web_url: str
    state: str
    title: str
    description: str | None = None
    user_notes_count: int = 0
    labels: list[str] = Field(default_factory=list)


class _Comment(BaseModel):
    body: str = ""


class _Upload(BaseModel):
    url: str


class GitLabTickets:
    """Issues of one project.

    project    ``group/name``, or its number
    token      of a person, project or group, with the scope ``api`` and the role Reporter or higher
    url        of a self-hosted GitLab
    labels, assignee_ids  given to a new issue; people may change them
    confidential   only the project's members see new issues
    attach_report  upload the HTML report and link it
    ca_file    further certificate authorities, in PEM form
    timeout    seconds for one call with its repeats
    """

    def __init__(
        self,
        project: str | int,
        token: Secret,
        url: str = "https://gitlab.com",
        labels: tuple[str, ...] = ("drift-monitor",),
        assignee_ids: tuple[int, ...] = (),
        confidential: bool = False,
        attach_report: bool = True,
        ca_file: str = "",
        timeout: float = 45.0,
    ) -> None:
        if not str(project).strip("/"):
            raise ValueError("project must be group/name or a number")
        if any("," in label for label in labels):
            raise ValueError("labels must not hold a comma; give them as a list")
        self._project = f"/api/v4/projects/{quoted(str(project).strip('/'))}"
        self._given: dict[str, Any] = {"labels": ",".join(labels)} if labels else {}
        if assignee_ids:
            self._given["assignee_ids"] = list(assignee_ids)
        if confidential:
            self._given["confidential"] = True
        self._attach = attach_report
        headers = {"PRIVATE-TOKEN": str(token)}
        self._client = HttpClient("GitLab", url, headers=headers, secrets=(token,), ca_file=ca_file, total=timeout)

    @property
    def address(self) -> str:
        """Where it is: if nobody answers there, no other ticket is tried in the same round."""
        return self._client.origin

    def find(self, draft: Draft, location: str) -> Seen | None:
        """The issue at ``location``, else the oldest with the key's mark among those made since the drift began."""
        issue = self._at(location) if location else self._marked(draft)
        return self._seen(issue, draft) if issue is not None else None

    def _at(self, location: str) -> _Issue | None:
        where = re.search(r"/(?:issues|work_items)/(\d+)$", location)
        if where is None:
            raise PublishError(f"{location} is no issue of GitLab; was the destination's kind changed?", permanent=True)
        path = f"{self._project}/issues/{where[1]}"
        answer = self._client.call("GET", path, doing="read the ticket", accept=(404, 410))
        if answer.status in (404, 410):
            # Deleted, or out of sight? GitLab says the same of both.
            self._client.call("GET", self._project, doing="read the project of the ticket")
            return None
        issue = answer.read(_Issue)
        if _without_kind(issue.web_url) != _without_kind(location):
            raise PublishError(
                f"GitLab: the ticket {location} is in another project than the settings name; change the project back, "
                "or close that ticket by hand",
                permanent=True,
            )
        return issue

    def _marked(self, draft: Draft) -> _Issue | None:
        mark, since = ticket_mark(draft.key), draft.window.start.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        query: dict[str, str | int] = {"state": "all", "created_after": since, "order_by": "created_at", "sort": "asc"}
        query["per_page"] = 100
        for answer in self._client.pages(f"{self._project}/issues", doing="look for the ticket", query=query):
            for issue in answer.read(list[_Issue]):
                if mark in (issue.description or ""):
                    return issue
        return None

    def _seen(self, issue: _Issue, draft: Draft) -> Seen:
        labels = frozenset(label.lower() for label in issue.labels)
        notes: frozenset[str] = frozenset()
        if draft.notes:
            path, query = f"{self._path(issue)}/notes", {"sort": "asc", "per_page": "100"}
            pages = self._client.pages(path, doing="read the ticket's comments", query=query)
            notes = notes_marked(draft.notes, (one.body for page in pages for one in page.read(list[_Comment])))
        return Seen(issue.web_url, f"#{issue.iid}", issue.state == "opened", labels, notes, issue)

    def _path(self, issue: _Issue) -> str:
        return f"{self._project}/issues/{issue.iid}"

    def create(self, draft: Draft) -> Seen:
        """Open the issue; the report comes with the next update."""
        title = title_within(draft.title, _LONGEST_TITLE)
        data = {**self._given, "title": title, "description": _body(draft, "", "")}
        answer = self._client.call("POST", f"{self._project}/issues", doing="open the ticket", json=data)
        return self._seen(answer.read(_Issue), draft)

    def update(self, seen: Seen, draft: Draft, *, open: bool) -> None:  # noqa: A002 - the word of every tracker
        """Bring title, description and state to the draft, in one call, or none when they are so."""
        issue: _Issue = seen.content
        before = issue.description or ""
        title, report = title_within(draft.title, _LONGEST_TITLE), self._report(draft, before)
        body = _body(draft, kept_below(before, draft.key), report)
        change: dict[str, Any] = {}
        if title != issue.title:
            change["title"] = title
        if not same_text(body, before):
            change["description"] = body
        if open != (issue.state == "opened"):
            change["state_event"] = "reopen" if open else "close"
        if change:
            self._client.call("PUT", self._path(issue), doing="change the ticket", json=change)

    def _report(self, draft: Draft, before: str) -> str:
        """The line that links the report, uploaded when it is another than the one that is linked."""
        linked = re.search(r"^\[The report\]\(\S+\) <!-- drift-monitor report (\w+) -->$", before, re.MULTILINE)
        if not draft.report or not self._attach:
            return linked[0] if linked else ""
        digest = fingerprint(draft.report)
        if linked and linked[1] == digest:
            return linked[0]
        file = ("report.html", draft.report.encode("utf-8", "backslashreplace"), "text/html")
        path = f"{self._project}/uploads"
        answer = self._client.call("POST", path, doing="upload the report", files={"file": file}, accept=_NO_UPLOAD)
        if answer.status in _NO_UPLOAD:
            return ""
        url = answer.read(_Upload).url
        return f"[The report]({url}) <!-- drift-monitor report {digest} -->"

    def comment(self, seen: Seen, note: Note) -> None:
        """Comment with the note's mark at its end."""
        text = _whole(note.body, f"\n{note_mark(note.key)}\n")
        path = f"{self._path(seen.content)}/notes"
        self._client.call("POST", path, doing="comment on the ticket", json={"body": text})


def _body(draft: Draft, below: str, report: str) -> str:
    attached = f"\n{report}\n" if report else ""
    return _whole(draft.body, f"{attached}\n{ticket_mark(draft.key)}{below or chr(10)}")


def _whole(document: Document, end: str) -> str:
    """The document with what ends it, within GitLab's limit (of bytes, to be safe)."""
    fits: Callable[[Document], bool] = lambda body: len(f"{markdown(body)}{end}".encode()) <= _LONGEST  # noqa: E731
    return f"{markdown(fitted(document, fits))}{end}"


def _without_kind(url: str) -> str:
    """GitLab shows issues under two names."""
    return url.replace("/-/work_items/", "/-/issues/").partition("://")[2]
