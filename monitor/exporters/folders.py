"""A folder on a disk or in an object store, where a file is seen whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from monitor.whole_files import keep_inside, write_whole

__all__ = ["Folder"]


class Folder:
    """``url`` is a path or a URL such as ``s3://bucket/path``; paths below are relative to it, ``storage`` its options.

    ``PermissionError`` for a path that leads out of it.
    """

    def __init__(self, url: str, storage: dict[str, Any]) -> None:
        self._store, root = fsspec.core.url_to_fs(url, **storage)
        self._root = root.rstrip("/")
        self._local = isinstance(self._store, LocalFileSystem)

    def shown(self, path: str) -> str:
        """Where the path is, for people."""
        return str(self._store.unstrip_protocol(self._at(path))).removeprefix("file://")

    def put(self, path: str, content: bytes) -> None:
        """Write a file; object stores show one whole or not at all by themselves."""
        if self._local:
            place = Path(self._at(path))
            # Elsewhere folders are part of names, and making one may mean making a bucket.
            place.parent.mkdir(parents=True, exist_ok=True)
            write_whole(place, content)
        else:
            self._store.pipe_file(self._at(path), content)

    def read(self, path: str) -> bytes | None:
        """What the file holds, ``None`` when there is none."""
        try:
            content: bytes = self._store.cat_file(self._at(path))
        except FileNotFoundError:
            return None
        return content

    def names(self, path: str) -> list[str]:
        """What the folder holds, files and folders; nothing when there is none."""
        self._store.invalidate_cache()
        try:
            found = self._store.ls(self._at(path), detail=False)
        except FileNotFoundError:
            return []
        return sorted(str(one).rstrip("/").rpartition("/")[2] for one in found)

    def remove(self, path: str) -> None:
        """Remove a file, or a folder with all that is in it, and the folder around it once that is empty."""
        self._store.invalidate_cache()
        if not self._store.exists(self._at(path)):
            return
        self._store.rm(self._at(path), recursive=True)
        above = Path(self._at(path)).parent
        if self._local and not any(above.iterdir()):
            above.rmdir()

    def _at(self, path: str) -> str:
        return keep_inside(self._root, path, local=self._local)
