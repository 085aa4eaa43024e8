"""A state for each segment: what all traffic hides, and which of the segments an alarm is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from monitor.decide.alarm import Alarm, near
from monitor.decide.ledger import Ledger, what_of
from monitor.decide.policy import Policy
from monitor.values import Decision, Measurement, State

__all__ = ["segment_states"]


def segment_states(
    policy: Policy, alarm: Alarm, ledger: Ledger, looked: Sequence[Measurement], last: Decision | None
) -> Mapping[str, State]:
    """By segment; empty without segments.

    ``drifted`` when the alarm names it, ``recovering`` when it did and no longer does while the alarm is on, ``watch`` when the
    segment's own evidence is near the limit, ``insufficient`` when it was looked at before and has too few records now.
    """
    seen = {m.segment for m in looked if m.p_value is not None}
    named = {what_of(key)[0] for key in alarm.named} if alarm.state is State.DRIFTED else set()
    before = last.segments if last is not None else {}
    own: dict[str, list[float]] = {}
    for key, evidence in ledger.sums.items():
        own.setdefault(what_of(key)[0], []).append(evidence)
    found = {}
    for segment in sorted(s for s in own if s):
        if segment not in seen:
            found[segment] = State.INSUFFICIENT
        elif segment in named:
            found[segment] = State.DRIFTED
        elif alarm.since and before.get(segment) in (State.DRIFTED, State.RECOVERING):
            found[segment] = State.RECOVERING
        else:
            watched = sum(own[segment]) / len(own[segment]) >= near(policy)
            found[segment] = State.WATCH if watched else State.STABLE
    return found
