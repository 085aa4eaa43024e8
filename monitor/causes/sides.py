"""Both sides of a comparison made ready: equal weights, finite rows, blocks, texts in words, and two halves."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from monitor.detectors.blocks import blocks_of
from monitor.detectors.ruler import Ruler, in_ruler, make_ruler
from monitor.detectors.segments import equalised
from monitor.values import Dataset, FloatArray, Vectors

__all__ = ["FEWEST", "Side", "Sides", "sides_of", "words_of"]

Mask = npt.NDArray[np.bool_]

FEWEST = 20
"""Rows without which nothing is said about vectors and texts."""

_MOST_REFERENCE, _MOST_CURRENT = 4_000, 2_000
_READ = 1_000
_PRIVATE = re.compile(r"[@\d]|://|www\.")
_ASCII = re.compile(r"[!-~]+")
_UNSPACED = "\u0e00"
_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)?")


def words_of(text: str) -> tuple[str, ...]:
    """The words of a text's first 1,000 characters in lower case, without anything that holds a digit, an e-mail or a web address.

    What stands between two spaces goes as a whole; in scripts that may have no spaces only its ASCII part does.
    """
    kept = []
    for token in text[:_READ].lower().split():
        if not _PRIVATE.search(token):
            kept.append(token)
        elif max(token) >= _UNSPACED:
            kept.append(_ASCII.sub(" ", token))
    return tuple(_WORD.findall(" ".join(kept)))


@dataclass(frozen=True, slots=True)
class Side:
    """The rows of one side.

    ids      record ids
    vectors  (n, d) float32 unit rows
    codes    (n,) int64, the block of each row
    texts    texts, ``""`` where there is none
    words    their words (:func:`words_of`)
    classes  (n,) predicted class or label, or ``None``
    first    (n,) bool, the half that chooses; the other half says how much
    known    (n,) float64, mean of the five largest cosines to the ruler's rows: how near a row is to what is known
    """

    ids: npt.NDArray[np.object_]
    vectors: Vectors
    codes: npt.NDArray[np.int64]
    texts: tuple[str, ...]
    words: tuple[tuple[str, ...], ...]
    classes: npt.NDArray[np.object_]
    first: Mask
    known: FloatArray

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def has_texts(self) -> bool:
        """Whether most rows have a text."""
        return sum(map(bool, self.texts)) > len(self) / 2

    def take(self, keep: Mask) -> Side:
        """The rows under this mask."""
        rows = np.flatnonzero(keep)
        return replace(
            self,
            ids=self.ids[rows],
            vectors=self.vectors[rows],
            codes=self.codes[rows],
            texts=pick(self.texts, rows),
            words=tuple(self.words[i] for i in rows),
            classes=self.classes[rows],
            first=self.first[rows],
            known=self.known[rows],
        )


@dataclass(frozen=True, slots=True)
class Sides:
    """What is compared: production with the reference, less the quarter of the reference that measures.

    scale      whitening and novelty
    ruler      the reference rows they were made from
    reference  the other reference rows
    current    production
    """

    scale: Ruler
    ruler: Side
    reference: Side
    current: Side

    def take(self, theirs: Mask, ours: Mask) -> Sides:
        """The rows under these masks of reference and current."""
        return replace(self, reference=self.reference.take(theirs), current=self.current.take(ours))


def pick(values: Sequence[str], rows: npt.NDArray[np.int64]) -> tuple[str, ...]:
    return tuple(values[i] for i in rows)


def _side(data: Dataset, codes: npt.NDArray[np.int64], known: FloatArray, rng: np.random.Generator) -> Side:
    numbers = np.unique(codes)
    half = rng.permutation(numbers)[: len(numbers) // 2]
    texts = tuple(text or "" for text in data.column("text"))
    words = tuple(words_of(text) for text in texts)
    ids = np.array(data.ids, dtype=object)
    return Side(ids, data.vectors, codes, texts, words, data.classes, np.isin(codes, half), known)


def _drawn(data: Dataset, most: int, rng: np.random.Generator) -> Dataset:
    data = equalised(data.take(np.isfinite(data.vectors).all(axis=1)), rng)
    return data.take(np.sort(rng.choice(len(data), most, replace=False))) if len(data) > most else data


def sides_of(reference: Dataset, current: Dataset, rng: np.random.Generator) -> Sides | None:
    """Both data sets thinned to equal weights, at most 4,000 and 2,000 rows; ``None`` with fewer than 20 rows to compare.

    Rows with a vector that is not finite are left out; they are refused elsewhere.
    """
    reference, current = _drawn(reference, _MOST_REFERENCE, rng), _drawn(current, _MOST_CURRENT, rng)
    if min(len(reference), len(current)) < FEWEST:
        return None
    blocks, ours = blocks_of(reference), blocks_of(current)
    set_aside = in_ruler(reference, blocks)
    if set_aside.sum() < FEWEST or (~set_aside).sum() < FEWEST:
        return None
    scale = make_ruler(reference.vectors[set_aside])
    known = -scale.novelty(reference.vectors)
    whole = _side(reference, blocks.codes, known, rng)
    return Sides(
        scale,
        whole.take(set_aside),
        whole.take(~set_aside),
        _side(current, ours.codes, -scale.novelty(current.vectors), rng),
    )
