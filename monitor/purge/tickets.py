"""Records taken out of tickets that are files, and of the reports beside them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from monitor.errors import PublishError
from monitor.purge.mentions import Mentions
from monitor.whole_files import write_whole

__all__ = ["purge_tickets"]

_KEY = re.compile(r"<!-- drift-monitor ticket (\S+) -->")


def purge_tickets(
    folder: str, mentions: Mentions, texts: Sequence[str], report: Callable[[str], str | None], *, dry_run: bool = False
) -> int:
    """Take every mention out of the tickets of a folder; how many named one. What people wrote stays, but for the mentions."""
    changed = 0
    try:
        for path in sorted(Path(folder).glob("*.md")) if Path(folder).is_dir() else []:
            before = path.read_text(encoding="utf-8", errors="surrogateescape")
            after = mentions.scrubbed(before, texts)
            beside = path.with_suffix(".html")
            reported = beside.is_file() and mentions.named_in(beside.read_text(encoding="utf-8", errors="replace"))
            changed += after != before or reported
            if dry_run:
                continue
            if after != before:
                write_whole(path, after.encode("utf-8", "surrogateescape"))
            if reported:
                _renew(beside, report, _KEY.search(before))
    except OSError as error:
        raise PublishError(
            f"tickets in folder {folder} cannot be purged: {error.strerror}; mend that and purge again"
        ) from error
    return changed


def _renew(path: Path, report: Callable[[str], str | None], key: re.Match[str] | None) -> None:
    made = report(key[1]) if key else None
    if made is None:
        path.unlink()
    else:
        write_whole(path, made.encode("utf-8", "backslashreplace"))
