"""Whether labels may be taken at all: known records, known classes, one answer a person, the text that was sent."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from monitor.labels.rows import Found
from monitor.values import GivenLabel

__all__ = ["Checked", "Known", "Problem", "checked"]


@dataclass(frozen=True, slots=True)
class Known:
    """What a monitor knows.

    texts      of records that were candidates, by id; ``None`` where a text was not kept
    training   ids of training records
    protected  ids of records that are never trained on
    classes    of the reference, junk and those declared as new
    """

    texts: Mapping[str, str | None]
    training: AbstractSet[str]
    protected: AbstractSet[str]
    classes: AbstractSet[str]


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a row cannot be taken. ``label`` names an unknown class, else it is empty."""

    line: int
    reason: str
    record_id: str = ""
    label: str = ""


@dataclass(frozen=True, slots=True)
class Checked:
    """``labels`` without problems, one a person and record; ``repeats`` rows said the same again."""

    labels: tuple[GivenLabel, ...]
    problems: tuple[Problem, ...]
    repeats: int

    @property
    def reasons(self) -> dict[str, int]:
        """Problems by reason."""
        return dict(Counter(problem.reason for problem in self.problems))


def checked(found: Found, known: Known) -> Checked:
    """Every label held against what is known. A person's second answer to a record counts as a repeat when it is the same."""
    problems = [Problem(bad.line, bad.reason) for bad in found.bad]
    first: dict[tuple[str, str], GivenLabel] = {}
    twice: set[tuple[str, str]] = set()
    repeats = 0
    for given in found.labels:
        reason = _reason(given, known)
        this = given.record_id, given.annotator
        if reason:
            label = given.label if reason == "unknown class" else ""
            problems.append(Problem(given.line, reason, given.record_id, label))
        elif this not in first:
            first[this] = given
        elif (first[this].label, first[this].settled) == (given.label, given.settled):
            repeats += 1
        else:
            twice.add(this)
            problems.append(Problem(given.line, "another label by the same person", given.record_id))
    problems += [Problem(first[this].line, "another label by the same person", this[0]) for this in sorted(twice)]
    labels = tuple(given for this, given in first.items() if this not in twice)
    return Checked(labels, tuple(sorted(problems, key=lambda one: one.line)), repeats)


def _reason(given: GivenLabel, known: Known) -> str:
    if given.record_id in known.protected:
        return "protected record"
    if given.record_id not in known.texts and given.record_id not in known.training:
        return "unknown record"
    if given.label not in known.classes:
        return "unknown class"
    return "" if _same_text(given, known.texts.get(given.record_id)) else "changed text"


def _same_text(given: GivenLabel, sent: str | None) -> bool:
    """By checksum; where that differs by more than white space, which tools and spreadsheets touch, it is another text."""
    if given.text is None or given.text_sha256 is None:
        return True
    if hashlib.sha256(given.text.encode("utf-8", "surrogatepass")).hexdigest() == given.text_sha256:
        return True
    return sent is not None and given.text.split() == sent.split()
