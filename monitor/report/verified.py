"""A verified refresh and what became of it, as sentences and tables for tickets, reports and terminals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from monitor.redaction import redacted
from monitor.report.numbers import moment, percent, signed, span
from monitor.values import (
    Block,
    Bullets,
    Comparison,
    Document,
    Estimate,
    Flip,
    Heading,
    Outcome,
    Span,
    Table,
    Verdict,
    Verification,
    VerifiedSet,
)

__all__ = [
    "FLIPPED",
    "GROUPED",
    "flip_rows",
    "group_rows",
    "outcome_sentences",
    "set_table",
    "verification_document",
    "verification_sentences",
]

GROUPED = ("", ">records", ">old", ">new", ">gain, 95 %", ">turned wrong, 95 %", ">mended, 95 %", ">p")
"""Headings of :func:`group_rows`; those that start with ``>`` are numbers."""

FLIPPED = ("record", "true", "old", "new", "text")
"""Headings of :func:`flip_rows`."""

_SETS = {
    "protected": "protected records",
    "drifted": "labelled candidates",
    "random": "of them, drawn at random",
}
_HARM = 0.05
_LEARNT = "Nobody said what the new model learnt from: if these candidates are among it, they prove nothing. Name its training file with --trained-on."

_BY_HEART = 0.97
"""Accuracy on the protected records that few models surely have on texts they have not seen."""


def _rate(count: int, estimate: Estimate | None) -> str:
    return "-" if estimate is None else f"{count} ({percent(estimate.value)}; {span(estimate.low, estimate.high)})"


def set_table(verification: Verification) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Headings, one for each set that has records, and a row for each measure; intervals are of 95 %."""
    there = [(_SETS.get(one.name, one.name), one.overall) for one in verification.sets if one.overall is not None]
    measures: tuple[tuple[str, Callable[[Comparison], str]], ...] = (
        ("records", lambda one: f"{one.records:,}"),
        ("old model right", lambda one: _estimate(one.old)),
        ("new model right", lambda one: _estimate(one.new)),
        ("gain", lambda one: _gained(one.gain)),
        ("turned wrong, of those right", lambda one: _rate(one.negative, one.negative_rate)),
        ("mended, of those wrong", lambda one: _rate(one.positive, one.positive_rate)),
        ("still right, of those right (trust)", lambda one: "-" if one.trust is None else percent(one.trust, 2)),
        ("wrong before too, of those wrong now", lambda one: "-" if one.error is None else percent(one.error, 0)),
        ("McNemar's p", lambda one: f"{one.p_value:.2g}"),
    )
    rows = [(name, *(show(one) for _, one in there)) for name, show in measures]
    return ("", *(f">{name}" for name, _ in there)), rows


def _estimate(one: Estimate) -> str:
    return f"{_right(one.value)} ({_right(one.low)} to {_right(one.high)})"


def _right(share: float) -> str:
    """An accuracy, with a decimal where rounding would make it perfect."""
    return percent(share, 1) if 0.95 < share < 1 else percent(share)


def _gained(one: Estimate) -> str:
    return f"{signed(one.value)} ({signed(one.low)} to {signed(one.high)})"


def group_rows(groups: Sequence[Comparison], most: int = 20) -> list[tuple[str, ...]]:
    """Classes or segments, the most flipped first, under :data:`GROUPED`; those that did not move at all are left out."""
    moved = [one for one in groups if one.negative or one.positive]
    return [
        (
            one.group.removeprefix("class "),
            f"{one.records:,}",
            _right(one.old.value),
            _right(one.new.value),
            _gained(one.gain),
            _rate(one.negative, one.negative_rate),
            _rate(one.positive, one.positive_rate),
            f"{one.p_value:.2g}",
        )
        for one in moved[:most]
    ]


