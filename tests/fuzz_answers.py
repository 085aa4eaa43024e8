"""Services that answer anything: each ends in a ticket or a ``PublishError`` in our own words."""

from __future__ import annotations

import json
from typing import Any
from unittest import mock

from example_tickets import draft, note
from fuzz_settings import place
from fuzz_tally import JSON, Tally, each, heard, long_numbers
from hypothesis import strategies as st
from tracker_github import GitHub
from tracker_gitlab import GitLab
from tracker_jira import Jira, JiraDataCenter
from tracker_webhook import AskedTracker, Receiver
from trackers import TOKEN, Reply, Request

from monitor.errors import PublishError
from monitor.tickets.living import settle
from monitor.values import Known

KINDS = {
    "github": GitHub,
    "gitlab": GitLab,
    "jira": Jira,
    "jira_data_center": JiraDataCenter,
    "webhook": AskedTracker,
    "receiver": Receiver,
}
HEADERS = st.dictionaries(
    st.sampled_from(
        [
            "Content-Type",
            "Location",
            "Retry-After",
            "Link",
            "X-RateLimit-Reset",
            "RateLimit-Reset",
            "Content-Encoding",
            "X-Next-Page",
        ]
    ),
    st.sampled_from(
        [
            "",
            "x",
            "text/plain",
            "application/json; charset=utf-7",
            "-1",
            "9" * 400,
            "nan",
            "inf",
            "1e400",
            "²",
            "http://[::1",
            "//",
            "/",
            "../..",
            '<>; rel="next"',
            '<http://[>; rel="next"',
            "gzip",
            "deflate",
            "br",
            "Wed, 99 Foo 9999 99:99:99 GMT",
            "\xff\xfe",
            "file:///etc/passwd",
            "http://127.0.0.1:1/",
        ]
    ),
    max_size=2,
)
STATUS = st.sampled_from(
    [
        200,
        200,
        200,
        200,
        201,
        202,
        204,
        206,
        301,
        302,
        304,
        307,
        400,
        401,
        403,
        404,
        409,
        410,
        422,
        429,
        500,
        503,
        599,
        999,
    ]
)
EDIT = st.tuples(st.floats(0, 1, allow_nan=False), JSON, st.sampled_from(["set", "set", "remove", "rename"]))
ANSWER = st.tuples(
    st.sampled_from(["valid", "valid", "valid", "bytes", "json"]),
    STATUS,
    HEADERS,
    st.lists(EDIT, max_size=3),
    st.binary(max_size=60),
    JSON,
)


def loose(tracker: type, answers: list[Any]) -> Any:
    """A tracker of this kind, with one answer after the other made into something else."""

    class Loose(tracker):  # type: ignore[misc]
        turn = 0

        def check(self, request: Request) -> None:
            """Nothing is held against its documentation here."""

        def _reply(self, request: Request) -> Reply:
            how, status, headers, edits, data, value = answers[self.turn % len(answers)]
            self.turn += 1
            right, right_headers, body = super()._reply(request)
            if how == "bytes":
                return status, headers, data
            if how == "json":
                return status, headers, spelled(value)
            return (status if len(edits) == 3 else right), {**right_headers, **headers}, spelled(changed(body, edits))

    return Loose()


def changed(body: Any, edits: list[Any]) -> Any:
    """The right answer with these edits."""
    made = json.loads(json.dumps(body))
    for share, value, how in edits:
        found = place(made, share)
        if found is None:
            return value
        inner, last = found
        if how == "remove":
            del inner[last]
        elif how == "rename" and isinstance(inner, dict):
            inner[f"{last}_"] = inner.pop(last)
        else:
            inner[last] = value if not isinstance(value, list | dict) else type(value)(value)
            return made
    return made


def spelled(value: Any) -> bytes:
    """As JSON, whatever it is."""
    with long_numbers():
        return json.dumps(value).encode()


def play(tally: Tally, folder: object, cases: int, seed: int | None) -> None:
    """Every kind of service in turn."""
    for kind, tracker in KINDS.items():

        def one(given: tuple[list[Any], bool], kind: str = kind, tracker: type = tracker) -> None:
            answers, again = given
            told = draft(notes=(note("n1"), note("n2")))
            with loose(tracker, answers) as service, heard() as log:
                kept = [Known()]
                try:
                    backend = service.backend(timeout=5.0) if kind == "webhook" else service.backend()
                    known = settle(backend, told, Known(), kept.append)
                    if again:
                        settle(backend, draft(title="another", open=False), known, kept.append)
                    tally.counts["accepted"] += 1
                except PublishError as error:
                    words = str(error)
                    tally.counts["refused"] += 1
                    if TOKEN in words or "Traceback" in words or len(words) > 2_000 or "\n" in words:
                        tally.fault("text shown", words[:80], (kind, given))
                if TOKEN in log.getvalue():
                    tally.fault("text shown", "the token is in the log", (kind, given))

        with mock.patch("monitor.http_client.sleep", return_value=None):
            each(
                tally,
                st.tuples(st.lists(ANSWER, min_size=1, max_size=5), st.booleans()),
                cases // len(KINDS),
                seed,
                one,
            )
