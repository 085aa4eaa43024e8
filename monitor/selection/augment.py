"""Small edits of a text that change no meaning: typos, case, punctuation, spacing, abbreviations. Offline, and no paraphrase."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

__all__ = ["EDITS", "abbreviate", "augmented", "change_case", "punctuate", "respace", "typo"]

Edit = Callable[[str, np.random.Generator], str]

_KEYS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_NEIGHBOURS = {
    key: {
        other for r, line in enumerate(_KEYS) for c, other in enumerate(line) if abs(r - row) <= 1 and abs(c - at) <= 1
    }
    - {key}
    for row, keys in enumerate(_KEYS)
    for at, key in enumerate(keys)
}
_SHORT = {
    "about": "abt",
    "account": "acct",
    "and": "&",
    "appointment": "appt",
    "are": "r",
    "as soon as possible": "asap",
    "at": "@",
    "because": "bc",
    "before": "b4",
    "by the way": "btw",
    "for your information": "fyi",
    "great": "gr8",
    "i am": "i'm",
    "information": "info",
    "it is": "it's",
    "message": "msg",
    "minutes": "mins",
    "number": "no.",
    "okay": "ok",
    "people": "ppl",
    "please": "pls",
    "see you": "cu",
    "thank you": "ty",
    "thanks": "thx",
    "though": "tho",
    "through": "thru",
    "to": "2",
    "today": "2day",
    "tomorrow": "tmrw",
    "tonight": "2nite",
    "want to": "wanna",
    "what is": "what's",
    "with": "w/",
    "without": "w/o",
    "you": "u",
    "your": "ur",
}
_PHRASE = re.compile(
    r"\b(" + "|".join(sorted(map(re.escape, _SHORT), key=lambda p: (-len(p), p))) + r")\b", re.IGNORECASE
)
_WORD = re.compile(r"[^\W\d_]{3,}")


def typo(text: str, rng: np.random.Generator) -> str:
    """One typing error in one word of three letters or more: two letters swapped, one dropped, doubled, or its key missed."""
    words = list(_WORD.finditer(text))
    if not words:
        return text
    word = words[int(rng.integers(len(words)))]
    at = int(rng.integers(word.start(), word.end() - 1))
    here, after = text[at], text[at + 1]
    close = sorted(_NEIGHBOURS.get(here.lower(), ()))
    missed = close[int(rng.integers(len(close)))] if close else here * 2
    wrong = (after + here, after, here * 2 + after, missed + after)[int(rng.integers(4))]
    return text[:at] + wrong + text[at + 2 :]


def change_case(text: str, rng: np.random.Generator) -> str:
    """All letters small, all large, or the case of the first letter changed."""
    kind = int(rng.integers(3))
    return text.lower() if kind == 0 else text.upper() if kind == 1 else text[:1].swapcase() + text[1:]


def punctuate(text: str, rng: np.random.Generator) -> str:
    """Punctuation at the end dropped, repeated or added, or all apostrophes and commas dropped."""
    kind = int(rng.integers(3))
    bare = text.rstrip(" .!?…")
    if kind == 0:
        return bare or text
    if kind == 1:
        ends = ("!", "...", "??", ".", "!!")
        return (bare or text) + ends[int(rng.integers(len(ends)))]
    return re.sub("[,'\u2019;]", "", text)


def respace(text: str, rng: np.random.Generator) -> str:
    """One space doubled or dropped, or a space added at an end."""
    spaces = [match.start() for match in re.finditer(" ", text)]
    kind = int(rng.integers(3)) if spaces else 2
    if kind == 2:
        return " " + text if rng.integers(2) else text + " "
    at = spaces[int(rng.integers(len(spaces)))]
    return text[:at] + ("  " if kind == 0 else "") + text[at + 1 :]


def abbreviate(text: str, rng: np.random.Generator) -> str:
    """One common English phrase shortened, where there is one: please, pls."""
    found = list(_PHRASE.finditer(text))
    if not found:
        return text
    phrase = found[int(rng.integers(len(found)))]
    return text[: phrase.start()] + _SHORT[phrase.group().lower()] + text[phrase.end() :]


EDITS: dict[str, Edit] = {
    "typo": typo,
    "case": change_case,
    "punctuation": punctuate,
    "spacing": respace,
    "abbreviation": abbreviate,
}
"""Every kind of edit by name."""


def augmented(
    texts: Sequence[str], rng: np.random.Generator, edits: int = 2, kinds: Sequence[str] = tuple(EDITS)
) -> list[str]:
    """One edited copy of each text.

    Parameters
    ----------
    edits : how many edits each copy gets, one after the other, each of a kind drawn at random
    kinds : names out of :data:`EDITS`

    Returns
    -------
    as many texts; a text that offers nothing to edit, such as an empty one, may come back unchanged

    Raises
    ------
    ValueError
        for a kind that there is not
    """
    unknown = sorted(set(kinds) - set(EDITS))
    if unknown or not kinds:
        raise ValueError(f"edits of kind {', '.join(unknown) or 'none'}; give some of {', '.join(EDITS)}")
    found = []
    for text in texts:
        copy = text
        for _ in range(edits):
            copy = EDITS[kinds[int(rng.integers(len(kinds)))]](copy, rng)
        found.append(copy)
    return found
