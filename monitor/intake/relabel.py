"""The re-label list: records sent back, with their texts, for somebody to label again."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

from monitor.errors import ConfigError
from monitor.formulas import neutralised
from monitor.intake.outcome import Case
from monitor.values import Returned
from monitor.whole_files import write_whole

__all__ = ["write_relabel"]

_COLUMNS = ("id", "text", "text_sha256", "label", "given_label", "suggested_label", "reason")


def write_relabel(case: Case, returned: Sequence[Returned], path: Path) -> None:
    """A CSV with the column ``label`` empty, likeliest error first; ``labels import`` reads it back once that is filled in."""
    proposed = case.store.proposed(case.monitor.name, [one.record_id for one in returned])
    sink = io.StringIO(newline="")
    writer = csv.writer(sink, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for one in returned:
        found = proposed.get(one.record_id)
        text = "" if found is None else found.candidate.text or ""
        digest = hashlib.sha256(text.encode()).hexdigest() if text else ""
        cells = (one.record_id, text, digest, "", one.label or "", one.suggested or "", " ".join(one.reasons))
        writer.writerow(map(neutralised, cells))
    try:
        write_whole(path, sink.getvalue().encode())
    except OSError as error:
        raise ConfigError(f"--relabel {path} cannot be written: {error.strerror or type(error).__name__}") from error
