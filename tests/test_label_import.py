"""Labels on their way in: what is refused and why, what the gate sends back, and the training set that comes of the rest."""

from __future__ import annotations

import csv
import json
import shutil

import pytest
import sqlalchemy as sa
import yaml
from shop import DAY, FIRST, NEW, desk, open_shop, raw_settings, window

from monitor.config import parse
from monitor.errors import ConfigError, StoreError
from monitor.intake import Case, Request, import_labels, write_relabel
from monitor.pipeline import publish_pending, run_window
from monitor.store import Standing, Store
from monitor.store.tables import metadata
from monitor.wiring import build_reference, labels_in_force, open_shelf

LATER = FIRST + 30 * DAY
MORE = {"selection": {"budget": 60, "junk": ["junk", "spam"]}}


class Desktop:
    """A shop with a drifted day, and its candidates to label."""

    def __init__(self, folder, settings, store):
        self.folder, self.settings, self.store = folder, settings, store
        (run,) = store.runs("shop")
        self.run = run
        self.truth = {
            c.record_id: "boat" if set(c.text.split()) & set(NEW["boat"]) else c.predicted for c in run.candidates
        }

    def request(self, labels, name="labels.csv", **more):
        path = self.folder / name
        rows = [(r, label, "ana") for r, label in labels.items()] if isinstance(labels, dict) else labels
        with path.open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows([("id", "label", "annotator"), *rows])
        return Request(path, new_classes=frozenset({"boat"}), **more)

    def case(self, request, now=LATER):
        return Case(self.settings, self.settings.monitors[0], self.store, request, now)

    def take(self, labels, name="labels.csv", now=LATER, **more):
        return import_labels(self.case(self.request(labels, name, **more), now))

    def everything(self):
        with self.store._database.read() as connection:
            return {
                name: sorted(map(repr, connection.execute(sa.select(table)).all()))
                for name, table in metadata.tables.items()
            } | {"shelf": open_shelf(self.settings).versions("shop")}

    def train(self, version):
        data = open_shelf(self.settings).load("shop", version).train
        return dict(zip(data.ids, data.column("label"), strict=True))


@pytest.fixture(scope="module")
def drifted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drifted")
    _, store, monitor = open_shop(folder, days=(0, 60), **MORE)
    run_window(monitor, window(1), desk(store))
    publish_pending({"shop": monitor}, desk(store))
    store.close()
    return folder


@pytest.fixture
def shop(drifted, tmp_path):
    folder = tmp_path / "shop"
    shutil.copytree(drifted, folder)
    raw = raw_settings(folder, **MORE)
    (folder / "drift-monitor.yaml").write_text(yaml.safe_dump(raw))
    settings = parse(raw)
    with Store.open(settings.store.url) as store:
        yield Desktop(folder, settings, store)


def test_accepted_labels_become_a_training_set_and_a_reference_that_waits_for_the_model(shop):
    done = shop.take(shop.truth)
    assert (done.verdict, done.new, done.changed, done.as_before, done.returned) == (
        "accept",
        len(shop.truth),
        0,
        0,
        (),
    )
    first, second = shop.store.training_sets("shop")
    assert (first.version, first.parent, first.reference_version, first.rows) == (1, None, 1, len(shop.train(1)))
    assert (second.version, second.parent, second.reference_version) == (2, 1, 2)
    assert (second.added, second.dropped, second.relabelled) == (len(shop.truth), 0, 0)
    assert second == done.training_set
    assert second.classes["boat"] == sum(label == "boat" for label in shop.truth.values())
    assert shop.train(2) == shop.train(1) | shop.truth
    # The model has not learnt them yet: until somebody says so, windows are compared with what it was trained on.
    assert [(r.version, r.active) for r in shop.store.references("shop")] == [(1, True), (2, False)]
    assert shop.store.run("shop", window(1).start).candidates[0].label == shop.truth[shop.run.candidates[0].record_id]
    assert {a.standing for a in shop.store.annotations("shop", list(shop.truth))} == {Standing.ACCEPTED}
    lineage = second.lineage
    assert lineage.runs == (shop.run.id,)
    assert lineage.tickets == (shop.store.tickets("shop")[0].key,)
    assert lineage.exports == (shop.store.exports("shop")[0].key,)
    assert lineage.annotators == ("ana",)
    assert [i.id for i in shop.store.intakes("shop")] == list(lineage.imports)


def test_use_compares_with_the_new_reference_at_once(shop):
    shop.take(shop.truth, use=True)
    assert shop.store.active_reference("shop") == 2