def flip_rows(flips: Sequence[Flip], texts: Mapping[str, str | None], most: int = 20) -> list[tuple[str, ...]]:
    """Flipped records side by side; ``texts`` by record id, shown redacted and cut."""
    return [
        (one.record_id, one.label, one.old, one.new, redacted(texts.get(one.record_id) or "") or "-")
        for one in flips[:most]
    ]


def verification_sentences(verification: Verification) -> list[str]:
    """The verdict first, then what was gained, who lost by it, and what these numbers leave out."""
    held = verification.of("protected")
    said = [_verdict(verification, held), *_by_heart(verification, held)]
    said += [_gain(one) for one in verification.sets if one.overall is not None and one.name != "protected"]
    if not verification.held_out and verification.of("drifted").overall is not None:
        said.append(_LEARNT)
    said += _harmed(held)
    said += [_left_out(one) for one in verification.sets if one.left_out and one.name != "random"]
    if verification.ignored:
        said.append(f"Predictions not used or not understood: {_ignored(verification.ignored)}.")
    return said


def _ignored(counts: Mapping[str, int]) -> str:
    """``old: 1 without a class; new: 7 of other records, 2 given again``."""
    found: dict[str, list[str]] = {}
    for key, number in counts.items():
        side, _, reason = key.partition(": ")
        found.setdefault(side, []).append(f"{number:,} {reason}")
    return "; ".join(f"{side}: {', '.join(reasons)}" for side, reasons in found.items())


def _verdict(verification: Verification, held: VerifiedSet) -> str:
    one, budget = held.overall, f"{100 * verification.budget:g} %"
    if one is None or one.negative_rate is None:
        return f"Not shown: no protected record could be compared, so nothing is known of the budget of {budget}."
    seen = (
        f"of {one.old_right:,} protected records that the old model has right the new one gets {one.negative:,} wrong "
        f"({percent(one.negative_rate.value, 2)}; 95 %: {percent(one.negative_rate.low, 2)} to {percent(one.negative_rate.high, 2)})"
    )
    closing = {
        Verdict.PASSED: f"The budget is {budget}, and it is shown to be kept.",
        Verdict.FAILED: f"The budget is {budget}.",
        Verdict.NOT_SHOWN: _unclear(one, verification.budget, budget),
    }
    return f"{verification.verdict.value.capitalize()}: {seen}. {closing[verification.verdict]}"


def _by_heart(verification: Verification, held: VerifiedSet) -> list[str]:
    """A doubt about the comparison, where the old model does as well as on what it has learnt from."""
    one = held.overall
    if one is None or verification.verdict is Verdict.PASSED or one.old.low < _BY_HEART:
        return []
    doubt = (
        f"The old model has {one.old_right:,} of {one.records:,} protected records right, which is rare unless it learnt from them. "
        "If it did, what turned wrong says nothing about the refresh: let it be held against records that neither model learnt from "
        "(reference.protected)."
    )
    return [doubt]


def _unclear(one: Comparison, rate: float, budget: str) -> str:
    enough = round(5 / rate)
    if one.old_right >= enough:
        return f"That is too near the budget of {budget} to tell."
    return f"These are too few to tell whether the budget of {budget} is kept; some {enough:,} would do."


def _gain(one: VerifiedSet) -> str:
    found = one.overall
    if found is None:
        return ""
    where = {
        "drifted": "On the labelled candidates of the drift, which were chosen as hard and new",
        "random": "On the traffic of the drifted windows, as records drawn at random tell",
    }.get(one.name, f"On {one.name}")
    gain, ends = found.gain, f"95 %: {signed(found.gain.low)} to {signed(found.gain.high)}"
    sure = "better" if gain.low > 0 else "worse" if gain.high < 0 else "not surely better or worse"
    return (
        f"{where}, the new model has {_right(found.new.value)} right and the old one {_right(found.old.value)}: "
        f"{signed(gain.value)} ({ends}, {found.records:,} records), {sure}."
    )


