"""Embedder: all vectors moved at once while the texts did not."""

from __future__ import annotations

import numpy as np

from monitor.causes.phrases import percent
from monitor.causes.sides import FEWEST, Side, Sides
from monitor.causes.writing import Vocabulary
from monitor.values import Cause

__all__ = ["embedder_changed"]

_SAME = 0.99
_REPEATED = 5
_ALL = 0.8
_RULER_TAIL = 0.05


def _same_text_cosines(sides: Sides) -> list[float]:
    """Cosine of each text that both sides hold to itself."""
    first = {text: i for i, text in enumerate(sides.reference.texts) if text.strip()}
    shared = {text: i for i, text in enumerate(sides.current.texts) if text in first}
    return [float(sides.current.vectors[i] @ sides.reference.vectors[first[t]]) for t, i in shared.items()]


def _known_words(side: Side, vocabulary: Vocabulary) -> float:
    words = [word for text in side.words for word in text]
    return sum(map(vocabulary.knows, words)) / max(len(words), 1)


def embedder_changed(sides: Sides) -> Cause | None:
    """Texts that both sides hold have other vectors, or nearly every row left its place while the words stayed.

    Without texts only the second is seen, and told with that reservation.
    """
    if min(len(sides.reference), len(sides.current)) < FEWEST:
        return None
    cosines = _same_text_cosines(sides)
    if len(cosines) >= _REPEATED and np.median(cosines) < _SAME:
        evidence = {"share": 1.0, "same_texts": float(len(cosines)), "median_cosine": float(np.median(cosines))}
        sentence = (
            f"The embedder seems to have changed: {len(cosines)} texts that the reference holds as well now have other vectors "
            f"(median cosine {np.median(cosines):.2f} instead of 1). Rebuild the reference with the embedder in use."
        )
        return Cause("embedder", sentence, evidence)
    if len(cosines) >= _REPEATED:
        return None
    limit = float(np.quantile(sides.reference.known, _RULER_TAIL))
    far = float((sides.current.known < limit).mean())
    shift = sides.current.vectors.mean(axis=0) - sides.reference.vectors.mean(axis=0)
    spread = float(sides.reference.vectors.var(axis=0, dtype=np.float64).sum())
    moved = float(np.square(shift, dtype=np.float64).sum()) / max(spread, 1e-12)
    texts = sides.reference.has_texts and sides.current.has_texts
    if far < _ALL or (texts and not _words_stayed(sides)):
        return None
    evidence = {"share": far, "mean_shift_in_spreads": moved}
    why = "although their words are the usual ones" if texts else "and there are no texts to tell it from new content"
    sentence = f"The embedder may have changed: {percent(far)} of all records lie farther from the reference than 95 % of its own, {why}."
    return Cause("embedder", sentence, evidence)


def _words_stayed(sides: Sides) -> bool:
    vocabulary = Vocabulary(sides.ruler.words)
    return _known_words(sides.current, vocabulary) >= 0.9 * _known_words(sides.reference, vocabulary)
