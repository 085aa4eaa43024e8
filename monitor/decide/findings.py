"""The gap to the reference: which measurements are certain and large, so that what moved can be named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from monitor.values import Baseline, Measurement

__all__ = ["BALANCE", "CERTAIN", "CHANGE", "FLOORS", "WITHIN", "Finding", "corrected_p_values", "findings_of", "key_of"]

FLOORS: Mapping[str, float] = {"mmd": 0.001, "ks": 0.05, "class_balance": 0.05}
"""Smallest effect worth a word, by detector, in the detector's unit; 0 for a detector that is not listed."""

BALANCE = "class_balance"
"""The detector of class shares; its subject ``classes`` is the one that is tested."""

CHANGE = "change"
"""The comparison with the accepted past, which alarms rest on; everything else compares with the reference."""

CERTAIN = 0.01
"""Error level of one window over all comparisons with the reference together."""

WITHIN = "within classes"
"""Subjects that end so compare rows of one class only: no swing of classes moves them."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A measurement with its two keys. ``accepted`` is the part of the gap that the owner has accepted, if any."""

    measurement: Measurement
    p: float
    certain: bool
    large: bool
    floor: float
    accepted: float | None

    @property
    def subject(self) -> str:
        """``detector subject``, and the segment where there is one."""
        m = self.measurement
        return f"{m.detector} {m.subject}" + (f" ({m.segment})" if m.segment else "")

    @property
    def within_classes(self) -> bool:
        """Whether rows of one class only were compared."""
        return self.measurement.subject.endswith(WITHIN)

    @property
    def of_balance(self) -> bool:
        """Whether shares of classes were compared."""
        return self.measurement.detector == BALANCE

    @property
    def drifted(self) -> bool:
        """Both keys have turned."""
        return self.certain and self.large

    @property
    def covered(self) -> bool:
        """Would have alarmed but for the accepted baseline."""
        return self.certain and not self.large and self.accepted is not None and self.measurement.effect >= self.floor


def key_of(measurement: Measurement) -> str:
    """Names what was measured, the same in every window: ``detector|subject|segment``."""
    return f"{measurement.detector}|{measurement.subject}|{measurement.segment}"


def corrected_p_values(measurements: Sequence[Measurement]) -> dict[str, float]:
    """p-value of each tested measurement by key, corrected over detectors and segments as the module says."""
    families: dict[tuple[str, str], list[Measurement]] = {}
    for m in measurements:
        if m.p_value is not None:
            families.setdefault((m.segment, m.detector), []).append(m)
    smallest = {name: min(m.p_value or 1.0 for m in tested) for name, tested in families.items()}
    overall = [name for name in families if not name[0]]
    segments = [name for name in families if name[0]]
    halves = 2 if overall and segments else 1
    corrected: dict[str, float] = {}
    for group in (overall, segments):
        highest = 0.0
        for rank, name in enumerate(sorted(group, key=lambda name: (smallest[name], name))):
            times = halves * (len(group) - rank)
            highest = max(highest, smallest[name] * times)
            for m in families[name]:
                corrected[key_of(m)] = min(1.0, max(highest, (m.p_value or 1.0) * times))
    return corrected


def _accepted(baselines: Sequence[Baseline], at: datetime) -> dict[str, float]:
    """Largest accepted effect by key over the baselines that still hold."""
    effects: dict[str, float] = {}
    for baseline in baselines:
        if baseline.until is None or at <= baseline.until:
            for key, effect in baseline.effects.items():
                effects[key] = max(effect, effects.get(key, effect))
    return effects


def findings_of(measurements: Sequence[Measurement], baselines: Sequence[Baseline], at: datetime) -> list[Finding]:
    """Every comparison with the reference that was tested; ``at`` is the end of the window, when baselines must still hold."""
    compared = [m for m in measurements if m.detector != CHANGE]
    accepted, corrected = _accepted(baselines, at), corrected_p_values(compared)
    found = []
    for m in compared:
        key = key_of(m)
        if m.p_value is None:
            continue
        floor, gap = FLOORS.get(m.detector, 0.0), accepted.get(key)
        large = m.effect >= floor and (gap is None or m.low > gap)
        found.append(Finding(m, corrected[key], corrected[key] <= CERTAIN, large, floor, gap))
    return found