def _harmed(held: VerifiedSet) -> list[str]:
    """Groups that surely lost, over all groups of their kind together (Bonferroni)."""
    found = []
    for groups in (held.classes, held.segments):
        sure = [g for g in groups if g.gain.value < 0 and g.p_value * len(groups) <= _HARM]
        found += [
            f"{g.group[:100]} lost: {g.negative:,} of {g.old_right:,} turned wrong, {g.positive:,} mended."
            for g in sure
        ]
    return found


def _left_out(one: VerifiedSet) -> str:
    reasons = ", ".join(f"{number:,} {reason}" for reason, number in sorted(one.left_out.items()))
    return f"Left out of the {_SETS.get(one.name, one.name)}: {reasons}."


def outcome_sentences(outcome: Outcome) -> list[str]:
    """For a ticket's last comment: labels used, accuracy before and after, flips, days from alarm to recovery."""
    live = outcome.deployment
    said = [f"Model {live.model} is live since {moment(live.live_at)} UTC, as declared by {live.declared_by}."]
    said.append(_recovery(outcome))
    said.append(f"Labels used: {outcome.labels:,}.")
    for when, found, number in (
        ("before", outcome.before, outcome.checked_before),
        ("since", outcome.since, outcome.checked_since),
    ):
        if found is not None:
            records = "record" if number == 1 else "records"
            said.append(
                f"Accuracy on traffic {when}: {_right(found.value)} (95 %: {_right(found.low)} to {_right(found.high)}, by {number:,} "
                f"{records} drawn at random)."
            )
    if outcome.verification is not None:
        said.append(_verdict(outcome.verification, outcome.verification.of("protected")))
        said += [
            _gain(one)
            for one in outcome.verification.sets
            if one.overall is not None
            and one.name == ("random" if outcome.verification.of("random").overall else "drifted")
        ]
    return said


def _recovery(outcome: Outcome) -> str:
    if outcome.alarm_since is None:
        return "No alarm had been on before it."
    began = f"The alarm went on at {moment(outcome.alarm_since)} UTC"
    if outcome.recovered_at is not None:
        days = (outcome.recovered_at - outcome.alarm_since).total_seconds() / 86_400
        return f"{began} and the drift was over by {moment(outcome.recovered_at)} UTC, {_days(days)} later."
    if not outcome.windows or outcome.state is None:
        return f"{began}; no window has been judged since the model went live."
    windows = "window" if outcome.windows == 1 else "windows"
    return f"{began} and is not over: the newest of {outcome.windows:,} {windows} since is {outcome.state.value}."


def _days(days: float) -> str:
    number = f"{days:.0f}" if days >= 9.95 or abs(days - round(days)) < 0.05 else f"{days:.1f}"
    return f"{number} day" if number == "1" else f"{number} days"


def verification_document(verification: Verification, texts: Mapping[str, str | None] | None = None) -> Document:
    """The whole verification: for a ticket, or the summary of a pipeline; without ``texts``, ids only."""
    blocks: list[Block] = [
        Heading(f"Refresh of {verification.monitor}: {verification.verdict.value}"),
        Bullets(tuple((Span(sentence),) for sentence in verification_sentences(verification))),
        _table(*set_table(verification)),
    ]
    for one in verification.sets[:2]:
        name = _SETS[one.name].capitalize()
        for title, groups in (("classes", one.classes), ("segments", one.segments)):
            rows = group_rows(groups)
            if rows:
                blocks += [Heading(f"{name}: {title} that moved"), _table(GROUPED, rows)]
        flips = flip_rows(one.flips, texts or {})
        if flips:
            blocks += [Heading(f"{name}: flipped records, {len(flips)} of {len(one.flips)}"), _table(FLIPPED, flips)]
    return tuple(blocks)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    numbers = frozenset(at for at, head in enumerate(heads) if head.startswith(">"))
    cells = tuple(tuple((Span(cell),) for cell in row) for row in rows)
    return Table(tuple(head.removeprefix(">") for head in heads), cells, numbers)
