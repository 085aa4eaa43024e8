"""Wording or format: the same things said, written in another way."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from monitor.causes.phrases import percent
from monitor.causes.shares import Change, auc_change, mean_change
from monitor.causes.sides import FEWEST, Side, Sides
from monitor.causes.writing import FEATURES, Vocabulary, features_of
from monitor.values import Cause, FloatArray, Vectors

__all__ = ["Wording", "unexplained_shift", "whitened_shift", "wording_change"]

Mask = npt.NDArray[np.bool_]

_MATCHED = 10
_SURE = 3.5
_LEAST = 0.03
_WORD_SURE = 3.0
_WORD_LEAST = 0.05
_CALM = 0.05
_SHOWN = 10
_WORDS = 300
_ALONE = 4.0


@dataclass(frozen=True, slots=True)
class Wording:
    """What changed in the way of writing, and the rows that show it.

    theirs, ours  rows of reference and current that are written in the new way
    """

    cause: Cause
    theirs: Mask
    ours: Mask


def whitened_shift(sides: Sides) -> float:
    """By how many standard errors the mean moved along the whitened direction that the other half points to."""
    x, y = sides.scale.whitened(sides.reference.vectors), sides.scale.whitened(sides.current.vectors)
    total = 0.0
    for swapped in (False, True):
        a, b = sides.reference.first != swapped, sides.current.first != swapped
        if min(a.sum(), b.sum(), (~a).sum(), (~b).sum()) < 2:
            return 0.0
        direction = y[b].mean(axis=0) - x[a].mean(axis=0)
        left, right = (x[~a] @ direction).astype(np.float64), (y[~b] @ direction).astype(np.float64)
        total += mean_change(left, sides.reference.codes[~a], right, sides.current.codes[~b]).z
    return total / 2**0.5


def _nearest(vectors: Vectors, ruler: Vectors) -> npt.NDArray[np.int64]:
    k = min(_MATCHED, len(ruler))
    return np.argpartition(-(vectors @ ruler.T), k - 1, axis=1)[:, :k]


def _calm(sides: Sides) -> tuple[Mask, Mask]:
    """Rows of both sides that are not far from what is known: new content must not pass for new wording."""
    limit = float(np.quantile(sides.reference.known, _CALM))
    return sides.reference.known >= limit, sides.current.known >= limit


def _moved_features(
    theirs: dict[str, FloatArray], ours: dict[str, FloatArray], sides: Sides, calm: tuple[Mask, Mask]
) -> dict[str, Change]:
    found = {}
    a, b = calm
    for name in FEATURES:
        change = auc_change(theirs[name][a], sides.reference.codes[a], ours[name][b], sides.current.codes[b])
        if abs(change.z) >= _SURE and abs(change.difference) >= _LEAST:
            found[name] = change
    return dict(sorted(found.items(), key=lambda item: -abs(item[1].difference)))


def _holds(side: Side, word: str) -> FloatArray:
    return np.array([word in words for words in side.words], dtype=np.float64)


def _risen_word(
    sides: Sides, matches: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]], calm: tuple[Mask, Mask]
) -> tuple[str, Change] | None:
    """The word that rose most on one half beyond what records of the same content hold, when it did so on the other."""
    a, b = calm[0] & sides.reference.first, calm[1] & sides.current.first
    held, held_ours = calm[0] & ~sides.reference.first, calm[1] & ~sides.current.first
    if min(a.sum(), b.sum(), held.sum(), held_ours.sum()) < FEWEST // 2:
        return None
    counts = [
        Counter(word for i in np.flatnonzero(rows) for word in set(side.words[i]))
        for side, rows in ((sides.reference, a), (sides.current, b))
    ]
    rise = {word: count / b.sum() - counts[0][word] / a.sum() for word, count in counts[1].items()}
    best: tuple[float, str, FloatArray, FloatArray] | None = None
    for word in sorted(rise, key=lambda w: (-rise[w], w))[:5]:
        ruler = _holds(sides.ruler, word)
        theirs = _holds(sides.reference, word) - ruler[matches[0]].mean(axis=1)
        ours = _holds(sides.current, word) - ruler[matches[1]].mean(axis=1)
        gained = float(ours[b].mean() - theirs[a].mean())
        if best is None or gained > best[0]:
            best = gained, word, theirs, ours
    if best is None:
        return None
    _, word, theirs, ours = best
    change = mean_change(theirs[held], sides.reference.codes[held], ours[held_ours], sides.current.codes[held_ours])
    return (word, change) if change.z >= _WORD_SURE and change.difference >= _WORD_LEAST else None


def wording_change(sides: Sides) -> Wording | None:
    """How texts changed beyond what their content asks for; ``None`` without texts or without a sure change.

    Each number of a text is taken relative to the mean of the ten nearest ruler rows, so that another mix of topics changes
    nothing, and compared by its rank (AUC over blocks); rows far from all that is known are left out.
    """
    if not (sides.reference.has_texts and sides.current.has_texts and sides.ruler.has_texts):
        return None
    calm = _calm(sides)
    if min(calm[0].sum(), calm[1].sum()) < FEWEST:
        return None
    matches = tuple(_nearest(side.vectors, sides.ruler.vectors) for side in (sides.reference, sides.current))
    vocabulary = Vocabulary(sides.ruler.words)
    ruler = features_of(sides.ruler, vocabulary)
    relative = [
        {name: values - ruler[name][match].mean(axis=1) for name, values in features_of(side, vocabulary).items()}
        for side, match in zip((sides.reference, sides.current), matches, strict=True)
    ]
    moved = _moved_features(relative[0], relative[1], sides, calm)
    word = _risen_word(sides, (matches[0], matches[1]), calm)
    if not moved and word is None:
        return None
    return _told(sides, moved, word, relative)


def _told(
    sides: Sides,
    moved: dict[str, Change],
    word: tuple[str, Change] | None,
    relative: list[dict[str, FloatArray]],
) -> Wording:
    theirs, ours = np.zeros(len(sides.reference), dtype=bool), np.zeros(len(sides.current), dtype=bool)
    strength = np.zeros(len(sides.current))
    evidence: dict[str, float] = {}
    told = []
    for name, change in moved.items():
        sign = 1.0 if change.difference > 0 else -1.0
        limit = float(np.quantile(sign * relative[0][name], 0.8))
        theirs |= sign * relative[0][name] > limit
        ours |= sign * relative[1][name] > limit
        strength += sign * relative[1][name] > limit
        evidence |= {f"{name}_auc": change.current, f"{name}_low": 0.5 + change.low, f"{name}_high": 0.5 + change.high}
        told.append(f"{FEATURES[name][0 if sign > 0 else 1]} (AUC {change.current:.2f})")
    share = max((2 * abs(change.difference) for change in moved.values()), default=0.0)
    terms: tuple[str, ...] = ()
    if word is not None:
        name, change = word
        theirs |= _holds(sides.reference, name) > 0
        ours |= _holds(sides.current, name) > 0
        strength += 2 * _holds(sides.current, name)
        share = max(share, change.difference)
        evidence |= {"word_gain": change.difference, "word_low": change.low, "word_high": change.high}
        told.append(f"one word is used in {percent(change.difference)} more of the texts than their content explains")
        holders = {sides.current.codes[i] for i in np.flatnonzero(_holds(sides.current, name))}
        terms = (name,) if len(holders) >= 3 else ()
    evidence = {"share": min(share, 1.0), "whitened_z": whitened_shift(sides)} | evidence
    sentence = f"The way of writing changed while the content stayed known: {'; '.join(told)}."
    order = np.argsort(-strength, kind="stable")[:_SHOWN]
    examples = tuple(sides.current.ids[i] for i in order if strength[i] > 0)
    return Wording(Cause("wording or format", sentence, evidence, terms, examples), theirs, ours)


def unexplained_shift(sides: Sides) -> Cause | None:
    """For when nothing else was found: all traffic moved a little, and no number of the texts says how."""
    z = whitened_shift(sides)
    if z < _ALONE:
        return None
    sentence = (
        "All traffic moved a little in the same direction, as it does when wording or format change; topics and the "
        f"distance to the reference stayed (whitened mean shift {z:.1f} standard errors)."
    )
    return Cause("wording or format", sentence, {"whitened_z": z})
