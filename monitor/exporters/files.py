"""Candidates as files in a folder or an object store, in the formats that labelling tools import.

``<folder>/<monitor>/<window start>/manifest.json``, or ``<folder>/<monitor>/schedule/<slot>/manifest.json``, lists the files and
their checksums. They lie beside it in a folder named by their contents, so the manifest switches from one set to the next at
once; ``latest.json``, above it, names the newest export and is written last. Texts are written as they are, for people to label.
"""

from __future__ import annotations

import hashlib
import json
import re
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from monitor.errors import PublishError
from monitor.exporters.folders import Folder
from monitor.exporters.formats import Format, made
from monitor.exporters.manifest import digest_of, due_of, manifest_of
from monitor.secrets import redact_url
from monitor.values import Export, Window
from monitor.whole_files import may_pass

__all__ = ["FilesExporter"]

_PERMANENT = (PermissionError, NotADirectoryError, FileExistsError, FileNotFoundError)
_MANIFEST, _LATEST = "manifest.json", "latest.json"
_OLDER = re.compile(r"[0-9a-f]{12}|candidates\.(parquet|jsonl|csv)|report\.html|\.manifest\.json\.[0-9a-f]{8}\.tmp")
"""Sets of files that a manifest named before, releases without such folders had them beside it, and what a kill left."""


class FilesExporter:
    """``folder`` is a path or a URL such as ``s3://bucket/path``; ``storage`` holds the object store's options."""

    def __init__(
        self, folder: str = "exports", formats: list[Format] | None = None, storage: dict[str, Any] | None = None
    ) -> None:
        self._folder = folder
        self._formats: list[Format] = formats or ["parquet"]
        self._storage = storage or {}

    def write(self, export: Export) -> str:
        """The folder of the manifest; what was there before stays whole until the manifest is written."""
        shown = redact_url(self._folder)
        try:
            folder = Folder(self._folder, self._storage)
        except (ImportError, ValueError) as error:
            raise PublishError(f"export to {shown}: {error}; s3:// needs drift-monitor[s3]", permanent=True) from error
        try:
            return self._write(folder, export)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise PublishError(
                f"export cannot be written to {shown}: {reason}; make room, or correct the folder, its permissions or the "
                "credentials, then drift-monitor tickets --retry",
                # Object stores raise errors without a number for what may pass, such as a lost connection.
                permanent=isinstance(error, _PERMANENT) or (error.errno is not None and not may_pass(error)),
            ) from error
        except Exception as error:  # object stores raise errors of their client libraries
            name = type(error).__name__
            raise PublishError(
                f"export cannot be written to {shown}: {name}; check the address, the credentials and storage, then "
                "drift-monitor tickets --retry",
                permanent="Credential" in name,
            ) from error

    def checksum(self, monitor: str, window: Window) -> str:
        """SHA-256 of the manifest, which has those of the files."""
        with suppress(Exception):  # it is said beside a location, and can be missing
            content = Folder(self._folder, self._storage).read(f"{monitor}/{_slot(window.start)}/{_MANIFEST}")
            return hashlib.sha256(content).hexdigest() if content else ""
        return ""

    def _write(self, folder: Folder, export: Export) -> str:
        contents = made(export, self._formats)
        if export.report:
            contents["report.html"] = export.report.encode("utf-8", "backslashreplace")
        digest = digest_of(contents)
        contents = {f"{digest}/{path}": content for path, content in contents.items()}
        manifest = manifest_of(export, contents)
        series = export.monitor if export.slot is None else f"{export.monitor}/schedule"
        name = _slot(export.slot or export.window.start)
        here = f"{series}/{name}"
        if not _in_use(folder, here, digest):
            folder.remove(f"{here}/{digest}")  # what a killed process left of it
        try:
            for path, content in contents.items():
                folder.put(f"{here}/{path}", content)
            folder.put(f"{here}/{_MANIFEST}", manifest)
        except BaseException:
            with suppress(Exception):
                if not _in_use(folder, here, digest):
                    folder.remove(f"{here}/{digest}")
            raise
        _remove_older(folder, here)
        _point(folder, series, name, export)
        return folder.shown(here)


def _slot(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def _in_use(folder: Folder, here: str, digest: str) -> bool:
    """Whether the manifest there names these files."""
    try:
        files = json.loads(folder.read(f"{here}/{_MANIFEST}") or b"")["files"]
    except (ValueError, KeyError, TypeError):
        return False
    return any(path.startswith(f"{digest}/") for path in files)


def _remove_older(folder: Folder, here: str) -> None:
    """Files that the manifest does not name any more; it is read, for another process may have written it since."""
    for name in folder.names(here):
        if _OLDER.fullmatch(name) and not _in_use(folder, here, name):
            folder.remove(f"{here}/{name}")


def _point(folder: Folder, series: str, name: str, export: Export) -> None:
    """Have ``latest.json`` name the export, unless it names a later one."""
    due = due_of(export)
    if due < _latest(folder, series, due):
        return
    pointer = {"key": export.key, "as_of": due.isoformat(), "export": name, "manifest": f"{name}/{_MANIFEST}"}
    folder.put(f"{series}/{_LATEST}", json.dumps(pointer, indent=2).encode() + b"\n")


def _latest(folder: Folder, series: str, otherwise: datetime) -> datetime:
    """What the export that is pointed to is as of; ``otherwise`` when nothing readable is there."""
    try:
        return datetime.fromisoformat(json.loads(folder.read(f"{series}/{_LATEST}") or b"")["as_of"])
    except (ValueError, KeyError, TypeError):
        return otherwise
