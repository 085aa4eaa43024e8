"""What is written stays in the folder it is meant for, whatever the names, the manifests and the links in it say."""

from __future__ import annotations

import json
import os
import socket
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import uvicorn
from conftest import free_port
from run_examples import store_with_a_run
from shop import raw_settings
from test_exporter_files import candidate, export
from test_ticket_file import draft

from monitor.config import parse
from monitor.errors import ConfigError, PublishError
from monitor.exporters.files import FilesExporter
from monitor.exporters.folders import Folder
from monitor.exporters.formats import FORMATS
from monitor.purge.exports import purge_exports
from monitor.purge.mentions import Mentions
from monitor.reference.shelf import _beside
from monitor.serve import application
from monitor.tickets.file import FileTickets
from monitor.tickets.living import settle
from monitor.values import Known
from monitor.whole_files import keep_inside

LEADING_OUT = ["../../x", "/etc/x", "a/../../x", "..", ".", "", "a//b", "a\0b", "x/", "a/./b"]
HOSTILE = ["../../escaped", "/tmp/escaped", "a\0b", "..\\..\\x", "x" * 5_000, "%2e%2e%2fescaped", "C:\\x", "$(touch x)"]
EVERY_FORMAT = list(FORMATS)


@pytest.fixture
def fenced(tmp_path):
    """A folder to write to; nothing may be made or changed around it."""
    inside = tmp_path / "around" / "inside"
    inside.mkdir(parents=True)
    (tmp_path / "around" / "precious.html").write_text("record r1")
    before = around(tmp_path)
    yield inside
    assert around(tmp_path) == before


def around(folder: Path) -> dict[str, str]:
    found = (path for path in folder.rglob("*") if "inside" not in path.parts and path.is_file())
    return {str(path): path.read_text() for path in found}


@pytest.mark.parametrize("name", LEADING_OUT)
def test_a_monitor_whose_name_leads_out_is_exported_nowhere(fenced, name):
    with pytest.raises(PublishError, match="leads out of it") as caught:
        FilesExporter(str(fenced), ["jsonl"]).write(replace(export(), monitor=name))
    assert caught.value.permanent
    assert not list(fenced.rglob("*"))


@pytest.mark.parametrize("name", [*LEADING_OUT, "UPPER", "a b", "x\n", "-x", "a" * 64])
def test_no_monitor_may_be_called_so_in_the_settings(tmp_path, name):
    with pytest.raises(ConfigError, match=r"monitors\[0\]\.name"):
        parse(raw_settings(tmp_path, name=name))


@pytest.mark.parametrize("value", HOSTILE)
def test_ids_classes_and_segments_name_no_file(fenced, value):
    hostile = candidate(
        record_id=value, predicted=value, suggested_label=value, cluster=value, segments={value: value}, strategy=value
    )
    made = export(hostile, candidate(2))
    where = FilesExporter(str(fenced), EVERY_FORMAT).write(
        replace(made, classes=(value,), key=value, run_id=value, note=value)
    )
    usual = FilesExporter(f"{fenced}/usual", EVERY_FORMAT).write(export(candidate(), candidate(2)))

    def names(folder):
        return {path.name for path in Path(folder).rglob("*") if len(path.name) != 12}

    assert Path(where).parent == fenced / "support"
    assert names(where) == names(usual)


@pytest.mark.parametrize("value", HOSTILE[:4])
def test_a_ticket_lies_in_its_folder(fenced, value):
    where = settle(FileTickets(str(fenced)), draft(monitor=value, key=value, title=value), Known()).location
    assert Path(where).parent == fenced
    assert [path.parent for path in fenced.rglob("*")] == [fenced] * len(list(fenced.rglob("*")))


def test_a_link_to_a_folder_elsewhere_is_not_followed(tmp_path):
    exports, elsewhere = tmp_path / "exports", tmp_path / "elsewhere"
    for folder in (exports, elsewhere):
        folder.mkdir()
    (elsewhere / "0123456789ab").mkdir()
    (exports / "support").symlink_to(elsewhere)
    with pytest.raises(PublishError, match="leads out of it") as caught:
        FilesExporter(str(exports), ["jsonl"]).write(export())
    assert caught.value.permanent
    assert [path.name for path in elsewhere.rglob("*")] == ["0123456789ab"]
    # Where the folder of all exports is such a link, that is the user's wish.
    (tmp_path / "named").symlink_to(elsewhere)
    assert FilesExporter(str(tmp_path / "named"), ["jsonl"]).write(export())
    assert (elsewhere / "support" / "latest.json").exists()


