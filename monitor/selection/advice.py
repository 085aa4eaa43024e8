"""What to do about a drift, in finished sentences: refresh, or why not."""

from __future__ import annotations

from dataclasses import dataclass

from monitor.selection.flips import needed, upper_bound
from monitor.selection.gain_curve import LEAST_LABELS, GainCurve
from monitor.selection.garbling import Garbling
from monitor.selection.verdict import Verdict
from monitor.values import Advice

__all__ = [
    "DOES_NOT_PAY",
    "FIX_THE_INPUT",
    "MORE_LABELS",
    "NOTHING_TO_LABEL",
    "OVER_BUDGET",
    "REFRESH",
    "TOO_FEW_PROTECTED",
    "Findings",
    "advise",
]

REFRESH = "refresh"
FIX_THE_INPUT = "fix_the_input"
NOTHING_TO_LABEL = "nothing_to_label"
DOES_NOT_PAY = "does_not_pay"
OVER_BUDGET = "over_budget"
TOO_FEW_PROTECTED = "too_few_protected"
MORE_LABELS = "more_labels"

_CALM = 0.06
_MANY = 0.2
_SURE = 0.95


@dataclass(frozen=True, slots=True)
class Findings:
    """All that advice goes by; what is not known is ``None``.

    budget      negative flip rate the owner allows, in (0, 1)
    right       protected records kept for the verdict that the model has right
    new         share of the window's records whose surroundings hold more new traffic than 95 % of calm ones show by luck;
                calm windows have about 0.05
    garbling    how the writing changed; ``None`` without texts
    curve       what labels bought; ``None`` before there are enough
    unseen      share of the useful labels that name classes the model does not know; 0 before labels
    plain       flips of the refitted head; ``None`` before labels
    guarded     flips with the incumbent bonus
    bonus       the bonus that keeps the budget on part A; ``None`` when none does
    """

    budget: float
    right: int
    new: float
    garbling: Garbling | None = None
    curve: GainCurve | None = None
    unseen: float = 0.0
    plain: Verdict | None = None
    guarded: Verdict | None = None
    bonus: float | None = None


def advise(findings: Findings) -> tuple[Advice, ...]:
    """What to do, most important first; never empty.

    Before labels the writing and the drift mass speak; after them the cross-fitted gain and the counted flips as well.
    """
    against = [
        advice
        for advice in (_input(findings), _nothing(findings), _pays_not(findings), _over_budget(findings))
        if advice is not None
    ]
    limits = [advice for advice in (_protected(findings), _next_labels(findings)) if advice is not None]
    return (*against, *limits) if against else (_refresh(findings), *limits)


def _input(found: Findings) -> Advice | None:
    writing = found.garbling
    if writing is None or not writing.explains or _new_topic(found):
        return None
    seen = (
        "almost every text is affected, so nothing else can be seen before that is mended"
        if writing.few_clean
        else "texts without such words look as they always did"
    )
    return Advice(
        FIX_THE_INPUT,
        f"Do not refresh; fix the input. Words that the reference does not know make up {_points(writing.more)} more of each "
        f"text, they name no topic, and {seen}. Look for typing errors, broken encoding or another language upstream: "
        f"{_labels_of_noise(found)}",
    )


def _new_topic(found: Findings) -> bool:
    """Whether labels surely help and many name new classes: then the words are new, not wrong."""
    return found.unseen >= _MANY and found.curve is not None and found.curve.so_far.low > 0


def _labels_of_noise(found: Findings) -> str:
    """What labels do against spoilt texts, which is little unless they were seen to help."""
    gain = found.curve.so_far if found.curve is not None else None
    if gain is None or gain.low <= 0:
        return "labels do not help against these."
    return (
        f"labels teach the model to live with them, {_interval(gain.value, gain.low, gain.high)} on such traffic, and have to be "
        "unlearnt when the input is mended."
    )


