"""The commands about trust in the alarm: calibrate, compare, baseline accept, and a backfill that only looks."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from shop import DAY, FIRST, raw_settings, write_shop

from monitor.calibration import level_of, tolerance_of
from monitor.config import parse
from monitor.store import Store
from monitor.values import Measurement

CALM = 24


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    """A shop with many calm days, then some of a new topic, all but the last two of them run; and what was said of them."""
    folder = tmp_path_factory.mktemp("shop")
    write_shop(folder, (*[0] * CALM, 40, 40, 40))
    (folder / "drift-monitor.yaml").write_text(yaml.safe_dump(raw_settings(Path())))
    said = [
        subprocess.run(
            [sys.executable, "-m", "monitor", *words], cwd=folder, capture_output=True, text=True, check=True
        ).stdout
        for words in (
            ("reference", "build"),
            ("backfill", "--from", str(day(0)), "--to", str(day(CALM + 1)), "--no-send"),
        )
    ]
    return folder, said[-1]


@pytest.fixture
def shop(history, tmp_path, monkeypatch):
    """A copy of that shop to work in."""
    folder = tmp_path / "shop"
    shutil.copytree(history[0], folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "250")
    return folder


def day(number):
    return (FIRST + number * DAY).date()


def test_history_shows_what_would_have_alarmed_and_nothing_is_sent(history, shop):
    assert history[1].splitlines()[0] == (
        f"1 alarm in {CALM + 1} looks ({day(CALM)}); the budget of 1 per year allows 0.068 false ones."
    )
    assert not (shop / "tickets").exists()
    assert not (shop / "exports").exists()
    with Store.open(parse(raw_settings(Path())).store.url) as store:
        assert store.tickets() == []
        assert store.exports() == []


def test_calibrate_measures_the_level_and_keeps_it(shop, drift_monitor):
    code, out, _ = drift_monitor("calibrate", "--json", "--rounds", 200)
    assert code == 0
    found = json.loads(out)
    assert found["monitor"] == "shop"
    # Both are made of exchangeable records: p <= 5 % in about 5 % of looks.
    assert found["reference"]["looks"] == 200
    assert found["reference"]["low"] < 0.05 < found["reference"]["high"] + 0.02
    assert found["past"]["looks"] == CALM
    assert found["past"]["low"] < 0.05
    assert 0.01 <= found["tolerance"] < 0.2
    code, out, _ = drift_monitor("calibrate")
    assert code == 0
    assert "Suggested policy.tolerance: 0." in out
    assert "Budget: 1 per year, one false alarm in 365 looks at most." in out
    with Store.open(parse(raw_settings(Path())).store.url) as store:
        kept = store.calibration("shop")
    assert (kept.reference.looks, kept.past.looks, kept.tolerance) == (200, CALM, found["tolerance"])


def test_compare_answers_any_two_periods_from_what_was_kept(shop, drift_monitor):
    (shop / "traffic").rename(shop / "gone")  # nothing is read again
    code, out, _ = drift_monitor("compare", f"{day(0)}/{day(12)}", f"{day(12)}/{day(24)}", "--json")
    assert code == 0
    calm = {m["subject"]: m for m in json.loads(out)["measurements"]}
    assert calm["embeddings"]["p_value"] > 0.01
    assert (calm["embeddings"]["n_reference"], calm["embeddings"]["n_current"]) == (12 * 120, 12 * 120)
    code, out, _ = drift_monitor("compare", day(3), day(CALM), "--json")
    moved = {m["subject"]: m for m in json.loads(out)["measurements"]}
    assert moved["embeddings"]["p_value"] < 0.001
    assert moved["embeddings"]["low"] > 0.05
    code, out, _ = drift_monitor("compare", day(3), day(CALM))
    assert code == 0
    assert "embeddings" in out
    assert "160 against" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((day(0), day(60)), "has its sums kept under the reference in use"),
        ((f"{day(3)}/{day(1)}", day(2)), "the start is not before the end"),
        (("yesterday", day(2)), "yesterday"),
    ],
)
def test_a_period_that_cannot_be_compared_is_named(shop, drift_monitor, words, said):
    code, out, err = drift_monitor("compare", *words)
    assert (code, out) == (2, "")
    assert said in err


def test_an_accepted_change_alarms_no_more(shop, drift_monitor):
    accepted = ("baseline", "accept", "--window", day(CALM), "--by", "Ann", "--reason", "a new product")
    assert drift_monitor(*accepted)[0] == 0
    code, out, _ = drift_monitor("backfill", "--from", day(CALM + 1), "--to", day(CALM + 3), "--no-send", "--json")
    assert code == 0
    runs = json.loads(out)
    assert [run["decision"]["state"] for run in runs] == ["stable", "stable"]
    assert runs[0]["decision"]["evidence"]["looks"] == 1, "the evidence begins anew"
    assert {run["decision"]["evidence"]["baseline"] for run in runs} == {(FIRST + CALM * DAY).timestamp()}


def test_levels_and_tolerance_by_hand():
    assert level_of([]) is None
    found = level_of([0.04, 0.05, *np.linspace(0.06, 1, 18)])
    assert (found.looks, found.share) == (20, 0.1)
    assert (round(found.low, 4), round(found.high, 4)) == (0.0279, 0.3010)  # Wilson
    assert tolerance_of([]) == 0.01
    lows = [Measurement("change", "embeddings", low, low, low, 0.5, 9, 9) for low in np.linspace(0, 0.2, 21)]
    assert tolerance_of(lows) == pytest.approx(0.19)
