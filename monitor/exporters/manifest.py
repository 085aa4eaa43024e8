"""What stands beside the files of an export: where they come from, what they were made with, and how to see that they are whole."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from monitor.exporters.rows import candidate_table, classes_of, runs_of, tidied
from monitor.values import Export, ExportedRun, Window

__all__ = ["digest_of", "due_of", "manifest_of"]


def due_of(export: Export) -> datetime:
    """What the export is as of: its slot, or the end of its window."""
    return export.slot or export.window.end


def digest_of(contents: Mapping[str, bytes]) -> str:
    """A name for these files: 12 hexadecimal digits, the same for the same contents."""
    sums = json.dumps({path: _sum(content) for path, content in contents.items()}, sort_keys=True)
    return _sum(sums.encode())[:12]


def manifest_of(export: Export, contents: Mapping[str, bytes]) -> bytes:
    """The manifest as JSON; ``contents`` by their paths beside it."""
    export = tidied(export)
    runs = {run.run_id: run for run in runs_of(export).values()}
    document = {
        "key": export.key,
        "monitor": export.monitor,
        "as_of": due_of(export).isoformat(),
        "kind": "run" if export.slot is None else "schedule",
        "run_id": export.run_id,
        "window": _window(export.window),
        "reference_version": export.reference_version,
        "runs": [_run(export, run) for run in runs.values()],
        "rows": len(export.candidates),
        "record_ids": [one.record_id for one in export.candidates],
        "columns": candidate_table(export).schema.names,
        "classes": classes_of(export),
        "texts": export.texts,
        "redacted": dict(export.redacted),
        "note": export.note,
        "refresh": None if export.refresh is None else asdict(export.refresh),
        "files": {path: _sum(content) for path, content in contents.items()},
    }
    return json.dumps(document, indent=2, ensure_ascii=False).encode() + b"\n"


def _run(export: Export, run: ExportedRun) -> dict[str, Any]:
    origin = runs_of(export)
    return {
        "run_id": run.run_id,
        "window": _window(run.window),
        "rows": sum(origin[one.record_id] is run for one in export.candidates),
        "reference_version": run.reference_version,
        "reference_fingerprint": run.reference_fingerprint,
        "embedder": run.embedder,
        "settings": run.settings,
    }


def _window(window: Window) -> dict[str, str]:
    return {"start": window.start.isoformat(), "end": window.end.isoformat()}


def _sum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
