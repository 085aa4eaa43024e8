"""The shop with something wrong in it, driven by its commands; every text holds a secret, and every word said is kept."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from shop import FIRST, build, raw_settings, rows_of, window, write_jsonl, write_shop

from monitor import plugins
from monitor.cli import main
from monitor.config import parse
from monitor.metrics import render
from monitor.store import Store
from monitor.values import Run

SECRET = "XYZZYSECRET"
DAY = FIRST.date().isoformat()
PARTS = """\
class Nosy:
    reads, fingerprint = "text", "nosy"
    def _fail(self, text):
        raise ValueError("cannot digest " + str(text))
    def embed(self, records, progress=None):
        self._fail(records.column("text")[0])
    def fit(self, data):
        self._fail(data.records.column("text")[0])
    def measure(self, reference, current, rng):
        self._fail(current.records.column("text")[0])
    def pick(self, pool, count, taken, rng):
        self._fail(pool.window.records.column("text")[0])
    def find(self, draft, location):
        self._fail(draft.body)
    def write(self, export):
        self._fail(export.candidates[0].text)


TEXT = "XYZZYSECRET"


def records(start, end):
    yield {"id": "1", "text": TEXT, "timestamp": start, "predicted": "a", "confidence": 0.5}
    raise ValueError("cannot digest " + TEXT)


def quits(start, end):
    raise SystemExit("enough of " + TEXT)
"""


class Said(NamedTuple):
    """What one command said and how it exited."""

    code: int
    out: str
    err: str


def secret_rows(day: int = 0, new: int = 0) -> list[dict[str, Any]]:
    return [row | {"text": f"{row['text']} {SECRET}"} for row in rows_of(day, new=new)]


def jsonl(rows: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


class Shop:
    """A shop whose reference is built; a test breaks something, types commands and looks at what is left."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._patch, self._capsys, self.heard = folder, monkeypatch, capsys, []
        self.set()

    def set(self, database_url: str | None = None, **monitor: object) -> None:
        """Write the settings; the detector is a quick one unless another is named."""
        raw = raw_settings(self.folder, database_url, **{"detectors": ["class_balance"], **monitor})
        (self.folder / "drift-monitor.yaml").write_text(yaml.safe_dump(raw))

    def traffic(self, content: bytes, name: str = "0.jsonl") -> None:
        path = self.folder / "traffic" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)

    def __call__(self, *words: object) -> Said:
        """Type a command."""
        self._patch.setattr(sys, "argv", ["drift-monitor", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        read = self._capsys.readouterr()
        self.heard += [read.out, read.err]
        return Said(ended.value.code or 0, read.out, read.err)

    def run(self, *words: object) -> Run:
        """Run the first window and give what the store kept of it; the exit status must fit."""
        said = self("run", "--window", DAY, *words)
        with self.store() as store:
            run = store.run("shop", window(0).start)
        assert run is not None
        assert said.code == (run.status == "failed"), said
        assert run.decision is not None
        assert run.decision.reasons[0] in said.out
        return run

    def failed(self, *phrases: str) -> Run:
        """The run fails for a reason with these words, and nothing but that is left of it."""
        run = self.run()
        assert run.decision.state == "failed", run
        for phrase in phrases:
            assert phrase in run.error, run.error
        assert run.decision.reasons == (f"No verdict: {run.error}",)
        assert (run.measurements, run.candidates) == ((), ())
        self.sent_nothing()
        return run

    def sent_nothing(self) -> None:
        with self.store() as store:
            assert not [*store.tickets(), *store.exports()]
        assert not (self.folder / "tickets").exists()
        assert not (self.folder / "exports").exists()

    def store(self) -> Store:
        return Store.open(f"sqlite:///{self.folder}/monitor.db")

    def install(self) -> None:
        """A package of parts that all fail, their messages quoting records."""
        info = self.folder / "site" / "nosy-1.0.dist-info"
        info.mkdir(parents=True)
        kinds = ("embedders", "detectors", "selection", "tickets", "exporters")
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: nosy\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("".join(f"[monitor.{kind}]\nnosy = nosy:Nosy\n" for kind in kinds))
        (info.parent / "nosy.py").write_text(PARTS)
        self._patch.syspath_prepend(str(info.parent))
        self._patch.delitem(sys.modules, "nosy", raising=False)
        forget()

    def assert_discreet(self) -> None:
        """Neither what was said, nor verdicts, nor metrics hold a record's text or a password."""
        with self.store() as store:
            kept = [(run.error, run.decision, run.measurements, run.counts) for run in store.runs()]
            told = [*store.tickets(), *store.exports()]
            self.heard += [repr(kept), repr(told), render(store).decode()]
        for words in self.heard:
            assert SECRET.lower() not in words.lower(), words
            assert "right horse" not in words, words
            assert "wrong cart" not in words, words


def drifting(shop: Shop, **more: object) -> None:
    """A window with a new topic, and a detector that sees it."""
    shop.traffic(jsonl(secret_rows(new=60)))
    shop.set(**{"detectors": [{"kind": "mmd", "permutations": 499}], **more})


def forget() -> None:
    plugins.factory.cache_clear()
    plugins.options_model.cache_clear()


@pytest.fixture(scope="session")
def built_shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    write_shop(folder, days=())
    training = [json.loads(line) for line in (folder / "training.jsonl").read_text().splitlines()]
    write_jsonl(folder / "training.jsonl", [row | {"text": f"{row['text']} {SECRET}"} for row in training])
    settings = parse(raw_settings(folder))
    with Store.open(settings.store.url) as store:
        store.upgrade()
        build(settings, store)
    return folder


@pytest.fixture
def shop(built_shop, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "shop"
    shutil.copytree(built_shop, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "250")
    made = Shop(folder, monkeypatch, capsys)
    yield made
    made.assert_discreet()
    forget()
