"""The candidates of a run: filtered, sorted, to look at or to take away. Texts only as far as the run's picture may show them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any
from urllib.parse import urlencode

from monitor.formulas import neutralised
from monitor.pages.layout import render, writable
from monitor.picture import from_bytes
from monitor.redaction import redacted
from monitor.report.timeline import state_of
from monitor.store import Store
from monitor.values import Candidate, Run

__all__ = ["Wanted", "candidates_csv", "candidates_lines", "candidates_page", "shown_candidates"]

_SORTS: Mapping[str, Callable[[Candidate], Any]] = {
    "rank": lambda one: one.rank,
    "id": lambda one: one.record_id,
    "strategy": lambda one: one.strategy,
    "need": lambda one: one.need,
    "gain": lambda one: one.gain,
    "risk": lambda one: -1.0 if one.risk is None else one.risk,
    "predicted": lambda one: one.predicted or "",
    "label": lambda one: one.suggested_label or "",
    "alike": lambda one: one.duplicates,
}
_COLUMNS = (
    ("rank", "#", True),
    ("id", "Record", False),
    ("strategy", "Chosen by", False),
    ("need", "Need", True),
    ("gain", "Gain", True),
    ("risk", "Risk", True),
    ("predicted", "Predicted", False),
    ("label", "Suggested label", False),
    ("alike", "Alike", True),
)

_FIELDS = (
    *("rank", "id", "strategy", "need", "gain", "risk", "predicted", "confidence"),
    *("suggested_label", "label", "duplicates", "group", "excerpt"),
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which candidates, in which order; empty means any.

    id     words, all of which are in the record id, in whatever case
    sort   a column; one that there is not counts as ``rank``
    order  ``asc`` or ``desc``
    """

    strategy: str = ""
    predicted: str = ""
    label: str = ""
    id: str = ""
    sort: str = "rank"
    order: str = "asc"

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Wanted:
        """From the parameters of an address; others are left alone."""
        made = cls(**{one.name: query[one.name] for one in fields(cls) if one.name in query})
        sort = made.sort if made.sort in _SORTS else "rank"
        return replace(made, sort=sort, order="desc" if made.order == "desc" else "asc")

    def query(self) -> str:
        """The same as parameters of an address, those left out that say nothing."""
        usual = Wanted()
        given = {one.name: getattr(self, one.name) for one in fields(self)}
        told = {name: writable(value) for name, value in given.items() if value != getattr(usual, name)}
        return "?" + urlencode(told) if told else ""

    def holds(self, one: Candidate) -> bool:
        """Whether this candidate is wanted."""
        return (
            self.strategy in ("", one.strategy)
            and self.predicted in ("", one.predicted)
            and self.label in ("", one.suggested_label)
            and all(word in one.record_id.casefold() for word in self.id.casefold().split())
        )


def shown_candidates(store: Store, run: Run, wanted: Wanted) -> list[dict[str, Any]]:
    """What is shown and taken away of each wanted candidate: its id, numbers, classes, and its text as redacted with the run."""
    texts = _texts(store, run)
    found = sorted(filter(wanted.holds, run.candidates), key=_SORTS["rank"])
    found.sort(key=_SORTS[wanted.sort], reverse=wanted.order == "desc")
    return [dict(zip(_FIELDS, _values(one, texts.get(one.rank)), strict=True)) for one in found]


def _values(one: Candidate, excerpt: str | None) -> tuple[Any, ...]:
    numbers = (one.need, one.gain, one.risk, one.predicted, one.confidence, one.suggested_label, one.label)
    group = redacted(one.cluster) if one.cluster else None
    return one.rank, one.record_id, one.strategy, *numbers, one.duplicates, group, excerpt


def _texts(store: Store, run: Run) -> Mapping[int, str]:
    """Redacted excerpts by rank, of those that the settings let the run keep."""
    kept = store.picture(run.id)
    picture = None if kept is None else from_bytes(kept)
    if picture is None:
        return {}
    return {rank: picture.texts[row] for row, rank in picture.candidates.items() if row in picture.texts}


def candidates_page(store: Store, run: Run, wanted: Wanted) -> str:
    """The candidates as a table, with what they can be filtered by."""
    return render(
        "candidates.html",
        run=run,
        state=state_of(run),
        rows=shown_candidates(store, run, wanted),
        total=len(run.candidates),
        wanted=wanted,
        choices=_choices(run.candidates),
        columns=[_column(wanted, *column) for column in _COLUMNS],
        query=wanted.query(),
    )


def _choices(found: Sequence[Candidate]) -> list[tuple[str, str, list[str]]]:
    values = (
        ("strategy", "Chosen by", {one.strategy for one in found}),
        ("predicted", "Predicted", {one.predicted for one in found if one.predicted}),
        ("label", "Suggested label", {one.suggested_label for one in found if one.suggested_label}),
    )
    return [(name, title, sorted(held)) for name, title, held in values if held]


def _column(wanted: Wanted, name: str, title: str, number: bool) -> dict[str, Any]:
    """A heading that sorts by it; a second time the other way round."""
    now = wanted.sort == name
    turned = "desc" if now and wanted.order == "asc" else "asc"
    sort = {"asc": "ascending", "desc": "descending"}[wanted.order] if now else None
    return {"title": title, "number": number, "sort": sort, "query": replace(wanted, sort=name, order=turned).query()}


def candidates_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """CSV with a head; an apostrophe keeps a spreadsheet from reading a text as a formula."""
    sink = io.StringIO()
    writer = csv.writer(sink, quoting=csv.QUOTE_MINIMAL, lineterminator="\r\n")
    writer.writerow(_FIELDS)
    for row in rows:
        writer.writerow([neutralised(value) if isinstance(value, str) else value for value in row.values()])
    return writable(sink.getvalue())


def candidates_lines(rows: Sequence[Mapping[str, Any]]) -> str:
    """JSON lines."""
    return writable("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
