"""A refreshed model held against the old one from the command line: files and SQL, exit status, and whatever can be wrong with them."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
import yaml
from conftest import commands
from shop import DAY, FIRST, desk, open_shop, raw_settings, window, write_jsonl

from monitor.config import load
from monitor.pipeline import run_window
from monitor.selection.mixture import RANDOM
from monitor.store import labels as label_rows
from monitor.values import State, Verdict
from monitor.wiring import open_shelf

SELECTION = {"budget": 40, "negative_flips": 0.05, "random_share": 0.4, "junk": ["junk"]}
LEAN = {"selection": SELECTION, "detectors": ["class_balance"]}
NEW_WORDS = {"boat", "harbour", "sail", "anchor", "wave", "mast", "deck", "rope", "tide", "captain", "hull", "rudder"}


def truth_of(candidate):
    return "boat" if set(candidate.text.split()) & NEW_WORDS else candidate.predicted


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A shop with a calm and two drifted days, all candidates labelled, one of them junk; read only."""
    folder = tmp_path_factory.mktemp("verify")
    settings, store, monitor = open_shop(folder, days=(0, 60, 60), selection=SELECTION)
    runs = [run_window(monitor, window(n), desk(store)) for n in (0, 1, 2)]
    assert [run.decision.state for run in runs[1:]] == [State.DRIFTED] * 2
    labels = {one.record_id: truth_of(one) for run in runs[1:] for one in run.candidates}
    labels[runs[1].candidates[0].record_id] = "junk"
    store.import_labels("shop", labels, by="anna", now=FIRST + 2 * DAY)
    reference = open_shelf(settings).load("shop", 1)
    write_settings(folder)
    yield folder, store, runs, labels, reference
    store.close()


def write_settings(folder, name="drift-monitor.yaml", **refresh):
    raw = raw_settings(folder, selection=SELECTION, refresh=refresh)
    (folder / name).write_text(yaml.safe_dump(raw))
    return folder / name


@pytest.fixture
def drift_monitor(made, monkeypatch, capsys):
    monkeypatch.chdir(made[0])
    monkeypatch.setenv("COLUMNS", "250")
    return commands(monkeypatch, capsys)


def predictions(made, *, wrong=0, mended=True):
    """Old and new predictions by id: the old model knows no boats, the new one does and breaks so many protected records."""
    _, _, runs, labels, reference = made
    protected = dict(zip(reference.protected.ids, reference.protected.column("label"), strict=True))
    old = dict(protected)
    lost = next(iter(old))
    old[lost] = "lamp" if old[lost] != "lamp" else "refund"
    new = dict(protected)
    for record in list(new)[1 : 1 + wrong]:
        new[record] = "lamp" if new[record] != "lamp" else "refund"
    for run in runs[1:]:
        for one in run.candidates:
            old[one.record_id] = one.predicted
            new[one.record_id] = labels[one.record_id] if mended else one.predicted
    return old, new


def write_csv(path, found, heads=("id", "predicted")):
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([heads, *found.items()])
    return path


def write_parquet(path, found):
    pq.write_table(pa.table({"id": list(found), "predicted": list(found.values())}), path)
    return path


def test_a_harmless_refresh_passes_in_words_and_is_remembered(made, drift_monitor, tmp_path):
    _, store, runs, labels, reference = made
    old, new = predictions(made, wrong=1)
    old_file, new_file = write_csv(tmp_path / "old.csv", old), write_parquet(tmp_path / "new.parquet", new)
    code, out, err = drift_monitor("refresh", "verify", "--old", old_file, "--new", new_file)
    assert (code, err.strip()) == (0, "")
    right = len(reference.protected) - 1
    assert f"Passed: of {right} protected records that the old model has right the new one gets 1 wrong" in out
    assert "The budget is 5 %, and it is shown to be kept." in out
    assert "Left out of the labelled candidates: 1 junk." in out
    (kept,) = store.verifications("shop")
    assert (kept.verdict, kept.budget, kept.dataset_version, kept.reference_version) == (Verdict.PASSED, 0.05, None, 1)
    assert kept.windows == (window(1).start, window(2).start)
    held, told, drawn = kept.sets
    assert (held.overall.records, held.overall.negative, held.overall.positive) == (right + 1, 1, 1)
    useful = {record: label for record, label in labels.items() if label != "junk"}
    by_id = {one.record_id: one for run in runs[1:] for one in run.candidates}
    boats = [record for record, label in useful.items() if label == "boat"]
    assert (told.overall.records, told.overall.positive, told.overall.negative) == (len(useful), len(boats), 0)
    random = [record for record in useful if by_id[record].strategy == RANDOM]
    assert drawn.overall.records == len(random) > 10
    assert told.classes[0].group == "class boat" or told.overall.negative == 0
    assert store.verification(kept.id) == kept
    # Each day's traffic weighs by its size, whatever was drawn of it.
    shares = []
    for run in runs[1:]:
        mine = [r for r in random if r in {one.record_id for one in run.candidates}]
        shares.append(
            (run.counts.population * sum(useful[r] != "boat" for r in mine) / len(mine), run.counts.population)
        )
    junk_in_random = labels[runs[1].candidates[0].record_id] == "junk" and runs[1].candidates[0].strategy == RANDOM
    if not junk_in_random:
        assert drawn.overall.old.value == pytest.approx(sum(a for a, _ in shares) / sum(n for _, n in shares))


