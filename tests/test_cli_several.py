"""Commands that take several monitors at once, as a CronJob of the chart gives them."""

from __future__ import annotations

import json

import pytest
import yaml
from shop import raw_settings, window, write_shop

from monitor.config import parse
from monitor.store import Store


@pytest.fixture
def raw(tmp_path, monkeypatch):
    """Three monitors on the same traffic; the training data of the second are not there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    write_shop(tmp_path)
    raw = raw_settings(tmp_path)
    (one,) = raw["monitors"]
    nowhere = {**one["reference"], "train": {"kind": "files", "path": f"{tmp_path}/nowhere.jsonl"}}
    raw["monitors"] = [one | {"name": "a"}, one | {"name": "b", "reference": nowhere}, one | {"name": "c"}]
    (tmp_path / "drift-monitor.yaml").write_text(yaml.safe_dump(raw))
    return raw


def test_missing_references_are_built_and_one_that_cannot_be_stops_none(drift_monitor, raw):
    assert drift_monitor("reference", "build", "--monitor", "a")[0] == 0
    code, out, err = drift_monitor("reference", "build", "--missing")
    assert code == 1
    assert "reference c version 1" in out
    assert "reference a" not in out
    assert err.startswith("error: b: ")
    with Store.open(parse(raw).store.url) as store:
        assert [store.active_reference(name) for name in "abc"] == [1, None, 1]
    assert drift_monitor("reference", "build", "--missing", "--monitor", "c")[:2] == (0, "")


def test_run_takes_several_monitors_and_leaves_the_others(drift_monitor, raw):
    assert drift_monitor("reference", "build", "--missing")[0] == 1
    day = f"{window(1).start:%Y-%m-%d}"
    code, out, _ = drift_monitor("run", "--monitor", "a", "--monitor", "c", "--monitor", "a", "--window", day, "--json")
    assert code == 0
    assert [run["monitor"] for run in json.loads(out)] == ["a", "c"]
    with Store.open(parse(raw).store.url) as store:
        assert [len(store.runs(name)) for name in "abc"] == [1, 0, 1]
    assert "--monitor d: there are a, b, c" in drift_monitor("run", "-m", "a", "-m", "d")[2]
    assert "name one of them" in drift_monitor("run", "--window", day)[2]
