"""Versions of references on a shelf: files with checksums, whole or not there at all.

Layout under the artifacts URL (a local folder, or any object store fsspec knows)::

    <name>/v0001/train-<sum>.parquet  protected-<sum>.parquet  canaries-<sum>.parquet  manifest.json

Data files carry a part of their checksum in their name and the manifest is written last, only if there is none: a crash
leaves no half version, and of two builders of one version one wins. The manifest's own ``sha256`` is that of the file
with 64 zeros in its place, in every format to come.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from monitor.errors import ArtifactError, MonitorError
from monitor.reference.parquet import (
    canaries_from_parquet,
    canaries_to_parquet,
    dataset_from_parquet,
    dataset_to_parquet,
)
from monitor.secrets import redact_url
from monitor.values import Reference

__all__ = ["Entry", "Shelf"]

_FORMAT = 1
_MANIFEST = "manifest.json"
_ZEROS = "0" * 64
_BUCKETS = {"s3", "s3a", "gs", "gcs", "az", "abfs"}
"""Stores without folders, where making one could make a bucket."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What the manifest of one saved version says."""

    name: str
    version: int
    created_at: datetime
    fingerprint: str
    embedder: str
    rows: Mapping[str, int]
    files: Mapping[str, str]
    fitted: Mapping[str, float]
    settings: Mapping[str, Any]
    uri: str
    purged: Sequence[Mapping[str, Any]] = ()
    """When records were taken out of it, how many, and its fingerprint until then."""


def _sealed(manifest: Mapping[str, Any]) -> bytes:
    content = json.dumps({**manifest, "sha256": _ZEROS}, indent=2)
    before, _, after = content.rpartition(_ZEROS)
    return f"{before}{hashlib.sha256(content.encode()).hexdigest()}{after}".encode()


def _unsealed(content: bytes) -> dict[str, Any]:
    """What the manifest says; ``ValueError`` when a byte of it has changed."""
    said: dict[str, Any] = json.loads(content)
    if hashlib.sha256(content.replace(said["sha256"].encode(), _ZEROS.encode())).hexdigest() != said["sha256"]:
        raise ValueError("wrong checksum")
    return said


def _contents(reference: Reference) -> tuple[dict[str, bytes], dict[str, Any]]:
    """The data files of a version by name, and its manifest."""
    parts = {
        "train": dataset_to_parquet(reference.train),
        "protected": dataset_to_parquet(reference.protected),
        "canaries": canaries_to_parquet(reference.canaries),
    }
    sums = {part: hashlib.sha256(content).hexdigest() for part, content in parts.items()}
    names = {part: f"{part}-{sums[part][:12]}.parquet" for part in parts}
    manifest = {
        "format": _FORMAT,
        "name": reference.name,
        "version": reference.version,
        "created_at": reference.created_at.isoformat(),
        "fingerprint": reference.fingerprint,
        "embedder": reference.embedder,
        "rows": {"train": len(reference.train), "protected": len(reference.protected)},
        "files": {names[part]: sums[part] for part in parts},
        "fitted": dict(reference.fitted),
        "settings": dict(reference.settings),
    }
    return {names[part]: content for part, content in parts.items()}, manifest


def _beside(files: Mapping[str, str]) -> Mapping[str, str]:
    """Files of a manifest; ``ValueError`` when one lies in another folder."""
    if any("/" in file for file in files):
        raise ValueError("a file of another folder")
    return files


