"""Prints what the program needs, one requirement a line: ``python3 requirements.py pyproject.toml EXTRA,EXTRA``."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path


def requirements(project: Path, extras: str) -> list[str]:
    """The dependencies and those of the extras; ``ValueError`` names an extra that does not exist."""
    told = tomllib.loads(project.read_text(encoding="utf-8"))["project"]
    known = told["optional-dependencies"]
    wanted = [extra for extra in extras.split(",") if extra]
    if unknown := sorted(set(wanted) - set(known)):
        raise ValueError(f"there is no extra {', '.join(unknown)}; there are {', '.join(known)}")
    return [*told["dependencies"], *(line for extra in wanted for line in known[extra])]


if __name__ == "__main__":
    sys.stdout.write("\n".join(requirements(Path(sys.argv[1]), sys.argv[2])) + "\n")
