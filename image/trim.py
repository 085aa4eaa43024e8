"""Takes out of installed packages what only their makers need: tests, C headers and test programs, a quarter of the image.

``python3 trim.py SITE_PACKAGES`` deletes only files that a package's RECORD names, and their lines in it, so that what the
metadata lists is what is there.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path, PurePosixPath

# What torch looks for in torch/bin when it is imported.
_NEEDED = {"torch/bin/torch_shm_manager"}


def idle(path: str) -> bool:
    """Whether a file, relative to site-packages, is not needed to run."""
    parts = PurePosixPath(path).parts
    if path in _NEEDED or len(parts) < 2:
        return False
    return "tests" in parts[1:-1] or parts[1] == "include" or parts[:2] in {("torch", "bin"), ("torch", "test")}


def trim(site: Path) -> int:
    """Trim every package in the folder; the bytes that this freed."""
    freed = 0
    for record in sorted(site.glob("*.dist-info/RECORD")):
        rows = list(csv.reader(record.read_text(encoding="utf-8").splitlines()))
        for row in rows:
            file = site / row[0]
            if idle(row[0]) and file.is_file():
                freed += file.stat().st_size
                file.unlink()
                for folder in file.parents:
                    if folder == site or any(folder.iterdir()):
                        break
                    folder.rmdir()
        kept = [row for row in rows if not idle(row[0])]
        with record.open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream, lineterminator="\n").writerows(kept)
    return freed


if __name__ == "__main__":
    for name in sys.argv[1:]:
        sys.stdout.write(f"{name}: {trim(Path(name)) / 1e6:.0f} MB taken out\n")