class Shelf:
    """All versions of all references under one artifacts URL. ``storage`` holds the object store's options."""

    def __init__(self, url: str, storage: Mapping[str, Any] | None = None) -> None:
        self._shown = redact_url(url)
        try:
            self._fs, self._root = fsspec.core.url_to_fs(url, **(storage or {}))
        except (ImportError, ValueError) as error:
            raise ArtifactError(f"artifacts {self._shown}: {error}; s3:// needs drift-monitor[s3]") from error
        protocol = self._fs.protocol
        self._has_folders = _BUCKETS.isdisjoint((protocol,) if isinstance(protocol, str) else protocol)

    def _home(self, name: str) -> str:
        if not re.fullmatch(r"[^/\\\0]+", name) or name in (".", ".."):
            raise ArtifactError(
                f"{name!r} cannot be a reference's name, as its folder is called so; use letters and digits"
            )
        return f"{self._root.rstrip('/')}/{name}"

    def _folder(self, name: str, version: int) -> str:
        return f"{self._home(name)}/v{version:04d}"

    def _guard(self, what: str, action: Callable[[], Any]) -> Any:
        """Run an action of the file system; its failures become ``ArtifactError``, an existing file stays what it is."""
        try:
            return action()
        except (MonitorError, FileExistsError):
            raise
        except FileNotFoundError as error:
            raise ArtifactError(f"{what} is missing under {self._shown}; restore it or build a new version") from error
        except Exception as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise ArtifactError(f"{what} under {self._shown} cannot be used: {reason}") from error

    def _listed(self, folder: str) -> list[str]:
        try:
            return list(self._fs.ls(folder, detail=False))
        except FileNotFoundError:
            return []

    def versions(self, name: str) -> list[int]:
        """Complete versions, oldest first."""
        what, folder = f"reference {name}", self._home(name)
        self._fs.invalidate_cache()
        found = []
        for path in self._guard(what, lambda: self._listed(folder)):
            match = re.fullmatch(r"v(\d+)", path.rstrip("/").rpartition("/")[2])
            if match and self._guard(what, partial(self._fs.exists, f"{path.rstrip('/')}/{_MANIFEST}")):
                found.append(int(match[1]))
        return sorted(found)

    def save(self, reference: Reference) -> Entry:
        """Write this version whole or not at all; the version must be new."""
        folder = self._folder(reference.name, reference.version)
        contents, manifest = _contents(reference)
        what = f"reference {reference.name} version {reference.version}"
        try:
            self._guard(what, lambda: self._write(folder, contents, manifest))
        except FileExistsError as error:
            raise ArtifactError(
                f"{what} exists already under {self._shown}; a version never changes, build a new one"
            ) from error
        return self.entry(reference.name, reference.version)

    def rewrite(self, reference: Reference, records: int, now: datetime) -> Entry:
        """Put this in the place of its saved version, ``records`` fewer: for a purge, the one thing that changes a version.

        The new files come first, then the manifest, then the old files go; :meth:`tidy` ends what was cut off.
        """
        had, folder = self.entry(reference.name, reference.version), self._folder(reference.name, reference.version)
        contents, manifest = _contents(reference)
        note = {"at": now.isoformat(), "records": records, "fingerprint": had.fingerprint}
        manifest |= {"purged": [*had.purged, note]}

        def write() -> None:
            for name, content in contents.items():
                self._put(f"{folder}/{name}", content)
            self._put(f"{folder}/{_MANIFEST}", _sealed({**manifest, "written_by": secrets.token_hex(8)}))

        self._guard(f"reference {reference.name} version {reference.version}", write)
        self.tidy(reference.name, reference.version)
        return self.entry(reference.name, reference.version)

    def tidy(self, name: str, version: int, *, dry_run: bool = False) -> int:
        """Remove files that the manifest does not name; how many there are."""
        folder, named = self._folder(name, version), {*self.entry(name, version).files, _MANIFEST}
        self._fs.invalidate_cache()
        what = f"reference {name} version {version}"
        found = [
            path for path in self._guard(what, lambda: self._listed(folder)) if path.rpartition("/")[2] not in named
        ]
        if found and not dry_run:
            self._guard(what, lambda: [self._fs.rm_file(path) for path in found])
        return len(found)

    def _write(self, folder: str, files: Mapping[str, bytes], manifest: Mapping[str, Any]) -> None:
        self._fs.invalidate_cache()
        last = f"{folder}/{_MANIFEST}"
        if self._fs.exists(last):
            raise FileExistsError(last)
        try:
            if self._has_folders:
                self._fs.makedirs(folder, exist_ok=True)
            for name, content in files.items():
                self._put(f"{folder}/{name}", content)
            self._put_first(last, _sealed({**manifest, "written_by": secrets.token_hex(8)}))
        except FileNotFoundError as error:
            raise ArtifactError(
                f"{self._shown} is not there to write to; create it, or correct artifacts.url"
            ) from error

    def _put_first(self, path: str, content: bytes) -> None:
        """Write a file if there is none. ``content`` is unlike any other's, so that a client that repeats a request whose answer was lost knows its own."""
        try:
            self._put(path, content, new=True)
        except FileExistsError:
            if self._fs.cat_file(path) != content:
                raise

    def _put(self, path: str, content: bytes, *, new: bool = False) -> None:
        """Write a file whole or not at all; ``new``: and only if there is none."""
        if not isinstance(self._fs, LocalFileSystem):
            self._fs.pipe_file(path, content, mode="create" if new else "overwrite")
            return
        part = Path(f"{path}.{secrets.token_hex(8)}.part")
        try:
            part.write_bytes(content)
            if new:
                self._link(part, path, content)
            else:
                part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    def _link(self, part: Path, path: str, content: bytes) -> None:
        try:
            os.link(part, path)  # unlike a rename, it fails where there is a file
        except FileExistsError:
            raise
        except OSError:  # not every mounted disk knows links
            self._fs.pipe_file(path, content, mode="create")

    def entry(self, name: str, version: int) -> Entry:
        """The manifest of one version."""
        folder = self._folder(name, version)
        what = f"{_MANIFEST} of reference {name} version {version}"
        content = self._guard(what, lambda: self._fs.cat_file(f"{folder}/{_MANIFEST}"))
        try:
            said = _unsealed(content)
            if said["format"] != _FORMAT:
                raise ArtifactError(
                    f"{what} has format {said['format']}, this version reads {_FORMAT}; upgrade drift-monitor"
                )
            return Entry(
                name=said["name"],
                version=said["version"],
                created_at=datetime.fromisoformat(said["created_at"]),
                fingerprint=said["fingerprint"],
                embedder=said["embedder"],
                rows=said["rows"],
                files=_beside(said["files"]),
                fitted=said["fitted"],
                settings=said["settings"],
                uri=self._fs.unstrip_protocol(folder),
                purged=said.get("purged", ()),
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ArtifactError(f"{what} in {self._shown} is damaged; restore it or build a new version") from error

    def load(self, name: str, version: int) -> Reference:
        """Read one version, every file held against its checksum; a damaged file is refused by name."""
        entry = self.entry(name, version)
        folder = self._folder(name, version)
        contents = {}
        for file, wanted in entry.files.items():
            what = f"file {file} of reference {name} version {version}"
            content = self._guard(what, partial(self._fs.cat_file, f"{folder}/{file}"))
            found = hashlib.sha256(content).hexdigest()
            if found != wanted:
                raise ArtifactError(
                    f"{what} is damaged: SHA-256 {found[:12]}..., "
                    f"the manifest says {wanted[:12]}...; restore it or build a new version"
                )
            contents[file.rpartition("-")[0]] = content
        return Reference(
            name=entry.name,
            version=entry.version,
            created_at=entry.created_at,
            train=dataset_from_parquet(contents["train"], entry.embedder),
            protected=dataset_from_parquet(contents["protected"], entry.embedder),
            fingerprint=entry.fingerprint,
            canaries=canaries_from_parquet(contents["canaries"]),
            fitted=entry.fitted,
            settings=entry.settings,
        )
