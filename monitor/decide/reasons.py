"""What moved against the reference, and the sentences that say so to people who are paged at night."""

from __future__ import annotations

from collections.abc import Sequence

from monitor.decide.findings import BALANCE, Finding
from monitor.values import Measurement

__all__ = ["causes_of", "explain", "gap", "listed", "percent", "share"]

_ATTRIBUTION = 0.02
_NAMED = 3


def causes_of(findings: Sequence[Finding]) -> tuple[str, ...]:
    """What moved in one segment; empty when nothing drifted there.

    A swing of classes alone moves embeddings and directions, and novelty too where classes differ in spread. So once the
    classes have certainly moved, only what moved within classes is a change of content. That something moved is by then
    settled; telling causes apart is a smaller question and takes p-values without the correction for everything else.
    """
    if not any(f.drifted for f in findings):
        return ()
    balance = [f for f in findings if f.of_balance and f.certain]
    named = ["class balance"] if any(not f.covered for f in balance) else []
    content = any(f.drifted and not f.of_balance for f in findings)
    if balance:
        beyond = (f.measurement.p_value for f in findings if f.within_classes and f.measurement.effect >= f.floor)
        content &= any(p is not None and p <= _ATTRIBUTION for p in beyond)
    return ("content", *named) if content or not named else ("class balance",)


def explain(
    findings: Sequence[Finding], measurements: Sequence[Measurement]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Causes and sentences: all traffic first, then the segments that moved most certainly."""
    by_segment: dict[str, list[Finding]] = {}
    for f in findings:
        by_segment.setdefault(f.measurement.segment, []).append(f)
    moved = {segment: causes for segment, here in by_segment.items() if (causes := causes_of(here))}
    order = sorted(moved, key=lambda segment: (segment != "", min(f.p for f in by_segment[segment]), segment))
    told = order[: _NAMED + ("" in moved)]
    reasons: list[str] = []
    for segment in told:
        shares = [m for m in measurements if m.segment == segment]
        where = f"In {segment}: " if segment else ""
        reasons += [where + sentence for sentence in _sentences(by_segment[segment], shares, moved[segment])]
    if order[len(told) :]:
        reasons.append(f"Also moved: {listed(order[len(told) :])}.")
    named = {cause for causes in moved.values() for cause in causes}
    return tuple(c for c in ("content", "class balance") if c in named), tuple(reasons)


def _sentences(findings: Sequence[Finding], shares: Sequence[Measurement], causes: tuple[str, ...]) -> list[str]:
    sentences = []
    if "content" in causes:
        sentences.append(_content(findings))
    if "class balance" in causes:
        sentences.append(_balance(findings, shares))
    if causes == ("class balance",):
        sentences += _mix_explains(findings)
    return sentences


def _content(findings: Sequence[Finding]) -> str:
    drifted = [f for f in findings if f.drifted and not f.of_balance]
    first = min(drifted, key=lambda f: (f.p, f.measurement.detector != "mmd", f.subject))
    m = first.measurement
    also = [f"{f.measurement.detector} {f.measurement.subject}" for f in drifted if f is not first]
    named = f"; also moved: {listed(also)}" if also else ""
    return (
        f"Content has moved: {m.detector} {m.subject} shows a difference of {m.effect:.3g} from the reference "
        f"(95 % interval {m.low:.3g} to {m.high:.3g}, corrected {_p(first.p)}, {m.n_current:,} records against "
        f"{m.n_reference:,}){named}."
    )


def _balance(findings: Sequence[Finding], shares: Sequence[Measurement]) -> str:
    balance = next(f for f in findings if f.of_balance)
    ours = [m for m in shares if m.detector == BALANCE and m.subject.startswith("class:")]
    moved = [m for m in ours if m.low > 0 or m.high < 0]
    moved = sorted(moved, key=lambda m: (-abs(m.effect), m.subject))[:_NAMED]
    named = "".join(f"; {share(m)}" for m in moved)
    # The distance is taken less what chance adds, which can leave less of it than one class surely moved.
    amount = max([balance.measurement.effect, *(min(abs(m.low), abs(m.high)) for m in moved)])
    return f"Class balance has moved: {percent(amount)} of traffic changed class (corrected {_p(balance.p)}){named}."


def share(m: Measurement) -> str:
    """How a class moved."""
    name = m.subject.removeprefix("class:")
    before, now = m.detail["share_reference"], m.detail["share_current"]
    if not before:
        return f"{name} is new with {percent(now)} of traffic"
    if not now:
        return f"{name} vanished from {percent(before)} of traffic"
    return f"{name} {'rose' if now > before else 'fell'} from {percent(before)} to {percent(now)} of traffic"


def _mix_explains(findings: Sequence[Finding]) -> list[str]:
    if not any(f.drifted and not f.of_balance for f in findings):
        return []
    within = [f.measurement.p_value or 1.0 for f in findings if f.within_classes]
    if not within:
        return ["Embeddings moved too; without a comparison within classes nobody can say whether the mix explains it."]
    return [f"The embeddings moved no further than the class mix explains (within classes {_p(min(within))})."]


def gap(findings: Sequence[Finding]) -> tuple[str, ...]:
    """What stands between the reference and traffic although nothing changes: no alarm, but a person should know."""
    standing = sorted((f for f in findings if f.drifted), key=lambda f: (f.p, f.subject))
    covered = [f.subject for f in findings if f.covered]
    said = [f"Within the accepted baseline: {listed(covered)}."] if covered else []
    if standing:
        m = standing[0].measurement
        said.append(
            f"A gap to the training reference stands: {listed([f.subject for f in standing[:_NAMED]])} "
            f"({m.effect:.3g}, 95 % interval {m.low:.3g} to {m.high:.3g}, corrected {_p(standing[0].p)})."
        )
    return tuple(said)


def listed(names: Sequence[str]) -> str:
    """``a, b and c``."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _p(p: float) -> str:
    return "p < 0.0001" if p < 0.0001 else f"p = {p:.2g}"


def percent(share: float) -> str:
    """With one decimal where it tells something."""
    return f"{100 * share:.1f} %" if abs(share) < 0.0995 else f"{100 * share:.0f} %"
