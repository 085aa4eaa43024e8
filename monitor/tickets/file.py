"""Tickets as Markdown files in a folder: the default, and enough for one person."""

from __future__ import annotations

import re
from pathlib import Path

from monitor.errors import PublishError
from monitor.values import Draft
from monitor.whole_files import may_pass, write_whole

__all__ = ["FileTickets"]

_MARK = "<!-- drift-monitor ticket {key} -->"


class FileTickets:
    """Writes ``<folder>/<window start>-<monitor>-<key>.md`` and the run's report beside it; the folder is made when missing."""

    def __init__(self, folder: str = "tickets") -> None:
        self._folder = Path(folder)

    def open(self, draft: Draft) -> str:
        """The path of the ticket; a key that has one already keeps it as it is, with whatever people wrote into it."""
        name = re.sub(r"[^0-9a-zA-Z]", "", draft.key)
        short = name[:12]
        mark = _MARK.format(key=draft.key)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            for found in sorted(self._folder.glob(f"*-{short}*.md")):
                if mark in found.read_text(encoding="utf-8", errors="replace"):
                    return str(found)
            path = self._folder / f"{draft.window.start:%Y-%m-%d}-{draft.monitor}-{short}.md"
            if path.exists():
                # The ticket of another key that begins alike.
                path = path.with_name(f"{draft.window.start:%Y-%m-%d}-{draft.monitor}-{name}.md")
            attached = ""
            if draft.report:
                beside = path.with_suffix(".html")
                write_whole(beside, draft.report.encode("utf-8", "backslashreplace"))
                attached = f"[The report of this run]({beside.name}), to open in a browser.\n\n"
            write_whole(path, f"# {draft.title}\n\n{attached}{draft.body.rstrip()}\n\n{mark}\n".encode())
        except OSError as error:
            raise PublishError(
                f"ticket cannot be written to folder {self._folder}: {error.strerror}; make room, or correct the folder "
                "and its permissions, then drift-monitor tickets --retry",
                permanent=not may_pass(error),
            ) from error
        return str(path)
