"""The evidence so far: what each stream of looks has added up to since the baseline began, carried from verdict to verdict."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from monitor.decide.evidence import bet_on, shiryaev_roberts
from monitor.decide.findings import CHANGE, key_of
from monitor.values import Decision, Measurement

__all__ = ["Ledger", "opened", "rising_for", "scale_of", "stretch_of", "weights", "what_of"]

_SCALE = re.compile(r" over (\d+) windows$")
_SCALE_WEIGHTS = {1: 0.45, 4: 0.25, 16: 0.2, 64: 0.1}
_MOST = 1e12
_SR, _PRODUCT = "sr ", "product "


def scale_of(subject: str) -> int:
    """How many windows a look spans: 4 for ``embeddings over 4 windows``."""
    found = _SCALE.search(subject)
    return int(found[1]) if found else 1


def what_of(key: str) -> tuple[str, str]:
    """Segment and what was measured, whatever the scale."""
    _, subject, segment = key.split("|", 2)
    return segment, _SCALE.sub("", subject)


def weights(keys: Iterable[str]) -> dict[str, float]:
    """How much each stream counts, in sum at most 1. They do not look at any evidence.

    Half for all traffic and half for the segments, where there are any; within, equally by what is measured, and more for
    single windows than for many.
    """
    parts = {key: what_of(key) for key in keys}
    segments = {segment for segment, _ in parts.values()}
    found = {}
    for key, (segment, _) in parts.items():
        subjects = {subject for where, subject in parts.values() if where == segment}
        share = (0.5 if segment == "" else 0.5 / (len(segments) - 1)) if len(segments) > 1 else 1.0
        found[key] = share / len(subjects) * _SCALE_WEIGHTS.get(scale_of(key.split("|")[1]), 0.0)
    return found


@dataclass(frozen=True, slots=True)
class Ledger:
    """Evidence by stream: Shiryaev-Roberts sums and plain products of e-values.

    looks    since the baseline began
    stretch  since the evidence began anew, which it also does when an alarm is over
    """

    looks: int = 0
    stretch: int = 0
    sums: Mapping[str, float] = field(default_factory=dict)
    products: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, decision: Decision | None) -> Ledger:
        """What a verdict carried; an empty one before the first."""
        if decision is None:
            return cls()
        e = decision.evidence
        return cls(
            int(e.get("looks", 0)),
            int(e.get("stretch", 0)),
            {k.removeprefix(_SR): v for k, v in e.items() if k.startswith(_SR)},
            {k.removeprefix(_PRODUCT): v for k, v in e.items() if k.startswith(_PRODUCT)},
        )

    def after(self, looked: Sequence[Measurement]) -> Ledger:
        """One look later. A stream that was not looked at stays as it is."""
        sums, products = dict(self.sums), dict(self.products)
        for m in looked:
            if m.detector == CHANGE and m.p_value is not None:
                key, e = key_of(m), bet_on(m.p_value)
                sums[key] = min(_MOST, shiryaev_roberts(sums.get(key, 0.0), e, scale_of(m.subject)))
                products[key] = min(_MOST, products.get(key, 1.0) * e)
        return Ledger(self.looks + 1, self.stretch + 1, sums, products)

    def forgotten(self) -> Ledger:
        """The same streams and looks with no evidence: a new stretch begins."""
        return Ledger(self.looks, 0, dict.fromkeys(self.sums, 0.0), dict.fromkeys(self.products, 1.0))

    def shares(self, limit: float) -> dict[str, float]:
        """Weighted evidence of each stream over its limit."""
        return {key: weight * self.sums[key] / limit for key, weight in weights(self.sums).items()}

    @property
    def evidence(self) -> float:
        """Over all streams; at most the number of looks on average while nothing changes."""
        return sum(weight * self.sums[key] for key, weight in weights(self.sums).items())

    @property
    def martingale(self) -> float:
        """Wealth of one who bet on every look since the evidence began anew.

        While nothing changes and no stream is added, it ever reaches 20 with a chance of at most 5 %.
        """
        known = weights(self.products)
        return sum(weight * self.products[key] for key, weight in known.items()) + 1.0 - sum(known.values())

    def as_evidence(self) -> dict[str, float]:
        """For the next verdict to carry on."""
        return {
            "looks": float(self.looks),
            "stretch": float(self.stretch),
            "evidence": self.evidence,
            "martingale": self.martingale,
            **{_SR + key: value for key, value in self.sums.items()},
            **{_PRODUCT + key: value for key, value in self.products.items()},
        }


def stretch_of(history: Sequence[Decision]) -> int:
    """Looks since the evidence began anew; ``history`` newest first."""
    return Ledger.of(history[0]).stretch if history else 0


def rising_for(history: Sequence[Decision]) -> int:
    """For how many looks the evidence has stayed above 1: about since when something may have changed."""
    count = 0
    for decision in history:
        if decision.evidence.get("evidence", 0.0) <= 1.0 and not opened(decision):
            break
        count += 1
    return count


def opened(decision: Decision | None) -> bool:
    """Whether an alarm was on after this verdict."""
    return decision is not None and decision.evidence.get("alarm_since", 0.0) > 0
