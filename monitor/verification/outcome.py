"""What became of a drift after a model went live: a reading of the verdicts, labels and verifications so far."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime

from monitor.values import Checked, Decision, Deployment, Outcome, State, Verification, Window
from monitor.verification.accuracy import running_accuracy

__all__ = ["outcome", "span_of"]

# Days off the ends of time, so that any time zone can show them.
_ENDLESS = datetime(9999, 12, 30, tzinfo=UTC)
_BEGINNING = datetime(1, 1, 2, tzinfo=UTC)
_ALARM = (State.DRIFTED, State.RECOVERING)

History = Sequence[tuple[Window, Decision]]


def span_of(deployment: Deployment, deployments: Sequence[Deployment]) -> tuple[datetime, datetime]:
    """When the model before went live and when the one after did; the ends of time where there is none."""
    times = sorted(one.live_at for one in deployments)
    earlier = [at for at in times if at < deployment.live_at]
    later = [at for at in times if at > deployment.live_at]
    return (earlier or [_BEGINNING])[-1], (later or [_ENDLESS])[0]


def outcome(
    deployment: Deployment,
    deployments: Sequence[Deployment],
    history: History,
    checked: Sequence[Checked],
    labels: int,
    verification: Verification | None = None,
    junk: Collection[str] = (),
) -> Outcome:
    """What later windows tell.

    The alarm is the last one that was on in a window begun before the model went live and after the one before it did. It is over
    with the first stable window after, of this model's time; a drift that returns later is another one.

    Parameters
    ----------
    deployments : all of the monitor, in any order
    history : verdicts in any order
    checked : records drawn at random with their labels
    labels : that came in between the former deployment and this one
    junk : labels that say nothing of accuracy
    """
    first, last = span_of(deployment, deployments)
    live = deployment.live_at
    told = sorted(history, key=lambda one: one[0].start)
    alarm, edge = _alarm([one for one in told if first <= one[0].start < live])
    after = [(w, d) for w, d in told if live <= w.start < last]
    calm = next((w.end for w, d in told if edge and edge <= w.start < last and d.state is State.STABLE), None)
    before, number_before = running_accuracy([one for one in checked if first <= one.at < live], junk)
    since, number_since = running_accuracy([one for one in checked if live <= one.at < last], junk)
    return Outcome(
        deployment=deployment,
        alarm_since=alarm,
        recovered_at=calm,
        windows=len(after),
        state=after[-1][1].state if after else None,
        labels=labels,
        before=before,
        since=since,
        checked_before=number_before,
        checked_since=number_since,
        verification=verification,
    )


def _alarm(told: Sequence[tuple[Window, Decision]]) -> tuple[datetime | None, datetime | None]:
    """When the last alarm among these went on, and the end of its last window."""
    found = [place for place, (_, decision) in enumerate(told) if decision.state is State.DRIFTED]
    if not found:
        return None, None
    window, decision = told[found[-1]]
    said = decision.evidence.get("alarm_since", 0.0)
    if said > 0:
        return datetime.fromtimestamp(said, UTC), window.end
    first = found[-1]
    while first and told[first - 1][1].state in _ALARM:
        first -= 1
    return told[first][0].end, window.end
