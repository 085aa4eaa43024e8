"""The reference: split, fingerprint, and versions that are kept whole or refused by name."""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType

import fsspec
import numpy as np
import pyarrow as pa
import pytest
from forked import FORKS, in_processes
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_builders import NOW, data, die, race, reference
from worlds import START, dataset

from monitor.errors import ArtifactError
from monitor.reference import Shelf, fingerprint_of, split_protected
from monitor.reference.purging import purge_versions
from monitor.secrets import Secret, Url
from monitor.values import Dataset

RESTORE = "restore it or build a new version"


def refusal(call, *args, **fields) -> str:
    with pytest.raises(ArtifactError) as caught:
        call(*args, **fields)
    return str(caught.value)


def same(one: Dataset, other: Dataset) -> None:
    assert one.records.equals(other.records)
    assert one.records.schema.equals(other.records.schema)
    assert one.vectors.tobytes() == other.vectors.tobytes()
    assert one.vectors.shape == other.vectors.shape
    assert one.weights.tolist() == other.weights.tolist()
    assert one.embedder == other.embedder


def all_the_same(one, other) -> None:
    same(one.train, other.train)
    same(one.protected, other.protected)
    for name in ("name", "version", "created_at", "fingerprint", "fitted", "settings"):
        assert getattr(one, name) == getattr(other, name), name
    assert one.canaries.dtype == other.canaries.dtype == np.float32
    assert one.canaries.shape == other.canaries.shape
    assert (one.canaries == other.canaries).all()


# split


def test_the_split_is_by_id_alone():
    whole = data(200)
    train, protected = split_protected(whole, 0.3)
    assert sorted(train.ids + protected.ids) == whole.ids
    shuffled = whole.take(np.random.default_rng(1).permutation(200))
    assert set(split_protected(shuffled, 0.3)[1].ids) == set(protected.ids)
    assert split_protected(shuffled, 0.3)[1].ids == [i for i in shuffled.ids if i in set(protected.ids)]


@given(st.sets(st.text(max_size=5), max_size=30), st.sets(st.text(max_size=5), max_size=30), st.floats(0.01, 0.99))
def test_a_record_stays_on_its_side_when_data_are_added(before, added, share):
    ids = [sorted(before), sorted(before | added)]
    one, other = (
        {i for part in split_protected(dataset(np.ones((len(some), 1)), ids=some or None), share)[1:] for i in part.ids}
        for some in ids
    )
    assert one == other & before


def test_the_share_is_right_and_grows_with_what_it_was():
    whole = data(20_000)
    sides = [set(split_protected(whole, share)[1].ids) for share in (0.05, 0.1, 0.5, 0.9)]
    for share, side in zip((0.05, 0.1, 0.5, 0.9), sides, strict=True):
        assert len(side) / 20_000 == pytest.approx(share, abs=0.011)
    assert sides[0] < sides[1] < sides[2] < sides[3]


def test_repeats_of_an_id_stay_together():
    train, protected = split_protected(dataset(np.ones((300, 1)), ids=[f"i{n % 100}" for n in range(300)]), 0.4)
    assert not set(train.ids) & set(protected.ids)


@pytest.mark.parametrize("share", [0, 1, -0.1, 1.5, float("nan")])
def test_a_share_must_be_a_share(share):
    with pytest.raises(ValueError, match=r"protected share") as caught:
        split_protected(data(3), share)
    assert str(caught.value) == f"protected share is {share}; it must lie between 0 and 1"


# assemble


def test_records_in_both_sets_stay_in_the_protected_one():
    made = reference(train=data(12, "x"), protected=data(12, "x").take([3, 5]))
    assert made.protected.ids == ["x00003", "x00005"]
    assert made.train.ids == [i for i in data(12, "x").ids if i not in ("x00003", "x00005")]
    assert made.train.weights.tolist() == [w for n, w in enumerate(data(12).weights) if n not in (3, 5)]


def test_a_set_without_records_is_refused():
    message = "reference support would have no {} records; check its sources and protected_share"
    assert refusal(reference, protected=data(5, "p").take([])) == message.format("protected")
    assert refusal(reference, train=data(5, "p"), protected=data(5, "p")) == message.format("training")
    with pytest.raises(ValueError, match=r"^train vectors come from made-up, protected ones from other$"):
        reference(protected=replace(data(5, "p"), embedder="other"))