def test_a_bad_class_refuses_the_batch_and_nothing_enters(shop):
    before = shop.everything()
    boats = sorted(record for record, label in shop.truth.items() if label == "boat")
    wrong = shop.truth | dict.fromkeys(boats[::2], "refund")
    done = shop.take(wrong)
    assert (done.verdict, done.labels, done.training_set) == ("refuse", {}, None)
    assert {"boat", "refund"} & {one.value for one in done.judged.classes if one.state == "bad"}
    assert {one.record_id for one in done.returned} == set(shop.truth)
    after = shop.everything()
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"label_imports", "annotations"}, "what was refused is remembered, and nothing else"
    (intake,) = shop.store.intakes("shop")
    assert (intake.verdict, intake.rejected) == ("refuse", len(wrong))
    assert shop.take(wrong, now=LATER + DAY).verdict == "refuse"
    assert shop.everything() == after


def test_a_second_look_at_what_was_sent_back_overrules(shop):
    boats = sorted(record for record, label in shop.truth.items() if label == "boat")
    wrong = shop.truth | dict.fromkeys(boats[:2], "lamp")
    shop.settings = parse(raw_settings(shop.folder, labels={"keep_the_rest": True}, **MORE))
    first = shop.take(wrong)
    back = {one.record_id: one for one in first.returned}
    assert set(boats[:2]) <= set(back)
    assert first.verdict in {"part", "refuse"}
    assert back[boats[0]].suggested == "boat"
    assert first.training_set is None or set(shop.train(2)).isdisjoint(back)
    path = shop.folder / "again.csv"
    write_relabel(shop.case(shop.request({})), first.returned, path)
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["id"] for row in rows] == [one.record_id for one in first.returned]
    texts = {c.record_id: c.text for c in shop.run.candidates}
    for row in rows:
        assert (row["text"], row["label"]) == (texts[row["id"]], "")
        assert row["reason"]
        row["label"] = shop.truth[row["id"]]
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, [*rows[0]])
        writer.writeheader()
        writer.writerows(rows)
    request = Request(path, by="ben", second_look=True, new_classes=frozenset({"boat"}))
    second = import_labels(shop.case(request))
    assert (second.verdict, second.returned, second.new) == ("accept", (), len(rows))
    newest = shop.store.training_sets("shop")[-1]
    assert shop.train(newest.reference_version) == shop.train(1) | shop.truth
    assert newest.lineage.annotators == ("ben",)


def test_what_is_sent_back_can_be_tasks_for_label_studio(shop):
    boats = sorted(record for record, label in shop.truth.items() if label == "boat")
    done = shop.take(shop.truth | {boats[0]: "lamp"})
    path = shop.folder / "again.json"
    write_relabel(shop.case(shop.request({})), done.returned, path)
    (task, *_) = json.loads(path.read_text())
    assert task["data"]["record_id"] == done.returned[0].record_id
    assert task["data"]["reason"] == " ".join(done.returned[0].reasons)
    assert task["predictions"][0]["result"][0]["value"]["choices"] == [done.returned[0].suggested]


PROBLEMS = {
    "unknown record": lambda shop: [("stranger", "boat", "ana")],
    "unknown class": lambda shop: [(min(shop.truth), "bota", "ana")],
    "another label by the same person": lambda shop: [
        (min(shop.truth), "boat", "ana"),
        (min(shop.truth), "lamp", "ana"),
    ],
    "no record id": lambda shop: [("", "boat", "ana")],
    "protected record": lambda shop: [(open_shelf(shop.settings).load("shop", 1).protected.ids[0], "lamp", "ana")],
    "malformed line": lambda shop: [("one", "two")],
}


@pytest.mark.parametrize("reason", PROBLEMS)
def test_one_bad_row_keeps_all_others_out(shop, reason):
    before = shop.everything()
    wrong = PROBLEMS[reason](shop)
    good = [(record, label, "ana") for record, label in shop.truth.items() if record != min(shop.truth)]
    done = shop.take([*good, *wrong])
    assert done.verdict == "invalid"
    assert done.checked.reasons == {reason: len(wrong)}
    assert {problem.line for problem in done.checked.problems} == {len(good) + 2 + n for n in range(len(wrong))}
    assert shop.everything() == before
    kept = shop.take([*good, *wrong], skip_invalid=True)
    assert (kept.verdict, set(kept.labels)) == ("accept", {record for record, _, _ in good})


