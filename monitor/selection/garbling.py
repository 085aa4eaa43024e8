"""Whether a drift is one of writing: typos, broken encoding, another language. Labels do not help against it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from monitor.values import Dataset, FloatArray, Vectors

__all__ = ["Garbling", "Words", "foreign_share", "garbling", "remaining_drift", "topical", "words"]

LEAST = 50
"""Texts on either side below which nothing is said."""

_MOST = 1_500
_TOPICAL_RECORDS = 3
_OTHER_LANGUAGE = 0.4
_STRIPPED = ".,;:!?\"()[]{}<>…“”\u2018\u2019'`-"
_LENGTHS = (4, 6, 8, 11, 15, 20)
_UNRECOGNISED = 0.25
_UNRECOGNISED_IN_FEW = 0.5
_FEW = 0.3
_NEAREST = 3
_FAR = 0.1
_FOLDS = 5

Mask = npt.NDArray[np.bool_]
Words = Sequence[Sequence[str]]
Lengths = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Garbling:
    """How the writing of a window differs from the reference's.

    more    foreign words a text holds more than reference texts do, as a share of its words, in [-1, 1]
    sure    the same in standard errors
    clean   texts with no more foreign words than half of the reference's have, over what that share is in the reference
    left    drift among those texts alone, in standard errors; NaN when they are too few to tell
    """

    more: float
    sure: float
    clean: float
    left: float

    @property
    def drift_left(self) -> bool:
        """Whether texts without foreign words differ from the reference's: something other than the writing has changed."""
        return self.left >= 3.0

    @property
    def explains(self) -> bool:
        """Whether foreign words are all that is new: there are more, and texts without them look as they always did.

        Some slips pass as known words and some texts are spared for their short words, so a little drift is always left among clean
        texts: up to a quarter of the certainty that words are foreign, both of which grow alike with the number of texts, and up to
        half when few texts are without.
        """
        grown = self.more >= 0.03 and self.sure >= 4.0
        passed = _UNRECOGNISED_IN_FEW if self.few_clean else _UNRECOGNISED
        return grown and not (self.drift_left and self.left >= passed * self.sure)

    @property
    def few_clean(self) -> bool:
        """Whether so few texts are without foreign words that they say little."""
        return self.clean < _FEW


def words(texts: Sequence[str]) -> list[list[str]]:
    """Each text's words as split at white space: lower case, punctuation around them gone, digits made one."""
    return [
        [re.sub(r"\d+", "0", word) for word in (piece.strip(_STRIPPED) for piece in text.lower().split()) if word]
        for text in texts
    ]


def topical(holding: dict[str, list[int]], unknown: FloatArray, vectors: Vectors, kinship: float) -> set[str]:
    """Words that name a topic: those that at least three texts hold which are like each other and else mostly of known words.

    Parameters
    ----------
    holding : rows that hold each unknown word
    unknown : (n,) share of each row's words that are unknown; where it is above 0.4 the language is another, not the topic
    vectors : (n, d) float32, rows of length one
    kinship : mean cosine of two texts of one class in the reference; halfway to it from that of any two rows is alike
    """
    usual = _likeness(vectors)
    bar = usual + 0.5 * (kinship - usual)
    return {
        word
        for word, rows in holding.items()
        if len(rows) >= _TOPICAL_RECORDS and unknown[rows].mean() <= _OTHER_LANGUAGE and _likeness(vectors[rows]) > bar
    }


def foreign_share(texts: Words, vectors: Vectors, known: Counter[str], kinship: float, own: int = 0) -> FloatArray:
    """Share of each text's words that the reference does not hold and that name no topic, (n,) in [0, 1].

    Parameters
    ----------
    known : number of reference texts with each word
    own : 1 when the texts are the reference's own, each of which does not count for itself
    """
    holding: dict[str, list[int]] = {}
    for row, text in enumerate(texts):
        for word in set(text):
            if known[word] <= own:
                holding.setdefault(word, []).append(row)
    foreign = set(holding) - topical(holding, _share(texts, set(holding)), vectors, kinship)
    return _share(texts, foreign)


def _share(texts: Words, counted: set[str]) -> FloatArray:
    """Share of each text's words that are among these; all where a text has none."""
    return np.array([np.mean([word in counted for word in text]) if text else 1.0 for text in texts], dtype=np.float64)