def test_a_harmful_refresh_ends_with_three_and_shows_the_broken_texts_redacted(made, drift_monitor, tmp_path):
    old, new = predictions(made, wrong=60)
    files = "--old", write_csv(tmp_path / "old.csv", old), "--new", write_csv(tmp_path / "new.csv", new)
    code, out, _ = drift_monitor("refresh", "verify", *files)
    assert code == 3
    assert "Failed: of " in out
    assert "protected: flipped records, 20 of 61, broken ones first" in out
    texts = dict(zip(made[4].protected.ids, made[4].protected.column("text"), strict=True))
    broken = list(new)[1]
    assert broken in out
    assert texts[broken] in out
    code, out, _ = drift_monitor("refresh", "verify", *files, "--ids-only")
    assert code == 3
    assert broken in out
    assert texts[broken] not in out


def test_json_and_a_file_hold_every_number_and_no_text(made, drift_monitor, tmp_path):
    old, new = predictions(made, wrong=60)
    files = "--old", write_csv(tmp_path / "old.csv", old), "--new", write_csv(tmp_path / "new.csv", new)
    code, out, _ = drift_monitor("refresh", "verify", *files, "--json", "--out", tmp_path / "proof.json")
    found = json.loads(out)
    assert code == 3
    assert json.loads((tmp_path / "proof.json").read_text()) == found
    assert found["verdict"] == "failed"
    held = found["sets"][0]
    assert held["overall"]["negative"] == sum(one["negative"] for one in held["classes"]) == 60
    assert held["overall"]["negative_rate"]["low"] > 0.05
    assert len(held["flips"]) == 61
    every = {*made[4].protected.column("text"), *(one.text for run in made[2] for one in run.candidates)}
    assert not any(text in out for text in every)


def test_markdown_for_the_summary_of_a_pipeline(made, drift_monitor, tmp_path):
    old, new = predictions(made, wrong=60)
    files = "--old", write_csv(tmp_path / "old.csv", old), "--new", write_csv(tmp_path / "new.csv", new)
    code, out, _ = drift_monitor("refresh", "verify", *files, "--markdown")
    assert code == 3
    assert out.startswith("## Refresh of shop: failed\n\n- Failed: of ")
    assert "## Protected records: classes that moved" in out
    assert "## Protected records: flipped records, 20 of 61" in out
    for line in out.splitlines():
        assert not line.startswith("|") or line.endswith("|")


def test_nothing_shown_passes_unless_strict(made, drift_monitor, tmp_path):
    old, new = predictions(made)
    few = dict(list(old.items())[:30])
    files = "--old", write_csv(tmp_path / "old.csv", few), "--new", write_csv(tmp_path / "new.csv", new)
    code, out, _ = drift_monitor("refresh", "verify", *files)
    assert code == 0
    assert out.startswith("Not shown: of 29 protected records")
    assert "These are too few to tell whether the budget of 5 % is kept; some 100 would do." in out
    assert f"{len(made[4].protected) - 30} without an old prediction" in out
    assert drift_monitor("refresh", "verify", *files, "--strict")[0] == 3


