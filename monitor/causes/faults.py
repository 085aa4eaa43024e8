"""Pipeline faults that show in the texts: repeated, cut off, garbled, or in another script or language."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from monitor.causes.phrases import gain, interval, percent
from monitor.causes.shares import Change, share_change
from monitor.causes.sides import FEWEST, Side, Sides
from monitor.causes.writing import Vocabulary
from monitor.values import Cause

__all__ = ["Fault", "text_faults"]

Mask = npt.NDArray[np.bool_]

_LEAST = 0.02
_REPEATS = 0.05
_SHOWN = 10
_UNKNOWN = 0.7
_READ = 1_000
_OWN_WORDS, _OWN_CHARACTERS = 5, 30
_SPIKE = 2
_BEFORE = 3
_GARBLED = re.compile(
    "\ufffd|[\u00c2\u00c3][\u0080-\u00bf\u0152-\u0178\u02c6\u02dc\u2010-\u203a]|\u00e2[\u20ac\u0080]|\u00d0[\u0080-\u00bf\u2010-\u203a]|\u00ef\u00bf\u00bd"
)


@dataclass(frozen=True, slots=True)
class Fault:
    """A pipeline fault, and the rows of both sides that it leaves for the other questions."""

    cause: Cause
    theirs: Mask
    ours: Mask


def _pipeline(sentence: str, kind: str, change: Change, rows: Mask, side: Side) -> Cause:
    evidence = {
        "share": change.difference,
        "low": change.low,
        "high": change.high,
        f"{kind}_reference": change.reference,
        f"{kind}_current": change.current,
    }
    return Cause("pipeline", sentence, evidence, (), tuple(side.ids[np.flatnonzero(rows)[:_SHOWN]]))


def _changed(sides: Sides, theirs: Mask, ours: Mask) -> Change:
    return share_change(theirs, sides.reference.codes, ours, sides.current.codes)


def _repeats(texts: Sequence[str]) -> Mask:
    """Rows whose text an earlier row has, where it is long enough that two people would hardly write it alike."""
    seen: set[str] = set()
    found = np.zeros(len(texts), dtype=bool)
    for i, text in enumerate(texts):
        own = len(text) >= _OWN_CHARACTERS or len(text.split()) >= _OWN_WORDS
        found[i] = own and text in seen
        seen.add(text)
    return found


def repeated(sides: Sides) -> Fault | None:
    """More texts of five words or 30 characters repeat each other than in as many reference rows.

    Short ones do by nature, in traffic more than in training data, from which repeats are often taken out.
    """
    n, m = len(sides.reference), len(sides.current)
    rows = min(n, m)
    # Repeats grow with the number of rows: both sides are cut to as many.
    theirs = sides.reference.take(_spread_over(n, rows))
    ours = sides.current.take(_spread_over(m, rows))
    x, y = _repeats(theirs.texts), _repeats(ours.texts)
    change = share_change(x, theirs.codes, y, ours.codes)
    if change.low <= _REPEATS:
        return None
    sentence = (
        f"Texts are repeated: {interval(change)} of the records have the text of another, more than in the reference "
        f"({gain(change)}). Look for records delivered twice or a client that repeats itself."
    )
    again = _repeats(sides.current.texts)
    cause = _pipeline(sentence, "repeated", change, again, sides.current)
    return Fault(cause, ~_repeats(sides.reference.texts), ~again)


def _spread_over(n: int, rows: int) -> Mask:
    keep = np.zeros(n, dtype=bool)
    keep[np.linspace(0, n - 1, rows).astype(np.int64)] = True
    return keep


def blank(sides: Sides) -> Fault | None:
    """More texts without a letter or digit."""
    x, y = (np.array([not any(map(str.isalnum, t)) for t in side.texts]) for side in (sides.reference, sides.current))
    change = _changed(sides, x, y)
    if change.low <= _LEAST:
        return None
    sentence = f"Texts are empty: {interval(change)} more of the records hold no letter or digit ({gain(change)})."
    return Fault(_pipeline(sentence, "blank", change, y, sides.current), ~x, ~y)


def cut_off(sides: Sides) -> Fault | None:
    """Many texts end at exactly one length, and none is longer although the reference's are."""
    for unit, lengths in (
        ("characters", [np.array([len(t) for t in s.texts]) for s in (sides.reference, sides.current)]),
        ("words", [np.array([len(t.split()) for t in s.texts]) for s in (sides.reference, sides.current)]),
    ):
        limit = int(lengths[1].max())
        at = _changed(sides, lengths[0] == limit, lengths[1] == limit)
        over = _changed(sides, lengths[0] > limit, lengths[1] > limit)
        if at.low <= _LEAST or over.high >= -_LEAST or not _spike(lengths[1], limit):
            continue
        sentence = (
            f"Texts are cut off at {limit} {unit}: {percent(at.current)} end exactly there and none is longer, where "
            f"{percent(over.reference)} of the reference are."
        )
        ours = lengths[1] == limit
        cause = _pipeline(sentence, "at_limit", at, ours, sides.current)
        evidence = dict(cause.evidence) | {"limit": float(limit), "longer_reference": over.reference}
        cause = Cause(cause.name, sentence, evidence, (), cause.examples)
        return Fault(cause, lengths[0] < limit, ~ours)
    return None


