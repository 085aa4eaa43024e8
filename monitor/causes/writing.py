"""What can be seen of how a text is written, whatever it is about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from monitor.causes.sides import Side
from monitor.values import FloatArray

__all__ = ["FEATURES", "Vocabulary", "features_of"]

FEATURES = {
    "length": ("longer texts", "shorter texts"),
    "capitals": ("more capital letters", "fewer capital letters"),
    "punctuation": ("more punctuation", "less punctuation"),
    "digits": ("more digits", "fewer digits"),
    "non_ascii": ("more letters beyond ASCII", "fewer letters beyond ASCII"),
    "misspelt": ("more words one letter away from a known word", "fewer words one letter away from a known word"),
}
"""What is measured of each text, and how its rise and its fall are told."""


_READ = 1_000


def _deletes(word: str) -> Iterable[str]:
    return (word[:i] + word[i + 1 :] for i in range(len(word)))


class Vocabulary:
    """Words that are known, and which unknown ones look like a slip in one of them.

    Two words of at least four letters are one slip apart when dropping at most one letter of each makes them equal (one letter
    more, less, other, or two swapped): Garbe's symmetric deletes.
    """

    def __init__(self, texts: Iterable[Sequence[str]]) -> None:
        self._known = {word for words in texts for word in words}
        long = [word for word in self._known if len(word) >= 4]
        self._near = {shape for word in long for shape in _deletes(word)} | set(long)
        self._slips: dict[str, bool] = {}

    def knows(self, word: str) -> bool:
        """Whether the word was in the texts."""
        return word in self._known

    def slip(self, word: str) -> bool:
        """Whether the word is unknown and one slip away from a known one."""
        if word in self._known or len(word) < 4:
            return False
        if word not in self._slips:
            self._slips[word] = word in self._near or any(shape in self._near for shape in _deletes(word))
        return self._slips[word]


def _of_text(text: str) -> tuple[float, float, float, float, float]:
    length, text = len(text), text[:_READ]
    n = max(len(text), 1)
    letters = sum(map(str.isalpha, text))
    capitals = sum(map(str.isupper, text))
    digits = sum(map(str.isdigit, text))
    spaces = sum(map(str.isspace, text))
    beyond = 0 if text.isascii() else sum(c > "\x7f" for c in text)
    marks = len(text) - letters - digits - spaces
    return float(length), capitals / max(letters, 1), marks / n, digits / n, beyond / n


def features_of(side: Side, vocabulary: Vocabulary) -> dict[str, FloatArray]:
    """Each of :data:`FEATURES`, (n,) float64: characters, and shares in [0, 1] of letters, characters or words."""
    table = np.array([_of_text(text) for text in side.texts], dtype=np.float64).reshape(len(side), 5)
    slips = [sum(map(vocabulary.slip, words)) / max(len(words), 1) for words in side.words]
    return dict(zip(FEATURES, [*table.T, np.array(slips, dtype=np.float64)], strict=True))
