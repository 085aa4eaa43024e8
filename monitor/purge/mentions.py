"""Where words and data name a record, and the same without it."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

__all__ = ["Mentions"]

_MARK = "[purged]"
_KEYS = frozenset({"id", "record_id"})
_NEAREST = ("nearest_id", "nearest_label", "nearest_similarity")


class Mentions:
    """Mentions of these records by id."""

    def __init__(self, ids: Collection[str]) -> None:
        self.ids = frozenset(ids)
        shown = {form for record in ids for form in _forms(record)}
        longest = sorted(shown, key=lambda form: (-len(form), form))
        # An id within a longer word is another id.
        self._pattern = re.compile(r"(?<![\w-])(?:" + "|".join(map(re.escape, longest)) + r")(?![\w-])")

    def named_in(self, text: str) -> bool:
        """Whether the text names one."""
        return self._pattern.search(text) is not None

    def scrubbed(self, words: str, texts: Sequence[str] = ()) -> str:
        """Words for people without a record's rows of a table, its texts, and its id anywhere else."""
        kept = [line for line in words.split("\n") if not (line.lstrip().startswith("|") and self.named_in(line))]
        joined = "\n".join(kept)
        for text in texts:
            joined = joined.replace(text, _MARK)
        return self._pattern.sub(_MARK, joined)

    def is_of(self, record: Any) -> bool:
        """Whether this document is about one of them: an ``id`` or ``record_id`` at any depth of its mappings."""
        if not isinstance(record, Mapping):
            return False
        return any((key in _KEYS and _plain(value) in self.ids) or self.is_of(value) for key, value in record.items())

    def without(self, record: Any) -> Any:
        """A document about another record, without them as its nearest training examples."""
        if isinstance(record, list):
            return [self.without(one) for one in record if not self.is_of(one)]
        if not isinstance(record, Mapping):
            return record
        made = {key: self.without(value) for key, value in record.items()}
        if _plain(made.get("nearest_id")) in self.ids:
            made |= {name: None for name in _NEAREST if name in made}
        if isinstance(near := made.get("neighbours"), str) and near.startswith("["):
            made["neighbours"] = json.dumps(self.without(json.loads(near)), ensure_ascii=False)
        return made


def _plain(value: object) -> object:
    """An id as it was before a spreadsheet was kept from reading it as a formula."""
    return value[1:] if isinstance(value, str) and value[:2] in ("'=", "'+", "'-", "'@") else value


def _forms(record: str) -> set[str]:
    """The id as tables, JSON and HTML show it."""
    code = record.replace("`", "'").replace("|", "/")
    return {record, code, html.escape(record), json.dumps(record)[1:-1], record[:100]} - {""}
