"""Exports: every format carries every field, the same run overwrites, nothing is ever half-written."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import fsspec
import pyarrow.parquet as pq
import pytest

from monitor.errors import PublishError
from monitor.exporters.files import FilesExporter
from monitor.exporters.folders import Folder
from monitor.values import Candidate, Export, ExportedRun, Neighbour, Window

WINDOW = Window(datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 1, 12, tzinfo=UTC))
AWKWARD = 'He said "no",\nthen left; =1+1 \U0001f642'


def candidate(rank=1, text=AWKWARD, **changes) -> Candidate:
    near = (Neighbour("t1", "refund", 0.75), Neighbour("t2", None, 0.5))
    made = Candidate(
        rank, f"r{rank}", "herding", 0.75, 0.5, None, "refund", near, "Because.", 2, text, WINDOW.start, "other", 0.25
    )
    return replace(made, **{"segments": {"country": "DE"}, **changes})


def export(*candidates) -> Export:
    made = candidates or (candidate(), candidate(2, None, suggested_label="late parcel"))
    records = frozenset(one.record_id for one in made)
    source = ExportedRun("run1", WINDOW, 3, "ref-sha", "embedder-sha", "settings-sha", records)
    return Export(
        "support|2026-01-05",
        "support",
        "run1",
        WINDOW,
        made,
        3,
        runs=(source,),
        classes=("refund",),
        note="Ours; personal data.",
    )


def files_of(where) -> tuple[dict, Path]:
    """The manifest, and the folder of the files it names, each checked."""
    manifest = json.loads((Path(where) / "manifest.json").read_text(encoding="utf-8"))
    for name, digest in manifest["files"].items():
        assert hashlib.sha256((Path(where) / name).read_bytes()).hexdigest() == digest
    (inside,) = {name.partition("/")[0] for name in manifest["files"]}
    return manifest, Path(where) / inside


def read(where) -> tuple[dict, Path]:
    """The same, of an export with nothing else beside it."""
    manifest, folder = files_of(where)
    assert sorted(p.name for p in Path(where).iterdir()) == sorted([folder.name, "manifest.json"])
    assert {f"{folder.name}/{p.relative_to(folder)}" for p in folder.rglob("*") if p.is_file()} == set(
        manifest["files"]
    )
    return manifest, folder


def test_files_and_a_manifest(tmp_path):
    where = FilesExporter(str(tmp_path), ["csv", "label_studio"]).write(export())
    assert where == str(tmp_path / "support" / "20260105T000000Z")
    manifest, folder = read(where)
    assert sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()) == [
        "candidates.csv",
        "label-studio/config.xml",
        "label-studio/tasks.json",
    ]
    del manifest["files"], manifest["columns"]
    assert manifest == {
        "key": "support|2026-01-05",
        "monitor": "support",
        "as_of": "2026-01-12T00:00:00+00:00",
        "kind": "run",
        "run_id": "run1",
        "window": {"start": "2026-01-05T00:00:00+00:00", "end": "2026-01-12T00:00:00+00:00"},
        "reference_version": 3,
        "runs": [
            {
                "run_id": "run1",
                "window": {"start": "2026-01-05T00:00:00+00:00", "end": "2026-01-12T00:00:00+00:00"},
                "rows": 2,
                "reference_version": 3,
                "reference_fingerprint": "ref-sha",
                "embedder": "embedder-sha",
                "settings": "settings-sha",
            }
        ],
        "rows": 2,
        "record_ids": ["r1", "r2"],
        "classes": ["refund", "late parcel", "other"],
        "texts": "whole",
        "redacted": {},
        "note": "Ours; personal data.",
        "refresh": None,
    }


def test_the_report_goes_with_the_candidates(tmp_path):
    _, folder = read(FilesExporter(str(tmp_path), ["csv"]).write(replace(export(), report="<!doctype html>")))
    assert (folder / "report.html").read_text() == "<!doctype html>"


def test_the_same_run_overwrites_and_never_appends(tmp_path):
    first = FilesExporter(str(tmp_path), ["csv", "jsonl"])
    assert first.write(export()) == first.write(export())
    _, before = read(first.write(export()))
    where = FilesExporter(str(tmp_path), ["csv"]).write(export(candidate(1, "only one")))
    _, folder = read(where)
    assert folder != before
    assert [p.name for p in folder.iterdir()] == ["candidates.csv"]
    assert len((folder / "candidates.csv").read_text().splitlines()) == 2


def test_what_an_earlier_release_left_beside_the_manifest_goes(tmp_path):
    old = tmp_path / "support" / "20260105T000000Z"
    old.mkdir(parents=True)
    for name in ("candidates.csv", "report.html", "manifest.json"):
        (old / name).write_text("old")
    read(FilesExporter(str(tmp_path)).write(export()))


def test_latest_names_the_newest_and_never_goes_back(tmp_path):
    exporter = FilesExporter(str(tmp_path), ["csv"])
    exporter.write(export())
    later = Window(WINDOW.end, WINDOW.end + timedelta(days=7))
    exporter.write(replace(export(), key="later", window=later))
    exporter.write(export(candidate(1)))
    assert json.loads((tmp_path / "support" / "latest.json").read_text()) == {
        "key": "later",
        "as_of": "2026-01-19T00:00:00+00:00",
        "export": "20260112T000000Z",
        "manifest": "20260112T000000Z/manifest.json",
    }
    slot = replace(export(), key="slot", slot=datetime(2026, 1, 13, tzinfo=UTC))
    assert exporter.write(slot).endswith("/support/schedule/20260113T000000Z")
    assert json.loads((tmp_path / "support" / "schedule" / "latest.json").read_text())["key"] == "slot"
    assert json.loads((tmp_path / "support" / "latest.json").read_text())["key"] == "later"


def test_a_latest_that_cannot_be_read_is_written_anew(tmp_path):
    (tmp_path / "support").mkdir()
    (tmp_path / "support" / "latest.json").write_text("half of")
    FilesExporter(str(tmp_path)).write(export())
    assert json.loads((tmp_path / "support" / "latest.json").read_text())["export"] == "20260105T000000Z"


def test_an_object_store(tmp_path):
    where = FilesExporter("memory://exports", ["jsonl"]).write(export())
    assert where == "memory:///exports/support/20260105T000000Z"
    store = fsspec.filesystem("memory")
    assert [p.rpartition("/")[2] for p in store.find("/exports")] == [
        "candidates.jsonl",
        "manifest.json",
        "latest.json",
    ]


@pytest.fixture(scope="module")
def s3():
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 - an extra; only these tests need it

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    storage = {"key": "testing", "secret": "s3cr3t-key", "client_kwargs": {"endpoint_url": f"http://{host}:{port}"}}
    fsspec.filesystem("s3", **storage).mkdir("exports")
    yield storage
    server.stop()


def test_a_bucket(s3):
    store = fsspec.filesystem("s3", **s3)
    exporter = FilesExporter("s3://exports/weekly", ["parquet", "csv"], storage=s3)
    where = exporter.write(export())
    assert where == "s3://exports/weekly/support/20260105T000000Z"
    assert exporter.write(export(candidate(1))) == where
    store.invalidate_cache()
    latest = json.loads(store.cat_file("exports/weekly/support/latest.json"))
    assert f"exports/weekly/support/{latest['manifest']}" == f"{where.removeprefix('s3://')}/manifest.json"
    manifest = json.loads(store.cat_file(f"{where}/manifest.json"))
    assert sorted(store.find(where)) == sorted(
        f"{where.removeprefix('s3://')}/{name}" for name in ("manifest.json", *manifest["files"])
    )
    for name, digest in manifest["files"].items():
        assert hashlib.sha256(store.cat_file(f"{where}/{name}")).hexdigest() == digest
    (parquet,) = (name for name in manifest["files"] if name.endswith("parquet"))
    with store.open(f"{where}/{parquet}") as file:
        assert pq.read_table(file).num_rows == 1
    slot = replace(export(), key="slot", slot=WINDOW.end)
    assert exporter.write(slot) == "s3://exports/weekly/support/schedule/20260112T000000Z"
    store.invalidate_cache()
    latest = json.loads(store.cat_file("exports/weekly/support/schedule/latest.json"))
    assert json.loads(store.cat_file(f"exports/weekly/support/schedule/{latest['manifest']}"))["key"] == "slot"
    with pytest.raises(PublishError, match="export cannot be written to s3://no-such-bucket: ") as caught:
        FilesExporter("s3://no-such-bucket", storage=s3).write(export())
    assert caught.value.permanent


def test_wrong_credentials_are_told_and_not_shown(s3, monkeypatch):
    from moto import settings  # noqa: PLC0415 - of the extra
    from moto.core.authorization import ActionAuthenticatorMixin  # noqa: PLC0415 - the same

    monkeypatch.setattr(settings, "INITIAL_NO_AUTH_ACTION_COUNT", 0)  # from now on it asks who is there
    monkeypatch.setattr(ActionAuthenticatorMixin, "request_count", 0)
    with pytest.raises(PublishError, match=r"PermissionError; .* or the credentials, then") as caught:
        FilesExporter("s3://exports/closed", storage=s3 | {"key": "nobody"}).write(export())
    assert caught.value.permanent
    assert "s3cr3t" not in str(caught.value)
    monkeypatch.undo()
    assert not fsspec.filesystem("s3", **s3, skip_instance_cache=True).exists("exports/closed")


def test_a_store_that_dies_in_the_middle_leaves_latest_whole(s3, monkeypatch):
    exporter = FilesExporter("s3://exports/dying", ["csv", "jsonl"], storage=s3)
    where = exporter.write(export())
    real = Folder.put

    def put(folder, path, content):
        if path.endswith(".jsonl"):
            raise ConnectionError("gone")
        real(folder, path, content)

    monkeypatch.setattr(Folder, "put", put)
    with pytest.raises(PublishError, match="ConnectionError") as caught:
        exporter.write(export(candidate(1, "other")))
    assert not caught.value.permanent
    store = fsspec.filesystem("s3", **s3, skip_instance_cache=True)
    manifest = json.loads(store.cat_file(f"{where}/manifest.json"))
    assert {p.removeprefix(f"{where.removeprefix('s3://')}/") for p in store.find(where)} == {
        "manifest.json",
        *manifest["files"],
    }
    assert manifest["rows"] == 2


def test_a_bucket_that_cannot_be_reached_may_pass(s3):
    dead = {"client_kwargs": {"endpoint_url": "http://127.0.0.1:9"}, "config_kwargs": {"retries": {"max_attempts": 0}}}
    with pytest.raises(PublishError) as caught:
        FilesExporter("s3://exports", storage=s3 | dead).write(export())
    assert str(caught.value) == (
        "export cannot be written to s3://exports: EndpointConnectionError; check the address, the credentials and "
        "storage, then drift-monitor tickets --retry"
    )
    assert not caught.value.permanent


def test_the_window_is_named_in_utc(tmp_path):
    berlin = timezone(timedelta(hours=1))
    window = Window(WINDOW.start.astimezone(berlin), WINDOW.end.astimezone(berlin))
    assert FilesExporter(str(tmp_path)).write(replace(export(), window=window)).endswith("/20260105T000000Z")


def test_a_kill_at_any_write_leaves_latest_whole(tmp_path):
    """A process that overwrites an export and begins the next is killed before each of its writes; it checks what is left."""
    killed = Path(__file__).with_name("export_killed.py")
    done = subprocess.run([sys.executable, str(killed), str(tmp_path)], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "killed 8 times\n"), done.stderr
    assert len(list((tmp_path / "support").glob("2*"))) == 2
    for folder in (tmp_path / "support").glob("2*"):
        read(folder)


def test_a_folder_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        PublishError, match=r"export cannot be written to .*file/x: Not a directory; make room, or correct the folder"
    ) as caught:
        FilesExporter(str(tmp_path / "file" / "x")).write(export())
    assert caught.value.permanent


def test_an_unknown_store():
    with pytest.raises(PublishError, match="export to nowhere://x: Protocol not known: nowhere") as caught:
        FilesExporter("nowhere://x").write(export())
    assert caught.value.permanent


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 64 kB."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small file system")
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", tmp_path], check=False, capture_output=True
    ).returncode:
        pytest.skip("this system does not let tests mount")
    yield tmp_path
    subprocess.run(["umount", tmp_path], check=True)


def test_a_full_disk_leaves_the_old_export_whole(small_disk):
    exporter = FilesExporter(str(small_disk), ["csv"])
    where = Path(exporter.write(export()))
    before = {p: p.read_bytes() for p in small_disk.rglob("*") if p.is_file()}
    with pytest.raises(PublishError, match="No space left on device; make room") as caught:
        exporter.write(export(candidate(1, "x" * 100_000)))
    assert not caught.value.permanent
    assert {p: p.read_bytes() for p in small_disk.rglob("*") if p.is_file()} == before
    read(where)
