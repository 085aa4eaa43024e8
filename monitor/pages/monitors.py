"""All monitors on one page, whoever needs attention first."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from monitor.pages.layout import render
from monitor.report.timeline import state_of
from monitor.store import Overview, Store
from monitor.values import MonitorTerms, State

__all__ = ["monitors_page"]

_ATTENTION = (
    State.DRIFTED.value,
    State.FAILED.value,
    "late",
    State.WATCH.value,
    State.INSUFFICIENT.value,
    State.RECOVERING.value,
    State.STABLE.value,
)


def monitors_page(store: Store, terms: Mapping[str, MonitorTerms], now: datetime) -> str:
    """The monitors of the settings, with what the newest runs found; ``now`` by the store's clock."""
    known = {one.monitor: one for one in store.overview()}
    rows = [_row(name, of, known.get(name), now) for name, of in terms.items()]
    return render("monitors.html", rows=sorted(rows, key=lambda row: row["order"]), now=now)


def _row(name: str, terms: MonitorTerms, seen: Overview | None, now: datetime) -> dict[str, Any]:
    states = ["no run yet"] if seen is None else _states(seen, terms, now)
    evidence = {} if seen is None or seen.verdict is None else seen.verdict.evidence
    ratio = evidence.get("evidence", 0.0) / max(evidence.get("run_length", 1.0), 1e-9)
    said, at = _said(seen)
    return {
        "name": name,
        "owner": terms.owner,
        "states": states,
        "since": None if seen is None else _since(seen, states[0]),
        "evidence": evidence.get("evidence"),
        "limit": evidence.get("run_length"),
        "over": ratio >= 1,
        "said": said,
        "at": at,
        "run": None if seen is None or seen.latest is None else seen.latest.id,
        "open": 0 if seen is None else len(seen.open_tickets),
        "waiting": 0 if seen is None else sum(n for (_, status), n in seen.tickets.items() if status != "sent"),
        "order": (min(map(_rank, states)), -ratio, name),
    }


def _states(seen: Overview, terms: MonitorTerms, now: datetime) -> list[str]:
    """That of the newest run first; a run that fails or lacks records ends no drift."""
    state = "no run yet" if seen.latest is None else state_of(seen.latest)
    drifted = seen.verdict is not None and seen.verdict.state is State.DRIFTED
    hidden = drifted and state in (State.FAILED, State.INSUFFICIENT)
    return [state, *[State.DRIFTED.value] * hidden, *["late"] * _late(seen, terms, now)]


def _rank(state: str) -> int:
    return _ATTENTION.index(state) if state in _ATTENTION else len(_ATTENTION)


def _late(seen: Overview, terms: MonitorTerms, now: datetime) -> bool:
    """Whether the newest verdict lies further back than the owner allows."""
    return now - (seen.watermark or seen.first_seen) > terms.limits.get("lag", timedelta.max)


def _since(seen: Overview, state: str) -> datetime | None:
    if state == State.FAILED:
        return seen.failing_since
    alarm = seen.verdict.evidence.get("alarm_since", 0.0) if seen.verdict is not None else 0.0
    if state == State.DRIFTED and alarm > 0:
        return datetime.fromtimestamp(alarm, UTC)
    return seen.same_since


def _said(seen: Overview | None) -> tuple[str, datetime | None]:
    """What the newest run came to, and the end of its window."""
    if seen is None or seen.latest is None:
        return "", None
    run = seen.latest
    reasons = run.decision.reasons if run.decision is not None else ()
    return reasons[0] if reasons else run.error, run.window.end
