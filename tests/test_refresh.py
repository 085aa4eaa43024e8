"""From a ticket's labels to a refresh: the second round, the verdict on protected records, the files to retrain and serve with."""

from __future__ import annotations

import hashlib
import json
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from shop import FIRST, desk, open_shop, raw_settings, window

from monitor.cli import main
from monitor.pipeline import run_window
from monitor.selection.gate import IncumbentGate
from monitor.values import State


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """A shop with two drifted days, the first one's candidates labelled."""
    folder = tmp_path_factory.mktemp("told")
    _, store, monitor = open_shop(
        folder,
        days=(0, 60, 60),
        selection={"budget": 60, "negative_flips": 0.05, "junk": ["junk", "spam"], "after_labels": ["drift_badge"]},
    )
    first = run_window(monitor, window(1), desk(store))
    labels = {}
    for candidate in first.candidates:
        new = "boat" in candidate.text or any(
            word in candidate.text for word in ("sail", "anchor", "hull", "tide", "mast", "wave")
        )
        labels[candidate.record_id] = "boat" if new else candidate.predicted
    spam = [c.record_id for c in first.candidates[-2:]]
    labels |= dict.fromkeys(spam, "spam")
    store.import_labels("shop", labels, by="anna", now=FIRST)
    second = run_window(monitor, window(2), desk(store))
    (folder / "drift-monitor.yaml").write_text(
        yaml.safe_dump(
            raw_settings(
                folder,
                selection={
                    "budget": 60,
                    "negative_flips": 0.05,
                    "junk": ["junk", "spam"],
                    "after_labels": ["drift_badge"],
                },
            )
        )
    )
    yield folder, first, second, labels, spam
    store.close()


@pytest.fixture
def drift_monitor(told, drift_monitor, monkeypatch):
    monkeypatch.chdir(told[0])
    monkeypatch.setenv("COLUMNS", "250")
    return drift_monitor


def test_the_first_ticket_says_what_to_expect_before_labels(told):
    _, first, _, _, _ = told
    assert first.decision.state is State.DRIFTED
    assert (first.refresh.round, first.refresh.answers, first.refresh.budget) == (1, 0, 60)
    assert {c.strategy for c in first.candidates} == {"drift_cover", "random"}
    assert first.refresh.covered > 0.5
    assert first.refresh.covered == pytest.approx(sum(c.gain for c in first.candidates))
    assert first.refresh.flips is not None
    assert 0 <= first.refresh.flips.low <= first.refresh.flips.high <= 1
    assert first.refresh.gain.low == 0
    # Not one word of this shop's new topic is known, so that it may as well be another language.
    assert [a.name for a in first.refresh.advice] == ["fix_the_input", "too_few_protected"][: len(first.refresh.advice)]
    assert all(c.risk is not None and 0 <= c.risk <= 1 for c in first.candidates)
    assert any(
        c.cluster and set(c.cluster.split(", ")) & {"boat", "sail", "anchor", "hull", "tide", "mast"}
        for c in first.candidates
    )


def test_the_second_ticket_knows_the_answers_of_the_first(told):
    _, _, second, labels, _ = told
    assert second.decision.state is State.DRIFTED
    assert (second.refresh.round, second.refresh.answers) == (2, len(labels))
    assert "drift_badge" in {c.strategy for c in second.candidates}
    assert not {c.record_id for c in second.candidates} & set(labels)
    assert second.refresh.junk.value == pytest.approx(2 / len(labels))
    assert second.refresh.gain.value > 0
    assert second.refresh.flips.high < 0.5


