"""The table of formats: a name in the settings, and the function that makes its files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, get_args

from monitor.exporters.argilla import argilla
from monitor.exporters.doccano import doccano
from monitor.exporters.hugging_face import huggingface
from monitor.exporters.json_lines import jsonl
from monitor.exporters.label_studio import label_studio
from monitor.exporters.parquet import parquet
from monitor.exporters.prodigy import prodigy
from monitor.exporters.rows import tidied
from monitor.exporters.spreadsheet import comma_separated
from monitor.values import Export

__all__ = ["FORMATS", "Format", "made"]

Format = Literal["parquet", "jsonl", "csv", "huggingface", "label_studio", "argilla", "doccano", "prodigy"]

_TABLE: Mapping[Format, Callable[[Export], dict[str, bytes]]] = {
    "parquet": parquet,
    "jsonl": jsonl,
    "csv": comma_separated,
    "huggingface": huggingface,
    "label_studio": label_studio,
    "argilla": argilla,
    "doccano": doccano,
    "prodigy": prodigy,
}
FORMATS: tuple[Format, ...] = get_args(Format)


def made(export: Export, formats: Sequence[Format]) -> dict[str, bytes]:
    """The files of these formats: paths within the export's folder, and their contents."""
    export = tidied(export)
    return {path: content for name in formats for path, content in _TABLE[name](export).items()}
