"""Exports: every format carries every field, the same run overwrites, nothing is ever half-written."""

from __future__ import annotations

import csv
import hashlib
import json
import logging
import os
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import fsspec
import pyarrow.parquet as pq
import pytest

from monitor.errors import PublishError
from monitor.exporters.files import FilesExporter
from monitor.values import Candidate, Export, Neighbour, Window

WINDOW = Window(datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 1, 12, tzinfo=UTC))
AWKWARD = 'He said "no",\nthen left; =1+1 \U0001f642'


def candidate(rank=1, text=AWKWARD, **changes) -> Candidate:
    near = (Neighbour("t1", "refund", 0.75), Neighbour("t2", None, 0.5))
    made = Candidate(
        rank, f"r{rank}", "herding", 0.75, 0.5, None, "refund", near, "Because.", 2, text, WINDOW.start, "other", 0.25
    )
    return replace(made, segments={"country": "DE"}, **changes)


def export(*candidates) -> Export:
    return Export("support|2026-01-05", "support", "run1", WINDOW, candidates or (candidate(), candidate(2, None)), 3)


def test_three_formats_and_a_manifest(tmp_path):
    where = FilesExporter(str(tmp_path), ["parquet", "jsonl", "csv"]).write(export())
    folder = tmp_path / "support" / "20260105T000000Z"
    assert where == str(folder)
    rows = pq.read_table(folder / "candidates.parquet").to_pylist()
    assert rows[0] == {
        "id": "r1",
        "text": AWKWARD,
        "label": None,
        "suggested_label": "refund",
        "predicted": "other",
        "confidence": 0.25,
        "observed_at": WINDOW.start,
        "rank": 1,
        "strategy": "herding",
        "need": 0.75,
        "gain": 0.5,
        "risk": None,
        "cluster": None,
        "duplicates": 2,
        "reason": "Because.",
        "nearest_id": "t1",
        "nearest_label": "refund",
        "nearest_similarity": 0.75,
        "neighbours": json.dumps(
            [
                {"record_id": "t1", "label": "refund", "similarity": 0.75},
                {"record_id": "t2", "label": None, "similarity": 0.5},
            ]
        ),
        "segment.country": "DE",
    }
    lines = [json.loads(line) for line in (folder / "candidates.jsonl").read_text().splitlines()]
    assert lines[0] == rows[0] | {"observed_at": "2026-01-05T00:00:00+00:00"}
    with (folder / "candidates.csv").open(newline="", encoding="utf-8") as stream:
        spread = list(csv.DictReader(stream))
    assert [row["text"] for row in spread] == [AWKWARD, ""]
    assert spread[0]["label"] == ""
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["rows"], manifest["run_id"], manifest["reference_version"]) == (2, "run1", 3)
    for name, digest in manifest["files"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    assert len(list(folder.iterdir())) == 4


def test_the_report_goes_with_the_candidates(tmp_path):
    where = Path(FilesExporter(str(tmp_path), ["csv"]).write(replace(export(), report="<!doctype html>")))
    assert (where / "report.html").read_text() == "<!doctype html>"
    files = json.loads((where / "manifest.json").read_text())["files"]
    assert files["report.html"] == hashlib.sha256(b"<!doctype html>").hexdigest()


def test_the_same_run_overwrites_and_never_appends(tmp_path):
    FilesExporter(str(tmp_path), ["csv", "jsonl"]).write(export())
    where = Path(FilesExporter(str(tmp_path), ["csv"]).write(export(candidate(1, "only one"))))
    assert sorted(p.name for p in where.iterdir()) == ["candidates.csv", "manifest.json"]
    assert len((where / "candidates.csv").read_text().splitlines()) == 2


def test_a_lone_surrogate_in_a_text_is_written_escaped(tmp_path):
    where = Path(FilesExporter(str(tmp_path), ["csv", "jsonl"]).write(export(candidate(1, "é"))))
    assert "é" in (where / "candidates.csv").read_text(encoding="utf-8")


def test_an_object_store(tmp_path):
    where = FilesExporter("memory://exports", ["jsonl"]).write(export())
    assert where == "memory:///exports/support/20260105T000000Z"
    store = fsspec.filesystem("memory")
    assert sorted(p.rpartition("/")[2] for p in store.ls(where, detail=False)) == ["candidates.jsonl", "manifest.json"]


@pytest.fixture(scope="module")
def s3():
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 - an extra; only these tests need it

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield {"key": "testing", "secret": "s3cr3t-key", "client_kwargs": {"endpoint_url": f"http://{host}:{port}"}}
    server.stop()


def test_a_bucket(s3):
    store = fsspec.filesystem("s3", **s3)
    store.mkdir("exports")
    exporter = FilesExporter("s3://exports/weekly", ["parquet", "csv"], storage=s3)
    where = exporter.write(export())
    assert where == "s3://exports/weekly/support/20260105T000000Z"
    assert exporter.write(export(candidate(1))) == where
    with store.open(f"{where}/candidates.parquet") as file:
        assert pq.read_table(file).num_rows == 1
    assert FilesExporter("s3://exports/weekly", ["csv"], storage=s3).write(export()) == where
    store.invalidate_cache()
    assert sorted(p.rpartition("/")[2] for p in store.ls(where)) == ["candidates.csv", "manifest.json"]
    with pytest.raises(PublishError, match="export cannot be written to s3://no-such-bucket: ") as caught:
        FilesExporter("s3://no-such-bucket", storage=s3).write(export())
    assert caught.value.permanent


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
    before = {p.name: p.read_bytes() for p in where.iterdir()}
    with pytest.raises(PublishError, match="No space left on device; make room") as caught:
        exporter.write(export(candidate(1, "x" * 100_000)))
    assert not caught.value.permanent
    assert {p.name: p.read_bytes() for p in where.iterdir()} == before