def test_the_verdict_in_words_and_as_json(told, drift_monitor):
    code, out, err = drift_monitor("refresh", "verdict")
    assert (code, err.strip()) == (0, "")
    assert "accuracy on the new traffic changes by +" in out
    assert "with the incumbent bonus: turned wrong" in out
    assert "the model, by the random share" in out
    assert f"{len(told[3]) - 2} useful of {len(told[3])}" in out
    code, out, _ = drift_monitor("refresh", "verdict", "--json", "--window", "2026-03-03")
    found = json.loads(out)
    assert code == 0
    assert found["labels"] == len(told[3]) - 2
    assert found["plain"]["flips"] <= found["plain"]["right"]
    assert found["guarded"]["flips"] <= found["plain"]["flips"]
    drawn = [c for c in told[1].candidates if c.strategy == "random"]
    kept = [c for c in drawn if told[3][c.record_id] != "spam"]
    right = sum(told[3][c.record_id] == c.predicted for c in kept)
    assert drawn
    assert found["audit"]["accuracy"]["low"] < right / len(kept) < found["audit"]["accuracy"]["high"]
    assert (found["audit"]["right"], found["audit"]["told"]) == (right, len(kept))
    assert found["audit"]["junk"] == len(drawn) - len(kept)
    assert not any(c.text in out for c in told[1].candidates)


def test_the_files_to_retrain_and_serve_with(told, drift_monitor, tmp_path):
    out = tmp_path / "refresh"
    assert drift_monitor("refresh", "export", "--out", out)[0] == 0
    assert drift_monitor("refresh", "export", "--out", out)[0] == 0, "a second time overwrites"
    manifest = json.loads((out / "manifest.json").read_text())
    assert set(manifest["files"]) == {"labels.parquet", "imitation.parquet", "gate.npz"}
    for name, digest in manifest["files"].items():
        assert hashlib.sha256((out / name).read_bytes()).hexdigest() == digest
    labels = pq.read_table(out / "labels.parquet").to_pylist()
    assert {row["id"]: row["label"] for row in labels} == {k: v for k, v in told[3].items() if v != "spam"}
    assert {row["weight"] for row in labels} == {0.5}
    assert sum(row["second_look"] for row in labels) <= round(0.1 * len(labels))
    soft = pq.read_table(out / "imitation.parquet").to_pylist()
    assert soft
    for row in soft:
        assert sum(value for name, value in row.items() if name.startswith("chance.")) == pytest.approx(1)
    assert not {row["id"] for row in soft} & set(told[3])
    with (out / "gate.npz").open("rb") as stream:
        gate = IncumbentGate.load(stream)
    assert gate.excess(np.eye(64, dtype=np.float32)[:3]).shape == (3,)


def test_a_folder_that_cannot_be_written_is_named(told, drift_monitor, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, err = drift_monitor("refresh", "export", "--out", tmp_path / "file" / "below")
    assert code == 2
    assert "cannot be written: Not a directory" in err


def test_without_labels_or_drift_the_next_step_is_named(tmp_path, monkeypatch, capsys):
    _, store, monitor = open_shop(tmp_path, days=(0, 0, 60))
    (tmp_path / "drift-monitor.yaml").write_text(yaml.safe_dump(raw_settings(tmp_path)))
    monkeypatch.chdir(tmp_path)

    def said():
        monkeypatch.setattr(sys, "argv", ["drift-monitor", "refresh", "verdict"])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 2
        return capsys.readouterr().err

    run_window(monitor, window(0), desk(store))
    assert "shop has no drifted window to refresh for; name one with --window" in said()
    run_window(monitor, window(2), desk(store))
    assert "shop has no label that its reference does not hold; label the candidates of a ticket" in said()
    store.close()


def test_junk_is_never_added_to_the_reference(told, drift_monitor):
    code, out, _ = drift_monitor("reference", "build", "--add-labels", "--no-use", "--json")
    assert code == 0
    assert json.loads(out)["entry"]["rows"]["train"] > 0
    _, _, _, labels, spam = told
    train = pq.read_table(next(told[0].glob("artifacts/shop/v0002/train*.parquet"))).column("id").to_pylist()
    assert set(labels) - set(spam) <= set(train)
    assert not set(spam) & set(train)
