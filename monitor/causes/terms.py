"""Words that tell some records from the reference, by class-based TF-IDF; none that could name a person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np

__all__ = ["distinguishing_terms"]

_HOLDERS = 3
_TIMES = 3
_SHORTEST = 2
_LONGEST = 24


def _pieces(words: Sequence[str]) -> set[str]:
    """The words themselves; of very long ones, as in scripts without spaces, pairs of letters."""
    found = set()
    for word in words:
        unspaced = not word.isascii() and len(word) > 3 and ord(word[0]) >= 0x0E00 and not _spaced(word[0])
        found |= {word[i : i + 2] for i in range(len(word) - 1)} if unspaced else {word}
    return {piece for piece in found if _SHORTEST <= len(piece) <= _LONGEST}


def _spaced(letter: str) -> bool:
    """Hangul is written with spaces, as are the Georgian to Ethiopic blocks; Thai to Khmer, kana and Han are not."""
    code = ord(letter)
    return 0x10A0 <= code < 0x1780 or 0xAC00 <= code < 0xD7B0 or 0x1E00 <= code < 0x2E80


def distinguishing_terms(
    inside: Sequence[Sequence[str]],
    holders: Sequence[Hashable],
    outside: Sequence[Sequence[str]],
    most: int = 8,
) -> tuple[str, ...]:
    """The terms that weigh more in ``inside`` than in ``outside``, most telling first.

    Class-based TF-IDF (Grootendorst, "BERTopic", arXiv 2203.05794, 2022): the root of a term's share of its class, as that
    paper's software takes it to hold back frequent words, times log(1 + A / f) with A the mean size of the two classes and
    f its count in both. A term counts once a record, and is left out unless at least three different ``holders`` have it
    and its share of records is three times that outside.

    Parameters
    ----------
    inside, outside : words of each record (:func:`monitor.causes.sides.words_of`)
    holders : who each record of ``inside`` comes from: its block, or itself
    """
    counts: Counter[str] = Counter()
    who: dict[str, set[Hashable]] = {}
    for words, holder in zip(inside, holders, strict=True):
        for piece in _pieces(words):
            counts[piece] += 1
            who.setdefault(piece, set()).add(holder)
    others: Counter[str] = Counter(piece for words in outside for piece in _pieces(words))
    size, other_size = sum(counts.values()), sum(others.values())
    mean_size = (size + other_size) / 2
    n, m = max(len(inside), 1), max(len(outside), 1)
    scores = {
        term: float(np.sqrt(count / size)) * float(np.log1p(mean_size / (count + others[term])))
        for term, count in counts.items()
        if len(who[term]) >= _HOLDERS and count / n > _TIMES * others[term] / m
    }
    return tuple(sorted(scores, key=lambda term: (-scores[term], term))[:most])
