"""Tables of a report: class shares, segments, data quality, measurements."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from monitor.report.numbers import percent, short, signed, span, wilson
from monitor.report.timeline import SERIES
from monitor.values import Measurement, Run

__all__ = ["changes_of", "class_shares", "data_quality", "measured", "segment_states"]

_CLASS = "class:"
_QUALITY = (
    ("population", "records of the window that could be used"),
    ("sampled", "drawn and looked at"),
    ("repeats", "further records with the id of a drawn one"),
    ("empty", "without text and vector"),
    ("overlong", "cut to the configured length"),
    ("outside", "outside the window"),
)


def changes_of(run: Run, segment: str = "") -> Mapping[str, Measurement]:
    """The window against the accepted past, by what is drawn over time."""
    return {
        m.subject: m
        for m in run.measurements
        if m.detector == "change" and m.segment == segment and m.subject in SERIES
    }


def class_shares(measurements: Sequence[Measurement]) -> list[dict[str, Any]]:
    """Shares of classes on both sides, the most moved first."""
    counted = [
        m
        for m in measurements
        if m.detector == "class_balance"
        and m.subject.startswith(_CLASS)
        and not m.segment
        and "share_reference" in m.detail
    ]
    both = {m.subject: (m.detail["share_reference"], m.detail["share_current"]) for m in counted}
    spans = {
        m.subject: tuple(
            wilson(share, rows) for share, rows in zip(both[m.subject], (m.n_reference, m.n_current), strict=True)
        )
        for m in counted
    }
    top = max((high for pair in spans.values() for _, high in pair), default=0.0) or 1.0
    found = []
    for m in sorted(counted, key=lambda m: (-abs(m.effect), m.subject)):
        sides = [
            {
                "share": percent(share),
                "interval": span(*ends),
                "bar": round(100 * share / top, 2),
                "low": round(100 * ends[0] / top, 2),
                "high": round(100 * ends[1] / top, 2),
            }
            for share, ends in zip(both[m.subject], spans[m.subject], strict=True)
        ]
        found.append(
            {
                "name": m.subject.removeprefix(_CLASS),
                "reference": sides[0],
                "current": sides[1],
                "change": signed(m.effect),
                "interval": f"{signed(m.low)} to {signed(m.high)}",
                "sure": m.low > 0 or m.high < 0,
                "note": "new" if m.detail.get("new") else "vanished" if m.detail.get("vanished") else "",
            }
        )
    return found


def segment_states(run: Run) -> list[dict[str, Any]]:
    """Every segment that was looked at: its state, and what changed in it."""
    states = run.decision.segments if run.decision is not None else {}
    found = []
    for segment in dict.fromkeys([*states, *run.segments()]):
        if not segment:
            continue
        changes = changes_of(run, segment)
        rows = max((m.n_current for m in run.measurements if m.segment == segment), default=0)
        found.append(
            {
                "name": segment,
                "state": states[segment].value if segment in states else "-",
                "rows": f"{rows:,}",
                **{s: f"{percent(m.effect)} ({span(m.low, m.high)})" for s, m in changes.items()},
            }
        )
    return found


def data_quality(run: Run, past: Sequence[Run]) -> list[tuple[str, str, str, str]]:
    """Name, meaning, this window, and the median of earlier ones."""
    before = [one.counts for one in past if one.decision is not None and one.counts.population]

    def usual(values: Sequence[int]) -> str:
        return f"{statistics.median(values):,.0f}" if values else "-"

    found = [
        (name, meaning, f"{getattr(run.counts, name):,}", usual([getattr(one, name) for one in before]))
        for name, meaning in _QUALITY
    ]
    reasons = sorted({*run.counts.rejected, *(reason for one in before for reason in one.rejected)})
    return found + [
        (
            f"rejected: {reason}",
            "could not be read",
            f"{run.counts.rejected.get(reason, 0):,}",
            usual([one.rejected.get(reason, 0) for one in before]),
        )
        for reason in reasons
    ]


def measured(measurements: Sequence[Measurement]) -> list[dict[str, str]]:
    """Every measurement but those of single classes."""
    return [
        {
            "detector": m.detector,
            "subject": m.subject,
            "segment": m.segment,
            "effect": short(m.effect),
            "interval": f"{short(m.low)} to {short(m.high)}",
            "p": "-" if m.p_value is None else f"{m.p_value:.2g}",
            "rows": f"{m.n_reference:,} / {m.n_current:,}",
        }
        for m in measurements
        if not m.subject.startswith(_CLASS)
    ]
