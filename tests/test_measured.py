"""What was measured is told as it is: every results file is whole, and the page of goals is made from them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
RESULTS = sorted((ROOT / "benchmarks" / "results").glob("*.json"))


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_a_results_file_is_whole(path):
    found = json.loads(path.read_text(encoding="utf-8"))
    assert set(found) == {"command", "versions", "machine", "date", "tables", "goals"}
    assert found["goals"]
    for goal in found["goals"]:
        assert set(goal) == {"name", "goal", "measured", "met"}
        assert isinstance(goal["met"], bool)
    script = next(word for word in found["command"].split() if word.endswith(".py"))
    assert (ROOT / script).exists()
    assert "--quick" not in found["command"]


def test_the_page_of_goals_is_made_from_the_results():
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / "measured.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_page_of_metrics_is_made_from_the_table():
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / "metrics_page.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
