"""What a row of a labelled file turns out to be: a label, no answer, or something that cannot be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from monitor.values import GivenLabel

__all__ = ["Bad", "Columns", "Found", "NoAnswer", "Row", "answered", "moment", "name_of"]


@dataclass(frozen=True, slots=True)
class Bad:
    """A row that cannot be read; the reason never quotes it."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """A row that is in order and gives no label; ``skipped`` when a person chose to give none."""

    line: int
    skipped: bool = False


Row = GivenLabel | Bad | NoAnswer


@dataclass(frozen=True, slots=True)
class Columns:
    """Names of the columns of plain tables."""

    id: str = "id"
    label: str = "label"
    annotator: str = "annotator"


@dataclass(frozen=True, slots=True)
class Found:
    """What a file holds. ``unlabelled`` rows have no answer yet, ``skipped`` ones were cancelled, rejected or left as drafts."""

    kind: str
    labels: tuple[GivenLabel, ...]
    bad: tuple[Bad, ...]
    unlabelled: int
    skipped: int

    @classmethod
    def of(cls, kind: str, rows: Iterable[Row]) -> Self:
        """Sorted by what they are."""
        labels: list[GivenLabel] = []
        bad: list[Bad] = []
        none: Counter[bool] = Counter()
        for row in rows:
            if isinstance(row, GivenLabel):
                labels.append(row)
            elif isinstance(row, Bad):
                bad.append(row)
            else:
                none[row.skipped] += 1
        return cls(kind, tuple(labels), tuple(bad), none[False], none[True])


def answered(
    line: int,
    record: Any,
    labels: Any,
    *,
    annotator: Any = None,
    at: Any = None,
    about: Mapping[str, Any],
    settled: bool = False,
) -> Row:
    """One answer as a row. ``labels`` is a name or a list of names; ``about`` holds ``text``, ``text_sha256`` and ``export`` if known."""
    record_id = name_of(record)
    if not record_id:
        return Bad(line, "no record id")
    names = labels if isinstance(labels, list) else [labels]
    given = [name_of(one) for one in names if name_of(one)]
    if not given:
        return NoAnswer(line)
    if len(given) > 1:
        return Bad(line, "several labels")
    if isinstance(given[0], str) and any(isinstance(one, dict | list) for one in names):
        return Bad(line, "a label that is no name")
    text, digest, export = (about.get(key) for key in ("text", "text_sha256", "export"))
    return GivenLabel(
        record_id,
        given[0],
        name_of(annotator),
        moment(at),
        settled,
        text if isinstance(text, str) else None,
        digest if isinstance(digest, str) and digest else None,
        name_of(export),
        line,
    )


def name_of(value: Any) -> str:
    """A text or whole number as a name, nothing for what is missing."""
    if value is None or isinstance(value, bool):
        return "" if value is None else str(value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value if isinstance(value, str) else str(value)


def moment(value: Any) -> datetime | None:
    """An ISO 8601 time or seconds since 1970, in UTC; ``None`` for anything else."""
    try:
        if isinstance(value, datetime):
            found = value
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found = datetime.fromtimestamp(value, UTC)
        else:
            found = datetime.fromisoformat(str(value))
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None
