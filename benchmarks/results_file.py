"""Where benchmarks write what they measured: one JSON file each, with what is needed to judge the numbers."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
_PACKAGES = ("numpy", "pyarrow", "scipy", "scikit-learn", "sqlalchemy", "torch", "sentence-transformers")


def goal(name: str, want: str, measured: float, met: bool) -> dict[str, Any]:
    """One line of the goals: what was wanted, what came out."""
    return {"name": name, "goal": want, "measured": measured, "met": met}


def write(
    name: str, tables: Mapping[str, Sequence[Mapping[str, Any]]], goals: Sequence[Mapping[str, Any]], command: str
) -> Path:
    """Write ``results/<name>.json`` and say in one line per goal whether it was met."""
    path = RESULTS / f"{name}.json"
    content = {
        "command": command,
        "versions": _versions(),
        "machine": _machine(),
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "tables": tables,
        "goals": goals,
    }
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    for one in goals:
        print(f"{'met   ' if one['met'] else 'MISSED'} {one['name']}: {one['measured']} (goal {one['goal']})")
    return path


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _machine() -> dict[str, Any]:
    """What kind of machine this is; not which."""
    model = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), model)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {"cpu": model, "cores": os.cpu_count(), "memory_gib": round(memory / 2**30, 1), "system": platform.system()}
