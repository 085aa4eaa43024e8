"""Purge: after it no byte of the store, the cache, the references, the exports and the tickets names the record or holds its text."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import zlib
from dataclasses import replace
from pathlib import Path

import fsspec
import psycopg
import pyarrow.parquet as pq
import pytest
import yaml
from run_examples import candidate
from shop import FIRST, build, desk, raw_settings, window, write_jsonl, write_shop
from typer.testing import CliRunner

from monitor.cli import app
from monitor.config import parse
from monitor.exporters.files import FilesExporter
from monitor.pipeline import publish_pending, run_window
from monitor.publish import export_of
from monitor.purge import exports as room
from monitor.purge.exports import purge_exports
from monitor.purge.mentions import Mentions
from monitor.settings import Settings
from monitor.store import Store
from monitor.values import Export
from monitor.wiring import open_shelf, wire

WHO = "customer-ä|zq7731vx"
WORDS = "zanzibar quixotic marzipan boat harbour anchor"
PLANTED = ("zq7731vx", "zanzibar", "quixotic", "marzipan")


def plant(path: Path, row: int, **more: object) -> None:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows[row] |= {"id": WHO, "text": WORDS, **more}
    write_jsonl(path, rows)


def made(folder: Path, database_url: str | None) -> None:
    """A shop in which one person's record is a candidate twice, a training record, an example, in three exports and a ticket."""
    write_shop(folder, (0, 40, 40))
    plant(folder / "training.jsonl", 3)
    for day in (1, 2):
        plant(folder / "traffic" / f"{day}.jsonl", -1)
    settings = configured(folder, database_url)
    with Store.open(settings.store.url) as store:
        store.upgrade()
        build(settings, store)
        monitor = wire(settings, settings.monitors[0], store)
        for day in range(3):
            run_window(monitor, window(day), desk(store))
        publish_pending({"shop": monitor}, desk(store))
        store.import_labels("shop", {WHO: "boat"}, by="ana", now=FIRST)
        again = export_of(store.run("shop", window(1).start))
    FilesExporter(str(folder / "by hand"), ["jsonl", "csv"]).write(again)


def configured(folder: Path, database_url: str | None = None) -> Settings:
    raw = raw_settings(folder, database_url, selection={"budget": 200, "random_share": 1.0}, report={"excerpts": "all"})
    (folder / "drift-monitor.yaml").write_text(yaml.safe_dump(raw, allow_unicode=True))
    return parse(raw)


