"""The verdict on a batch of labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from monitor.quality.agreement import agreement, annotators
from monitor.quality.conflicts import settled
from monitor.quality.evidence import Evidence, weighed
from monitor.quality.groups import Standing, class_groups, kept_back, segment_groups, stand, whole_group
from monitor.quality.relabel import relabel_list
from monitor.quality.wording import annotator_sentences, confusion_sentence, group_name, group_sentence
from monitor.values import Dataset, GateTerms, GroupQuality, LabelBatch, LabelVerdict, Returned

__all__ = ["judged"]

Verdict = Literal["accept", "part", "refuse"]


def judged(batch: LabelBatch, reference: Dataset, terms: GateTerms, rng: np.random.Generator) -> LabelVerdict:
    """Judge a batch against the training reference, whose labels are trusted.

    Parameters
    ----------
    reference : training records with ``label``, from the embedder that made the batch's vectors; rows without a label do not count
    rng : draws folds of cross-validation and the posterior

    Raises
    ------
    ValueError
        when vectors do not fit together, when the reference has fewer than two classes, when nothing of the batch has a label, or
        when labels name classes that are neither in the reference nor declared as new
    """
    people, agreed = annotators(batch.votes, batch.gold), agreement(batch.votes)
    labels = {**batch.second_look, **settled(batch.votes, people)[0]}
    _check(batch, labels, reference)
    evidence = weighed(batch, labels, reference, terms, rng)
    parts = [
        *class_groups(evidence.labels, evidence.suggested),
        *segment_groups(batch.segments, evidence.rows.tolist()),
    ]
    found = [stand(part, evidence, evidence.out, terms, len(parts)) for part in parts]
    gone = evidence.out.copy()
    for one in found:
        gone[kept_back(one)] = True
    whole = stand(whole_group(len(evidence.rows)), evidence, gone, terms, len(parts))
    verdict = _verdict(whole, found, terms)
    returned = relabel_list(batch, evidence, (whole, *found), verdict)
    back = {one.record_id for one in returned}
    rows = [_quality(one, evidence, batch, back, terms) for one in (whole, *found)]
    accepted = tuple(record for record in batch.ids if record not in back)
    return LabelVerdict(
        verdict,
        (*_sentences(verdict, rows, returned, evidence, len(accepted)), *annotator_sentences(agreed, people)),
        labels={**labels, **batch.second_look},
        accepted=accepted,
        returned=returned,
        whole=rows[0],
        classes=tuple(row for row in rows if row.field == "label"),
        segments=tuple(row for row in rows[1:] if row.field != "label"),
        agreement=agreed,
        annotators=people,
    )


def _check(batch: LabelBatch, labels: Mapping[str, str], reference: Dataset) -> None:
    if batch.vectors.shape[1] != reference.vectors.shape[1]:
        raise ValueError(
            f"the batch's vectors have {batch.vectors.shape[1]} dimensions, the reference's {reference.vectors.shape[1]}"
        )
    if not labels:
        raise ValueError("no record of the batch has a label that annotators agree on; nothing can be judged")
    known = {label for label in reference.column("label") if label is not None} | batch.new_classes
    unknown = sorted((set(labels.values()) | set(batch.second_look.values())) - known)
    if unknown:
        raise ValueError(
            f"labels name {len(unknown)} classes that the reference lacks, {', '.join(unknown[:5])}: declare them as new classes, "
            "or correct the labels"
        )


def _verdict(whole: Standing, found: Sequence[Standing], terms: GateTerms) -> Verdict:
    states = {one.state for one in found}
    if whole.state != "good" or ("bad" in states and not terms.keep_the_rest):
        return "refuse"
    return "part" if states & {"bad", "unclear"} else "accept"


def _quality(one: Standing, evidence: Evidence, batch: LabelBatch, back: set[str], terms: GateTerms) -> GroupQuality:
    members = [batch.ids[row] for row in evidence.rows[one.group.members]]
    returned = sum(record in back for record in members)
    look = tuple(batch.ids[evidence.rows[row]] for row in one.held) if one.state == "unclear" else ()
    sentence = group_sentence(one, len(members), len(look), terms)
    return GroupQuality(one.group.field, one.group.value, len(members), one.error, one.state, returned, look, sentence)


def _sentences(
    verdict: Verdict, rows: Sequence[GroupQuality], returned: Sequence[Returned], evidence: Evidence, accepted: int
) -> list[str]:
    """The verdict, then what it rests on, worst first."""
    total = accepted + len(returned)
    parts = sorted((row for row in rows[1:] if row.state != "good"), key=lambda row: (row.state, -row.error.low))
    opening = {
        "accept": f"The batch is accepted: {accepted} of {total} labels enter training, {len(returned)} return one by one.",
        "part": (
            f"Part of the batch is accepted: {accepted} of {total} labels enter training; "
            f"returned whole or for a second look: {_named(parts)}."
        ),
        "refuse": f"The batch is refused: none of its {total} labels enters training.",
    }
    pairs = Counter(
        (str(a), str(b)) for a, b in zip(evidence.labels[evidence.out], evidence.suggested[evidence.out], strict=True)
    )
    confusion = confusion_sentence(pairs)
    return [opening[verdict], rows[0].sentence, *(row.sentence for row in parts), *([confusion] if confusion else [])]


def _named(parts: Sequence[GroupQuality]) -> str:
    names = [group_name(row.field, row.value) for row in parts]
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
