"""Candidates as rows: what each carries so that its label finds the way back, and the columns of the flat formats."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import pyarrow as pa

from monitor.values import SEGMENT_PREFIX, Candidate, Export, ExportedRun

__all__ = ["candidate_table", "classes_of", "identity", "plain_rows", "runs_of", "tidied"]

_UNWRITABLE = re.compile("[\x00\ud800-\udfff]")
_COLUMNS: list[tuple[str, pa.DataType]] = [
    ("id", pa.string()),
    ("text", pa.string()),
    ("text_sha256", pa.string()),
    ("label", pa.string()),
    ("suggested_label", pa.string()),
    ("predicted", pa.string()),
    ("confidence", pa.float64()),
    ("observed_at", pa.timestamp("us", tz="UTC")),
    ("rank", pa.int64()),
    ("strategy", pa.string()),
    ("need", pa.float64()),
    ("gain", pa.float64()),
    ("risk", pa.float64()),
    ("cluster", pa.string()),
    ("duplicates", pa.int64()),
    ("reason", pa.string()),
    ("nearest_id", pa.string()),
    ("nearest_label", pa.string()),
    ("nearest_similarity", pa.float64()),
    ("neighbours", pa.string()),
    ("run_id", pa.string()),
    ("window_start", pa.timestamp("us", tz="UTC")),
    ("monitor", pa.string()),
    ("export", pa.string()),
]


def tidied(export: Export) -> Export:
    """The export with U+FFFD, as in the store, for what a file or a tool's database cannot hold: NUL and lone surrogates."""
    return replace(export, candidates=_tidy(export.candidates), classes=_tidy(export.classes), note=_tidy(export.note))


def _tidy(value: Any) -> Any:
    if isinstance(value, str):
        return _UNWRITABLE.sub("\ufffd", value)
    if isinstance(value, Candidate):
        words = {name: _tidy(getattr(value, name)) for name in _WORDS}
        near = tuple(replace(one, record_id=_tidy(one.record_id), label=_tidy(one.label)) for one in value.neighbours)
        return replace(value, **words, neighbours=near)
    if isinstance(value, Mapping):
        return {_tidy(key): _tidy(item) for key, item in value.items()}
    return tuple(_tidy(item) for item in value) if isinstance(value, tuple) else value


_WORDS = ("record_id", "strategy", "suggested_label", "reason", "text", "predicted", "segments", "cluster", "label")


def identity(export: Export, candidate: Candidate) -> dict[str, str | None]:
    """What a task of a labelling tool carries, so that its label finds the way back and a changed text is seen."""
    return {
        "record_id": candidate.record_id,
        "monitor": export.monitor,
        "export": export.key,
        "text_sha256": _checksum(candidate.text),
    }


def _checksum(text: str | None) -> str | None:
    return None if text is None else hashlib.sha256(text.encode()).hexdigest()


def classes_of(export: Export) -> list[str]:
    """Every label to choose from: the known classes in their order, then others that the candidates name."""
    named = [label for one in export.candidates for label in (one.suggested_label, one.predicted, one.label) if label]
    return list(dict.fromkeys([*export.classes, *sorted(set(named))]))


def runs_of(export: Export) -> dict[str, ExportedRun]:
    """Each record's run."""
    only = ExportedRun(export.run_id, export.window, export.reference_version)
    found = {record: run for run in export.runs for record in run.records}
    return {one.record_id: found.get(one.record_id, only) for one in export.candidates}


def _row(export: Export, candidate: Candidate, run: ExportedRun) -> dict[str, Any]:
    first = candidate.neighbours[0] if candidate.neighbours else None
    row = {name: getattr(candidate, name, None) for name, _ in _COLUMNS}
    return row | {
        "id": candidate.record_id,
        "text_sha256": _checksum(candidate.text),
        "nearest_id": first and first.record_id,
        "nearest_label": first and first.label,
        "nearest_similarity": first and first.similarity,
        "neighbours": json.dumps([asdict(neighbour) for neighbour in candidate.neighbours], ensure_ascii=False),
        "run_id": run.run_id,
        "window_start": run.window.start,
        "monitor": export.monitor,
        "export": export.key,
        **{SEGMENT_PREFIX + name: value for name, value in candidate.segments.items()},
    }


def candidate_table(export: Export) -> pa.Table:
    """One row a candidate, in the export's order; ``label`` is empty for people to fill in."""
    segments = sorted({SEGMENT_PREFIX + name for candidate in export.candidates for name in candidate.segments})
    schema = pa.schema([*_COLUMNS, *((name, pa.string()) for name in segments)])
    runs = runs_of(export)
    rows = [_row(export, candidate, runs[candidate.record_id]) for candidate in export.candidates]
    return pa.Table.from_pylist(rows, schema=schema)


def plain_rows(table: pa.Table) -> Sequence[Mapping[str, Any]]:
    """The rows of the table as JSON knows them: times in ISO 8601."""
    times = ("observed_at", "window_start")
    rows: list[dict[str, Any]] = table.to_pylist()
    return [row | {name: row[name] and row[name].isoformat() for name in times} for row in rows]
