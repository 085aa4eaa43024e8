"""doccano: text with an empty label, everything else as metadata, and the label types to import.

What it imports: https://doccano.github.io/doccano/tutorial/. A label there counts as a person's, so none is given with the text.
"""

from __future__ import annotations

import json

from monitor.exporters.json_lines import lines
from monitor.exporters.rows import classes_of, identity
from monitor.values import Export

__all__ = ["doccano"]

_FIELDS = ("rank", "strategy", "reason", "predicted", "confidence", "suggested_label")
_COLOURS = ("#1565c0", "#2e7d32", "#ad1457", "#6a1b9a", "#00695c", "#ef6c00", "#4e342e", "#37474f")


def doccano(export: Export) -> dict[str, bytes]:
    """``doccano/data.jsonl`` and ``doccano/labels.json``."""
    rows = (
        {
            "text": one.text or "",
            "label": [],
            **identity(export, one),
            **{name: getattr(one, name) for name in _FIELDS},
        }
        for one in export.candidates
    )
    types = [
        {"text": name, "backgroundColor": _COLOURS[k % len(_COLOURS)], "textColor": "#ffffff"}
        for k, name in enumerate(classes_of(export))
    ]
    return {
        "doccano/data.jsonl": lines(rows),
        "doccano/labels.json": json.dumps(types, ensure_ascii=False, indent=1).encode() + b"\n",
    }