def test_the_sources_vectors_are_not_kept_twice():
    train = data(3, "t")
    index = train.records.schema.get_field_index("vector")
    field = train.records.field(index)
    carrying = replace(train, records=train.records.set_column(index, field, pa.array([[1.0, 2.0]] * 3, field.type)))
    made = reference(train=carrying)
    assert made.train.column("vector").tolist() == [None] * 3
    assert made.fingerprint == reference(train=train).fingerprint


# fingerprint


def test_the_fingerprint_sees_every_value():
    one = data(6)
    changed = {}
    for name in one.records.schema.names:
        index = one.records.schema.get_field_index(name)
        column = one.records.column(name)
        field = one.records.field(index)
        others = {
            "observed_at": [START] * 6,
            "confidence": [0.5] * 6,
            "probabilities": [[("a", 1.0)]] * 6,
            "vector": [[1.0]] * 6,
        }
        values = pa.array(others.get(name, ["other"] * 6), field.type)
        mixed = pa.chunked_array([column.slice(0, 5).combine_chunks(), values.slice(5)])
        changed[name] = replace(one, records=one.records.set_column(index, field, mixed))
    changed["vectors"] = replace(one, vectors=one.vectors[::-1].copy())
    changed["one vector"] = replace(one, vectors=np.nextafter(one.vectors, 2, dtype=np.float32))
    changed["weights"] = replace(one, weights=one.weights + 1e-12)
    changed["embedder"] = replace(one, embedder="other")
    changed["order"] = one.take([1, 0, 2, 3, 4, 5])
    changed["fewer"] = one.take([0, 1, 2, 3, 4])
    changed["more"] = one.append(data(1, "z"))
    seen = {name: fingerprint_of(some, data(2), {}) for name, some in changed.items()}
    seen |= {f"{name} protected": fingerprint_of(data(2), some, {}) for name, some in changed.items()}
    seen |= {"": fingerprint_of(one, data(2), {}), "turned": fingerprint_of(data(2), one, {})}
    seen |= {str(s): fingerprint_of(one, data(2), s) for s in ({"a": 1}, {"a": 2}, {"b": 1}, {"a": "1"}, {"a": None})}
    assert len(set(seen.values())) == len(seen)
    assert all(len(value) == 64 for value in seen.values())


def test_the_fingerprint_sees_nothing_else(tmp_path):
    one = data(9)
    known = fingerprint_of(one, data(2), {"a": 1, "b": {"c": [1, 2]}})
    chunked = replace(one, records=pa.concat_tables([one.records.slice(0, 4), one.records.slice(4)]))
    sliced = data(9).append(one).take(range(9, 18))
    noted = replace(one, records=one.records.replace_schema_metadata({"made by": "someone"}))
    shelf = Shelf(str(tmp_path))
    shelf.save(reference(train=data(9, "t")))
    assert fingerprint_of(data(9), data(2), MappingProxyType({"b": {"c": (1, 2)}, "a": 1})) == known
    for same_data in (chunked, sliced, noted, one.take(range(9)), replace(one, vectors=np.asfortranarray(one.vectors))):
        assert fingerprint_of(same_data, data(2), {"a": 1, "b": {"c": [1, 2]}}) == known
    loaded = shelf.load("support", 1)
    assert fingerprint_of(loaded.train, loaded.protected, loaded.settings) == loaded.fingerprint
    assert reference(version=7, name="other", created_at=NOW + timedelta(1)).fingerprint == reference().fingerprint


def test_the_fingerprint_is_the_same_on_every_machine():
    assert reference().fingerprint == reference().fingerprint
    tiny = dataset(np.eye(2, dtype=np.float32), ["a", None], confidence=[0.1, 0.30000000000000004])
    assert fingerprint_of(tiny, tiny, {"x": [1.5, "é"]}) == FINGERPRINT_OF_TINY


FINGERPRINT_OF_TINY = "33a5e1e53e5f406ff79c6efb877bd5c170f85ebcb0a0b2794a3b6e5f82085576"


