"""Changes of state that people without Prometheus are told directly: drift and its end, no verdict and verdicts again."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

from monitor.decide import opened
from monitor.report import ticket_title
from monitor.values import Notice, Run, State

__all__ = ["BLIND", "DRIFT", "OVER", "SEES", "news"]

DRIFT, OVER, BLIND, SEES = "drift", "over", "blind", "sees"
_NO_VERDICT = (State.FAILED, State.INSUFFICIENT)


def news(
    run: Run,
    since: datetime | None,
    before: State | None,
    quiet: timedelta = timedelta(0),
    pages: str = "",
    *,
    alarm: bool = False,
) -> Notice | None:
    """What is new with this run, if anything is.

    Parameters
    ----------
    since : start of the first window of the drift, where there is drift
    before : state of the run before, ``None`` for the first
    quiet : how long nothing more is said of the same event
    pages : address of the pages, to which the message leads when it is known
    alarm : whether an alarm was on after the verdict before
    """
    decision = run.decision
    if decision is None:
        return None
    day, blind = f"{run.window.start:%Y-%m-%d %H:%M} UTC", before in _NO_VERDICT
    if decision.state is State.DRIFTED and since is not None:
        # Named by the drift and not by the run, so that the next windows of it say nothing new.
        what = f"{since.isoformat()}|{'+'.join(decision.causes)}"
        return _notice(run, DRIFT, what, ticket_title(run.monitor, decision, f"{since:%Y-%m-%d}"), quiet, pages)
    event, said = "", ""
    if decision.state in _NO_VERDICT:
        event, said = ("", "") if blind else (BLIND, f"no verdict on the window of {day}")
    elif alarm and not opened(decision):
        event, said = OVER, f"the drift is over since {day}"
    elif blind:
        event, said = SEES, f"verdicts again since {day}"
    return _notice(run, event, run.window.start.isoformat(), f"{run.monitor}: {said}", quiet, pages) if event else None


def _notice(run: Run, event: str, what: str, title: str, quiet: timedelta, pages: str) -> Notice:
    key = hashlib.sha256(f"{run.monitor}|{run.reference_version}|{event}|{what}".encode()).hexdigest()[:32]
    said = list(run.decision.reasons) if run.decision is not None else []
    if run.refresh is not None:
        said += [advice.sentence for advice in run.refresh.advice]
    by_hand = f"drift-monitor report --monitor {run.monitor} --window {run.window.start.isoformat()}"
    said.append(f"More: {pages}/runs/{run.id}" if pages else f"More: {by_hand}")
    return Notice(key, run.monitor, event, title, "\n".join(said), run.window, quiet)
