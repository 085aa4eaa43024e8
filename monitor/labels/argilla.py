"""Argilla's records as ``to_dict``, ``to_json`` and the API give them: responses are labels, suggestions are not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from monitor.labels.content import json_rows
from monitor.labels.rows import Bad, Columns, NoAnswer, Row, answered

__all__ = ["read"]

_QUESTION = "label"


def read(path: Path, columns: Columns) -> Iterator[Row]:
    """One row a response; a record without any is one row without answer."""
    for row in json_rows(path):
        if isinstance(row, Bad):
            yield row
            continue
        line, record = row
        metadata, fields = record.get("metadata"), record.get("fields")
        about = {**(metadata if isinstance(metadata, dict) else record)}
        about["text"] = fields.get("text") if isinstance(fields, dict) else record.get("text")
        record_id = about.get("record_id") or record.get("external_id") or record.get("id")
        try:
            given = list(_responses(record))
        except (AttributeError, TypeError):
            yield Bad(line, "no response")
            continue
        if not given:
            yield NoAnswer(line)
        for value, person, status, at in given:
            if status not in (None, "submitted"):
                yield NoAnswer(line, skipped=True)
            else:
                yield answered(line, record_id, value, annotator=person, at=at, about=about)


def _responses(record: Mapping[str, Any]) -> Iterator[tuple[Any, Any, Any, Any]]:
    """(value, person, status, time) of each response."""
    given = record.get("responses")
    if isinstance(given, dict):
        for one in given.get(_QUESTION) or []:
            yield one.get("value"), one.get("user_id"), one.get("status"), one.get("updated_at")
    elif isinstance(given, list):
        for one in given:
            answer = (one.get("values") or {}).get(_QUESTION) or {}
            at = one.get("updated_at") or one.get("inserted_at")
            yield answer.get("value"), one.get("user_id"), one.get("status"), at
    else:
        values = record.get(f"{_QUESTION}.responses") or []
        people = record.get(f"{_QUESTION}.responses.users") or [None] * len(values)
        states = record.get(f"{_QUESTION}.responses.status") or [None] * len(values)
        for value, person, status in zip(values, people, states, strict=False):
            yield value, person, status, None