def test_new_predictions_that_are_missing_can_hide_flips(made, drift_monitor, tmp_path):
    old, new = predictions(made)
    protected = made[4].protected.ids
    for record in protected[: len(protected) // 3]:
        del new[record]
    files = "--old", write_csv(tmp_path / "old.csv", old), "--new", write_csv(tmp_path / "new.csv", new)
    code, out, _ = drift_monitor("refresh", "verify", *files, "--strict")
    assert code == 3
    assert out.startswith("Not shown: ")
    assert f"{len(protected) // 3} without a new prediction" in out


def test_what_the_model_was_trained_on_proves_nothing(made, drift_monitor, tmp_path):
    _, store, _, labels, _ = made
    old, new = predictions(made)
    files = "--old", write_csv(tmp_path / "old.csv", old), "--new", write_csv(tmp_path / "new.csv", new)
    some = list(labels)[5:25]
    write_jsonl(tmp_path / "training.jsonl", [{"id": record} for record in some])
    code, out, _ = drift_monitor("refresh", "verify", *files, "--trained-on", tmp_path / "training.jsonl")
    assert code == 0
    assert "Left out of the labelled candidates: 1 junk, 20 that it was trained on." in out
    assert store.verifications("shop")[0].held_out
    assert store.verifications("shop")[0].of("drifted").left_out == {"junk": 1, "that it was trained on": 20}


def test_the_half_that_a_gate_was_not_tuned_on(made, drift_monitor, tmp_path):
    old, new = predictions(made)
    files = "--old", write_csv(tmp_path / "old.csv", old), "--new", write_csv(tmp_path / "new.csv", new)
    assert drift_monitor("refresh", "verify", *files, "--gated")[0] == 0
    held = made[1].verifications("shop")[0].of("protected")
    assert 0.3 < held.overall.records / len(made[4].protected) < 0.7


def test_one_window_alone(made, drift_monitor, tmp_path):
    old, new = predictions(made)
    files = "--old", write_csv(tmp_path / "old.csv", old), "--new", write_csv(tmp_path / "new.csv", new)
    assert drift_monitor("refresh", "verify", *files, "--window", "2026-03-04T12:00Z")[0] == 0
    assert made[1].verifications("shop")[0].windows == (window(2).start,)
    code, _, err = drift_monitor("refresh", "verify", *files, "--window", "2026-05-01")
    assert code == 2
    assert "shop has no run for the window that starts 2026-05-01" in err


# --- bad input ----------------------------------------------------------------------------------------------------------


def test_bad_rows_are_counted_and_stop_nothing(made, drift_monitor, tmp_path):
    old, new = predictions(made)
    ids = list(old)
    lines = ["id,predicted", *(f"{record},{said}" for record, said in new.items())]
    lines += [f"{ids[0]},{new[ids[0]]}"]  # once more the same
    lines += [f"{ids[1]},lamp", f"{ids[1]},refund", f"{ids[1]},parcel"]  # contradicting
    lines += ["elsewhere-1,lamp", "elsewhere-2,lamp", f"{ids[2]},", ",lamp"]
    (tmp_path / "new.csv").write_text("\n".join(lines) + "\n")
    old[ids[3]] = "submarine"
    code, out, _ = drift_monitor(
        "refresh", "verify", "--old", write_csv(tmp_path / "old.csv", old), "--new", tmp_path / "new.csv", "--json"
    )
    assert code == 0
    found = json.loads(out)
    assert found["ignored"] == {
        "old: of a class that no label knows": 1,
        "new: given again": 4,
        "new: of other records": 2,
        "new: without a class": 1,
        "new: no id": 1,
        "new: contradicting each other": 1,
    }
    assert found["sets"][0]["left_out"] == {"without a new prediction": 1}
    assert any("4 given again, 2 of other records, 1 without a class" in sentence for sentence in found["sentences"])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("id,predicted\nx1,lamp\nx2,lamp\n", "none of its 2 rows is a prediction for one of the"),
        ("id,predicted\n", "none of its 0 rows is a prediction"),
        ("id,said\nx1,lamp\n", "Set --prediction-column (refresh.predicted)"),
        ("record,predicted\nx1,lamp\n", "Set --id-column (refresh.id)"),
    ],
)
def test_files_that_hold_nothing_to_compare(made, drift_monitor, tmp_path, content, said):
    before = len(made[1].verifications("shop"))
    (tmp_path / "new.csv").write_text(content)
    old = write_csv(tmp_path / "old.csv", predictions(made)[0])
    code, out, err = drift_monitor("refresh", "verify", "--old", old, "--new", tmp_path / "new.csv")
    assert code in (1, 2)
    assert said in err
    assert (out, len(made[1].verifications("shop"))) == ("", before)


