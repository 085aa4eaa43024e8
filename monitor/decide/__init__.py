"""Measurements in, verdict out: what is certain, what is large enough to matter, what moved, and the sentences that say so.

Drift takes two keys. *Certain*: the p-value, corrected for everything else that was tested on this window, is at most
``alpha``. *Large*: the effect reaches the floor of its detector, or its whole interval exceeds what the owner has
accepted. Certain but not large is ``watch``, and so is an interval that lies above the floor without being certain.

Correction: a detector corrects the p-values of one segment for each other, so its smallest one stands for it. Holm's
method is applied over detectors, and over (detector, segment) pairs; when there are segments, all traffic gets one half of
``alpha`` and the segments the other, so that many segments do not blunt the look at the whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from monitor.decide.findings import FLOORS, Finding, Policy, corrected_p_values, findings_of, key_of
from monitor.decide.reasons import calm, covered, explain, too_few, watch
from monitor.values import Baseline, Counts, Decision, Measurement, State

__all__ = ["FLOORS", "Policy", "corrected_p_values", "decide", "key_of"]

_WATCHED = 3


def decide(
    policy: Policy,
    counts: Counts,
    measurements: Sequence[Measurement],
    baselines: Sequence[Baseline] = (),
    history: Sequence[Decision] = (),
    *,
    at: datetime,
) -> Decision:
    """The verdict on one window that ends ``at``.

    ``baselines`` are accepted gaps: only what certainly exceeds them alarms. ``history`` holds earlier verdicts, newest
    first; this policy judges each window by itself and reads none of it.
    """
    seen = {"sampled": float(counts.sampled)}
    if counts.sampled < policy.minimum_sample:
        return Decision(State.INSUFFICIENT, (too_few(policy, counts),), evidence=seen)
    findings = findings_of(policy, measurements, baselines, at)
    if not findings:
        reason = "No verdict: no detector had enough comparable records on both sides; use longer windows."
        return Decision(State.INSUFFICIENT, (reason,), evidence=seen)
    evidence = seen | _evidence(policy, findings)
    drifted = tuple(f.subject for f in findings if f.drifted)
    if drifted:
        causes, reasons = explain(findings, measurements)
        return Decision(State.DRIFTED, (*reasons, *covered(findings)), drifted, causes, evidence)
    watched = sorted((f for f in findings if f.worth_watching), key=lambda f: (f.p, f.subject))
    if watched:
        reasons = tuple(watch(policy, f) for f in watched[:_WATCHED])
        return Decision(State.WATCH, (*reasons, *covered(findings)), evidence=evidence)
    return Decision(State.STABLE, covered(findings) or (calm(counts, findings),), evidence=evidence)


def _evidence(policy: Policy, findings: Sequence[Finding]) -> dict[str, float]:
    """Numbers the verdict rests on: the smallest corrected p-value, over all and by detector, and how many were tested."""
    evidence = {"alpha": policy.alpha, "tests": float(len(findings)), "corrected_p": min(f.p for f in findings)}
    for f in findings:
        name = f"corrected_p {f.measurement.detector}"
        evidence[name] = min(f.p, evidence.get(name, 1.0))
    return evidence