def _nothing(found: Findings) -> Advice | None:
    if found.new > _CALM or (found.garbling is not None and found.garbling.drift_left):
        return None
    return Advice(
        NOTHING_TO_LABEL,
        f"There is nothing to label: {_percent(found.new)} of the records lie where traffic is new, and calm traffic has 5 % by "
        "luck. The traffic has moved as a whole or moved back; if it is as it should be, make this window the new reference "
        "baseline.",
    )


def _pays_not(found: Findings) -> Advice | None:
    """Only when the gain is surely less than the flips as they would be served, through the gate where there is one."""
    judged = found.guarded or found.plain
    if found.curve is None or judged is None or found.curve.so_far.high >= judged.rate.value:
        return None
    return Advice(
        DOES_NOT_PAY,
        f"Do not refresh with these labels: learning from them changes accuracy on the new traffic by "
        f"{_interval(found.curve.so_far.value, found.curve.so_far.low, found.curve.so_far.high)}, less than the "
        f"{_percent(judged.rate.value)} of protected records that would turn wrong. The input or the embedding is the "
        "problem rather than the training set.",
    )


def _over_budget(found: Findings) -> Advice | None:
    """Only the guarded refresh counts where there is one."""
    judged = found.guarded or found.plain
    if judged is None or judged.right < needed(found.budget, _SURE) or judged.keeps(found.budget):
        return None
    high = upper_bound(judged.flips, judged.right, _SURE)
    how = (
        "even with the largest incumbent bonus"
        if found.bonus is None
        else f"with an incumbent bonus of {found.bonus:g}"
    )
    return Advice(
        OVER_BUDGET,
        f"Do not serve this refresh{' ' + how if found.guarded is not None else ' without the incumbent bonus'}: "
        f"{judged.flips:,} of {judged.right:,} protected records that the model has right would turn wrong, up to "
        f"{_percent(high)} with 95 % certainty, over the budget of {_percent(found.budget)}. Have the riskiest labels checked by "
        "another person, or allow more.",
    )


def _protected(found: Findings) -> Advice | None:
    least = needed(found.budget, _SURE)
    if found.right >= least:
        return None
    return Advice(
        TOO_FEW_PROTECTED,
        f"There are too few protected samples to promise a budget of {_percent(found.budget)} negative flips: it takes {least:,} "
        f"kept for the verdict that the model has right, and there are {found.right:,}. Add labelled records to the protected "
        "set; half of them go to the verdict.",
    )


def _next_labels(found: Findings) -> Advice | None:
    curve = found.curve
    if curve is None:
        return None
    gain = curve.next_gain
    return Advice(
        MORE_LABELS,
        f"The next {curve.step} labels would add about {_interval(gain.value, gain.low, gain.high)} of accuracy on the new "
        f"traffic, by the course of the {curve.labels:,} in hand.",
    )


def _refresh(found: Findings) -> Advice:
    if found.curve is None or found.plain is None:
        known = f"; with {LEAST_LABELS} useful labels its gain can be foretold" if found.plain is None else ""
        return Advice(
            REFRESH,
            f"Label these records and refresh: {_percent(found.new)} of the window's records lie where traffic is new{known}.",
        )
    judged = found.guarded or found.plain
    how = (
        f" with an incumbent bonus of {found.bonus:g}" if found.guarded is not None and found.bonus is not None else ""
    )
    gain = found.curve.so_far
    unseen = "; the labels in hand do not show yet that it gains" if gain.low <= 0 else ""
    return Advice(
        REFRESH,
        f"Refresh{how}: accuracy on the new traffic changes by {_interval(gain.value, gain.low, gain.high)}, and "
        f"{_percent(judged.predicted.value)} of what the model has right would turn wrong, between "
        f"{_percent(judged.predicted.low)} and {_percent(judged.predicted.high)} on {judged.future:,} other records{unseen}.",
    )


def _percent(rate: float) -> str:
    return f"{100 * rate:.2g} %" if 0 < rate < 0.1 else f"{100 * rate:.0f} %"


def _points(share: float) -> str:
    return f"{100 * share:.0f} percentage points"


def _interval(value: float, low: float, high: float) -> str:
    return f"{100 * value:+.1f} points ({100 * low:+.1f} to {100 * high:+.1f})"
