"""The re-label list: which records go back, and why, in finished sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from monitor.quality.agreement import by_record
from monitor.quality.evidence import Evidence
from monitor.quality.groups import Standing, kept_back
from monitor.quality.wording import group_name, percent
from monitor.values import LabelBatch, Returned

__all__ = ["relabel_list"]

_AGAINST = 0.5

Why = list[tuple[str, str]]


def relabel_list(
    batch: LabelBatch, evidence: Evidence, standings: Sequence[Standing], verdict: str
) -> tuple[Returned, ...]:
    """Records that do not enter training, the likeliest error first, ties at the end."""
    why: dict[int, Why] = {int(row): [] for row in range(len(evidence.rows)) if evidence.out[row]}
    for row in why:
        why[row] += _error(evidence, row)
    for standing in standings:
        for row in kept_back(standing):
            if not evidence.fixed[row]:
                why.setdefault(int(row), []).append(_of_group(standing, int(row)))
    if verdict == "refuse":
        for row in range(len(evidence.rows)):
            why.setdefault(row, []).append(("refused", "The batch it came in is refused."))
    order = sorted(why, key=lambda row: (-float(evidence.draws.wrong[row]), float(evidence.margin[row]), row))
    return (*(_returned(batch, evidence, row, why[row]) for row in order), *_ties(batch, evidence))


def _returned(batch: LabelBatch, evidence: Evidence, row: int, why: Why) -> Returned:
    wrong = float(evidence.draws.wrong[row])
    better = evidence.truth[row] if evidence.truth[row] is not None else evidence.suggested[row]
    names = tuple(dict.fromkeys(name for name, _ in why))
    return Returned(
        record_id=batch.ids[evidence.rows[row]],
        label=str(evidence.labels[row]),
        suggested=str(better) if evidence.out[row] else None,
        wrong=wrong,
        why=names,
        reasons=tuple(dict.fromkeys(sentence for _, sentence in why)),
    )


def _error(evidence: Evidence, row: int) -> Why:
    """Why a label is probably or certainly wrong."""
    label, better = evidence.labels[row], evidence.suggested[row]
    if evidence.truth[row] is not None:
        return [("gold", f"It is a seeded question whose known answer is {better}; the label says {label}.")]
    sentence = (
        f"The label {label} is wrong with a chance of {percent(float(evidence.draws.wrong[row]))}: a classifier that has not "
        f"learned it gives {label} {percent(float(evidence.own[row]))} and {better} {percent(float(evidence.other[row]))}."
    )
    found = [("label_error", sentence)]
    if evidence.confident[row]:
        found.append(
            ("confident", f"Class {better} is at least as likely here as it usually is where it is the label.")
        )
    around = Counter(evidence.nearest[row].tolist())
    name, count = max(
        ((name, n) for name, n in around.items() if name != label), key=lambda x: (x[1], x[0]), default=("", 0)
    )
    if count >= _AGAINST * len(evidence.nearest[row]) and count > around[label]:
        found.append(
            (
                "neighbours",
                f"Of its {len(evidence.nearest[row])} nearest labelled records, {count} are {name} and {around[label]} are {label}.",
            )
        )
    return found


def _of_group(standing: Standing, row: int) -> tuple[str, str]:
    name = group_name(standing.group.field, standing.group.value)
    if standing.state == "bad":
        return "bad_group", f"Too many labels of {name} are wrong."
    if standing.state == "good":
        return "doubtful", f"It is among the least sure labels of {name}, which keeps the service level without it."
    if row in standing.held:
        return (
            "unclear_group",
            f"Too few labels of {name} are sure, and a second look at this one would help to settle it.",
        )
    return "unclear_group", f"Too few labels of {name} are sure; it waits for a second look at others of them."


def _ties(batch: LabelBatch, evidence: Evidence) -> list[Returned]:
    labelled = {batch.ids[row] for row in evidence.rows}
    said = by_record(batch.votes)
    found = []
    for record in batch.ids:
        if record in labelled:
            continue
        votes = Counter(said[record].values())
        counted = ", ".join(f"{name} {count} time{'s' * (count > 1)}" for name, count in sorted(votes.items()))
        reason = f"Annotators disagree: {counted}." if votes else "Its annotator gave it two different labels."
        found.append(Returned(record, None, None, 1.0 if not votes else 0.5, ("tie",), (reason,)))
    return found