def test_texts_in_place_of_classes_are_refused_and_not_quoted(made, drift_monitor, tmp_path):
    old, new = predictions(made)
    secret = dict.fromkeys(new, "my card is 4111 1111 1111 1111")
    code, out, err = drift_monitor(
        "refresh", "verify",
        "--old", write_csv(tmp_path / "old.csv", old), "--new", write_csv(tmp_path / "new.csv", secret),
    )  # fmt: skip
    assert code == 2
    assert "predictions are classes that no label knows; the reference has " in err
    assert "4111" not in err + out


def test_predictions_that_nobody_named(made, drift_monitor, tmp_path):
    code, _, err = drift_monitor("refresh", "verify")
    assert code == 2
    assert (
        "where are the predictions of the old model? Give a file, or a part named old under refresh.predictions" in err
    )
    code, _, err = drift_monitor("refresh", "verify", "--old", tmp_path / "none.csv", "--new", tmp_path / "none.csv")
    assert code == 1
    assert "no file matches" in err


def test_columns_by_other_names_and_whole_numbers_as_classes(made, drift_monitor, tmp_path):
    old, new = predictions(made)
    files = (
        "--old", write_csv(tmp_path / "old.csv", old, ("ticket", "class")),
        "--new", write_csv(tmp_path / "new.csv", new, ("ticket", "class")),
    )  # fmt: skip
    code, out, _ = drift_monitor("refresh", "verify", *files, "--id-column", "ticket", "--prediction-column", "class")
    assert code == 0
    assert out.startswith("Passed: ")


# --- SQL, both databases ------------------------------------------------------------------------------------------------


def test_the_whole_way_with_predictions_in_sql(tmp_path, database_url, monkeypatch, capsys):
    """Drift, labels, verification from two columns of a table, deployment, recovery: in either kind of database."""
    _, store, monitor = open_shop(tmp_path, database_url, days=(0, 60, 60, *[0] * 5), **LEAN)
    with store:
        whole_way(tmp_path, database_url, store, monitor, monkeypatch, capsys)


def whole_way(folder, database_url, store, monitor, monkeypatch, capsys):
    runs = [run_window(monitor, window(n), desk(store)) for n in (0, 1)]
    store.import_labels("shop", {c.record_id: truth_of(c) for c in runs[1].candidates}, by="anna", now=FIRST + 2 * DAY)
    protected = monitor.load_reference().protected
    rows = [
        {"id": r, "was": label, "is_now": label}
        for r, label in zip(protected.ids, protected.column("label"), strict=True)
    ]
    rows += [{"id": c.record_id, "was": c.predicted, "is_now": truth_of(c)} for c in runs[1].candidates]
    meta = sa.MetaData()
    answers = sa.Table("answers", meta, *(sa.Column(name, sa.Text) for name in ("id", "was", "is_now")))
    engine = sa.create_engine(database_url)
    meta.create_all(engine)
    with engine.begin() as connection:
        connection.execute(answers.insert(), rows)
    engine.dispose()
    parts = [
        {"kind": "sql", "name": name, "url": database_url, "query": f"SELECT id, {column} AS predicted FROM answers"}
        for name, column in (("old", "was"), ("new", "is_now"))
    ]
    raw = raw_settings(folder, database_url, refresh={"predictions": parts}, **LEAN)
    (folder / "drift-monitor.yaml").write_text(yaml.safe_dump(raw))
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "250")
    run = commands(monkeypatch, capsys)
    code, out, err = run("refresh", "verify")
    assert (code, err.strip()) == (0, "")
    assert out.startswith("Passed: ")
    code, out, err = run("models", "deploy", "desk-2", "--at", "2026-03-04", "--by", "anna", "--json")
    assert (code, err.strip()) == (0, "")
    declared = json.loads(out)
    (kept,) = store.verifications("shop")
    assert declared["verification"] == kept.id
    for n in range(2, 8):
        run_window(monitor, window(n), desk(store))
    states = dict(store.states("shop", FIRST, FIRST + 9 * DAY))
    assert states[window(1)] is State.DRIFTED
    assert states[window(7)] is State.STABLE
    (after,) = [one for one in store.runs("shop") if one.window == window(2)]
    labels = {c.record_id: c.predicted for c in after.candidates if c.strategy == RANDOM}
    store.import_labels("shop", labels, by="anna", now=FIRST + 5 * DAY)
    drawn = store.checked("shop")
    assert {one.window for one in drawn} == {window(1), window(2)}
    assert {one.population for one in drawn} == {180, 120 + 60}
    assert store.labels_given("shop", None, FIRST + 2 * DAY) == len(runs[1].candidates)
    assert store.labels_given("shop", FIRST + 2 * DAY, FIRST + 5 * DAY) == len(labels)
    code, out, err = run("models", "list", "--json")
    (told,) = json.loads(out)
    assert (code, err.strip()) == (0, "")
    outcome = told["outcome"]
    assert outcome["deployment"]["model"] == "desk-2"
    assert outcome["labels"] == len(runs[1].candidates)
    assert outcome["alarm_since"] == window(1).end.isoformat()
    assert (outcome["windows"], outcome["state"]) == (6, "stable")
    calm = min(w.end for w, state in states.items() if w.start > window(1).start and state is State.STABLE)
    assert outcome["recovered_at"] == calm.isoformat()
    days = (calm - window(1).end).days
    assert any(f"the drift was over by {calm:%Y-%m-%d} UTC, {days} days later." in said for said in told["sentences"])
    assert outcome["before"]["value"] < 0.9
    assert outcome["since"]["value"] == 1.0
    assert outcome["checked_since"] == len(labels)
    assert any("Labels used: " in sentence for sentence in told["sentences"])
    code, out, _ = run("models", "list")
    assert code == 0
    assert "Model desk-2 is live since 2026-03-04 UTC, as declared by anna." in out


