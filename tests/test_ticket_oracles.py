"""Others read what we wrote: a stateful emulator of GitHub, and GitLab's own Python client; the descriptions really refuse."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from conftest import free_port, missing
from tracker_github import GitHub
from tracker_gitlab import GitLab
from tracker_jira import Jira
from trackers import TOKEN

from monitor.errors import PublishError
from monitor.http_client import HttpClient
from monitor.secrets import Secret
from monitor.testing import check_tickets
from monitor.tickets.github import GitHubTickets
from monitor.tickets.living import settle
from monitor.values import Draft, Known, Note, Paragraph, Span, Window

SEED = f"""
tokens:
  {TOKEN}: {{login: robot, scopes: [repo, user]}}
github:
  users:
    - {{login: robot, name: Robot, email: robot@acme.example}}
  repos:
    - {{owner: robot, name: robots, auto_init: true}}
"""


def draft(**changes) -> Draft:
    window = Window(datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 1, 6, tzinfo=UTC))
    body = (Paragraph((Span("Messages are about "), Span("refunds & <b>", "code"), Span(" now."))),)
    return replace(Draft("0123456789abcdef", "support", "support: content drift", body, window), **changes)


NOTE = Note("note-1", (Paragraph((Span("A further cause joined."),)),))


@pytest.fixture(scope="module")
def emulator(tmp_path_factory) -> Iterator[str]:
    """The npm package emulate, playing GitHub; its URL."""
    root = Path(__file__).resolve().parents[1]
    folder = Path(os.environ.get("DRIFT_MONITOR_EMULATE", root / ".ci-tools-npm"))
    script = folder / "node_modules" / "emulate" / "dist" / "index.js"
    node = shutil.which("node")
    if node is None or not script.exists():
        missing("no GitHub emulator: npm install --prefix .ci-tools-npm emulate@0.11.2")
    work = tmp_path_factory.mktemp("emulate")
    (work / "seed.yaml").write_text(SEED)
    url = f"http://localhost:{free_port()}"
    command = [node, str(script), "start", "--service", "github", "--port", url.rpartition(":")[2]]
    with (work / "log").open("wb") as log:
        server = subprocess.Popen([*command, "--seed", str(work / "seed.yaml")], stdout=log, stderr=log, cwd=work)
    try:
        HttpClient("emulate", url, tries=30, total=30).call("GET", "/user", doing="begin", accept=(401,))
        yield url
    except PublishError:
        pytest.fail(f"the emulator is not ready: {(work / 'log').read_text()}", pytrace=False)
    finally:
        server.terminate()
        server.wait(30)


def seen_by_github(url: str, path: str):
    request = urllib.request.Request(f"{url}/repos/robot/robots{path}", headers={"Authorization": f"Bearer {TOKEN}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def test_a_stateful_github_keeps_what_we_wrote(emulator):
    service = GitHubTickets("robot/robots", Secret(TOKEN), emulator, assignees=("robot",))
    known = settle(service, draft(), Known())
    known = settle(service, draft(notes=(NOTE,)), known)
    (issue,) = seen_by_github(emulator, "/issues?state=all")
    assert issue["html_url"] == known.location
    assert issue["title"] == "support: content drift"
    assert issue["body"].startswith("Messages are about `refunds & <b>` now.\n\n<!-- drift-monitor ticket")
    assert [label["name"] for label in issue["labels"]] == ["drift-monitor"]
    assert [person["login"] for person in issue["assignees"]] == ["robot"]
    (comment,) = seen_by_github(emulator, f"/issues/{issue['number']}/comments")
    assert comment["body"].startswith("A further cause joined.")
    settle(service, draft(open=False, notes=(NOTE,)), known)
    closed = seen_by_github(emulator, f"/issues/{issue['number']}")
    assert (closed["state"], closed["state_reason"]) == ("closed", "completed")


def test_the_emulator_keeps_the_contract(emulator):
    check_tickets(GitHubTickets("robot/robots", Secret(TOKEN), emulator), draft(key="fedcba9876543210"))


def test_an_unknown_repository_is_refused_as_github_does(emulator):
    with pytest.raises(PublishError, match=r"404 Not Found: Not Found; check the address") as caught:
        GitHubTickets("robot/nothing", Secret(TOKEN), emulator).find(draft(), "")
    assert caught.value.permanent


def test_gitlabs_own_client_reads_what_we_wrote():
    gitlab = pytest.importorskip("gitlab") if not os.environ.get("CI") else __import__("gitlab")
    with GitLab() as tracker:
        service = tracker.backend(labels=("drift-monitor", "ml"), confidential=True)
        known = settle(service, draft(report="<p>report</p>"), Known())
        known = settle(service, draft(report="<p>report</p>", notes=(NOTE,)), known)
        with gitlab.Gitlab(tracker.url, private_token=TOKEN) as client:
            project = client.projects.get("grp/ml")
            (issue,) = project.issues.list(state="all", get_all=True)
            assert issue.web_url == known.location
            assert issue.labels == ["drift-monitor", "ml"]
            assert issue.confidential
            assert issue.description.startswith("Messages are about `refunds & <b>` now.\n\n[The report](/uploads/")
            (comment,) = issue.notes.list(get_all=True)
            assert comment.body.startswith("A further cause joined.")
            # And we read what it wrote.
            issue.labels = [*issue.labels, "Accepted"]
            issue.state_event = "close"
            issue.labels = ",".join(issue.labels)
            issue.save()
        assert tracker.violations == []
        tracker.issues[0]["labels"] = tracker.issues[0]["labels"].split(",")
        known = settle(service, draft(notes=(NOTE,)), known)
        assert known.by_hand
        assert known.labels == {"accepted"}


@pytest.mark.parametrize(
    ("tracker", "method", "path", "data"),
    [
        (GitHub, "POST", "/repos/acme/robots/issues", {"body": "no title"}),
        (GitHub, "POST", "/repos/acme/robots/issues", {"title": "x", "labels": "drift-monitor"}),
        (GitHub, "PATCH", "/repos/acme/robots/issues/1", {"state": "shut"}),
        (GitHub, "GET", "/repos/acme/robots/issues?state=every", None),
        (GitHub, "POST", "/repos/acme/robots/tickets", {"title": "x"}),
        (Jira, "POST", "/rest/api/3/issue", {"fields": ["no object"]}),
        (Jira, "POST", "/rest/api/3/issue/ML-1/comment", {"body": "no tree"}),
        (Jira, "PUT", "/rest/api/3/issue/ML-1", {"properties": [{"name": "no key"}]}),
        (Jira, "GET", "/rest/api/3/search/jql?maxResults=many", None),
    ],
)
def test_the_descriptions_refuse_what_is_not_in_them(tracker, method, path, data):
    with tracker() as started:
        service = started.backend()
        settle(service, draft(), Known())
        assert started.violations == []
        with pytest.raises(PublishError, match="400 Bad Request"):
            service._client.call(method, path, doing="try", json=data)
        assert len(started.violations) == 1
