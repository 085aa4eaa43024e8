"""Argilla: records with fields, metadata and suggestions, and the settings of the dataset they fit.

As ``rg.Record.from_dict`` and ``rg.Settings.from_json`` of Argilla 2 read them: https://docs.argilla.io/latest/reference/argilla.
"""

from __future__ import annotations

import json
import re
from typing import Any

from monitor.exporters.json_lines import lines
from monitor.exporters.rows import classes_of, identity
from monitor.values import Candidate, Export

__all__ = ["argilla"]

_NOT_IN_NAMES = re.compile(r"[^a-z0-9_-]+")
_TERMS = ("record_id", "monitor", "export", "text_sha256", "strategy", "reason", "predicted")


def argilla(export: Export) -> dict[str, bytes]:
    """``argilla/records.jsonl`` and ``argilla/settings.json``."""
    settings = json.dumps(_settings(export), ensure_ascii=False, indent=1).encode() + b"\n"
    return {
        "argilla/records.jsonl": lines(_record(export, candidate) for candidate in export.candidates),
        "argilla/settings.json": settings,
    }


def _segments(candidate: Candidate) -> dict[str, str]:
    """Metadata are named in small letters, digits, ``_`` and ``-``."""
    return {f"segment_{_NOT_IN_NAMES.sub('_', name.lower())}": value for name, value in candidate.segments.items()}


def _record(export: Export, candidate: Candidate) -> dict[str, Any]:
    metadata = {
        **identity(export, candidate),
        **{name: getattr(candidate, name) for name in ("rank", "strategy", "reason", "predicted", "confidence")},
        **_segments(candidate),
    }
    suggested = candidate.suggested_label or candidate.predicted
    said_by = "drift-monitor" if candidate.suggested_label else "production"
    return {
        "id": candidate.record_id,
        "fields": {"text": candidate.text or ""},
        "metadata": {name: value for name, value in metadata.items() if value is not None},
        "suggestions": {"label": {"value": suggested, "agent": said_by}} if suggested else {},
    }


def _settings(export: Export) -> dict[str, Any]:
    options = [{"text": name, "value": name} for name in classes_of(export)]
    segments = sorted({name for candidate in export.candidates for name in _segments(candidate)})
    metadata = [_metadata(name, {"type": "terms"}) for name in (*_TERMS, *segments)]
    return {
        "guidelines": export.note or None,
        "fields": [{"name": "text", "title": "Text", "required": True, "type": "text", "settings": {"type": "text"}}],
        "questions": [
            {
                "name": "label",
                "title": "Label",
                "required": True,
                "type": "label_selection",
                "settings": {"type": "label_selection", "options": options},
            }
        ],
        "metadata": [*metadata, _metadata("rank", {"type": "integer"}), _metadata("confidence", {"type": "float"})],
        "vectors": [],
        "allow_extra_metadata": True,
        "distribution": {"strategy": "overlap", "min_submitted": 1},
    }


def _metadata(name: str, settings: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "title": name, "visible_for_annotators": True, "settings": settings}
