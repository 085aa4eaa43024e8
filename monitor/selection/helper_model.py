"""A helper model for one problem case: learns a handful of examples against the rest, and finds more of the kind."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from monitor.selection import NotApplicable
from monitor.selection.heads import fit_head
from monitor.selection.pool import Pool, Rows
from monitor.selection.ranking import best_first, named, open_rows
from monitor.values import FloatArray, Vectors

__all__ = ["HelperModelStrategy", "chance_of_case"]

_MOST_OTHERS = 5_000


def chance_of_case(rows: Vectors, examples: Vectors, others: Vectors) -> FloatArray:
    """Chance that each row is of the examples' kind, by logistic regression against the others, both sides weighing the same.

    Parameters
    ----------
    rows, examples, others : (n, d), (e, d) and (m, d) float32, e and m above 0

    Returns
    -------
    (n,) float64 in [0, 1]
    """
    vectors = np.concatenate([examples, others])
    labels = np.array(["case"] * len(examples) + ["rest"] * len(others), dtype=object)
    total = len(vectors) / 2.0
    weights = np.repeat([total / len(examples), total / len(others)], [len(examples), len(others)])
    return np.asarray(np.exp(fit_head(vectors, labels, weights).log_chances(rows)[:, 0]))


class HelperModelStrategy:
    """Records that a small one-against-rest classifier takes for the given case, the surest first.

    label     the case is a class: its training records and answers are the examples, all others the rest
    examples  the case is these records, by id, of the window, of the reference or of the answers; training records are the
              rest. They are not proposed themselves
    """

    def __init__(self, label: str | None = None, examples: Sequence[str] = ()) -> None:
        if (label is None) == (not examples):
            raise ValueError("give either label or examples: the class, or the ids of records, to find more of")
        self._label, self._examples = label, frozenset(examples)

    def pick(self, pool: Pool, count: int, taken: Rows, rng: np.random.Generator) -> Sequence[int]:
        """See :class:`monitor.selection.Strategy`."""
        rows = open_rows(pool, taken)
        if self._label is None:
            examples, here = named(pool, self._examples)
            rows = np.setdiff1d(rows, here)
            others = pool.train.vectors[[record not in self._examples for record in pool.train.ids]]
        else:
            examples, others = _by_label(pool, self._label)
        if not len(examples) or not len(others):
            raise NotApplicable(
                f"the helper model has {len(examples)} examples of the case and {len(others)} of the rest"
            )
        if len(others) > _MOST_OTHERS:
            others = others[np.sort(rng.choice(len(others), _MOST_OTHERS, replace=False))]
        return best_first(chance_of_case(pool.vectors, examples, others), rows, count)


def _by_label(pool: Pool, label: str) -> tuple[Vectors, Vectors]:
    """Training records and answers with this label, and with any other."""
    parts = [pool.train, *([] if pool.answers is None else [pool.answers.data])]
    vectors = np.concatenate([part.vectors for part in parts])
    labels = np.concatenate([part.column("label") for part in parts])
    mine = np.array([found == label for found in labels], dtype=bool)
    given = np.array([found is not None for found in labels], dtype=bool)
    return vectors[mine], vectors[given & ~mine]
