"""What is said about the alarm: how sure, how large, since when, and what a calm window could have hidden."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from monitor.decide.alarm import LATELY, Alarm
from monitor.decide.findings import CHANGE
from monitor.decide.ledger import Ledger, scale_of
from monitor.decide.policy import Policy
from monitor.decide.reasons import listed, percent, share
from monitor.values import Counts, Measurement, State

__all__ = ["could_not_look", "moved_classes", "say", "too_few"]

_COUNTED = 1_000_000


def say(policy: Policy, alarm: Alarm, ledger: Ledger, counts: Counts, looked: Sequence[Measurement]) -> tuple[str, ...]:
    """The first sentences of a verdict."""
    if alarm.state is State.DRIFTED:
        return (_drifted(policy, alarm, ledger),)
    if alarm.state is State.RECOVERING:
        return (_recovering(policy, alarm),)
    if alarm.state is State.WATCH:
        return (_watched(policy, alarm, ledger),)
    over = (f"The alarm is over: no difference in {_looks(alarm.calm)}.",) if alarm.calm else ()
    return (*over, _calm(counts, looked), *_hidden(looked))


def _drifted(policy: Policy, alarm: Alarm, ledger: Ledger) -> str:
    what = listed([_named(key) for key in alarm.named])
    if alarm.goes_on:
        raised = datetime.fromtimestamp(alarm.since, UTC)
        return f"Drift goes on in {what}: the alarm of {raised:%Y-%m-%d %H:%M} UTC is still on{_size(alarm)}."
    return (
        f"Drift in {what}: evidence {_evidence(ledger)}, which chance alone brings to {policy.run_length:,.0f} about once in "
        f"as many looks{_size(alarm)}."
    )


def _recovering(policy: Policy, alarm: Alarm) -> str:
    raised = datetime.fromtimestamp(alarm.since, UTC)
    more = f"after {policy.calm} or a few more" if alarm.calm < policy.calm else "once together they show none either"
    return f"Recovering: no difference in {_looks(alarm.calm)}; the alarm of {raised:%Y-%m-%d %H:%M} UTC ends {more}."


def _watched(policy: Policy, alarm: Alarm, ledger: Ledger) -> str:
    if alarm.named:
        return (
            f"Worth watching: {listed([_named(key) for key in alarm.named])} changed (evidence {_evidence(ledger)}, limit "
            f"{policy.run_length:,.0f}), but perhaps by no more than the tolerated {percent(policy.tolerance)}{_size(alarm)}."
        )
    return (
        f"Worth watching: the evidence for a change is {_evidence(ledger)}; from {policy.run_length:,.0f} on it raises an "
        f"alarm{_size(alarm)}."
    )


def _size(alarm: Alarm) -> str:
    m = alarm.effect
    if m is None:
        return ""
    scale = scale_of(m.subject)
    span = f" over the last {scale} windows" if scale > 1 else ""
    if m.subject.endswith(LATELY):
        span = " since the evidence began to rise"
    subject = m.subject.removesuffix(LATELY).partition(" over ")[0]
    if subject == "confidence":
        return f"; mean confidence {_moved(m)}{span}"
    interval = f"95 % interval {percent(m.low)} to {percent(m.high)}"
    if subject == "classes":
        return f"; {percent(m.effect)} of traffic changed class{span} ({interval})"
    return f"; as if {percent(m.effect)} of traffic were a new kind of input{span} ({interval})"


def _moved(m: Measurement) -> str:
    low, high = sorted((m.low, m.high)) if m.effect >= 0 else sorted((-m.low, -m.high))
    way = "rose" if m.effect >= 0 else "fell"
    return f"{way} by {abs(m.effect):.3g} (95 % interval {low:.3g} to {high:.3g})"


def moved_classes(alarm: Alarm, looked: Sequence[Measurement]) -> tuple[str, ...]:
    """Which classes surely moved against the accepted past, of the streams that are named."""
    said = []
    for key in alarm.named:
        _, subject, segment = key.split("|", 2)
        what, over, span = subject.partition(" over ")
        moved = [
            m
            for m in looked
            if what == "classes"
            and m.segment == segment
            and m.subject.startswith("class:")
            and m.subject.partition(" over ")[1:] == (over, span)
            and not m.subject.endswith(LATELY)
        ]
        if moved:
            where = f" in {segment}" if segment else ""
            said.append(
                f"Against the accepted past{where}{f' over {span}' if over else ''}: {listed([_share(m) for m in moved])}."
            )
    return tuple(said[:1])


def _share(m: Measurement) -> str:
    return share(replace(m, subject=m.subject.partition(" over ")[0]))


def _named(key: str) -> str:
    _, subject, segment = key.split("|", 2)
    return f"{subject} ({segment})" if segment else subject


def _evidence(ledger: Ledger) -> str:
    return f"{ledger.evidence:,.0f}" if ledger.evidence < _COUNTED else f"over {_COUNTED:,}"


def _looks(count: int) -> str:
    return "1 look" if count == 1 else f"{count} looks in a row"


def _calm(counts: Counts, looked: Sequence[Measurement]) -> str:
    against = max((m.n_reference for m in looked), default=0)
    return f"No drift: {counts.sampled:,} records are like the {against:,} accepted before."


def _hidden(looked: Sequence[Measurement]) -> tuple[str, ...]:
    """The power statement."""
    least = [
        m.detail["detectable_share"]
        for m in looked
        if m.detector == CHANGE and not m.segment and m.subject == "embeddings" and "detectable_share" in m.detail
    ]
    if not least or not 0 < least[0] < 1:
        return ()
    return (
        f"A new kind of input at {percent(least[0])} of traffic would show in one look (p < 0.05) four times in five.",
    )


def too_few(policy: Policy, counts: Counts) -> str:
    """How many records there were, and how many a verdict needs."""
    return (
        f"No verdict: {counts.sampled:,} usable {'record was' if counts.sampled == 1 else 'records were'} sampled and "
        f"{policy.minimum_sample:,} are needed; use longer windows or lower policy.minimum_sample."
    )


def could_not_look(looked: Sequence[Measurement]) -> str:
    """Why there is no p-value although there are records."""
    blocks = [m.detail for m in looked if m.detector == CHANGE and "blocks_current" in m.detail]
    if not blocks:
        return (
            "No verdict: nothing has been accepted yet that this window could be compared with; later windows will be "
            "compared with it."
        )
    now, past = blocks[0]["blocks_current"], blocks[0]["blocks_past"]
    return (
        f"No verdict: {now:.0f} independent {'block' if now == 1 else 'blocks'} now and {past:.0f} accepted before are too "
        "few to exchange, which takes 2 on each side and 20 in all; use longer windows, a larger sample, or a finer "
        "fields.block."
    )
