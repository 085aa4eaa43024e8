"""Values to rows and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy.engine import Row

from monitor.store.entries import DeliveryStatus
from monitor.values import (
    Advice,
    Baseline,
    Candidate,
    Cause,
    Counts,
    Decision,
    Estimate,
    Measurement,
    Neighbour,
    Refresh,
    Run,
    RunStatus,
    State,
    Window,
)

__all__ = [
    "baseline_of",
    "baseline_row",
    "candidate_of",
    "candidate_rows",
    "decision_of",
    "decision_row",
    "measurement_of",
    "measurement_rows",
    "refresh_of",
    "run_of",
    "run_row",
    "wish_row",
]

_COUNTS = ("population", "sampled", "repeats", "empty", "overlong", "outside")
_MEASURED = ("detector", "subject", "segment", "effect", "low", "high", "p_value")
_PROPOSED = (
    "rank",
    "record_id",
    "strategy",
    "need",
    "gain",
    "risk",
    "suggested_label",
    "reason",
    "duplicates",
    "text",
    "observed_at",
    "predicted",
    "confidence",
    "segments",
    "cluster",
    "vector",
    "label",
)
_ACCEPTED = ("monitor", "window_start", "accepted_by", "reason", "accepted_at", "until", "effects")


def run_row(run: Run) -> dict[str, Any]:
    """What a finished run changes in its row; identity and claim stay as they are."""
    return {
        "status": run.status.value,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
        "reference_version": run.reference_version,
        "reference_fingerprint": run.reference_fingerprint,
        "embedder": run.embedder,
        "settings": run.settings,
        **{name: int(getattr(run.counts, name)) for name in _COUNTS},
        "cached": int(run.counts.cached),
        "rejected": {reason: int(count) for reason, count in run.counts.rejected.items()},
        "seconds": run.seconds,
        "error": run.error,
        "refresh": None if run.refresh is None else asdict(run.refresh),
    }


def run_of(
    row: Row[Any],
    measurements: Sequence[Measurement] = (),
    decision: Decision | None = None,
    candidates: Sequence[Candidate] = (),
) -> Run:
    """A run from its row and what belongs to it."""
    return Run(
        id=row.id,
        monitor=row.monitor,
        window=Window(row.window_start, row.window_end),
        status=RunStatus(row.status),
        attempt=row.attempt,
        claimed_by=row.claimed_by,
        started_at=row.started_at,
        finished_at=row.finished_at,
        reference_version=row.reference_version,
        reference_fingerprint=row.reference_fingerprint,
        embedder=row.embedder,
        settings=row.settings,
        counts=Counts(**{name: getattr(row, name) for name in _COUNTS}, rejected=row.rejected, cached=row.cached or 0),
        measurements=tuple(measurements),
        decision=decision,
        candidates=tuple(candidates),
        refresh=refresh_of(row.refresh),
        seconds=row.seconds,
        error=row.error,
    )


def refresh_of(document: dict[str, Any] | None) -> Refresh | None:
    """What a batch is expected to do, from its document."""
    if document is None:
        return None
    estimates = {name: document[name] and Estimate(**document[name]) for name in ("junk", "gain", "flips", "guarded")}
    advice = tuple(Advice(**one) for one in document["advice"])
    return Refresh(**document | estimates | {"advice": advice, "notes": tuple(document["notes"])})


def measurement_rows(run: Run) -> list[dict[str, Any]]:
    """One row each, in order."""
    return [
        {
            "run_id": run.id,
            "position": position,
            **{name: getattr(one, name) for name in _MEASURED},
            "n_reference": int(one.n_reference),
            "n_current": int(one.n_current),
            "detail": one.detail,
        }
        for position, one in enumerate(run.measurements)
    ]


def measurement_of(row: Row[Any]) -> Measurement:
    """A measurement from its row."""
    return Measurement(
        **{name: getattr(row, name) for name in _MEASURED},
        n_reference=row.n_reference,
        n_current=row.n_current,
        detail=row.detail,
    )


def decision_row(run: Run, decision: Decision) -> dict[str, Any]:
    """The verdict's row."""
    return {
        "run_id": run.id,
        "state": decision.state.value,
        "reasons": decision.reasons,
        "subjects": decision.subjects,
        "causes": decision.causes,
        "evidence": decision.evidence,
        "segments": {name: state.value for name, state in decision.segments.items()},
        "findings": [[c.name, c.sentence, c.evidence, c.terms, c.examples] for c in decision.findings],
    }


def decision_of(row: Row[Any]) -> Decision:
    """A verdict from its row."""
    findings = tuple(
        Cause(name, sentence, evidence, tuple(terms), tuple(examples))
        for name, sentence, evidence, terms, examples in row.findings or ()
    )
    return Decision(
        State(row.state),
        tuple(row.reasons),
        tuple(row.subjects),
        tuple(row.causes),
        row.evidence,
        findings,
        {name: State(state) for name, state in (row.segments or {}).items()},
    )


def candidate_rows(run: Run) -> list[dict[str, Any]]:
    """One row each, best first."""
    return [
        {
            "run_id": run.id,
            "position": position,
            "monitor": run.monitor,
            **{name: getattr(one, name) for name in _PROPOSED},
            "rank": int(one.rank),
            "duplicates": int(one.duplicates),
            "neighbours": [[n.record_id, n.label, n.similarity] for n in one.neighbours],
            "labelled_at": None if one.label is None else run.finished_at,
        }
        for position, one in enumerate(run.candidates)
    ]


def candidate_of(row: Row[Any]) -> Candidate:
    """A candidate from its row."""
    neighbours = tuple(Neighbour(record_id, label, similarity) for record_id, label, similarity in row.neighbours)
    values = {name: getattr(row, name) for name in _PROPOSED}
    # Written before needs were kept apart from gains, they were the same number.
    return Candidate(**values | {"need": row.gain if row.need is None else row.need}, neighbours=neighbours)


def baseline_row(baseline: Baseline) -> dict[str, Any]:
    """An accepted gap's row."""
    return {name: getattr(baseline, name) for name in _ACCEPTED}


def baseline_of(row: Row[Any]) -> Baseline:
    """An accepted gap from its row."""
    return Baseline(**{name: getattr(row, name) for name in _ACCEPTED})


def wish_row(key: str, destination: str, monitor: str, run_id: str, at: datetime | None) -> dict[str, Any]:
    """Something to be sent, due at once."""
    return {
        "key": key,
        "destination": destination,
        "monitor": monitor,
        "run_id": run_id,
        "status": DeliveryStatus.PENDING.value,
        "attempts": 0,
        "failures": 0,
        "created_at": at,
        "due_at": at,
        "location": "",
        "error": "",
    }
