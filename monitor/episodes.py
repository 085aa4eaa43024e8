"""Episodes of drift: from the alarm to its end one ticket, and a comment only when something changed that a person would act on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta

from monitor.decide import opened
from monitor.report import ticket_title
from monitor.values import Decision, Judged, Living, Run, Said, State, TicketWish

__all__ = ["changes", "episode_start", "ticket_wish"]

_GROWN = 2.0
_NO_VERDICT = (State.FAILED, State.INSUFFICIENT)


def ticket_wish(
    run: Run,
    newest: Living | None,
    told: Run | None,
    history: Sequence[Judged],
    *,
    reopen: timedelta,
    silent: bool = False,
    proof: Sequence[str] = (),
) -> TicketWish | None:
    """What a finished run asks of the monitor's ticket, if anything.

    Parameters
    ----------
    newest : the newest episode that has a ticket
    told : the run that people were last told of on it
    history : verdicts before this window, newest first
    reopen : drift for the same causes, against the same reference, that comes back within this time goes on in its old ticket
    proof : what was done about the drift and what it brought, for the comment on its end
    silent : a person wants to hear nothing; nothing is opened and no comment written
    """
    decision = run.decision
    if decision is None:
        return None
    if newest is not None and newest.open:
        return _lives(run, newest, decision, told, history, proof, silent=silent)
    if decision.state is not State.DRIFTED or silent:
        return None
    if newest is not None and _returns(run, newest, told, decision, reopen):
        return _back(run, newest, decision)
    return _begins(run, decision, history)


def _begins(run: Run, decision: Decision, history: Sequence[Judged]) -> TicketWish:
    since = episode_start(run, history)
    key = hashlib.sha256(f"{run.monitor}|{since.isoformat()}".encode()).hexdigest()[:32]
    title = ticket_title(run.monitor, decision, f"{since:%Y-%m-%d}")
    standing = _standing(run, since, history)
    return TicketWish(key, run.monitor, title, since, run.id, standing=standing, causes=decision.causes)


def episode_start(run: Run, history: Sequence[Judged]) -> datetime:
    """Start of the first drifted window of the unbroken row of windows with the alarm on that ends with this one."""
    start = edge = run.window.start
    for one in history:
        if one.window.end != edge or not one.alarm:
            break
        edge = one.window.start
        if one.state is State.DRIFTED:
            start = edge
    return start


def _day(at: datetime) -> str:
    return f"{at:%Y-%m-%d}" if (at.hour, at.minute) == (0, 0) else f"{at:%Y-%m-%d %H:%M} UTC"


def _span(time: timedelta) -> str:
    hours = time.total_seconds() / 3_600
    return f"{hours / 24:.0f} days" if hours >= 48 else f"{hours:.0f} hours"


def _standing(run: Run, since: datetime, history: Sequence[Judged]) -> str:
    count = 1 + sum(one.window.start >= since and one.state is State.DRIFTED for one in history)
    if count == 1:
        return f"Drift since the window of {_day(since)}."
    return f"Drift in {count} windows since {_day(since)}, the newest of {_day(run.window.start)}."


def _waits(run: Run, current: Living, decision: Decision) -> TicketWish:
    """Neither drift nor its end."""
    why = " ".join(decision.reasons[:1])
    standing = f"Newest window, {_day(run.window.start)}: {why}"
    return TicketWish(
        current.key, current.monitor, current.title, current.since, current.run_id, True, standing, current.causes
    )


def _returns(run: Run, newest: Living, told: Run | None, decision: Decision, reopen: timedelta) -> bool:
    """Drift against a new reference is another drift, even for the same causes."""
    return (
        newest.over_at is not None
        and (told is None or told.reference_version == run.reference_version)
        and run.window.end - newest.over_at <= reopen
        and run.window.start >= newest.since
        and set(decision.causes) <= set(newest.causes)
    )


def _named(run: Run, what: str) -> str:
    return f"{run.window.start.isoformat()} {what}"


def _back(run: Run, newest: Living, decision: Decision) -> TicketWish:
    after = _span(run.window.end - newest.over_at) if newest.over_at else "some time"
    back = f"back in the window of {_day(run.window.start)}, {after} after its end"
    note = Said(_named(run, "back"), (f"The drift is {back}.", *decision.reasons))
    standing = f"Drift since {_day(newest.since)}, {back}."
    return TicketWish(
        newest.key, run.monitor, newest.title, newest.since, run.id, True, standing, newest.causes, notes=(note,)
    )


def _lives(
    run: Run,
    current: Living,
    decision: Decision,
    told: Run | None,
    history: Sequence[Judged],
    proof: Sequence[str],
    *,
    silent: bool,
) -> TicketWish:
    if decision.state is State.DRIFTED:
        return _goes_on(run, current, decision, told, history, silent=silent)
    if opened(decision) or decision.state in _NO_VERDICT:
        return _waits(run, current, decision)
    return _over(run, current, decision, proof)


def _goes_on(
    run: Run,
    current: Living,
    decision: Decision,
    told: Run | None,
    history: Sequence[Judged],
    *,
    silent: bool,
) -> TicketWish:
    causes = tuple(dict.fromkeys((*current.causes, *decision.causes)))
    title = ticket_title(run.monitor, Decision(decision.state, causes=causes), f"{current.since:%Y-%m-%d}")
    said = changes(told, run, current.causes)
    notes = (
        (Said(_named(run, "changed"), (f"Window of {_day(run.window.start)}:", *said)),) if said and not silent else ()
    )
    standing = _standing(run, current.since, history)
    return TicketWish(current.key, run.monitor, title, current.since, run.id, True, standing, causes, notes=notes)


def _over(run: Run, current: Living, decision: Decision, proof: Sequence[str]) -> TicketWish:
    lasted = _span(run.window.end - current.since)
    first = f"The drift is over since the window of {_day(run.window.start)}, {lasted} after it was first seen."
    note = Said(_named(run, "over"), (first, *decision.reasons, *proof))
    return TicketWish(
        current.key,
        run.monitor,
        current.title,
        current.since,
        current.run_id,
        False,
        first,
        current.causes,
        run.window.end,
        (note,),
    )


def changes(told: Run | None, run: Run, causes: Sequence[str]) -> tuple[str, ...]:
    """What is new since people were last told, in finished sentences, as far as it changes what they would do."""
    if told is None or told.decision is None or run.decision is None:
        return ()
    said = [f"{cause.capitalize()} has drifted too." for cause in run.decision.causes if cause not in causes]
    if told.reference_version != run.reference_version:
        said.append(f"Traffic is compared with version {run.reference_version} of the reference now.")
    before = {finding.name for finding in told.decision.findings}
    said += [f"{f.name.capitalize()}: {f.sentence}" for f in run.decision.findings if f.name not in before]
    earlier, now = (one.decision.evidence.get("effect", 0.0) for one in (told, run) if one.decision is not None)
    if earlier > 0 and now >= _GROWN * earlier:
        said.append(f"The change has grown from {100 * earlier:.2g} % to {100 * now:.2g} % of traffic.")
    if run.refresh is not None and run.refresh.advice:
        first = run.refresh.advice[0]
        if told.refresh is None or not told.refresh.advice or told.refresh.advice[0].name != first.name:
            said.append(first.sentence)
        if run.refresh.answers and not (told.refresh and told.refresh.answers):
            said.append(f"The batch to label was chosen anew with the {run.refresh.answers} labels that have come in.")
    return tuple(said)