def garbling(reference: Sequence[Dataset], window: Dataset, rng: np.random.Generator) -> Garbling | None:
    """Compare the writing of a window with the reference's, which needs no labels.

    Words are foreign that no reference text holds and whose texts have nothing in common: typos, broken signs, slang, another
    language. A new topic's words are held by texts that are like each other, and do not count.
    Tuned on half the records of BANKING77 and CLINC150; scripts without spaces between words are not seen.

    Parameters
    ----------
    reference : training and protected records
    window : records to judge

    Returns
    -------
    ``None`` when fewer than 50 texts are given on either side
    """
    parts, new = [_with_text(part) for part in reference], _with_text(window)
    known_vectors = np.concatenate([part.vectors for part in parts])
    labels = np.concatenate([part.column("label") for part in parts])
    if min(len(known_vectors), len(new)) < LEAST:
        return None
    ours = words([text for part in parts for text in part.column("text")])
    theirs = words(new.column("text").tolist())
    known = Counter(word for text in ours for word in set(text))
    kinship = _kinship(known_vectors, labels)
    before = foreign_share(ours, known_vectors, known, kinship, own=1)
    now = foreign_share(theirs, new.vectors, known, kinship)
    more = float(now.mean() - before.mean())
    error = float(np.sqrt(now.var() / len(now) + before.var() / len(before)))
    usual = float(np.quantile(before, 0.5))
    old, fresh = before <= usual, now <= usual
    left = float("nan")
    if fresh.sum() >= LEAST:
        lengths = [np.array([len(text) for text in side]) for side in (ours, theirs)]
        left = remaining_drift(known_vectors[old], lengths[0][old], new.vectors[fresh], lengths[1][fresh], rng)
    return Garbling(more, more / max(error, 1e-6), float(fresh.mean() / old.mean()), left)


def remaining_drift(
    reference: Vectors, reference_lengths: Lengths, window: Vectors, lengths: Lengths, rng: np.random.Generator
) -> float:
    """Whether the window's texts differ from the reference's of the same lengths, in standard errors.

    Two measures taken together: a linear classifier's cross-fitted area under the curve, and how many of the window's texts lie
    as far from the reference as the farthest tenth of its own do. About a standard normal number when nothing differs.
    Two-sample tests by classifiers: Lopez-Paz & Oquab, "Revisiting classifier two-sample tests", ICLR 2017.

    Parameters
    ----------
    reference, window : (m, d) and (n, d) float32; of more than 1,500, so many are drawn
    reference_lengths, lengths : (m,) and (n,) int, number of words
    """
    mine = _some(len(reference), rng)
    theirs = _some(len(window), rng)
    sure_far = _share_far(reference[mine], window[theirs])
    bins = np.digitize(reference_lengths[mine], _LENGTHS), np.digitize(lengths[theirs], _LENGTHS)
    count = [np.bincount(side, minlength=len(_LENGTHS) + 1) for side in bins]
    alike = (count[1] / np.maximum(count[0], 1))[bins[0]]
    used = alike > 0
    if used.sum() < LEAST:
        return sure_far
    vectors = np.concatenate([window[theirs], reference[mine][used]])
    new = np.arange(len(vectors)) < len(theirs)
    weights = (
        np.concatenate([np.full(len(theirs), 1 / len(theirs)), alike[used] / alike[used].sum()]) * len(vectors) / 2
    )
    scores, fold = np.zeros(len(vectors)), rng.permutation(len(vectors)) % _FOLDS
    for k in range(_FOLDS):
        model = LogisticRegression(max_iter=300).fit(
            vectors[fold != k], new[fold != k], sample_weight=weights[fold != k]
        )
        scores[fold == k] = model.decision_function(vectors[fold == k])
    area = roc_auc_score(new, scores, sample_weight=weights)
    rows = weights[~new].sum() ** 2 / (weights[~new] ** 2).sum()
    error = np.sqrt((len(theirs) + rows + 1) / (12 * len(theirs) * rows))
    return float(((area - 0.5) / error + sure_far) / np.sqrt(2))


def _share_far(reference: Vectors, window: Vectors) -> float:
    """How many more of the window than the reference's farthest tenth lie as far from their third neighbour, in standard errors."""
    among = reference @ reference.T
    np.fill_diagonal(among, -np.inf)
    usual = np.quantile(np.partition(among, -_NEAREST, axis=1)[:, -_NEAREST], _FAR)
    share = float((np.partition(window @ reference.T, -_NEAREST, axis=1)[:, -_NEAREST] < usual).mean())
    return float((share - _FAR) / np.sqrt(_FAR * (1 - _FAR) * (1 / len(window) + 1 / len(reference))))


def _kinship(vectors: Vectors, labels: npt.NDArray[np.object_]) -> float:
    """Mean cosine of two texts of one class; without labels, that of a text and its nearest ones."""
    classes = [np.flatnonzero(labels == name) for name in sorted({name for name in labels if name is not None})]
    found = [_likeness(vectors[rows]) for rows in classes if len(rows) >= _TOPICAL_RECORDS]
    if len(found) > 1:
        return float(np.mean(found))
    some = vectors[:_MOST]
    among = some @ some.T
    np.fill_diagonal(among, -np.inf)
    return float(np.partition(among, -10, axis=1)[:, -10:].mean())


def _likeness(vectors: Vectors) -> float:
    """Mean cosine of two different rows."""
    n, total = len(vectors), vectors.sum(axis=0, dtype=np.float64)
    return float((total @ total - n) / (n * (n - 1))) if n > 1 else 0.0


def _some(rows: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    return np.arange(rows) if rows <= _MOST else np.sort(rng.choice(rows, _MOST, replace=False))


def _with_text(data: Dataset) -> Dataset:
    """The records with a text, in the order of ids, so that the order of rows decides nothing."""
    given = np.flatnonzero([text is not None and bool(text.strip()) for text in data.column("text")])
    return data.take(given[np.argsort(np.array(data.ids, dtype=object)[given], kind="stable")])
