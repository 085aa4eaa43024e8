"""Tickets as issues of Jira Data Center or Server, by its REST API version 2 and in wiki markup."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

from monitor.documents.wiki import wiki
from monitor.secrets import Secret
from monitor.tickets.jira import JiraTickets
from monitor.tickets.jira_answers import Issue
from monitor.tickets.marks import same_text
from monitor.values import Document

__all__ = ["JiraDataCenterTickets"]


class JiraDataCenterTickets(JiraTickets):
    """Issues of one project of a Jira that one runs oneself, 8.14 or newer for personal access tokens.

    url         where Jira is, with its context path if it has one
    token       a personal access token; with ``user``, that user's password
    assignee    name of the user who gets a new issue

    The other options are those of :class:`monitor.tickets.jira.JiraTickets`.
    """

    _service, _api, _search = "Jira Data Center", "/rest/api/2", "/rest/api/2/search"

    def __init__(
        self,
        url: str,
        token: Secret,
        project: str,
        user: str = "",
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
        basic = b64encode(f"{user}:{token}".encode()).decode()
        given = {"assignee": {"name": assignee}} if assignee else {}
        self._set(project, issue_type, labels, given, (done, todo, resolution), attach=attach_report)
        headers = {"Authorization": f"Basic {basic}" if user else f"Bearer {token}"}
        self._connect(url, headers, (token, basic), ca_file, timeout)

    def _rendered(self, document: Document) -> Any:
        return wiki(document)

    def _length(self, rendered: Any) -> int:
        return len(rendered)

    def _is_so(self, issue: Issue, body: Any, remembered: dict[str, Any]) -> bool:
        return same_text(str(issue.fields.description or ""), body)