def test_secrets_in_settings_are_not_written(tmp_path):
    private = {"storage": {"key": Secret("hunter2")}, "url": Url("pg://u:hunter2@h/d"), "paths": [Path("a"), {3}]}
    made = reference(settings=private)
    assert made.settings == {"storage": {"key": "***"}, "url": "pg://u:***@h/d", "paths": ["a", [3]]}
    Shelf(str(tmp_path)).save(made)
    assert b"hunter2" not in (tmp_path / "support/v0001/manifest.json").read_bytes()
    assert reference(settings={**private, "storage": {"key": Secret("other")}}).fingerprint == made.fingerprint


# saving and loading


@pytest.fixture(scope="module")
def bucket():
    """The bucket ``shelf`` on a real S3 server: the storage options that lead there."""
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 - an extra; only these tests need it

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    # Given here and not in the environment: a process that starts others may have read that already.
    storage = {"endpoint_url": f"http://{host}:{port}", "key": "key", "secret": "hunter2"}
    fsspec.filesystem("s3", **storage).mkdir("shelf")
    yield storage
    server.stop()


@pytest.fixture(params=["folder", "memory", "s3"])
def shelf(request, tmp_path):
    if request.param == "folder":
        return Shelf(str(tmp_path / "not yet" / "made"))
    if request.param == "memory":
        return Shelf(f"memory://{tmp_path.name}")
    return Shelf(f"s3://shelf/{tmp_path.name}", request.getfixturevalue("bucket"))


def test_what_was_saved_is_loaded(shelf):
    made = reference()
    entry = shelf.save(made)
    all_the_same(shelf.load("support", 1), made)
    assert entry == shelf.entry("support", 1)
    assert entry.rows == {"train": 12, "protected": 5}
    assert entry.embedder == "made-up"
    assert entry.fingerprint == made.fingerprint
    assert entry.uri.endswith("/support/v0001")
    assert entry.uri.startswith(("file:///", "memory://", "s3://shelf/"))


def test_versions_and_names_live_side_by_side(shelf):
    assert shelf.versions("support") == []
    for version in (2, 1, 10, 12345):
        shelf.save(reference(version, seed=version))
    shelf.save(reference(3, name="support other"))
    assert shelf.versions("support") == [1, 2, 10, 12345]
    assert shelf.versions("support other") == [3]
    assert shelf.versions("supp") == []
    for version in (1, 2, 10, 12345):
        all_the_same(shelf.load("support", version), reference(version, seed=version))


def test_a_version_never_changes(shelf):
    made = reference()
    shelf.save(made)
    for again in (reference(seed=1), made):
        assert refusal(shelf.save, again) == (
            f"reference support version 1 exists already under {shelf._shown}; a version never changes, build a new one"
        )
    all_the_same(shelf.load("support", 1), made)


def test_a_version_that_is_not_there(shelf):
    shelf.save(reference())
    assert refusal(shelf.load, "support", 2) == (
        f"manifest.json of reference support version 2 is missing under {shelf._shown}; {RESTORE}"
    )
    assert refusal(shelf.entry, "other", 1) == (
        f"manifest.json of reference other version 1 is missing under {shelf._shown}; {RESTORE}"
    )


def test_the_last_builder_of_two_loses_even_at_the_last_moment(shelf, monkeypatch):
    """The rival's manifest appears after this builder has looked for one."""
    made, late = reference(), reference(seed=1)
    put = Shelf._put

    def put_late(self, path, content, *, new=False):
        if new:
            monkeypatch.setattr(Shelf, "_put", put)
            shelf.save(made)
        put(self, path, content, new=new)

    monkeypatch.setattr(Shelf, "_put", put_late)
    assert "exists already" in refusal(shelf.save, late)
    assert shelf.versions("support") == [1]
    all_the_same(shelf.load("support", 1), made)


def test_a_crash_before_the_manifest_leaves_no_version(shelf, monkeypatch):
    put = Shelf._put

    def die(self, path, content, *, new=False):
        if new:
            raise KeyboardInterrupt
        put(self, path, content, new=new)

    monkeypatch.setattr(Shelf, "_put", die)
    with pytest.raises(KeyboardInterrupt):
        shelf.save(reference(seed=1))
    monkeypatch.setattr(Shelf, "_put", put)
    assert shelf.versions("support") == []
    assert "manifest.json of reference support version 1 is missing" in refusal(shelf.load, "support", 1)
    shelf.save(reference())
    assert shelf.versions("support") == [1]
    all_the_same(shelf.load("support", 1), reference())


