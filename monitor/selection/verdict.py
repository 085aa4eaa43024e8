"""What a refresh breaks: negative flips counted on protected records that neither selection nor tuning has touched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from monitor.selection.flips import (
    compatibility,
    needed,
    negative_flips,
    positive_flips,
    predicted_rate,
    rate_interval,
    upper_bound,
)
from monitor.selection.gate import IncumbentGate
from monitor.selection.heads import Head, Labels
from monitor.values import SEGMENT_PREFIX, Dataset, Estimate

__all__ = ["Flip", "Slice", "Verdict", "count_flips", "judge_heads", "promise"]

_SURE = 0.95


@dataclass(frozen=True, slots=True)
class Flip:
    """A record that the refresh breaks: its label, and the class that it gets instead."""

    record_id: str
    label: str
    instead: str


@dataclass(frozen=True, slots=True)
class Slice:
    """Counts on one class or segment: records that were right before, how many of them flip, how many wrong ones mend."""

    right: int
    flips: int
    mended: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """Flips from the model in service to the refreshed one.

    records        labelled records looked at
    right          of them, right before
    flips          of these, wrong after
    mended         wrong before and right after
    rate           flips over right, with the 95 % interval of the rate itself
    predicted      the same with the 95 % interval of what ``future`` other such records will show
    future         how many those are
    compatibility  backward trust compatibility, 1 less the rate; NaN when nothing was right
    broken         every flipped record, in the order of ids
    classes        counts by true class
    segments       counts by field and value of the records' segments
    """

    records: int
    right: int
    flips: int
    mended: int
    rate: Estimate
    predicted: Estimate
    future: int
    compatibility: float
    broken: tuple[Flip, ...]
    classes: Mapping[str, Slice]
    segments: Mapping[str, Mapping[str, Slice]]

    @property
    def change(self) -> float:
        """Accuracy after less accuracy before on these records; 0 when there are none."""
        return (self.mended - self.flips) / self.records if self.records else 0.0

    def keeps(self, budget: float) -> bool:
        """Whether the one-sided 95 % bound of the rate is within the budget: what a promise takes."""
        return self.right > 0 and upper_bound(self.flips, self.right, _SURE) <= budget


def count_flips(protected: Dataset, before: Labels, after: Labels, future: int | None = None) -> Verdict:
    """Count flips on protected records.

    Parameters
    ----------
    protected : records with ``label``, part B of the protected set; rows without a label are left out
    before, after : (n,) object, what the two models say of each row
    future : on how many other records that the old model has right the rate will be looked at; as many as here if not given

    Raises
    ------
    ValueError
        when predictions and records differ in number
    """
    if not len(protected) == len(before) == len(after):
        raise ValueError(
            f"{len(before)} and {len(after)} predictions do not belong to {len(protected)} protected records; "
            "give one of each model for every record"
        )
    labels = protected.column("label")
    given = np.flatnonzero([label is not None for label in labels])
    given = given[np.argsort(np.array(protected.ids, dtype=object)[given], kind="stable")]
    data, truth, old, new = protected.take(given), labels[given], before[given], after[given]
    was, bad, good = old == truth, negative_flips(truth, old, new), positive_flips(truth, old, new)
    right, flips = int(was.sum()), int(bad.sum())
    ahead = max(1, right if future is None else future)

    def slices(values: Labels) -> dict[str, Slice]:
        return {
            str(name): Slice(*(int(mask[values == name].sum()) for mask in (was, bad, good)))
            for name in sorted({value for value in values if value is not None})
        }

    fields = [name for name in data.records.column_names if name.startswith(SEGMENT_PREFIX)]
    return Verdict(
        records=len(data),
        right=right,
        flips=flips,
        mended=int(good.sum()),
        rate=rate_interval(flips, right, _SURE),
        predicted=predicted_rate(flips, right, ahead, _SURE),
        future=ahead,
        compatibility=compatibility(truth, old, new),
        broken=tuple(Flip(data.ids[row], str(truth[row]), str(new[row])) for row in np.flatnonzero(bad)),
        classes=slices(truth),
        segments={name.removeprefix(SEGMENT_PREFIX): slices(data.column(name)) for name in fields},
    )


def judge_heads(
    old: Head, new: Head, protected: Dataset, gate: IncumbentGate | None = None, future: int | None = None
) -> Verdict:
    """Count flips from one head to another, served through the gate where there is one."""
    before = old.predict(protected.vectors)
    if gate is None:
        after = new.predict(protected.vectors)
    else:
        chances = old.log_chances(protected.vectors), new.log_chances(protected.vectors)
        after = gate.predict(protected.vectors, *chances, old.classes, new.classes)
    return count_flips(protected, before, after, future)


def promise(verdict: Verdict, budget: float) -> str:
    """Whether the budget is kept, in one sentence; no promise is made from too few records."""
    least = needed(budget, _SURE)
    if verdict.right < least and not verdict.keeps(budget):
        return (
            f"Nothing can be promised: a budget of {_percent(budget)} negative flips takes {least:,} protected records that the "
            f"model has right, and there are {verdict.right:,}; add labelled records to the protected set, or allow "
            f"{_percent(_resolved(verdict.right))}."
        )
    counted = f"{verdict.flips:,} of {verdict.right:,} protected records that the model has right would turn wrong"
    high = _percent(upper_bound(verdict.flips, verdict.right, _SURE))
    if verdict.keeps(budget):
        return f"{counted}: at most {high} with 95 % certainty, within the budget of {_percent(budget)}."
    return f"{counted}: up to {high} with 95 % certainty, over the budget of {_percent(budget)}."


def _resolved(right: int) -> float:
    """The smallest budget in steps of 0.1 % up to 5 %, then of 5 %, that so many records can show."""
    steps = [*(step / 1000 for step in range(1, 51)), *(step / 20 for step in range(2, 20))]
    return next((step for step in steps if needed(step, _SURE) <= right), 0.95)


def _percent(rate: float) -> str:
    return f"{100 * rate:.3g} %"
