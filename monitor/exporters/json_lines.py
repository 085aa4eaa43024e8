"""JSON lines: one object a line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from monitor.exporters.rows import candidate_table, plain_rows
from monitor.values import Export

__all__ = ["jsonl", "lines"]

# They end a line for some readers, though not for JSON.
_LINE_ENDS = str.maketrans({end: f"\\u{ord(end):04x}" for end in "\x85\u2028\u2029"})


def lines(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """One row a line, in UTF-8."""
    return "".join(json.dumps(row, ensure_ascii=False).translate(_LINE_ENDS) + "\n" for row in rows).encode()


def jsonl(export: Export) -> dict[str, bytes]:
    """``candidates.jsonl``."""
    return {"candidates.jsonl": lines(plain_rows(candidate_table(export)))}
