"""Overwrites an export and writes that of a later window, killed before its first write, its second, and so on to the end."""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

from test_exporter_files import WINDOW, candidate, export, files_of

from monitor.exporters.files import FilesExporter
from monitor.exporters.folders import Folder
from monitor.values import Window
from monitor.whole_files import write_whole

folder = Path(sys.argv[1])
exporter = FilesExporter(str(folder), ["csv", "jsonl"])


def killed_before(writes: int) -> None:
    """Do it all, in a process that ends like this unless the writes are enough."""
    left = iter(range(writes, -1, -1))

    def put(self: Folder, path: str, content: bytes) -> None:
        place = Path(self._at(path))
        place.parent.mkdir(parents=True, exist_ok=True)
        if not next(left):
            # As a kill in the middle of writing leaves it.
            (place.parent / f".{place.name}.12345678.tmp").write_bytes(content[: len(content) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        write_whole(place, content)

    Folder.put = put
    exporter.write(export(candidate(1, f"text {writes}")))
    later = Window(WINDOW.end, WINDOW.end + WINDOW.length)
    exporter.write(replace(export(candidate(1, f"text {writes}")), key="later", window=later))
    os._exit(0)


exporter.write(export())
for writes in range(20):
    child = os.fork()
    if not child:
        killed_before(writes)
    how = os.waitpid(child, 0)[1]
    latest = json.loads((folder / "support" / "latest.json").read_text())
    manifest, _ = files_of((folder / "support" / latest["manifest"]).parent)
    assert manifest["key"] == latest["key"]
    if not how:
        sys.stdout.write(f"killed {writes} times\n")
        break
    assert os.WTERMSIG(how) == signal.SIGKILL
