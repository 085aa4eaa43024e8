"""Candidates as Parquet, JSON lines and CSV in a folder or an object store.

``<folder>/<monitor>/<window start>/candidates.<format>``, ``report.html`` and ``manifest.json``, which is written last: a folder
without it is not complete. Texts are written as they are, for people to label; a spreadsheet should import the CSV as text.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC
from pathlib import Path
from typing import Any, Literal

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem

from monitor.errors import PublishError
from monitor.secrets import redact_url
from monitor.values import SEGMENT_PREFIX, Candidate, Export
from monitor.whole_files import may_pass, write_whole

__all__ = ["FilesExporter"]

_PERMANENT = (PermissionError, NotADirectoryError, FileExistsError, FileNotFoundError)
Format = Literal["parquet", "jsonl", "csv"]
_COLUMNS: list[tuple[str, pa.DataType]] = [
    ("id", pa.string()),
    ("text", pa.string()),
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
]


def _row(candidate: Candidate) -> dict[str, Any]:
    first = candidate.neighbours[0] if candidate.neighbours else None
    row = {name: getattr(candidate, name, None) for name, _ in _COLUMNS}
    return row | {
        "id": candidate.record_id,
        "nearest_id": first and first.record_id,
        "nearest_label": first and first.label,
        "nearest_similarity": first and first.similarity,
        "neighbours": json.dumps([asdict(neighbour) for neighbour in candidate.neighbours], ensure_ascii=False),
        **{SEGMENT_PREFIX + name: value for name, value in candidate.segments.items()},
    }


def candidate_table(candidates: Sequence[Candidate]) -> pa.Table:
    """One row a candidate, best first; ``label`` is empty for people to fill in."""
    segments = sorted({SEGMENT_PREFIX + name for candidate in candidates for name in candidate.segments})
    schema = pa.schema([*_COLUMNS, *((name, pa.string()) for name in segments)])
    return pa.Table.from_pylist([_row(candidate) for candidate in candidates], schema=schema)


def _parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def _plain(table: pa.Table) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = table.to_pylist()
    return [row | {"observed_at": row["observed_at"] and row["observed_at"].isoformat()} for row in rows]


def _jsonl(table: pa.Table) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in _plain(table)).encode(
        "utf-8", "backslashreplace"
    )


def _csv(table: pa.Table) -> bytes:
    sink = io.StringIO(newline="")
    writer = csv.DictWriter(sink, table.schema.names, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_plain(table))
    return sink.getvalue().encode("utf-8", "backslashreplace")


_WRITERS: Mapping[str, Callable[[pa.Table], bytes]] = {"parquet": _parquet, "jsonl": _jsonl, "csv": _csv}


class FilesExporter:
    """``folder`` is a path or a URL such as ``s3://bucket/path``; ``storage`` holds the object store's options."""

    def __init__(
        self, folder: str = "exports", formats: list[Format] | None = None, storage: dict[str, Any] | None = None
    ) -> None:
        self._folder = folder
        self._formats = formats or ["parquet"]
        self._storage = storage or {}

    def write(self, export: Export) -> str:
        """The folder written; each file appears whole under its name, the manifest last."""
        shown = redact_url(self._folder)
        try:
            store, root = fsspec.core.url_to_fs(self._folder, **self._storage)
        except (ImportError, ValueError) as error:
            raise PublishError(f"export to {shown}: {error}; s3:// needs drift-monitor[s3]", permanent=True) from error
        try:
            start = export.window.start.astimezone(UTC)
            folder = f"{root.rstrip('/')}/{export.monitor}/{start:%Y%m%dT%H%M%SZ}"
            if isinstance(store, LocalFileSystem):
                # Elsewhere folders are part of names, and making one may mean making a bucket.
                store.makedirs(folder, exist_ok=True)
            files = self._write_files(store, folder, export)
            self._remove_others(store, folder, files)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise PublishError(
                f"export cannot be written to {shown}: {reason}; make room, or correct the folder, its permissions or the "
                "credentials, then drift-monitor tickets --retry",
                # Object stores raise errors without a number for what may pass, such as a lost connection.
                permanent=isinstance(error, _PERMANENT) or (error.errno is not None and not may_pass(error)),
            ) from error
        except Exception as error:  # object stores raise errors of their client libraries
            name = type(error).__name__
            raise PublishError(
                f"export cannot be written to {shown}: {name}; check the address, the credentials and storage, then "
                "drift-monitor tickets --retry",
                permanent="Credential" in name,
            ) from error
        return str(store.unstrip_protocol(folder)).removeprefix("file://")

    def _write_files(self, store: Any, folder: str, export: Export) -> dict[str, str]:
        table = candidate_table(export.candidates)
        contents = {f"candidates.{name}": _WRITERS[name](table) for name in self._formats}
        if export.report:
            contents["report.html"] = export.report.encode("utf-8", "backslashreplace")
        sums = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
        manifest = {
            "key": export.key,
            "monitor": export.monitor,
            "run_id": export.run_id,
            "window": {"start": export.window.start.isoformat(), "end": export.window.end.isoformat()},
            "reference_version": export.reference_version,
            "rows": len(export.candidates),
            "refresh": None if export.refresh is None else asdict(export.refresh),
            "columns": table.schema.names,
            "record_ids": [one.record_id for one in export.candidates],
            "texts": export.texts,
            "redacted": dict(export.redacted),
            "files": sums,
        }
        for name, content in {**contents, "manifest.json": json.dumps(manifest, indent=2).encode() + b"\n"}.items():
            _write(store, f"{folder}/{name}", content)
        return sums

    @staticmethod
    def _remove_others(store: Any, folder: str, files: Mapping[str, str]) -> None:
        """Candidates of an earlier write in a format that is no longer asked for."""
        for name in _WRITERS:
            other = f"candidates.{name}"
            if other not in files and store.exists(f"{folder}/{other}"):
                store.rm_file(f"{folder}/{other}")


def _write(store: Any, path: str, content: bytes) -> None:
    """Object stores show a file whole or not at all by themselves."""
    if isinstance(store, LocalFileSystem):
        write_whole(Path(path), content)
    else:
        store.pipe_file(path, content)