def test_a_text_that_changed_on_the_way_is_seen(shop):
    candidate = shop.run.candidates[0]
    path = shop.folder / "x.jsonl"
    digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

    def verdict(text):
        row = {"id": candidate.record_id, "label": "lamp", "text": text, "text_sha256": digest}
        path.write_text(json.dumps(row))
        return import_labels(shop.case(Request(path, gate=False, dry_run=True)))

    assert verdict("another text").checked.reasons == {"changed text": 1}
    # Spreadsheets touch line ends and blanks.
    assert verdict(f" {candidate.text}\r\n".replace(" ", "  ")).verdict == "accept"


def test_annotators_who_disagree(shop):
    tied, outvoted, *_ = sorted(shop.truth)
    rows = [(record, shop.truth[record], "ana") for record in shop.truth]
    other = {record: "lamp" if shop.truth[record] != "lamp" else "parcel" for record in (tied, outvoted)}
    rows += [(tied, other[tied], "ben"), (outvoted, other[outvoted], "ben"), (outvoted, shop.truth[outvoted], "eve")]
    done = shop.take(rows, gate=False)
    assert [(one.record_id, one.why) for one in done.returned] == [(tied, ("tie",))]
    assert done.labels == {record: shop.truth[record] for record in shop.truth if record != tied}
    said = shop.store.annotations("shop", [tied, outvoted])
    assert len(said) == 5
    assert {one.standing for one in said if one.record_id == tied} == {Standing.DISPUTED}
    # A third person settles it; what the others said still counts.
    third = shop.take([(tied, shop.truth[tied], "eve")], "third.csv", gate=False)
    assert third.labels == {tied: shop.truth[tied]}
    assert shop.train(3)[tied] == shop.truth[tied]
    assert shop.store.training_sets("shop")[-1].lineage.annotators == ("eve",)


def test_agreement_is_measured(shop):
    rows = [(record, label, person) for record, label in shop.truth.items() for person in ("ana", "ben")]
    done = shop.take(rows)
    assert done.judged.agreement.alpha == 1
    assert shop.store.intakes("shop")[0].figures["alpha"] == 1


def test_gold_questions_reach_the_gate(shop):
    gold = shop.request(dict(list(shop.truth.items())[:10]), "gold.csv").path
    done = shop.take(shop.truth, gold=gold)
    (ana,) = done.judged.annotators
    assert (ana.gold, ana.name) == (10, "ana")


def test_a_training_record_may_be_relabelled_and_junk_leaves_the_training_set(shop):
    first, second, *_ = sorted(shop.train(1))
    done = shop.take({first: "parcel", second: "junk"}, gate=False)
    version = done.training_set
    assert (version.added, version.dropped, version.relabelled) == (0, 1, 1)
    assert shop.train(2) == {r: "parcel" if r == first else label for r, label in shop.train(1).items() if r != second}
    # A reference that is built anew from the training data keeps to them.
    one = shop.settings.monitors[0]
    relabels = labels_in_force(shop.store, one)
    built, _ = build_reference(shop.settings, one, now=LATER, relabels=relabels)
    assert dict(zip(built.train.ids, built.train.column("label"), strict=True)) == shop.train(2)


def test_junk_is_kept_and_never_trained_on(shop):
    spam = sorted(shop.truth)[:3]
    done = shop.take(shop.truth | dict.fromkeys(spam, "spam"))
    assert {done.labels[record] for record in spam} == {"spam"}
    assert set(shop.train(2)).isdisjoint(spam)
    labels = {c.record_id: c.label for c in shop.store.labelled_candidates("shop")}
    assert {labels[record] for record in spam} == {"spam"}


def test_labels_only_kept_join_the_next_training_set(shop):
    some = dict(sorted(shop.truth.items())[:5])
    done = shop.take(some, dataset=False, gate=False)
    assert (done.new, done.training_set, shop.store.training_sets("shop")) == (5, None, [])
    shop.take({r: label for r, label in shop.truth.items() if r not in some}, "rest.csv", gate=False)
    assert shop.train(2) == shop.train(1) | shop.truth
    assert len(shop.store.training_sets("shop")[-1].lineage.imports) == 2


