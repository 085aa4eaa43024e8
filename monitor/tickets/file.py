"""Tickets as Markdown files in a folder: the default, and enough for one person.

What stands between two marks is written anew as things change, comments are added at the end, and everything else is the
reader's: he closes a ticket by writing ``State: closed`` and gives it labels on the line below.
"""

from __future__ import annotations

import re
from pathlib import Path

from monitor.documents.markdown import escaped, markdown
from monitor.errors import PublishError
from monitor.tickets import Seen
from monitor.values import Draft, Note
from monitor.whole_files import may_pass, write_whole

__all__ = ["FileTickets"]

_MARK = "<!-- drift-monitor ticket {key} -->"
_END = "<!-- drift-monitor end -->"
_NOTE = "<!-- drift-monitor note {key} -->"
_NOTES = re.compile(r"<!-- drift-monitor note (.*?) -->")
_STATE = re.compile(r"^State: *(\S+) *$", re.IGNORECASE | re.MULTILINE)
_LABELS = re.compile(r"^Labels:(.*)$", re.IGNORECASE | re.MULTILINE)


class FileTickets:
    """Keeps ``<folder>/<first window>-<monitor>-<key>.md`` and the newest report beside it; the folder is made when missing."""

    def __init__(self, folder: str = "tickets") -> None:
        self._folder = Path(folder)

    def find(self, draft: Draft, location: str) -> Seen | None:
        """The file with the key's mark, under whatever name in the folder."""
        mark = _MARK.format(key=draft.key)
        try:
            for path in sorted(self._folder.glob(f"*-{_short(draft.key)}*.md")):
                text = path.read_text(encoding="utf-8", errors="replace")
                if mark in text:
                    return _seen(path, text)
        except OSError as error:
            raise self._failed(error) from error
        return None

    def create(self, draft: Draft) -> Seen:
        """A new file."""
        first = f"{draft.window.start:%Y-%m-%d}-{re.sub(r'[^0-9a-zA-Z_-]', '_', draft.monitor)}"
        path = self._folder / f"{first}-{_short(draft.key)}.md"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            if path.exists():
                # The ticket of another key that begins alike.
                path = path.with_name(f"{first}-{re.sub(r'[^0-9a-zA-Z]', '', draft.key)}.md")
            self._write_report(path, draft)
            text = f"# {escaped(draft.title)}\n\nState: open\nLabels:\n\n{_ours(draft, path)}\n"
            write_whole(path, text.encode("utf-8", "backslashreplace"))
        except OSError as error:
            raise self._failed(error) from error
        return _seen(path, text)

    def update(self, seen: Seen, draft: Draft, *, open: bool) -> None:  # noqa: A002 - the word of every tracker
        """Write what stands between the marks, and the state, anew; a title that a person gave it stays."""
        path = Path(seen.location)
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise self._failed(error) from error
        begin, end = text.find(_MARK.format(key=draft.key)), text.find(_END)
        if end < begin:
            raise PublishError(
                f"ticket {path}: its end mark {_END} is gone; put it back on a line of its own below the ticket's text, "
                "then drift-monitor tickets --retry",
                permanent=True,
            )
        new = text[:begin] + _ours(draft, path) + text[end + len(_END) :]
        if new.startswith(f"# {escaped(draft.monitor)}: "):
            new = f"# {escaped(draft.title)}" + new[new.index("\n") :]
        new = _STATE.sub("State: open" if open else "State: closed", new, count=1) if open is not seen.open else new
        try:
            self._write_report(path, draft)
            if new != text:
                write_whole(path, new.encode("utf-8", "backslashreplace"))
        except OSError as error:
            raise self._failed(error) from error

    def comment(self, seen: Seen, note: Note) -> None:
        """Add it at the end."""
        path = Path(seen.location)
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
            said = f"{_NOTE.format(key=note.key)}\n{markdown(note.body)}"
            write_whole(path, f"{text.rstrip()}\n\n---\n\n{said}".encode("utf-8", "backslashreplace"))
        except OSError as error:
            raise self._failed(error) from error

    @staticmethod
    def _write_report(path: Path, draft: Draft) -> None:
        if draft.report:
            write_whole(path.with_suffix(".html"), draft.report.encode("utf-8", "backslashreplace"))

    def _failed(self, error: OSError) -> PublishError:
        return PublishError(
            f"ticket cannot be written to folder {self._folder}: {error.strerror}; make room, or correct the folder and its "
            "permissions, then drift-monitor tickets --retry",
            permanent=not may_pass(error),
        )


def _short(key: str) -> str:
    return re.sub(r"[^0-9a-zA-Z]", "", key)[:12]


def _ours(draft: Draft, path: Path) -> str:
    report = (
        f"[The report of this run](<{path.with_suffix('.html').name}>), to open in a browser.\n\n"
        if draft.report
        else ""
    )
    return f"{_MARK.format(key=draft.key)}\n\n{report}{markdown(draft.body)}\n{_END}"


def _seen(path: Path, text: str) -> Seen:
    # What is written below is no word of the reader's: a record may look like one.
    head = text.partition("<!-- drift-monitor ticket ")[0]
    state, labels = _STATE.search(head), _LABELS.search(head)
    named = re.split(r"[,\s]+", labels[1].strip().lower()) if labels else []
    return Seen(
        str(path),
        path.stem,
        state is None or state[1].lower() != "closed",
        frozenset(filter(None, named)),
        frozenset(_NOTES.findall(text)),
    )
