"""Parts that fail and quote records while they do, disks that fill up, and a sweep: record text is where it may be, alone."""

from __future__ import annotations

import json
import logging
import os
import subprocess
from datetime import timedelta

import pytest
from broken_shop import SECRET, Shop, built_shop, drifting, jsonl, secret_rows, shop
from shop import FIRST, desk, window

from monitor.config import load
from monitor.errors import PublishError
from monitor.exporters.files import FilesExporter
from monitor.pipeline import publish_pending, run_window
from monitor.values import Candidate, Export, Measurement
from monitor.wiring import wire

__all__ = ["built_shop", "shop"]


@pytest.fixture
def nosy(shop) -> Shop:
    """The shop, drifting, with a package of parts installed that fail."""
    shop.install()
    drifting(shop)
    return shop


def test_a_detector_that_raises_fails_the_run_and_keeps_its_message_to_itself(nosy):
    nosy.set(detectors=["class_balance", "nosy"])
    said = nosy("run", "--window", FIRST.date())
    assert said.code == 1
    assert "ValueError in _fail (nosy.py line 4); the log has the traceback" in said.out
    assert "in measure" in said.err
    nosy.failed("ValueError in _fail (nosy.py line 4)")


def test_a_detector_that_raises_while_it_is_fitted_leaves_no_reference(nosy):
    nosy.set(detectors=["nosy"])
    said = nosy("reference", "build")
    assert (said.code, said.out) == (1, "")
    assert "error: ValueError in _fail (nosy.py line 4); the log has the traceback\n" in said.err
    assert "in fit" in said.err
    assert [path.name for path in (nosy.folder / "artifacts" / "shop").iterdir()] == ["v0001"]


@pytest.mark.parametrize("options", [{"embedder": "nosy"}, {"selection": {"strategies": ["nosy"]}}])
def test_other_parts_that_raise_fail_the_run(nosy, options):
    drifting(nosy, **options)
    nosy.failed("ValueError in _fail (nosy.py line 4); the log has the traceback")


@pytest.mark.parametrize("fault", ["nan", "naive"])
def test_results_that_cannot_be_kept_fail_the_run(nosy, monkeypatch, fault):
    import nosy as part  # noqa: PLC0415 - installed by the fixture

    made = {
        "nan": ("measure", [Measurement("nosy", SECRET, 0.5, 0.4, 0.6, 1e-9, 9, 9, detail={SECRET: float("nan")})]),
        "naive": ("pick", [0]),
    }
    monkeypatch.setattr(part.Nosy, made[fault][0], lambda *_: made[fault][1])
    if fault == "naive":
        naive = Candidate(1, "1", "s", 0.5, 0.5, None, None, (), "", 0, SECRET, FIRST.replace(tzinfo=None))
        monkeypatch.setattr("monitor.selection.batch.candidates", lambda *_: (naive,))
    drifting(nosy, **({"detectors": ["nosy"]} if fault == "nan" else {"selection": {"strategies": ["nosy"]}}))
    nosy.failed("ValueError in ")


def test_destinations_that_raise_hold_up_nobody_else(nosy):
    drifting(nosy, tickets=["nosy", {"kind": "file", "folder": "tickets"}], exports=["nosy"])
    assert nosy.run().decision.state == "drifted"
    found = {(item["kind"], item["destination"]): item for item in json.loads(nosy("tickets", "--json").out)}
    assert found["ticket", "file"]["status"] == "sent"
    for key in (("ticket", "nosy"), ("export", "nosy")):
        assert (found[key]["status"], found[key]["attempts"]) == ("pending", 1)
        assert found[key]["error"] == "ValueError in _fail (nosy.py line 4); the log has the traceback"
    assert nosy("tickets", "--retry").code == 0


def test_an_export_that_cannot_be_made_never_quotes_its_records(tmp_path):
    wrong = Candidate(1, "1", "s", 0.5, 0.5, None, None, (), "", text=SECRET, confidence=SECRET)
    with pytest.raises(PublishError, match=r"export cannot be written to .*: ArrowInvalid; ") as caught:
        FilesExporter(str(tmp_path)).write(Export("k", "shop", "r", window(0), (wrong,), 1))
    assert SECRET not in str(caught.value)
    assert not [*tmp_path.rglob("*.*")]