@pytest.mark.parametrize("canaries", [np.zeros((0, 5)), np.zeros((0, 0)), np.eye(3, 5)])
def test_canaries_of_any_number(tmp_path, canaries):
    made = reference(canaries=canaries.astype(np.float32))
    shelf = Shelf(str(tmp_path))
    shelf.save(made)
    all_the_same(shelf.load("support", 1), made)


def test_numbers_of_numpy_stay_numbers(tmp_path):
    made = reference(fitted={"a": np.float32(0.1), "b": np.int64(3), "c": float("nan")})
    shelf = Shelf(str(tmp_path))
    shelf.save(made)
    loaded = shelf.load("support", 1).fitted
    assert loaded["a"] == float(np.float32(0.1))
    assert (type(loaded["b"]), loaded["b"]) == (float, 3.0)
    assert np.isnan(loaded["c"])


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=4), st.none() | st.text(max_size=6)), min_size=1, max_size=5))
def test_any_text_comes_back(tmp_path_factory, rows):
    made = dataset(np.ones((len(rows), 1)), [text for _, text in rows], ids=[name or "-" for name, _ in rows])
    shelf = Shelf(str(tmp_path_factory.mktemp("shelf")))
    shelf.save(reference(train=made, protected=dataset(np.ones((1, 1)), prefix="held out")))
    same(shelf.load("support", 1).train, made)