def test_a_reference_that_is_taken_into_use_in_between_is_a_version_too(shop):
    shop.take(dict(sorted(shop.truth.items())[:5]), gate=False)
    one = shop.settings.monitors[0]
    built, _ = build_reference(shop.settings, one, now=LATER)
    entry = open_shelf(shop.settings).save(built)
    shop.store.register_reference("shop", entry.version, entry.fingerprint, entry.uri, entry.created_at)
    shop.store.use_reference("shop", entry.version)
    shop.take(shop.truth, "all.csv", gate=False)
    sets = shop.store.training_sets("shop")
    assert [(s.version, s.parent, s.reference_version, s.added, s.dropped) for s in sets] == [
        (1, None, 1, 0, 0),
        (2, 1, 2, 5, 0),
        (3, 2, 3, 0, 5),
        (4, 3, 4, len(shop.truth), 0),
    ]


def test_another_label_by_the_same_person_replaces_the_first(shop):
    record = min(shop.truth)
    shop.take(shop.truth, gate=False)
    done = shop.take({record: "lamp" if shop.truth[record] != "lamp" else "parcel"}, "second.csv", gate=False)
    assert (done.new, done.changed) == (0, 1)
    assert (done.training_set.added, done.training_set.relabelled) == (0, 1)


def test_a_dry_run_keeps_nothing(shop):
    before = shop.everything()
    done = shop.take(shop.truth, dry_run=True)
    assert (done.verdict, done.training_set.version) == ("accept", 2)
    assert shop.everything() == before


def test_what_has_neither_text_nor_vector_any_more_cannot_be_judged(shop):
    with shop.store._database.write() as connection:
        connection.execute(sa.update(metadata.tables["candidates"]).values(text=None, vector=None))
    done = shop.take(shop.truth)
    assert (done.verdict, done.checked.reasons) == ("invalid", {"neither text nor vector kept": len(shop.truth)})
    assert shop.take(shop.truth, skip_invalid=True).labels == {}


def test_candidates_of_an_earlier_release_are_embedded_again(shop):
    shop.take(shop.truth, dry_run=True)
    with shop.store._database.write() as connection:
        connection.execute(sa.update(metadata.tables["candidates"]).values(vector=None))
    again = shop.take(shop.truth)
    assert again.verdict == "accept"
    fresh = open_shelf(shop.settings).load("shop", 2).train
    told = {c.record_id: c.vector for c in shop.run.candidates}
    for record, vector in zip(fresh.ids, fresh.vectors, strict=True):
        assert record not in told or vector.tobytes() == told[record]


def test_a_monitor_without_reference_or_labels_is_told_what_to_do(shop):
    with shop.store._database.write() as connection:
        connection.execute(sa.delete(metadata.tables["reference_versions"]))
    with pytest.raises(ConfigError, match="shop has no reference; drift-monitor reference build --monitor shop"):
        shop.take(shop.truth)


@pytest.fixture
def both(database_url, tmp_path):
    """A drifted shop on each kind of database."""
    settings, store, monitor = open_shop(tmp_path, database_url, days=(0, 60), **MORE)
    run_window(monitor, window(1), desk(store))
    yield Desktop(tmp_path, settings, store)
    store.close()


class CutShort(BaseException):
    """What a test ends a transaction with."""


def test_an_import_is_whole_or_not_there_and_a_second_one_changes_nothing(both, monkeypatch):
    before = both.everything()
    execute, left = sa.engine.Connection.execute, 0

    def counted(self, statement, *rest, **more):
        nonlocal left
        if not isinstance(statement, sa.Select):
            left -= 1
            if not left:
                raise CutShort
        return execute(self, statement, *rest, **more)

    monkeypatch.setattr(sa.engine.Connection, "execute", counted)
    cuts = 0
    for left in range(1, 100):
        started = left
        try:
            done = both.take(both.truth, gate=False)
        except CutShort:
            cuts += 1
            after = both.everything()
            assert after.pop("shelf") in ([1], [1, 2]), f"statement {started}"
            assert after == {name: rows for name, rows in before.items() if name != "shelf"}, f"statement {started}"
        else:
            break
    monkeypatch.undo()
    assert cuts >= 7
    # What the shelf was left with is taken again, so that no number is lost.
    assert done.training_set.reference_version == 2
    after = both.everything()
    assert after["shelf"] == [1, 2]
    again = both.take(both.truth, now=LATER + DAY)
    assert (again.verdict, again.as_before) == ("before", len(both.truth))
    assert both.everything() == after
    # The same rows from another file, the same answers.
    shuffled = [(record, both.truth[record], "ana") for record in sorted(both.truth)]
    assert both.take(shuffled, "other.csv", now=LATER + DAY).verdict == "before"
    assert both.everything() == after


