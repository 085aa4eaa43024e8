"""Real processes that are there at once: forked from a server that has imported the project and has nothing open."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["monitor.pipeline", "monitor.store", "monitor.wiring", "psycopg", "alembic.command"])


class Forked:
    """A process at work on one function, which must be one of a module; what it prints goes to files."""

    def __init__(self, target: Callable[..., None], *words: Any) -> None:
        self._said = mkdtemp(prefix="forked")
        weakref.finalize(self, shutil.rmtree, self._said, ignore_errors=True)
        self._process = FORKS.Process(target=_said_into, args=(self._said, target, words))
        self._process.start()

    @property
    def pid(self) -> int:
        return int(self._process.pid or 0)

    def kill(self) -> None:
        self._process.kill()

    def end(self, timeout: float = 300) -> tuple[int, str, str]:
        """Its exit status, negative for a signal; what it said on standard output and on standard error."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            self._process.kill()
            raise TimeoutError(f"process {self.pid} is still there after {timeout} s; it said {self._texts()}")
        return self._process.exitcode, *self._texts()

    def _texts(self) -> tuple[str, str]:
        out, err = (Path(self._said, name).read_text(encoding="utf-8") for name in ("out", "err"))
        return out, err


def _said_into(folder: str, target: Callable[..., None], words: tuple[Any, ...]) -> None:
    for stream, name in ((sys.stdout, "out"), (sys.stderr, "err")):
        stream.flush()
        os.dup2(os.open(f"{folder}/{name}", os.O_CREAT | os.O_WRONLY | os.O_APPEND), stream.fileno())
    target(*words)


def in_processes(count: int, work: Callable[..., None], *args: Any) -> list[Any]:
    """Run ``work`` in so many processes that start at the same moment; what each put into the queue."""
    barrier, results = FORKS.Barrier(count), FORKS.Queue()
    processes = [FORKS.Process(target=work, args=(*args, barrier, n, results)) for n in range(count)]
    for process in processes:
        process.start()
    found = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    return found
