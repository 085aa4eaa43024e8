"""One label a record where annotators disagree: weighted majority, ties handed back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from monitor.quality.agreement import by_record
from monitor.values import Annotator, Vote

__all__ = ["settled"]

_TIMES_LIKELIER = 2.0


def settled(votes: Sequence[Vote], judged_by: Sequence[Annotator]) -> tuple[Mapping[str, str], tuple[str, ...]]:
    """The label with the greatest weight of votes for each record, by id, and the ids of ties, which have none.

    Votes weigh the log-odds of the annotator being right, which is the best rule for annotators who err independently (Nitzan &
    Paroush, "Optimal decision rules in uncertain dichotomous choice situations", International Economic Review 23, 1982). A label
    that is not at least twice as likely as the next is a tie, and so is a record whose only annotator contradicts themself.
    """
    weights = {one.name: one.weight for one in judged_by}
    labels, ties = {}, []
    for record, said in sorted(by_record(votes).items()):
        tally: dict[str, float] = {}
        for who, label in said.items():
            tally[label] = tally.get(label, 0.0) + weights[who]
        ranked = sorted(tally, key=lambda label: (-tally[label], label))
        if len(ranked) == 1 or (ranked and tally[ranked[0]] - tally[ranked[1]] >= np.log(_TIMES_LIKELIER)):
            labels[record] = ranked[0]
        else:
            ties.append(record)
    return labels, tuple(ties)
