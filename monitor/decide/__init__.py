"""Measurements and history in, verdict out: whether something has changed, how sure that is, and what moved.

Two questions are kept apart. *Has traffic changed against the accepted past?* is answered by the measurements of ``change``,
whose p-values are turned into evidence that adds up over windows, scales, subjects and segments; an alarm takes evidence over the
limit of the false-alarm budget and a change that surely exceeds the tolerance (:mod:`monitor.decide.alarm`). *How far is
traffic from the training reference?* is answered by the detectors: they tell what moved once an alarm is on, and otherwise are
a standing gap that is reported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from monitor.decide.alarm import LATELY, Alarm, carried, judge
from monitor.decide.evidence import bet_on, e_bh, shiryaev_roberts
from monitor.decide.findings import CHANGE, Finding, corrected_p_values, findings_of, key_of
from monitor.decide.ledger import Ledger, opened, rising_for, scale_of, stretch_of
from monitor.decide.policy import Policy
from monitor.decide.reasons import explain, gap
from monitor.decide.segments import segment_states
from monitor.decide.sentences import could_not_look, moved_classes, say, too_few
from monitor.values import Baseline, Counts, Decision, Measurement, State

__all__ = [
    "LATELY",
    "Policy",
    "bet_on",
    "corrected_p_values",
    "decide",
    "e_bh",
    "key_of",
    "opened",
    "rising_for",
    "shiryaev_roberts",
    "stretch_of",
]


def decide(
    policy: Policy,
    counts: Counts,
    measurements: Sequence[Measurement],
    baselines: Sequence[Baseline] = (),
    history: Sequence[Decision] = (),
    *,
    at: datetime,
    stamp: Mapping[str, float] | None = None,
) -> Decision:
    """The verdict on one window that ends ``at``.

    ``history`` holds the verdicts since the baseline began, newest first; the newest carries the evidence so far, in its own
    ``evidence``; ``stamp`` is kept in it, and tells later ones what this one was judged against. ``baselines`` are gaps to the reference that the owner has accepted.
    """
    last = history[0] if history else None
    looked = [m for m in measurements if m.detector == CHANGE]
    if counts.sampled < policy.minimum_sample:
        # Windows put together can be looked at when one alone cannot.
        looked = [m for m in looked if scale_of(m.subject) > 1]
    # A window without records leaves nothing that later looks could span: it is no look.
    ledger = Ledger.of(last).after(looked) if counts.sampled else Ledger.of(last)
    if not any(m.p_value is not None for m in looked):
        few = counts.sampled < policy.minimum_sample
        reason = too_few(policy, counts) if few else could_not_look(looked)
        evidence = carried(last) | ledger.as_evidence() | _seen(policy, counts, ledger, stamp)
        unseen = dict.fromkeys(last.segments if last else (), State.INSUFFICIENT)
        return Decision(State.INSUFFICIENT, (reason,), evidence=evidence, segments=unseen)
    alarm, kept = judge(policy, ledger, looked, last, at.timestamp())
    findings = findings_of(measurements, baselines, at)
    evidence = _seen(policy, counts, kept, stamp) | kept.as_evidence() | alarm.as_evidence() | _gaps(findings)
    said = say(policy, alarm, ledger, counts, looked)
    segments = segment_states(policy, alarm, ledger, looked, last)
    if alarm.state is not State.DRIFTED:
        return Decision(alarm.state, (*said, *gap(findings)), evidence=evidence, segments=segments)
    causes, reasons = explain(findings, measurements)
    if "class balance" not in causes or (stamp or {}).get("baseline"):
        # The reference tells nothing of this, or of what was accepted since.
        reasons = (*moved_classes(alarm, looked), *reasons)
    subjects = dict.fromkeys((*_subjects(alarm), *(f.subject for f in findings if f.drifted)))
    return Decision(
        alarm.state, (*said, *reasons), tuple(subjects), causes or _causes(alarm), evidence, segments=segments
    )


def _subjects(alarm: Alarm) -> tuple[str, ...]:
    parts = [key.split("|", 2) for key in alarm.named]
    return tuple(f"{detector} {subject}" + (f" ({where})" if where else "") for detector, subject, where in parts)


def _causes(alarm: Alarm) -> tuple[str, ...]:
    """What changed by the name of the stream, where no comparison with the reference tells more."""
    named = [key.split("|")[1].partition(" over ")[0] for key in alarm.named]
    # A swing of classes moves the embeddings too, but less surely than the classes themselves.
    if named and named[0] == "classes":
        return ("class balance",)
    return ("content", "class balance") if "classes" in named else ("content",)


def _seen(policy: Policy, counts: Counts, ledger: Ledger, stamp: Mapping[str, float] | None) -> dict[str, float]:
    """``budget_spent``: false alarms to be expected by now at most, were nothing to change."""
    return {
        "sampled": float(counts.sampled),
        "run_length": policy.run_length,
        "tolerance": policy.tolerance,
        "budget_spent": ledger.looks / policy.run_length,
        **(stamp or {}),
    }


def _gaps(findings: Sequence[Finding]) -> dict[str, float]:
    """Smallest corrected p-value of the comparisons with the reference, over all and by detector."""
    found: dict[str, float] = {}
    for f in findings:
        for name in ("corrected_p", f"corrected_p {f.measurement.detector}"):
            found[name] = min(f.p, found.get(name, 1.0))
    return found
