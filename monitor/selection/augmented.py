"""Predictions on augmented copies: records whose class changes under edits that change no meaning."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from monitor.selection import NotApplicable
from monitor.selection.augment import EDITS, augmented
from monitor.selection.disagreement import by_need
from monitor.selection.pool import Pool, Rows
from monitor.selection.ranking import best_first, open_rows
from monitor.values import FloatArray

__all__ = ["AugmentedStrategy", "Instability", "Predict", "instability", "predictions"]

Predict = Callable[[list[str]], Sequence[str | Mapping[str, float]]]
"""Classes of texts, or chances by class; one for each text."""

_BATCH = 256


@dataclass(frozen=True, slots=True)
class Instability:
    """How often edits changed the class.

    score   (n,) float64 in [0, 1], share of each text's copies with another class; 0 where nothing could be compared
    failed  texts, copies included, on which the model raised or gave no class
    asked   texts that the model was asked for
    """

    score: FloatArray
    failed: int
    asked: int


def predictions(texts: Sequence[str], predict: Predict) -> npt.NDArray[np.object_]:
    """Class of each text, ``None`` where the model raised or gave none; the likeliest where it gives chances.

    Texts go in batches of 256; a batch that fails is asked again text by text.
    """
    found = np.full(len(texts), None, dtype=object)
    for start in range(0, len(texts), _BATCH):
        batch = list(texts[start : start + _BATCH])
        classes = _asked(batch, predict)
        if classes is None:
            classes = [one[0] if one else None for one in (_asked([text], predict) for text in batch)]
        found[start : start + len(batch)] = classes
    return found


def _asked(batch: list[str], predict: Predict) -> list[str | None] | None:
    """Classes of the batch; ``None`` when the model raised, or answered with another number of classes."""
    try:
        given = list(predict(batch))
        return [_class(one) for one in given] if len(given) == len(batch) else None
    except Exception:  # noqa: BLE001 - the user's model may raise anything, and one bad text must not stop the run
        return None


def _class(given: str | Mapping[str, float] | None) -> str | None:
    if isinstance(given, Mapping):
        return min(given, key=lambda name: (-given[name], name)) if given else None
    return None if given is None else str(given)


def instability(
    texts: Sequence[str],
    classes: Sequence[str | None],
    predict: Predict,
    rng: np.random.Generator,
    copies: int = 4,
    edits: int = 2,
    kinds: Sequence[str] = tuple(EDITS),
) -> Instability:
    """Share of augmented copies of each text that get another class than the text itself.

    Parameters
    ----------
    classes : the model's class of each text; it is asked for those that are ``None``
    copies : of each text
    edits, kinds : see :func:`monitor.selection.augment.augmented`
    """
    own = np.array(list(classes), dtype=object)
    missing = np.flatnonzero([name is None for name in own])
    own[missing] = predictions([texts[int(i)] for i in missing], predict)
    changed, compared, failed = np.zeros(len(texts)), np.zeros(len(texts)), sum(own[i] is None for i in missing)
    for _ in range(copies):
        for row, found in enumerate(predictions(augmented(texts, rng, edits, kinds), predict)):
            failed += found is None
            if found is not None and own[row] is not None:
                compared[row] += 1
                changed[row] += found != own[row]
    return Instability(changed / np.maximum(compared, 1), failed, len(missing) + copies * len(texts))


class AugmentedStrategy:
    """Records whose class changes when typos, case, punctuation, spacing or abbreviations do, the most often changed first.

    predict  gives the model's classes of texts, or chances by class
    copies   of each text
    edits    of each copy
    kinds    of edits
    most     records that are looked at, those of the greatest need: the model is asked for ``most`` times ``copies`` texts
    """

    def __init__(
        self, predict: Predict, copies: int = 4, edits: int = 2, kinds: Sequence[str] = tuple(EDITS), most: int = 1_000
    ) -> None:
        for name, value in (("copies", copies), ("edits", edits), ("most", most)):
            if value < 1:
                raise ValueError(f"{name} is {value}; give a whole number above 0")
        augmented([], np.random.default_rng(0), edits, kinds)
        self._predict, self._copies, self._edits, self._kinds, self._most = predict, copies, edits, tuple(kinds), most

    def pick(self, pool: Pool, count: int, taken: Rows, rng: np.random.Generator) -> Sequence[int]:
        """See :class:`monitor.selection.Strategy`."""
        texts = pool.window.column("text")
        told = np.array([text is not None for text in texts], dtype=bool)
        rows = open_rows(pool, taken)
        rows = np.array(best_first(pool.need, rows[told[rows]], self._most), dtype=np.int64)
        if not len(rows):
            raise NotApplicable("no record left in this window has a text to edit")
        classes = pool.window.column("predicted")[rows]
        found = instability(
            list(texts[rows]), list(classes), self._predict, rng, self._copies, self._edits, self._kinds
        )
        if found.failed == found.asked:
            raise NotApplicable(f"predict gave no class for any of {found.asked} texts")
        score = np.zeros(len(texts))
        score[rows] = found.score
        return by_need(score, pool, taken, count)
