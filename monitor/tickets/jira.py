"""Tickets as work items of Jira Cloud, by its REST API version 3; what Data Center does alike is here, too."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from typing import Any

from monitor.documents.adf import adf
from monitor.documents.fitting import fitted
from monitor.errors import PublishError
from monitor.http_client import HttpClient, quoted
from monitor.secrets import Secret
from monitor.tickets import Seen
from monitor.tickets.jira_answers import PROPERTY, Comments, Issue, Keyed, Search, Transitions
from monitor.tickets.marks import fingerprint, title_within
from monitor.values import Document, Draft, Note, Paragraph, Span

__all__ = ["JiraTickets"]

_LONGEST, _LONGEST_TITLE = 32_767, 255
_REFERENCE = re.compile(r"drift-monitor note ([0-9a-f]{16})")
_NO_UPLOAD = (403, 404, 413)


class JiraTickets:
    """Work items of one project of Jira Cloud.

    url         of the site: ``https://NAME.atlassian.net``
    email, token   of the account and its API token
    project     its key
    issue_type  the kind of a new work item
    labels      given to a new work item, beside the one by which it is found again; people may change them
    assignee    account id of who gets a new work item
    done, todo  the status, or transition, to which it is closed and reopened; by default the first of the category
    resolution  given on closing where the workflow asks for one
    attach_report  attach the HTML report
    ca_file     further certificate authorities, in PEM form
    timeout     seconds for one call with its repeats
    """

    _service, _api, _search = "Jira", "/rest/api/3", "/rest/api/3/search/jql"

    def __init__(
        self,
        url: str,
        email: str,
        token: Secret,
        project: str,
        issue_type: str = "Task",
        labels: tuple[str, ...] = ("drift-monitor",),
        assignee: str = "",
        done: str = "",
        todo: str = "",
        resolution: str = "",
        attach_report: bool = True,
        ca_file: str = "",
        timeout: float = 45.0,
    ) -> None:
        basic = b64encode(f"{email}:{token}".encode()).decode()
        given = {"assignee": {"accountId": assignee}} if assignee else {}
        self._set(project, issue_type, labels, given, (done, todo, resolution), attach=attach_report)
        self._connect(url, {"Authorization": f"Basic {basic}"}, (token, basic), ca_file, timeout)

    def _set(
        self,
        project: str,
        issue_type: str,
        labels: tuple[str, ...],
        given: dict[str, Any],
        ways: tuple[str, str, str],
        *,
        attach: bool,
    ) -> None:
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", project):
            raise ValueError(f"project must be a project's key, such as ML, not {project!r}")
        spaced = [label for label in labels if not label or re.search(r"\s", label)]
        if spaced:
            raise ValueError(f"labels of Jira hold no spaces: {spaced[0]!r}")
        self._project, self._labels, self._attach = project.upper(), list(labels), attach
        self._given = {"project": {"key": self._project}, "issuetype": {"name": issue_type}, **given}
        self._done, self._todo, self._resolution = ways

    def _connect(
        self, url: str, headers: dict[str, str], secrets: tuple[str, ...], ca_file: str, timeout: float
    ) -> None:
        self._url = url.rstrip("/")
        self._client = HttpClient(self._service, url, headers=headers, secrets=secrets, ca_file=ca_file, total=timeout)

    # What Cloud and Data Center do differently.

    def _rendered(self, document: Document) -> Any:
        """The document as the API takes it."""
        return adf(document)

    def _length(self, rendered: Any) -> int:
        # Cloud does not say how it counts; whatever it counts is no longer than this.
        return len(json.dumps(rendered, ensure_ascii=False, separators=(",", ":")))

    def _is_so(self, issue: Issue, body: Any, remembered: dict[str, Any]) -> bool:
        """Whether the issue was last given this body. Cloud gives a description back otherwise than it was sent."""
        return issue.ours == remembered

    # What they do alike.

    @property
    def address(self) -> str:
        """Where it is: if nobody answers there, no other ticket is tried in the same round."""
        return self._client.origin

    def find(self, draft: Draft, location: str) -> Seen | None:
        """The issue at ``location``, else the oldest with the key's label."""
        issue = self._read(location.rstrip("/").rpartition("/")[2]) if location else None
        if issue is None:
            issue = self._labelled(draft)
        return self._seen(issue, draft) if issue is not None else None

    def _read(self, key: str) -> Issue | None:
        query = {"fields": "summary,description,status,labels,attachment", "properties": PROPERTY}
        path = f"{self._api}/issue/{quoted(key)}"
        answer = self._client.call("GET", path, doing="read the ticket", query=query, accept=(404, 410))
        return None if answer.status in (404, 410) else answer.read(Issue)

    def _labelled(self, draft: Draft) -> Issue | None:
        """A project that is out of sight is an error here, so that its tickets are not taken for deleted."""
        jql = f'project = "{self._project}" AND labels = "{_label(draft.key)}" ORDER BY created ASC'
        query: dict[str, str | int] = {"jql": jql, "fields": "created", "maxResults": 50}
        answer = self._client.call("GET", self._search, doing="look for the ticket", query=query)
        for found in answer.read(Search).issues:
            issue = self._read(found.key)
            if issue is not None and issue.ours.get("key", draft.key) == draft.key:
                return issue
        return None

    def _seen(self, issue: Issue, draft: Draft) -> Seen:
        labels = frozenset(label.lower() for label in issue.fields.labels)
        is_open = issue.fields.status.statusCategory.key != "done"
        notes = self._notes(issue.key, draft) if draft.notes else frozenset()
        return Seen(f"{self._url}/browse/{issue.key}", issue.key, is_open, labels, notes, issue)

    def _notes(self, key: str, draft: Draft) -> frozenset[str]:
        there: set[str] = set()
        start, total = 0, 1
        while start < total:
            query: dict[str, str | int] = {"startAt": start, "maxResults": 100, "orderBy": "created"}
            answer = self._client.call("GET", self._comments(key), doing="read the ticket's comments", query=query)
            page = answer.read(Comments)
            there |= {found for one in page.comments for found in _REFERENCE.findall(json.dumps(one.body))}
            start, total = start + len(page.comments), page.total if page.comments else 0
        return frozenset(note.key for note in draft.notes if fingerprint(note.key) in there)

    def _comments(self, key: str) -> str:
        return f"{self._api}/issue/{quoted(key)}/comment"

    def create(self, draft: Draft) -> Seen:
        """Open the issue; the report comes with the next update."""
        body = self._fitted(draft.body)
        fields = {**self._given, "summary": title_within(draft.title, _LONGEST_TITLE), "description": body}
        fields["labels"] = [*self._labels, _label(draft.key)]
        data = {"fields": fields, "properties": [_remembered(draft, body)]}
        answer = self._client.call("POST", f"{self._api}/issue", doing="open the ticket", json=data)
        key = answer.read(Keyed).key
        made = self._read(key)
        if made is None:
            raise PublishError(f"{self._service}: the ticket {key} was opened and cannot be seen; it is tried again")
        return self._seen(made, draft)

    def _fitted(self, document: Document) -> Any:
        return self._rendered(fitted(document, lambda body: self._length(self._rendered(body)) <= _LONGEST))

    def update(self, seen: Seen, draft: Draft, *, open: bool) -> None:  # noqa: A002 - the word of every tracker
        """Bring summary, description, attached report and status to the draft; what is so already is not sent."""
        issue: Issue = seen.content
        if open and not seen.open:
            # First: in many workflows what is closed cannot be changed.
            self._move(issue, self._todo, ("new", "indeterminate"), {})
        change: dict[str, Any] = {}
        title, body = title_within(draft.title, _LONGEST_TITLE), self._fitted(draft.body)
        if title != issue.fields.summary:
            change["summary"] = title
        remembered = _remembered(draft, body)
        if not self._is_so(issue, body, remembered["value"]):
            change["description"] = body
        if change:
            data = {"fields": change, "properties": [remembered]}
            stays_closed = not open and not seen.open
            path = f"{self._api}/issue/{quoted(issue.key)}"
            self._client.call(
                "PUT", path, doing="change the ticket", json=data, accept=(400, 403) if stays_closed else ()
            )
        self._report(issue, draft)
        if seen.open and not open:
            fields = {"resolution": {"name": self._resolution}} if self._resolution else {}
            self._move(issue, self._done, ("done",), fields)

    def _move(self, issue: Issue, wanted: str, categories: tuple[str, ...], fields: dict[str, Any]) -> None:
        path = f"{self._api}/issue/{quoted(issue.key)}/transitions"
        there = self._client.call("GET", path, doing="read the ticket's workflow").read(Transitions).transitions
        fits = [one for one in there if wanted.lower() in (one.name.lower(), one.to.name.lower())]
        if not wanted:
            fits = [one for category in categories for one in there if one.to.statusCategory.key == category]
        if not fits:
            names = ", ".join(sorted(one.name for one in there)) or "none"
            raise PublishError(
                f"{self._service}: {issue.key} has no transition to {wanted or ' or '.join(categories)!r}; there are: {names}; "
                f"name one as {'done' if categories == ('done',) else 'todo'} in the settings, then drift-monitor tickets --retry",
                permanent=True,
            )
        data: dict[str, Any] = {"transition": {"id": fits[0].id}}
        if fields:
            data["fields"] = fields
        self._client.call("POST", path, doing="close or reopen the ticket", json=data)

    def _report(self, issue: Issue, draft: Draft) -> None:
        """One attachment, named by what is in it; an earlier one goes when this one is there."""
        if not draft.report or not self._attach:
            return
        name = f"drift-report-{fingerprint(draft.report)}.html"
        if any(one.filename == name for one in issue.fields.attachment):
            return
        file = (name, draft.report.encode("utf-8", "backslashreplace"), "text/html")
        path, headers = f"{self._api}/issue/{quoted(issue.key)}/attachments", {"X-Atlassian-Token": "no-check"}
        answer = self._client.call(
            "POST", path, doing="attach the report", files={"file": file}, headers=headers, accept=_NO_UPLOAD
        )
        if answer.status in _NO_UPLOAD:
            return
        for old in issue.fields.attachment:
            if re.fullmatch(r"drift-report-[0-9a-f]{16}\.html", old.filename):
                where = f"{self._api}/attachment/{quoted(old.id)}"
                self._client.call("DELETE", where, doing="remove the earlier report", accept=(403, 404))

    def comment(self, seen: Seen, note: Note) -> None:
        """Comment that ends with a reference to the note: Jira hides nothing."""
        reference = Paragraph((Span(f"drift-monitor note {fingerprint(note.key)}", "code"),))

        def whole(body: Document) -> Any:
            return self._rendered((*body, reference))

        text = whole(fitted(note.body, lambda body: self._length(whole(body)) <= _LONGEST))
        self._client.call("POST", self._comments(seen.number), doing="comment on the ticket", json={"body": text})


def _label(key: str) -> str:
    return f"drift-monitor-{fingerprint(key)}"


def _remembered(draft: Draft, body: Any) -> dict[str, Any]:
    """A property of the issue."""
    return {"key": PROPERTY, "value": {"key": draft.key, "body": fingerprint(json.dumps(body))}}
