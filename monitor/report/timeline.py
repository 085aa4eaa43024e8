"""The effect and the evidence over time, as lines and marks to draw and as rows to read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from monitor.report.numbers import axis, moment, percent, short, span
from monitor.values import Measurement, Run, RunStatus

__all__ = ["SERIES", "timeline"]

SERIES = {"embeddings": "content", "classes": "class balance"}
"""What is drawn: subjects of the comparison with the accepted past, and what they are called."""

WIDTH, LEFT, RIGHT = 960.0, 56.0, 12.0
_TOP, _HEIGHT = 14.0, 190.0
_STRIP, _EVIDENCE_TOP, _EVIDENCE = 14.0, 282.0, 90.0
_LABELS = 6


@dataclass(frozen=True)
class _Scale:
    """From values to places; larger values lie higher."""

    top: float
    height: float
    low: float
    high: float

    def __call__(self, value: float) -> float:
        share = (value - self.low) / max(self.high - self.low, 1e-12)
        return round(self.top + self.height * (1 - min(max(share, 0.0), 1.0)), 1)


def _changes(run: Run) -> Mapping[str, Measurement]:
    return {m.subject: m for m in run.measurements if m.detector == "change" and not m.segment and m.subject in SERIES}


def timeline(runs: Sequence[Run]) -> dict[str, Any] | None:
    """What to draw of these finished runs, oldest first; ``None`` when none of them was looked at."""
    changes = [_changes(run) for run in runs]
    evidence = [run.decision.evidence if run.decision is not None else {} for run in runs]
    if not any(changes) and not any("evidence" in one for one in evidence):
        return None
    tolerance = next((one["tolerance"] for one in reversed(evidence) if "tolerance" in one), None)
    tops = [m.high for one in changes for m in one.values()] + [2 * (tolerance or 0.0), 0.02]
    marks = axis(min(max(tops), 1.0))
    step = (WIDTH - LEFT - RIGHT) / len(runs)
    middle = [round(LEFT + step * (i + 0.5), 1) for i in range(len(runs))]
    y = _Scale(_TOP, _HEIGHT, 0.0, marks[-1])
    return {
        "width": WIDTH,
        "left": LEFT,
        "right": WIDTH - RIGHT,
        "bottom": _TOP + _HEIGHT,
        "strip": _TOP + _HEIGHT + 8,
        "strip_height": _STRIP,
        "height": _EVIDENCE_TOP + _EVIDENCE + 8,
        "step": round(step, 2),
        "grid": [(y(mark), percent(mark)) for mark in marks],
        "tolerance": None if tolerance is None else (y(tolerance), percent(tolerance)),
        "columns": [
            _column(run, one, middle[i], step, i and _other_reference(runs[i - 1], run))
            for i, (run, one) in enumerate(zip(runs, changes, strict=True))
        ],
        "series": [_series(subject, name, changes, middle, y) for subject, name in SERIES.items()],
        "labels": _labels(runs, middle),
        "evidence": _evidence(evidence, middle),
        "rows": [_row(run, one) for run, one in zip(runs, changes, strict=True)][::-1],
    }


def _other_reference(before: Run, run: Run) -> bool:
    return before.reference_version is not None and run.reference_version not in (None, before.reference_version)


def _column(run: Run, changes: Mapping[str, Measurement], x: float, step: float, other: object) -> dict[str, Any]:
    state = state_of(run)
    sizes = [f"{SERIES[s]} {percent(m.effect)} ({span(m.low, m.high)})" for s, m in changes.items()]
    return {
        "x": round(x - step / 2, 1),
        "middle": x,
        "state": state,
        "alarm": state in ("drifted", "recovering"),
        "reference": run.reference_version if other else None,
        "tip": "; ".join([f"{moment(run.window.start)}: {state}", *sizes]),
    }


def state_of(run: Run) -> str:
    """The verdict in a word."""
    return run.status.value if run.decision is None else run.decision.state.value


def _series(
    subject: str, name: str, changes: Sequence[Mapping[str, Measurement]], middle: Sequence[float], y: _Scale
) -> dict[str, Any]:
    shift = -3.0 if subject == "embeddings" else 3.0
    points = [
        (round(x + shift, 1), y(abs(one[subject].effect)), y(one[subject].low), y(one[subject].high))
        for x, one in zip(middle, changes, strict=True)
        if subject in one
    ]
    return {
        "name": name,
        "kind": subject,
        "line": " ".join(f"{x},{at}" for x, at, _, _ in points),
        "points": points,
        "whiskers": "".join(f"M{x} {low}V{high}" for x, _, low, high in points),
        "last": points[-1] if points else None,
    }


def _evidence(evidence: Sequence[Mapping[str, float]], middle: Sequence[float]) -> dict[str, Any] | None:
    """The evidence against its limit, on a scale of powers of ten."""
    found = [(x, one["evidence"]) for x, one in zip(middle, evidence, strict=True) if "evidence" in one]
    limit = next((one["run_length"] for one in reversed(evidence) if "run_length" in one), None)
    if not found or limit is None:
        return None
    high = max(math.ceil(math.log10(max(limit, *(value for _, value in found), 10.0))), 2)
    y = _Scale(_EVIDENCE_TOP, _EVIDENCE, 0.0, float(high))
    powers = range(0, high + 1, max(1, math.ceil(high / 4)))
    return {
        "grid": [(y(float(power)), f"1e{power}" if power > 4 else f"{10**power:,}") for power in powers],
        "top": _EVIDENCE_TOP,
        "bottom": _EVIDENCE_TOP + _EVIDENCE,
        "limit": (y(math.log10(limit)), short(limit)),
        "points": [(x, y(math.log10(max(value, 1.0)))) for x, value in found],
        "line": " ".join(f"{x},{y(math.log10(max(value, 1.0)))}" for x, value in found),
    }


def _labels(runs: Sequence[Run], middle: Sequence[float]) -> list[tuple[float, str]]:
    every = max(1, math.ceil(len(runs) / _LABELS))
    return [(middle[i], moment(runs[i].window.start)) for i in range(len(runs) - 1, -1, -every)][::-1]


def _row(run: Run, changes: Mapping[str, Measurement]) -> dict[str, Any]:
    evidence = run.decision.evidence if run.decision is not None else {}
    return {
        "window": moment(run.window.start),
        "state": state_of(run),
        "sampled": f"{run.counts.sampled:,}" if run.status is RunStatus.DONE else "-",
        **{
            subject: f"{percent(m.effect)} ({span(m.low, m.high)})" if (m := changes.get(subject)) else "-"
            for subject in SERIES
        },
        "evidence": short(evidence["evidence"]) if "evidence" in evidence else "-",
    }