def test_the_example_of_the_manual_is_valid(tmp_path):
    page = (Path(__file__).resolve().parents[1] / "docs" / "refresh.md").read_text(encoding="utf-8")
    (example,) = (yaml.safe_load(block) for block in re.findall(r"```yaml\n(refresh:.*?)```", page, re.DOTALL))
    (tmp_path / "db").write_text("secret\n")
    for part in example["refresh"]["predictions"]:
        part["password_file"] = str(tmp_path / "db")
    raw = raw_settings(tmp_path, selection=SELECTION, **example)
    (tmp_path / "drift-monitor.yaml").write_text(yaml.safe_dump(raw))
    (one,) = load(tmp_path / "drift-monitor.yaml").monitors
    assert [part.name for part in one.refresh.predictions] == ["old", "new"]
    assert one.refresh.trained_on.kind == "files"


# --- models -------------------------------------------------------------------------------------------------------------


def test_a_model_with_a_failed_verification_is_declared_with_a_note(made, drift_monitor, tmp_path):
    old, new = predictions(made, wrong=60)
    files = "--old", write_csv(tmp_path / "old.csv", old), "--new", write_csv(tmp_path / "new.csv", new)
    drift_monitor("refresh", "verify", *files)
    newest = made[1].verifications("shop")[0]
    code, out, err = drift_monitor("models", "deploy", "risky", "--at", "2026-03-05", "--by", "bob")
    assert code == 0
    assert f"risky is live since 2026-03-05T00:00:00+00:00, verification {newest.id} (failed)" in out
    assert "this model breaks more than its budget" in err
    # The same once more changes nothing; a verification proves one model only.
    assert drift_monitor("models", "deploy", "risky", "--at", "2026-03-05", "--by", "bob")[0] == 0
    code, out, _ = drift_monitor("models", "deploy", "next", "--at", "2026-03-06", "--by", "bob")
    assert (code, out.strip()) == (0, "shop: next is live since 2026-03-06T00:00:00+00:00, no verification")
    assert [one.model for one in made[1].deployments("shop")] == ["next", "risky"]
    code, _, err = drift_monitor("models", "deploy", "other", "--at", "2026-03-05")
    assert code == 1
    assert "risky went live at 2026-03-05T00:00:00+00:00 already" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("later", "--at", "2100-01-01"), "is in the future; declare the model once it is live"),
        (("x" * 201,), "should be 1 to 200 printable characters"),
        (("a\nb",), "should be 1 to 200 printable characters"),
        (("fine", "--verification", "none"), "shop has none with the id none"),
    ],
)
def test_models_that_cannot_be_declared(made, drift_monitor, words, said):
    code, _, err = drift_monitor("models", "deploy", *words)
    assert code == 2
    assert said in " ".join(err.split())


def test_the_store_knows_random_ones_by_their_strategy():
    assert label_rows._RANDOM == RANDOM