def test_a_source_that_raises_is_named(nosy):
    nosy.set(source={"kind": "python", "call": "nosy:records"})
    nosy.failed("nosy:records raised ValueError for 2026-03-02T00:00:00+00:00/", "call it yourself to see why")
    assert nosy("check").code == 2
    nosy.set(source={"kind": "python", "call": "nosy:quits"})
    nosy.failed("SystemExit in quits (nosy.py line ")


@pytest.fixture
def small_disk(shop):
    """A disk of 400 kB, where the exports go."""
    place = shop.folder / "disk"
    place.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small file system")
    mount = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", place]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("this system does not let tests mount")
    yield place
    subprocess.run(["umount", place], check=True)


def test_a_full_disk_keeps_the_old_export_and_the_wish_for_the_new_one(shop, small_disk):
    drifting(shop, exports=[{"kind": "files", "folder": str(small_disk), "formats": ["csv"]}])
    settings, later = load("drift-monitor.yaml"), FIRST + timedelta(days=40)
    with shop.store() as store:
        wired = {"shop": wire(settings, settings.monitors[0], store)}
        run_window(wired["shop"], window(0), desk(store))
        old = small_disk / "shop" / "20260302T000000Z" / "candidates.csv"
        old.parent.mkdir(parents=True)
        old.write_text("an older export")
        with pytest.raises(OSError, match="No space left"):
            (small_disk / "filler").write_bytes(bytes(500_000))
        assert publish_pending(wired, desk(store)) == 1
        (export,) = store.exports()
        assert (export.status, export.attempts) == ("pending", 1)
        assert "No space left on device; make room" in export.error
        assert [(path.name, path.read_text()) for path in old.parent.iterdir()] == [(old.name, "an older export")]
        (small_disk / "filler").unlink()
        assert publish_pending(wired, desk(store)) == 0  # not due yet
        assert publish_pending(wired, desk(store, at=later)) == 1
        (export,) = store.exports()
        assert (export.status, export.attempts, export.error) == ("sent", 2, "")
    names = sorted(path.name for path in old.parent.rglob("*.*"))
    assert names == ["candidates.csv", "manifest.json", "report.html"]
    assert not old.exists()
    (new,) = old.parent.glob("*/candidates.csv")
    assert len(new.read_text().splitlines()) == 21


def test_record_text_is_in_the_store_the_export_and_the_ticket_alone(nosy, caplog):
    caplog.set_level(logging.DEBUG)
    nosy.traffic(jsonl(secret_rows(1)), "1.jsonl")
    drifting(nosy, exports=["nosy", {"kind": "files", "folder": "exports", "formats": ["jsonl"]}])
    for words in (
        ("check",),
        ("reference", "build"),
        ("-v", "backfill", "--from", "2026-03-02", "--to", "2026-03-04", "--json"),
        ("run", "--window", "2026-03-03", "--json"),
        ("run", "--window", "2026-03-04"),
        ("runs",),
        ("runs", "--json"),
        ("show", "--window", "2026-03-02"),
        ("show", "--window", "2026-03-02", "--json"),
        ("show", "--window", "2026-03-04"),
        ("tickets",),
        ("tickets", "--retry"),
        ("tickets", "--json"),
        ("reference", "show", "--json"),
        ("export", "again", "--window", "2026-03-02"),
    ):
        if words[-1] == "2026-03-04":
            nosy.traffic(jsonl([row | {"text": {"b": SECRET}} for row in secret_rows(2)]), "2.jsonl")
        nosy(*words)
    nosy.heard.append(caplog.text)
    states = {run["window"]["start"][:10]: run["decision"]["state"] for run in json.loads(nosy("runs", "--json").out)}
    assert states == {"2026-03-02": "drifted", "2026-03-03": "recovering", "2026-03-04": "failed"}, nosy("runs").out
    nosy.assert_discreet()
    holders = {
        path.relative_to(nosy.folder).parts[0]
        for path in nosy.folder.rglob("*")
        if path.is_file() and SECRET.encode() in path.read_bytes() and "site" not in path.parts
    }
    assert holders <= {
        "training.jsonl",
        "traffic",
        "artifacts",
        "monitor.db",
        "monitor.db-wal",
        "tickets",
        "exports",
        "again",
    }
    assert {"tickets", "exports", "again"} <= holders