def test_of_two_imports_at_once_the_later_one_begins_anew(both):
    some, rest = dict(sorted(both.truth.items())[:20]), dict(sorted(both.truth.items())[20:])
    real = both.store.take_in
    case = both.case(both.request(rest, "rest.csv", gate=False))

    def take_in(intake):
        case.store.take_in = real
        both.take(some, "some.csv", gate=False)
        real(intake)

    case.store.take_in = take_in
    before = both.everything()
    with pytest.raises(StoreError, match="shop has dataset version 2 since this import began; nothing of it was kept"):
        import_labels(case)
    assert both.everything() != before
    assert import_labels(case).training_set.version == 3
    assert both.train(both.store.training_sets("shop")[-1].reference_version) == both.train(1) | both.truth


@pytest.fixture
def drift_monitor(shop, drift_monitor, monkeypatch):
    monkeypatch.chdir(shop.folder)
    monkeypatch.setenv("COLUMNS", "250")
    return drift_monitor


def test_the_commands(shop, drift_monitor):
    path = shop.request(shop.truth).path
    code, out, err = drift_monitor("labels", "import", path)
    boats = sum(label == "boat" for label in shop.truth.values())
    assert (code, out) == (1, "")
    assert f"{boats} rows with problems, nothing was changed; --skip-invalid takes the rest:" in err
    assert "classes that are meant: --new-class 'boat'" in err
    assert not any(c.text in err for c in shop.run.candidates)
    assert drift_monitor("datasets", "list")[0] == 2

    code, out, _ = drift_monitor("labels", "import", path, "--new-class", "boat", "--dry-run")
    assert (code, "dry run: nothing was kept" in out) == (0, True)
    code, out, err = drift_monitor("labels", "import", path, "--new-class", "boat")
    assert (code, err) == (0, "")
    assert f"{len(shop.truth)} labels new, 0 changed, 0 as before, 0 sent back\n" in out
    assert "drift-monitor reference use 2" in out
    code, out, _ = drift_monitor("labels", "import", path, "--new-class", "boat")
    assert (code, out) == (0, f"nothing new: {len(shop.truth)} labels had come in before\n")

    listed = json.loads(drift_monitor("datasets", "list", "--json")[1])
    assert [(s["version"], s["added"]) for s in listed] == [(1, 0), (2, len(shop.truth))]
    assert "Datasets of shop" in drift_monitor("datasets", "list")[1]
    code, out, _ = drift_monitor("datasets", "show", "--out", shop.folder / "train.parquet")
    assert (code, "ana" in out, f"boat {boats}" in out) == (0, True, True)
    assert (shop.folder / "train.parquet").exists()
    shown = json.loads(drift_monitor("datasets", "show", 2, "--json")[1])
    assert shown["lineage"]["runs"] == [shop.run.id]
    found = json.loads(drift_monitor("datasets", "diff", 1, "--json")[1])
    assert {one["record_id"]: one["label"] for one in found["added"]} == shop.truth
    assert found["shares"]["boat"]["before"] == 0 < found["shares"]["boat"]["after"]
    assert "42 added" in drift_monitor("datasets", "diff", 1, 2)[1].replace(str(len(shop.truth)), "42")
    assert "has no dataset version 9; it has 1, 2" in drift_monitor("datasets", "diff", 1, 9)[2]


def test_a_refused_batch_ends_with_3(shop, drift_monitor):
    boats = sorted(record for record, label in shop.truth.items() if label == "boat")
    path = shop.request(shop.truth | dict.fromkeys(boats[::2], "refund")).path
    code, out, _ = drift_monitor("labels", "import", path, "--new-class", "boat", "--relabel", "again.csv", "--json")
    told = json.loads(out)
    assert (code, told["verdict"], told["new"], told["dataset"]) == (3, "refuse", 0, None)
    assert (shop.folder / "again.csv").exists()
    assert not any(c.text in out for c in shop.run.candidates)
    code, out, _ = drift_monitor("labels", "import", path, "--new-class", "boat")
    assert (code, "refused: nothing was changed" in out) == (3, True)


def test_settings_switch_the_gate_off(shop):
    raw = raw_settings(shop.folder, labels={"gate": False, "minor": [["lamp", "parcel"]]}, **MORE)
    shop.settings = parse(raw)
    boats = sorted(record for record, label in shop.truth.items() if label == "boat")
    done = shop.take(shop.truth | dict.fromkeys(boats[::2], "refund"))
    assert (done.verdict, done.judged, done.new) == ("accept", None, len(shop.truth))
