"""How far annotators agree with each other and with known answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from scipy.stats import beta

from monitor.values import Agreement, Annotator, Estimate, Vote

__all__ = ["agreement", "annotators", "by_record"]

_UNPROVEN, _PRIOR_ANSWERS = 0.8, 4.0
_LEAST_WEIGHT = 0.1

Said = dict[str, dict[str, str]]


def by_record(votes: Iterable[Vote]) -> Said:
    """Label by annotator, by record; who said two things of one record said nothing."""
    said: Said = {}
    contradicted = set()
    for vote in votes:
        before = said.setdefault(vote.record_id, {}).setdefault(vote.annotator, vote.label)
        if before != vote.label:
            contradicted.add((vote.record_id, vote.annotator))
    for record_id, annotator in contradicted:
        del said[record_id][annotator]
    return said


def agreement(votes: Sequence[Vote]) -> Agreement:
    """Krippendorff's alpha for nominal labels; records that not all annotators saw are allowed.

    Krippendorff, "Content Analysis", 4th ed., 2018, chapter 12, as computed by nltk.
    """
    shared = {record: labels for record, labels in by_record(votes).items() if len(labels) > 1}
    if not shared:
        return Agreement(None, 0, 0)
    from nltk.metrics.agreement import AnnotationTask  # noqa: PLC0415  a second to import, and seldom needed

    task = AnnotationTask([(who, record, label) for record, said in shared.items() for who, label in said.items()])
    agreed = sum(len(set(said.values())) == 1 for said in shared.values())
    return Agreement(float(task.alpha()), len(shared), agreed)


def annotators(votes: Sequence[Vote], gold: Mapping[str, str]) -> tuple[Annotator, ...]:
    """Each annotator's share of right answers to gold questions and of agreement with others, in the order of names."""
    labels: Counter[str] = Counter()
    answered: Counter[str] = Counter()
    right: Counter[str] = Counter()
    met: Counter[str] = Counter()
    same: Counter[str] = Counter()
    for record, said in by_record(votes).items():
        for who, label in said.items():
            labels[who] += 1
            answered[who] += record in gold
            right[who] += gold.get(record) == label
            met[who] += len(said) - 1
            same[who] += sum(other == label for other in said.values()) - 1
    names = sorted({vote.annotator for vote in votes})
    return tuple(_annotator(who, labels[who], answered[who], right[who], met[who], same[who]) for who in names)


def _annotator(name: str, labels: int, answered: int, right: int, met: int, same: int) -> Annotator:
    peers = same / met if met else None
    believed = _UNPROVEN if peers is None else (same + _PRIOR_ANSWERS * _UNPROVEN) / (met + _PRIOR_ANSWERS)
    chance = (right + _PRIOR_ANSWERS * believed) / (answered + _PRIOR_ANSWERS)
    weight = float(max(np.log(chance / max(1.0 - chance, 1e-3)), _LEAST_WEIGHT))
    return Annotator(name, labels, answered, _share(right, answered), peers, weight)


def _share(right: int, answered: int) -> Estimate | None:
    """A share with its 95 % Jeffreys interval, the ends closed where all or none are right."""
    if not answered:
        return None
    low, high = (float(beta.ppf(q, right + 0.5, answered - right + 0.5)) for q in (0.025, 0.975))
    return Estimate(right / answered, low if right else 0.0, high if right < answered else 1.0)
