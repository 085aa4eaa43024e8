"""Tickets as issues of GitHub or GitHub Enterprise, by its REST API."""

from __future__ import annotations

import re
from datetime import UTC
from typing import Any

from pydantic import BaseModel, Field

from monitor.documents.fitting import fitted
from monitor.documents.markdown import markdown
from monitor.errors import PublishError
from monitor.http_client import HttpClient
from monitor.secrets import Secret
from monitor.tickets import Seen
from monitor.tickets.marks import kept_below, note_mark, notes_marked, same_text, ticket_mark, title_within
from monitor.values import Document, Draft, Note

__all__ = ["GitHubTickets"]

_LONGEST, _LONGEST_TITLE = 65_536, 256
_GONE = (404, 410)


class _Label(BaseModel):
    name: str | None = None


class _Issue(BaseModel):
    number: int
    html_url: str
    repository_url: str = ""
    state: str
    title: str
    body: str | None = None
    created_at: str = ""
    comments: int = 0
    labels: list[_Label | str] = Field(default_factory=list)
    pull_request: Any = None


class _Comment(BaseModel):
    body: str | None = None


class _Repository(BaseModel):
    has_issues: bool = True


class GitHubTickets:
    """Issues of one repository.

    repository  ``owner/name``
    token       may read and write the repository's issues
    url         of the API: ``https://HOST/api/v3`` for GitHub Enterprise
    labels, assignees  given to a new issue; people may change them
    ca_file     further certificate authorities, in PEM form
    timeout     seconds for one call with its repeats
    """

    def __init__(
        self,
        repository: str,
        token: Secret,
        url: str = "https://api.github.com",
        labels: tuple[str, ...] = ("drift-monitor",),
        assignees: tuple[str, ...] = (),
        ca_file: str = "",
        timeout: float = 45.0,
    ) -> None:
        if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository):
            raise ValueError(f"repository must be owner/name, not {repository!r}")
        self._repository, self._labels, self._assignees = repository, list(labels), list(assignees)
        headers = {
            "Authorization": f"Bearer {token}",
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": "2022-11-28",
        }
        self._client = HttpClient("GitHub", url, headers=headers, secrets=(token,), ca_file=ca_file, total=timeout)

    @property
    def address(self) -> str:
        """Where it is: if nobody answers there, no other ticket is tried in the same round."""
        return self._client.origin

    def find(self, draft: Draft, location: str) -> Seen | None:
        """The issue at ``location``, else the oldest with the key's mark among those made since the drift began."""
        issue = self._at(location) if location else self._marked(draft)
        return self._seen(issue, draft) if issue is not None else None

    def _at(self, location: str) -> _Issue | None:
        where = re.search(r"([^/]+/[^/]+)/issues/(\d+)$", location)
        if where is None:
            raise PublishError(f"{location} is no issue of GitHub; was the destination's kind changed?", permanent=True)
        path = f"/repos/{where[1]}"
        answer = self._client.call("GET", f"{path}/issues/{where[2]}", doing="read the ticket", accept=_GONE)
        if answer.status not in _GONE:
            return answer.read(_Issue)
        # Deleted, or out of sight? GitHub says the same of both.
        repository = self._client.call("GET", path, doing="read the repository of the ticket").read(_Repository)
        if not repository.has_issues:
            raise PublishError(f"GitHub: the repository {where[1]} has its issues switched off", permanent=True)
        return None

    def _marked(self, draft: Draft) -> _Issue | None:
        mark, since = ticket_mark(draft.key), draft.window.start.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        query: dict[str, str | int] = {
            "state": "all",
            "since": since,
            "sort": "created",
            "direction": "desc",
            "per_page": 100,
        }
        found: _Issue | None = None
        for answer in self._client.pages(self._issues, doing="look for the ticket", query=query):
            issues = answer.read(list[_Issue])
            for issue in issues:
                # A pull request may quote the mark.
                if issue.pull_request is None and mark in (issue.body or ""):
                    found = issue
            if issues and issues[-1].created_at and issues[-1].created_at < since:
                break
        return found

    @property
    def _issues(self) -> str:
        return f"/repos/{self._repository}/issues"

    def _path(self, issue: _Issue) -> str:
        """Where the issue is now; it may have been transferred."""
        repository = "/".join(issue.repository_url.rstrip("/").split("/")[-2:]) or self._repository
        return f"/repos/{repository}/issues/{issue.number}"

    def _seen(self, issue: _Issue, draft: Draft) -> Seen:
        labels = frozenset((one if isinstance(one, str) else one.name or "").lower() for one in issue.labels)
        notes = notes_marked(draft.notes, self._comments(issue)) if draft.notes and issue.comments else frozenset()
        return Seen(issue.html_url, f"#{issue.number}", issue.state == "open", labels, notes, issue)

    def _comments(self, issue: _Issue) -> list[str]:
        path = f"{self._path(issue)}/comments"
        pages = self._client.pages(path, doing="read the ticket's comments", query={"per_page": 100})
        return [comment.body or "" for page in pages for comment in page.read(list[_Comment])]

    def create(self, draft: Draft) -> Seen:
        """Open the issue."""
        data: dict[str, Any] = {"title": title_within(draft.title, _LONGEST_TITLE), "body": _body(draft, "")}
        if self._labels:
            data["labels"] = self._labels
        if self._assignees:
            data["assignees"] = self._assignees
        answer = self._client.call("POST", self._issues, doing="open the ticket", json=data)
        return self._seen(answer.read(_Issue), draft)

    def update(self, seen: Seen, draft: Draft, *, open: bool) -> None:  # noqa: A002 - the word of every tracker
        """Bring title, body and state to the draft, in one call, or none when they are so."""
        issue: _Issue = seen.content
        title, body = title_within(draft.title, _LONGEST_TITLE), _body(draft, kept_below(issue.body or "", draft.key))
        change: dict[str, Any] = {}
        if title != issue.title:
            change["title"] = title
        if not same_text(body, issue.body or ""):
            change["body"] = body
        if open != (issue.state == "open"):
            change |= {"state": "open"} if open else {"state": "closed", "state_reason": "completed"}
        if change:
            self._client.call("PATCH", self._path(issue), doing="change the ticket", json=change, repeatable=True)

    def comment(self, seen: Seen, note: Note) -> None:
        """Comment with the note's mark at its end."""
        mark = note_mark(note.key)

        def whole(body: Document) -> str:
            return f"{markdown(body)}\n{mark}\n"

        text = whole(fitted(note.body, lambda body: len(whole(body)) <= _LONGEST))
        path = f"{self._path(seen.content)}/comments"
        self._client.call("POST", path, doing="comment on the ticket", json={"body": text})


def _body(draft: Draft, below: str) -> str:
    def whole(body: Document) -> str:
        return f"{markdown(body)}\n{ticket_mark(draft.key)}{below or chr(10)}"

    return whole(fitted(draft.body, lambda body: len(whole(body)) <= _LONGEST))