def _spike(lengths: npt.NDArray[np.int64], limit: int) -> bool:
    """Whether far more texts have the longest length than any of the lengths just below it."""
    before = [int((lengths == limit - k).sum()) for k in range(1, _BEFORE + 1)]
    return int((lengths == limit).sum()) >= _SPIKE * max(before)


def garbled(sides: Sides) -> Fault | None:
    """More texts with replacement characters or with UTF-8 read as another encoding."""
    x, y = (np.array([bool(_GARBLED.search(t)) for t in side.texts]) for side in (sides.reference, sides.current))
    change = _changed(sides, x, y)
    if change.low <= _LEAST / 2:
        return None
    sentence = (
        f"The encoding of texts changed: {interval(change)} more of the records hold replacement characters or letters read in "
        f"the wrong encoding ({gain(change)})."
    )
    return Fault(_pipeline(sentence, "garbled", change, y, sides.current), ~x, ~y)


@cache
def _script(letter: str) -> str:
    if letter <= "\x7f":
        return "LATIN"
    word = unicodedata.name(letter, "UNKNOWN").partition(" ")[0]
    return "KANA" if word in {"HIRAGANA", "KATAKANA"} else word


def main_script(text: str) -> str:
    """The script most letters are in, as Unicode names it; ``""`` without letters."""
    found = Counter(_script(c) for c in text[:_READ] if c.isalpha())
    return min(found, key=lambda name: (-found[name], name)) if found else ""


def other_script(sides: Sides) -> Fault | None:
    """More texts in a script other than the reference's usual one."""
    theirs, ours = (np.array([main_script(t) for t in side.texts]) for side in (sides.reference, sides.current))
    best: tuple[Change, Mask, Mask, str] | None = None
    for name in sorted({str(s) for s in ours} - {""}):
        change = _changed(sides, theirs == name, ours == name)
        if change.low > _LEAST and (best is None or change.low > best[0].low):
            best = change, theirs == name, ours == name, name
    if best is None:
        return None
    change, x, y, name = best
    sentence = f"The language changed: {interval(change)} more of the records are written in {name.title()} letters ({gain(change)})."
    return Fault(_pipeline(sentence, "script", change, y, sides.current), ~x, ~y)


def other_language(sides: Sides) -> Fault | None:
    """More texts of at least three words of which hardly any is known to the reference."""
    vocabulary = Vocabulary(sides.ruler.words)

    def foreign(words: Sequence[str]) -> bool:
        strange = sum(not vocabulary.knows(w) and not vocabulary.slip(w) for w in words)
        return len(words) >= 3 and strange >= _UNKNOWN * len(words)

    x, y = (np.array([foreign(words) for words in side.words]) for side in (sides.reference, sides.current))
    change = _changed(sides, x, y)
    if change.low <= _LEAST:
        return None
    sentence = (
        f"The language changed: in {interval(change)} more of the records hardly any word is known to the reference "
        f"({gain(change)})."
    )
    return Fault(_pipeline(sentence, "foreign", change, y, sides.current), ~x, ~y)


_QUESTIONS: tuple[Callable[[Sides], Fault | None], ...] = (
    garbled,
    blank,
    repeated,
    cut_off,
    other_script,
    other_language,
)


def text_faults(sides: Sides) -> Iterator[Fault]:
    """Each fault found, its masks over the rows that the faults before it left."""
    for question in _QUESTIONS:
        if not (sides.reference.has_texts or sides.current.has_texts):
            return
        if min(len(sides.reference), len(sides.current)) < FEWEST:
            return
        fault = question(sides)
        if fault is not None:
            yield fault
            sides = sides.take(fault.theirs, fault.ours)
