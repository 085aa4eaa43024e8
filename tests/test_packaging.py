"""What is shipped: every file the program reads at run time, and nothing but monitor."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_every_data_file_is_packaged():
    patterns = PROJECT["tool"]["setuptools"]["package-data"]["monitor"]
    shipped = {path for pattern in patterns for path in (ROOT / "monitor").glob(pattern)}
    present = {p for p in (ROOT / "monitor").rglob("*") if p.is_file() and p.suffix not in {".py", ".pyc"}}
    assert present == shipped


def test_only_monitor_is_packaged():
    assert PROJECT["tool"]["setuptools"]["packages"]["find"] == {"include": ["monitor*"]}


def test_what_is_installed_is_what_constraints_pin():
    pinned = {
        line.partition("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line
    }
    extras = PROJECT["project"]["optional-dependencies"]
    named = PROJECT["project"]["dependencies"] + extras["offline"] + extras["postgres"] + extras["s3"] + extras["dev"]
    wanted = {re.match(r"[\w.-]+", requirement)[0].lower() for requirement in named}
    assert wanted <= pinned
    assert "torch" in pinned
