"""The re-label list: records sent back, with their texts, for somebody to label again."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from monitor.errors import ConfigError
from monitor.exporters.formats import made
from monitor.formulas import neutralised
from monitor.intake.outcome import Case
from monitor.values import Candidate, Export, Returned, Window
from monitor.whole_files import write_whole

__all__ = ["write_relabel"]

_COLUMNS = ("id", "text", "text_sha256", "label", "given_label", "suggested_label", "reason")


def write_relabel(case: Case, returned: Sequence[Returned], path: Path) -> None:
    """Write the list, likeliest error first: Label Studio tasks under a name that ends in ``.json``, else a CSV.

    The CSV's column ``label`` is empty; ``labels import`` reads it back once that is filled in.
    """
    found = case.store.proposed(case.monitor.name, [one.record_id for one in returned])
    candidates = {record: one.candidate for record, one in found.items()}
    content = _tasks(case, returned, candidates) if path.suffix == ".json" else _table(returned, candidates)
    try:
        write_whole(path, content)
    except OSError as error:
        raise ConfigError(f"--relabel {path} cannot be written: {error.strerror or type(error).__name__}") from error


def _table(returned: Sequence[Returned], candidates: Mapping[str, Candidate]) -> bytes:
    sink = io.StringIO(newline="")
    writer = csv.writer(sink, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for one in returned:
        text = candidates[one.record_id].text or "" if one.record_id in candidates else ""
        digest = hashlib.sha256(text.encode()).hexdigest() if text else ""
        cells = (one.record_id, text, digest, "", one.label or "", one.suggested or "", " ".join(one.reasons))
        writer.writerow(map(neutralised, cells))
    return sink.getvalue().encode()


def _tasks(case: Case, returned: Sequence[Returned], candidates: Mapping[str, Candidate]) -> bytes:
    """Why it came back stands where the reason to label it stood."""
    tasks = [
        replace(
            candidates[one.record_id],
            rank=rank,
            suggested_label=one.suggested,
            label=None,
            reason=" ".join(one.reasons),
        )
        for rank, one in enumerate(returned, 1)
        if one.record_id in candidates
    ]
    window = Window(case.now, case.now + timedelta(seconds=1))
    export = Export(
        f"{case.monitor.name}|relabel|{case.now.isoformat()}", case.monitor.name, "", window, tuple(tasks), 0
    )
    return made(export, ["label_studio"])["label-studio/tasks.json"]