def test_no_trace_of_half_written_files(tmp_path):
    Shelf(str(tmp_path)).save(reference())
    names = sorted(path.name for path in (tmp_path / "support/v0001").iterdir())
    assert [name.partition("-")[0] for name in names] == ["canaries", "manifest.json", "protected", "train"]
    manifest = json.loads((tmp_path / "support/v0001/manifest.json").read_text())
    for name, wanted in manifest["files"].items():
        content = (tmp_path / "support/v0001" / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == wanted
        assert name.split("-")[1] == f"{wanted[:12]}.parquet"


def test_disks_without_links_work_too(tmp_path, monkeypatch):
    def no_links(source, target):
        if Path(target).exists():
            raise FileExistsError(target)
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    shelf = Shelf(str(tmp_path))
    shelf.save(reference())
    all_the_same(shelf.load("support", 1), reference())
    assert "exists already" in refusal(shelf.save, reference())


# damage


@pytest.fixture
def saved(tmp_path):
    """A saved version, its folder, and its files by part."""
    shelf = Shelf(str(tmp_path))
    shelf.save(reference())
    folder = tmp_path / "support/v0001"
    parts = {path.name.partition("-")[0].partition(".")[0]: path for path in folder.iterdir()}
    return shelf, parts


@pytest.mark.parametrize("part", ["train", "protected", "canaries"])
def test_a_damaged_file_is_refused_by_name(saved, part):
    shelf, files = saved
    file = files[part]
    content = file.read_bytes()
    wanted = hashlib.sha256(content).hexdigest()
    for at in (0, 4, len(content) // 2, len(content) - 1):
        broken = bytearray(content)
        broken[at] ^= 1
        for spoiled in (bytes(broken), content[:at], content + b"x", b""):
            file.write_bytes(spoiled)
            found = hashlib.sha256(spoiled).hexdigest()
            assert refusal(shelf.load, "support", 1) == (
                f"file {file.name} of reference support version 1 is damaged: SHA-256 {found[:12]}..., "
                f"the manifest says {wanted[:12]}...; {RESTORE}"
            )
    file.unlink()
    assert refusal(shelf.load, "support", 1) == (
        f"file {file.name} of reference support version 1 is missing under {shelf._shown}; {RESTORE}"
    )
    file.mkdir()
    assert refusal(shelf.load, "support", 1) == (
        f"file {file.name} of reference support version 1 under {shelf._shown} cannot be used: Is a directory"
    )


def test_every_damaged_byte_of_the_manifest_is_noticed(saved):
    shelf, files = saved
    content = files["manifest"].read_bytes()
    message = f"manifest.json of reference support version 1 in {shelf._shown} is damaged; {RESTORE}"
    for at in range(len(content)):
        broken = bytearray(content)
        broken[at] ^= 1
        files["manifest"].write_bytes(bytes(broken))
        assert refusal(shelf.entry, "support", 1) == message
    for spoiled in (b"", content[:-1], content[:40], b"[]", b"null", b"5", b"{}", b'"x"', b"\xff", b"[" * 100_000):
        files["manifest"].write_bytes(spoiled)
        assert refusal(shelf.load, "support", 1) == message
    files["manifest"].unlink()
    assert refusal(shelf.load, "support", 1) == (
        f"manifest.json of reference support version 1 is missing under {shelf._shown}; {RESTORE}"
    )
    assert shelf.versions("support") == []


def test_a_newer_format_asks_for_an_upgrade(saved):
    shelf, files = saved
    said = {"name": "support"}
    text = json.dumps({"sha256": "0" * 64, "format": 2, "sections": [said]})
    files["manifest"].write_text(text.replace("0" * 64, hashlib.sha256(text.encode()).hexdigest(), 1))
    assert refusal(shelf.load, "support", 1) == (
        "manifest.json of reference support version 1 has format 2, this version reads 1; upgrade drift-monitor"
    )


# places that cannot be used


def test_a_driver_that_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    message = refusal(Shelf, "gs://bucket/path")
    assert message.startswith("artifacts gs://bucket/path: ")
    assert message.endswith("; s3:// needs drift-monitor[s3]")
    assert "gcsfs" in message


def test_a_protocol_nobody_knows():
    assert refusal(Shelf, "odd://user:hunter2@host/x") == (
        "artifacts odd://user:***@host/x: Protocol not known: odd; s3:// needs drift-monitor[s3]"
    )


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    shelf = Shelf(str(tmp_path / "file" / "x"))
    assert refusal(shelf.save, reference()) == (
        f"reference support version 1 under {tmp_path}/file/x cannot be used: Not a directory"
    )
    assert refusal(shelf.versions, "support") == (
        f"reference support under {tmp_path}/file/x cannot be used: Not a directory"
    )


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EDQUOT])
def test_a_disk_that_is_full_or_not_ours(tmp_path, monkeypatch, number):
    shelf = Shelf(str(tmp_path))
    write = Path.write_bytes

    def fail(self, content):
        write(self, content[: len(content) // 2])
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "write_bytes", fail)
    assert refusal(shelf.save, reference()) == (
        f"reference support version 1 under {tmp_path} cannot be used: {os.strerror(number)}"
    )
    monkeypatch.setattr(Path, "write_bytes", write)
    assert shelf.versions("support") == []
    assert list((tmp_path / "support/v0001").iterdir()) == []
    shelf.save(reference())
    all_the_same(shelf.load("support", 1), reference())


def test_a_bucket_that_is_not_there_is_not_made(bucket):
    shelf = Shelf("s3://absent/x", bucket)
    assert refusal(shelf.save, reference()) == (
        "s3://absent/x is not there to write to; create it, or correct artifacts.url"
    )
    assert not fsspec.filesystem("s3", **bucket).exists("absent")
    assert shelf.versions("support") == []


def test_a_server_that_is_not_there():
    shelf = Shelf("s3://b/x", {"endpoint_url": "http://127.0.0.1:1", "key": "k", "secret": "hunter2",
                               "config_kwargs": {"retries": {"max_attempts": 0}, "connect_timeout": 1}})  # fmt: skip
    message = refusal(shelf.entry, "support", 1)
    assert message.startswith("manifest.json of reference support version 1 under s3://b/x cannot be used: ")
    assert "hunter2" not in message


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../up", "/root", "a\\b", "a\0b"])
def test_a_name_that_is_no_folder(tmp_path, name):
    shelf = Shelf(str(tmp_path / "inside"))
    message = f"{name!r} cannot be a reference's name, as its folder is called so; use letters and digits"
    assert refusal(shelf.save, reference(name=name)) == message
    assert refusal(shelf.versions, name) == message
    assert refusal(shelf.load, name, 1) == message
    assert list(tmp_path.iterdir()) == []


# several builders, and dying ones


@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_of_builders_in_a_race_one_wins(request, tmp_path, kind):
    # Some build the same bytes, some others.
    url, storage = str(tmp_path), {}
    if kind == "s3":
        url, storage = f"s3://shelf/{tmp_path.name}", request.getfixturevalue("bucket")
    found = in_processes(4, race, url, storage)
    won = [entry for entry in found if entry[0] == "won"]
    assert len(won) == 1
    _, seed, fingerprint = won[0]
    shelf = Shelf(url, storage)
    assert shelf.versions("support") == [1]
    all_the_same(shelf.load("support", 1), reference(seed=seed))
    assert shelf.load("support", 1).fingerprint == fingerprint
    message = f"reference support version 1 exists already under {url}; a version never changes, build a new one"
    assert {entry[2] for entry in found if entry[0] == "lost"} == {message}


@pytest.mark.parametrize("writes", [0, 1, 3])
def test_a_builder_killed_while_writing_leaves_no_version(tmp_path, writes):
    process = FORKS.Process(target=die, args=(str(tmp_path), writes))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    shelf = Shelf(str(tmp_path))
    assert shelf.versions("support") == []
    shelf.save(reference())
    assert shelf.versions("support") == [1]
    all_the_same(shelf.load("support", 1), reference())


def test_a_loser_does_not_touch_the_winners_files(tmp_path, monkeypatch):
    shelf = Shelf(str(tmp_path))
    shelf.save(reference())
    before = {path: (path.stat().st_ino, path.read_bytes()) for path in (tmp_path / "support/v0001").iterdir()}
    assert "exists already" in refusal(shelf.save, reference())
    assert {path: (path.stat().st_ino, path.read_bytes()) for path in before} == before


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="counts threads as Linux shows them")
def test_reading_a_reference_leaves_no_thread_behind():
    """A worker of Arrow's that held the bytes when the process ended aborted it, after all was done."""
    script = (
        "import os, numpy\n"
        "from monitor.reference.parquet import *\n"
        "content = canaries_to_parquet(numpy.zeros((2, 3), dtype=numpy.float32))\n"
        "before = len(os.listdir('/proc/self/task'))\n"
        "canaries_from_parquet(content)\n"
        "print(len(os.listdir('/proc/self/task')) - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "0\n"


# taking records out


def test_a_record_is_taken_out_of_every_version_and_the_one_in_use_is_followed_by_another(shelf):
    now = NOW + timedelta(days=1)
    made = reference()
    for version in (1, 2):
        shelf.save(replace(made, version=version))
    gone = [made.train.ids[0], made.protected.ids[1]]
    assert [(one.version, one.records) for one in purge_versions(shelf, "support", gone, 2, now, dry_run=True)] == [
        (1, 2),
        (2, 2),
    ]
    assert shelf.load("support", 1).fingerprint == made.fingerprint
    done = purge_versions(shelf, "support", gone, 2, now)
    assert [(one.version, one.records, one.replaces) for one in done] == [(1, 2, None), (3, 0, 2), (2, 2, None)]
    left = [record for record in made.everything.ids if record not in gone]
    fingerprints = set()
    for version in (1, 2, 3):
        one = shelf.load("support", version)
        assert one.everything.ids == left
        assert one.fingerprint == fingerprint_of(one.train, one.protected, one.settings) != made.fingerprint
        fingerprints.add(one.fingerprint)
        assert shelf.tidy("support", version, dry_run=True) == 0
    # The first two hold the same; the new one says where it comes from.
    assert len(fingerprints) == 2
    (note,) = shelf.entry("support", 1).purged
    assert note == {"at": now.isoformat(), "records": 2, "fingerprint": made.fingerprint}
    assert purge_versions(shelf, "support", gone, 3, now) == []


def test_files_that_a_purge_cut_off_left_are_removed_by_the_next(shelf, monkeypatch):
    made = reference()
    shelf.save(made)
    gone = [made.train.ids[0]]
    monkeypatch.setattr(Shelf, "tidy", lambda *given, **more: 0)
    purge_versions(shelf, "support", gone, None, made.created_at)
    monkeypatch.undo()
    assert shelf.tidy("support", 1, dry_run=True) > 0
    assert purge_versions(shelf, "support", gone, None, made.created_at) == []
    assert shelf.tidy("support", 1, dry_run=True) == 0
    shelf.load("support", 1)


def test_a_reference_that_would_be_empty_is_left_alone(shelf):
    made = reference()
    shelf.save(made)
    with pytest.raises(ArtifactError, match="version 1 would have no records left; build a new version"):
        purge_versions(shelf, "support", made.protected.ids, None, made.created_at)
    assert shelf.load("support", 1).fingerprint == made.fingerprint