def test_a_link_in_the_place_of_a_file_is_replaced_and_not_written_through(tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("mine")
    (tmp_path / "exports" / "support").mkdir(parents=True)
    latest = tmp_path / "exports" / "support" / "latest.json"
    latest.symlink_to(precious)
    FilesExporter(str(tmp_path / "exports"), ["jsonl"]).write(export())
    assert precious.read_text() == "mine"
    assert not latest.is_symlink()
    assert json.loads(latest.read_text())["export"]


def test_an_object_store_gets_no_such_key():
    folder = Folder("memory://bucket/exports", {})
    for path in LEADING_OUT:
        with pytest.raises(PermissionError, match="leads out of it"):
            folder.put(path, b"x")
    folder.put("a/b", b"x")
    assert folder.read("a/b") == b"x"


def test_a_link_below_is_seen_at_any_depth(tmp_path):
    (tmp_path / "in" / "a").mkdir(parents=True)
    (tmp_path / "in" / "a" / "b").symlink_to(tmp_path)
    assert keep_inside(str(tmp_path / "in"), "a/c", local=True)
    with pytest.raises(PermissionError):
        keep_inside(str(tmp_path / "in"), "a/b/c", local=True)
    assert keep_inside("", "etc/x", local=True)


@pytest.mark.parametrize("name", ["../../../precious.html", "/precious.html", "x/../../../../precious.html"])
def test_a_manifest_that_names_a_file_elsewhere_is_not_believed_by_a_purge(fenced, name):
    where = Path(FilesExporter(str(fenced), ["jsonl"]).write(export()))
    manifest = json.loads((where / "manifest.json").read_text())
    (where / "manifest.json").write_text(json.dumps({**manifest, "files": {**manifest["files"], name: "0"}}))
    with pytest.raises(PublishError, match="leads out of it"):
        purge_exports(str(fenced), {}, ["support"], Mentions(frozenset({"r1"})), lambda run: None)


def test_a_link_in_an_export_is_not_followed_by_a_purge(fenced):
    where = Path(FilesExporter(str(fenced), ["jsonl"]).write(export()))
    (where / "elsewhere").symlink_to(fenced.parent)
    manifest = json.loads((where / "manifest.json").read_text())
    (where / "manifest.json").write_text(json.dumps({**manifest, "files": {"elsewhere/precious.html": "0"}}))
    with pytest.raises(PublishError, match="leads out of it"):
        purge_exports(str(fenced), {}, ["support"], Mentions(frozenset({"r1"})), lambda run: None)


def test_a_reference_has_its_files_beside_its_manifest():
    assert _beside({"train-0.parquet": "0"})
    with pytest.raises(ValueError, match="another folder"):
        _beside({"../../train-0.parquet": "0"})


@pytest.fixture
def port(tmp_path):
    """The pages behind a real server, for addresses that a client would tidy up before it asks."""
    with store_with_a_run(tmp_path) as store:
        server = uvicorn.Server(uvicorn.Config(application(store, {}), port=free_port(), log_config=None))
        thread = threading.Thread(target=server.run)
        thread.start()
        while not server.started:
            thread.join(0.01)
        yield server.config.port
        server.should_exit = True
        thread.join()


def asked(port: int, path: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port)) as line:
        line.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        found = b""
        while part := line.recv(65_536):
            found += part
    return found


@pytest.mark.parametrize(
    "path",
    [
        b"/../../../../etc/passwd",
        b"/..%2f..%2f..%2fetc%2fpasswd",
        b"/%2e%2e/%2e%2e/etc/passwd",
        b"/runs/..%2f..%2fetc%2fpasswd",
        b"/runs/%2e%2e%2f%2e%2e%2fmonitor.db",
        b"/runs/..%5c..%5cmonitor.db/candidates.csv",
        b"/monitors/../../monitor.db",
        b"/pages.css/../../monitor.db",
        b"/runs/" + b"%2e%2e%2f" * 200 + b"etc/passwd",
        b"/runs/a%00.html",
        b"/runs/%ff%fe",
        b"//etc/passwd",
    ],
)
def test_no_address_leads_to_a_file(port, path):
    answer = asked(port, path)
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert b"root:" not in answer
    assert b"SQLite format" not in answer
    assert os.fsencode(str(Path.cwd())) not in answer
