"""Local files that are seen whole or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

__all__ = ["keep_inside", "may_pass", "new_whole", "write_whole"]

_PASSING = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.ETIMEDOUT}


def write_whole(path: Path, content: bytes) -> None:
    """Write under a temporary name in the same folder, then rename; after any failure the old file is as it was."""
    temporary = path.with_name(f".{path.name}.{uuid4().hex[:8]}.tmp")
    try:
        with temporary.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def new_whole(path: Path) -> Iterator[Path]:
    """An empty file that only its owner may read, to be filled by the block; it takes the name ``path`` when it is whole.

    ``FileExistsError`` when something has that name already: it is never replaced.
    """
    temporary = path.with_name(f".{path.name}.{uuid4().hex[:8]}.tmp")
    if path.exists():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    try:
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        yield temporary
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        # Unlike a rename, a link does not replace what came to be there meanwhile.
        os.link(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def keep_inside(folder: str, below: str, *, local: bool) -> str:
    """The path of what lies ``below`` a folder or a URL's path; ``PermissionError`` when that leads out of it.

    That is by ``..``, an absolute path or a zero byte, and on a ``local`` disk by a symbolic link to a folder elsewhere. The folder
    itself may be one, and a file that is one is replaced when it is written, not followed.
    """
    path = f"{folder}/{below}"
    out = "\0" in below or not {"", ".", ".."}.isdisjoint(below.split("/"))
    if out or (local and not Path(path).parent.resolve().is_relative_to(Path(folder or "/").resolve())):
        raise PermissionError(errno.EPERM, f"{below.encode('unicode_escape').decode()[:100]} leads out of it")
    return path


def may_pass(error: OSError) -> bool:
    """Whether trying again later can help: a full disk can be emptied, a wrong folder stays wrong."""
    return error.errno in _PASSING
