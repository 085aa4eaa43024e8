"""Readers of what labelling tools give back: which tool it was is seen from the content, each reader is one file with one function."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from monitor.errors import SourceError
from monitor.labels import argilla, doccano, huggingface, label_studio, label_studio_csv, prodigy, tables
from monitor.labels.content import csv_header, first_object
from monitor.labels.rows import Bad, Columns, Found, NoAnswer, Row

__all__ = ["READERS", "Bad", "Columns", "Found", "NoAnswer", "Row", "read_labels", "recognised"]

READERS: Mapping[str, Callable[[Path, Columns], Iterator[Row]]] = {
    "label_studio": label_studio.read,
    "label_studio_csv": label_studio_csv.read,
    "argilla": argilla.read,
    "doccano": doccano.read,
    "prodigy": prodigy.read,
    "huggingface": huggingface.read,
    "csv": tables.read_csv,
    "jsonl": tables.read_json,
    "parquet": tables.read_parquet,
}


def read_labels(path: Path, kind: str | None = None, columns: Columns | None = None) -> Found:
    """All labels of a file or folder, and what of it is none; ``SourceError`` when it cannot be read at all."""
    kind = kind or recognised(path)
    reader = READERS.get(kind)
    if reader is None:
        raise SourceError(f"--format {kind}: there are {', '.join(READERS)}; name one of them")
    try:
        return Found.of(kind, reader(path, columns or Columns()))
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or type(error).__name__}") from error


def recognised(path: Path) -> str:
    """Name of the reader for this content."""
    try:
        if path.is_dir():
            return "huggingface"
        with path.open("rb") as stream:
            start = stream.read(4)
        if start == b"PAR1":
            return "parquet"
        found = first_object(path)
        return _csv_kind(path) if found is None else _json_kind(found)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or type(error).__name__}") from error


def _csv_kind(path: Path) -> str:
    return "label_studio_csv" if {"annotation_id", "lead_time"} <= set(csv_header(path)) else "csv"


def _json_kind(found: Mapping[str, object]) -> str:
    keys = set(found)
    if {"data", "annotations"} <= keys or {"annotation_id", "lead_time"} <= keys or {"data", "predictions"} <= keys:
        return "label_studio"
    if "fields" in keys or {"responses", "suggestions"} & keys or "label.responses" in keys:
        return "argilla"
    if {"accept", "answer", "options", "_task_hash"} & keys:
        return "prodigy"
    return "doccano" if isinstance(found.get("label", found.get("labels")), list) else "jsonl"
