"""What was measured, as samples: effects, class shares, rows compared."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from monitor.metrics.labels import largest, short, summed
from monitor.metrics.table import OTHER
from monitor.values import Measurement

__all__ = ["of_measurements"]

Sample = tuple[str, tuple[str, ...], float]

_CLASS = "class:"
_CHANGE = "change"
"""Compares with the accepted past, where the shares are those of the reference."""
_NORMAL_975 = 1.959963984540054
_NEW, _EXPECTED = 5, 10


def of_measurements(measurements: Sequence[Measurement], classes: int, segments: int) -> Iterator[Sample]:
    """Samples by name without prefix; at most so many classes, other subjects and segments by name.

    Classes within segments are left out: they would be most of all series, and stand in the run and its report.
    """
    measurements = [m for m in measurements if not (m.segment and m.subject.startswith(_CLASS))]
    counted = {
        m.subject.removeprefix(_CLASS): m
        for m in measurements
        if m.subject.startswith(_CLASS)
        and m.detector != _CHANGE
        and not m.segment
        and {"share_reference", "share_current"} <= m.detail.keys()
    }
    shares = {name: (m.detail["share_reference"], m.detail["share_current"]) for name, m in counted.items()}
    every = {m.subject.removeprefix(_CLASS) for m in measurements if m.subject.startswith(_CLASS)}
    named = largest({name: max(shares.get(name, (0.0,))) for name in every}, classes)
    yield from _of_classes(counted, shares, named)
    shown = _shown(measurements, named, classes, segments)
    for labels, m in shown.items():
        for name, value in (("effect", m.effect), ("effect_low", m.low), ("effect_high", m.high)):
            yield name, labels, value
        if m.p_value is not None:
            yield "p_value", labels, m.p_value
    yield from _of_power(shown)


def _of_classes(
    counted: Mapping[str, Measurement], shares: Mapping[str, tuple[float, float]], named: set[str]
) -> Iterator[Sample]:
    for side, data in enumerate(("reference", "current")):
        for name, share in summed({name: both[side] for name, both in shares.items()}, named).items():
            yield "class_share_ratio", (name, data), share
    rows = max((m.n_current for m in counted.values()), default=0)
    for name, share in summed({name: current for name, (_, current) in shares.items()}, named).items():
        low, high = interval(share, rows)
        yield "class_share_low_ratio", (name,), low
        yield "class_share_high_ratio", (name,), high
    if counted:
        new = sum(before == 0 and now * rows >= _NEW - 0.5 for before, now in shares.values())
        gone = sum(now == 0 and before * rows >= _EXPECTED for before, now in shares.values())
        yield "classes", ("new",), new
        yield "classes", ("vanished",), gone


def interval(share: float, rows: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share ("Probable inference", JASA 22, 1927); 0 to 1 without rows."""
    if rows < 1:
        return 0.0, 1.0
    z2 = _NORMAL_975**2
    middle = (share + z2 / (2 * rows)) / (1 + z2 / rows)
    half = _NORMAL_975 * math.sqrt(max(share * (1 - share), 0.0) / rows + z2 / (4 * rows**2)) / (1 + z2 / rows)
    return max(0.0, middle - half), min(1.0, middle + half)


def _of_power(shown: Mapping[tuple[str, ...], Measurement]) -> Iterator[Sample]:
    """Rows compared in each segment, those of the measurement with most, and what they could have shown."""
    most: dict[str, Measurement] = {}
    able: dict[tuple[str, str], float] = {}
    for (detector, _, segment), m in shown.items():
        most[segment] = max(most.get(segment, m), m, key=lambda one: one.n_current)
        if "detectable_share" in m.detail:
            able[detector, segment] = max(able.get((detector, segment), 0.0), m.detail["detectable_share"])
    for segment, m in most.items():
        yield "rows", (segment, "reference"), m.n_reference
        yield "rows", (segment, "current"), m.n_current
    for key, share in able.items():
        yield "detectable_ratio", key, share


def _shown(
    measurements: Sequence[Measurement], named: set[str], subjects: int, segments: int
) -> dict[tuple[str, ...], Measurement]:
    """Measurements by detector, subject and segment; of those that fall together as ``other`` the most striking one."""
    rows: dict[str, float] = {}
    for m in measurements:
        if m.segment:
            rows[m.segment] = max(rows.get(m.segment, 0), m.n_current)
    kept = largest(rows, segments) | {""}
    first: dict[str, list[str]] = defaultdict(list)
    for m in measurements:
        if not m.subject.startswith(_CLASS) and m.subject not in first[m.detector]:
            first[m.detector].append(m.subject)
    found: dict[tuple[str, ...], Measurement] = {}
    for m in measurements:
        if m.subject.startswith(_CLASS):
            name = m.subject.removeprefix(_CLASS)
            subject = _CLASS + (short(name) if name in named else OTHER)
        else:
            subject = short(m.subject) if m.subject in first[m.detector][:subjects] else OTHER
        labels = (m.detector, subject, short(m.segment) if m.segment in kept else OTHER)
        found[labels] = max(found.get(labels, m), m, key=_striking)
    return found


def _striking(m: Measurement) -> tuple[bool, float, float]:
    return m.p_value is not None, -(m.p_value or 0.0), abs(m.effect)