@pytest.fixture(scope="module")
def mould(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mould")
    made(folder, None)
    return folder


@pytest.fixture
def shop(mould, tmp_path):
    shutil.copytree(mould, tmp_path, dirs_exist_ok=True)
    settings = configured(tmp_path)
    with Store.open(settings.store.url) as store:
        yield tmp_path, settings, store


def purge(folder, *more, record=WHO):
    done = CliRunner().invoke(app, ["purge", "-c", str(folder / "drift-monitor.yaml"), "--id", record, *more])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def everything(folder: Path, store: Store) -> dict[str, str]:
    """Every byte that is kept, as text: files, what is packed in them, and all rows of a database on a server."""
    found = {}
    for path in folder.rglob("*"):
        if (
            not path.is_file()
            or path.suffix == ".yaml"
            or path.parts[len(folder.parts)] in {"traffic", "training.jsonl"}
        ):
            continue
        found[str(path.relative_to(folder))] = path.read_bytes().decode("latin-1")
        if path.suffix == ".parquet":
            found[f"{path.relative_to(folder)}, unpacked"] = str(pq.read_table(path).to_pylist())
    with store._database.read() as connection:
        names = connection.dialect.get_table_names(connection)
        for name in names:
            rows = connection.exec_driver_sql(f'SELECT * FROM "{name}"').mappings().all()
            found[f"table {name}"] = str([dict(row) for row in rows])
    for run in store.runs("shop"):
        content = store.picture(run.id)
        found[f"picture {run.window}"] = "" if content is None else zlib.decompress(content).decode()
    return found


def naming(found):
    return sorted(place for place, content in found.items() if any(word in content for word in PLANTED))


def test_no_byte_names_the_record_or_holds_its_text(shop):
    folder, _, store = shop
    before = naming(everything(folder, store))
    for place in (
        *("table candidates", "table decisions", "picture", "monitor.db"),
        *("by hand", "exports", "tickets", "artifacts"),
    ):
        assert any(place in one for one in before), (place, before)
    done = purge(folder, "--folder", str(folder / "by hand"))
    assert done.exit_code == 0, done.output
    assert naming(everything(folder, store)) == []
    assert "references" in done.output


def test_no_byte_of_a_database_server_names_it_either(tmp_path, postgres_database):
    made(tmp_path, postgres_database)
    before = files_of(postgres_database)
    assert naming(before) != []
    assert purge(tmp_path, "--folder", str(tmp_path / "by hand")).exit_code == 0
    with Store.open(postgres_database) as store:
        assert naming(everything(tmp_path, store)) == []
    after = files_of(postgres_database)
    assert any("d1-130" in content for content in after.values())
    assert naming(after) == []


def files_of(database_url: str) -> dict[str, str]:
    """The data files of a database on its server."""
    with psycopg.connect(database_url.replace("+psycopg", ""), autocommit=True) as admin:
        admin.execute("CHECKPOINT")
        home = Path(admin.execute("SHOW data_directory").fetchone()[0])
        number = admin.execute("SELECT oid FROM pg_database WHERE datname = current_database()").fetchone()[0]
    places = (home / "base" / str(number)).iterdir()
    return {path.name: path.read_bytes().decode("latin-1") for path in places if path.is_file()}


def test_everything_that_is_left_is_whole(shop):
    folder, settings, store = shop
    runs = {run.window: run for run in store.runs("shop")}
    active = store.active_reference("shop")
    first = open_shelf(settings).load("shop", active)
    purge(folder, "--folder", str(folder / "by hand"))
    for run in store.runs("shop"):
        expected = tuple(one for one in runs[run.window].candidates if one.record_id != WHO)
        assert [one.record_id for one in run.candidates] == [one.record_id for one in expected]
        assert [replace(one, neighbours=()) for one in run.candidates] == [
            replace(one, neighbours=()) for one in expected
        ]
        assert run.measurements == runs[run.window].measurements
    manifests = list(folder.rglob("manifest.json"))
    exports = [path for path in manifests if "artifacts" not in path.parts]
    assert len(exports) == 3
    for path in exports:
        said = json.loads(path.read_text())
        assert {name: hashlib.sha256((path.parent / name).read_bytes()).hexdigest() for name in said["files"]} == said[
            "files"
        ]
        assert said["rows"] == len(said["record_ids"])
        assert said["purged"] == 1
        lines = [json.loads(line) for line in next(path.parent.glob("*/candidates.jsonl")).read_text().splitlines()]
        assert [line["id"] for line in lines] == said["record_ids"]
    # A new version is in use, both load with right checksums and fingerprints, and nothing else is gone from them.
    shelf = open_shelf(settings)
    assert shelf.versions("shop") == [1, 2]
    assert store.active_reference("shop") == 2
    old, new = (shelf.load("shop", version) for version in (1, 2))
    assert len({first.fingerprint, old.fingerprint, new.fingerprint}) == 3
    assert set(first.everything.ids) - {WHO} == set(old.everything.ids) == set(new.everything.ids)
    assert shelf.entry("shop", 1).purged[0]["fingerprint"] == first.fingerprint
    assert [one.fingerprint for one in store.references("shop")] == [old.fingerprint, new.fingerprint]
    # And the next window runs against it.
    monitor = wire(settings, settings.monitors[0], store)
    write_jsonl(folder / "traffic" / "3.jsonl", [])
    assert run_window(monitor, window(3), desk(store)).reference_version == 2


def test_a_second_purge_changes_nothing(shop):
    folder, _, store = shop
    purge(folder, "--folder", str(folder / "by hand"))
    before = {
        name: content
        for name, content in everything(folder, store).items()
        if "monitor.db" not in name and "cache" not in name
    }
    done = purge(folder, "--folder", str(folder / "by hand"))
    assert done.exit_code == 0
    assert "Known nowhere" in done.output
    assert {name: content for name, content in everything(folder, store).items() if name in before} == before


def test_a_dry_run_says_the_same_and_changes_nothing(shop):
    folder, _, store = shop
    before = {
        name: content
        for name, content in everything(folder, store).items()
        if "monitor.db" not in name and "cache" not in name
    }
    dry = json.loads(purge(folder, "--dry-run", "--json").stdout)
    after = everything(folder, store)
    assert {name: after[name] for name in before} == before
    wet = json.loads(purge(folder, "--json").stdout)
    assert dry["removed"] == wet["removed"]
    assert dry["cached_vectors"] == wet["cached_vectors"] > 0
    assert dry["dry_run"]
    assert not wet["dry_run"]


def test_an_id_that_nobody_knows_is_said_to_be_unknown(shop):
    folder, _, store = shop
    kept = [run.candidates for run in store.runs("shop")]
    done = purge(folder, record="nobody-here")
    assert (done.exit_code, "Known nowhere" in done.output) == (0, True)
    assert [run.candidates for run in store.runs("shop")] == kept
    assert open_shelf(shop[1]).versions("shop") == [1]


def test_the_id_of_another_that_only_begins_alike_stays(shop):
    folder, _, store = shop
    (episode,) = store.living("shop")
    shown = store.run_by_id(episode.run_id)
    other = next(one.record_id for one in shown.candidates if one.record_id != WHO)
    purge(folder, record=other[:-1])
    assert other in {one.record_id for one in store.run_by_id(shown.id).candidates}
    assert f"`{other}`" in next((folder / "tickets").glob("*.md")).read_text()


class Cut(BaseException):
    pass


def test_a_purge_that_was_cut_off_is_ended_by_the_next(shop, monkeypatch):
    folder, _, store = shop
    calls = []

    def cut(store, path, content):
        calls.append(path)
        if len(calls) == 3:
            raise Cut
        put(store, path, content)

    put = room._put
    monkeypatch.setattr(room, "_put", cut)
    with pytest.raises(Cut):
        CliRunner().invoke(
            app,
            ["purge", "-c", str(folder / "drift-monitor.yaml"), "--id", WHO],
            standalone_mode=False,
            catch_exceptions=False,
        )
    monkeypatch.undo()
    purge(folder, "--folder", str(folder / "by hand"))
    assert naming(everything(folder, store)) == []
    for path in (folder / "exports").rglob("manifest.json"):
        said = json.loads(path.read_text())
        assert {name: hashlib.sha256((path.parent / name).read_bytes()).hexdigest() for name in said["files"]} == said[
            "files"
        ]
        assert (
            said["rows"]
            == len(said["record_ids"])
            == len(next(path.parent.glob("*/candidates.jsonl")).read_text().splitlines())
        )


def test_a_ticket_elsewhere_is_named_for_people_to_see_to(shop):
    folder, _, store = shop
    with store._database.write() as connection:
        connection.exec_driver_sql("UPDATE tickets SET location = 'https://tracker.example/T-1'")
    done = purge(folder)
    assert "Out of reach: ticket https://tracker.example/T-1 (file) may name it" in done.output


@pytest.fixture(scope="module")
def bucket():
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 - an extra; only this test needs it

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    storage = {"endpoint_url": f"http://{host}:{port}", "key": "key", "secret": "hunter2"}
    fsspec.filesystem("s3", **storage).mkdir("purged")
    yield storage
    server.stop()


@pytest.mark.parametrize("kind", ["memory", "s3"])
def test_exports_in_an_object_store_are_purged_too(tmp_path, kind, request):
    storage = {} if kind == "memory" else request.getfixturevalue("bucket")
    root = f"purged/{tmp_path.name}"
    url = f"{kind}://{root}"
    both = (candidate(1, record_id=WHO, text=WORDS), candidate(2))
    FilesExporter(url, ["parquet", "jsonl", "csv"], storage).write(Export("k", "shop", "run", window(0), both, 1))
    done = purge_exports(url, storage, ["shop"], Mentions([WHO]), lambda name: None)
    assert (done.changed, done.left) == (1, [])
    store = fsspec.filesystem(kind, **storage)
    store.invalidate_cache()
    paths = store.find(root if kind == "s3" else f"/{root}")
    assert len(paths) == 5
    for path in paths:
        assert not any(word.encode() in store.cat_file(path) for word in PLANTED), path
    assert purge_exports(url, storage, ["shop"], Mentions([WHO]), lambda name: None).changed == 0


def test_words_lose_rows_and_mentions_and_nothing_else():
    words = Mentions(["r|1", "b2"])
    body = (
        "About `r/1`, see b2.\n\n| 1 | `r/1` | text |\n| 2 | `r/10` | other |\n| 3 | `xb2` | b2b |\nKim said: my words."
    )
    assert words.scrubbed(body, ["my words"]) == (
        "About `[purged]`, see [purged].\n\n| 2 | `r/10` | other |\n| 3 | `xb2` | b2b |\nKim said: [purged]."
    )
