"""Damaged files of ours: references, the embedding cache, the database, and what stands beside an export."""

from __future__ import annotations

import json
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import yaml
from fuzz_tally import EDITS, JSON, TRACEBACKS, Tally, each, flipped, heard, inside, long_numbers, typed
from hypothesis import strategies as st
from shop import DAY, FIRST, TOPICS, desk, open_shop, raw_settings, rows_of, window, write_jsonl

from monitor.embedders.cache import CachedEmbedder
from monitor.embedders.hashing import HashingEmbedder
from monitor.errors import ArtifactError, PublishError
from monitor.exporters.files import FilesExporter
from monitor.pipeline import run_window
from monitor.values import Candidate, Export, RunStatus, Window, record_schema
from monitor.wiring import open_shelf

HOW = st.sampled_from(["flip", "flip", "flip", "gone", "empty", "swap", "folder"])
SHARE = st.floats(0, 1, allow_nan=False)


def damage(path: Path, how: str, edits: list[Any], other: Path) -> None:
    """Do it to a file."""
    content = path.read_bytes()
    if how == "gone":
        path.unlink()
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "swap":
        path.write_bytes(other.read_bytes())
    elif how == "folder":
        path.unlink()
        path.mkdir()
    else:
        path.write_bytes(flipped(content, edits))


def play(tally: Tally, folder: Path, cases: int, seed: int | None) -> None:
    """A third each for references, the cache and exports; some for the database."""
    settings, store, monitor = open_shop(folder, days=(0, 40), detectors=["class_balance"])
    references(tally, folder, settings, store, monitor, cases // 3, seed)
    cached(tally, folder, cases // 3, seed)
    exports(tally, folder, cases // 4, seed)
    store.close()
    database(tally, folder, cases // 8, seed)


def references(
    tally: Tally, folder: Path, settings: Any, store: Any, monitor: Any, cases: int, seed: int | None
) -> None:
    """A damaged version is refused, or is what it was; a run with it fails with a reason."""
    shelf = open_shelf(settings)
    good = shelf.load("shop", 1)
    shelf.save(
        type(good)(
            **{name: getattr(good, name) for name in good.__dataclass_fields__}
            | {"version": 2, "train": good.protected}
        )
    )
    whole = folder / "whole"
    shutil.copytree(folder / "artifacts", whole)
    files = sorted(path.relative_to(whole) for path in whole.rglob("*") if path.is_file())
    day = 2

    def one(given: tuple[str, float, float, list[Any], bool]) -> None:
        nonlocal day
        how, share, other, edits, by_run = given
        shutil.rmtree(folder / "artifacts")
        shutil.copytree(whole, folder / "artifacts")
        target, source = (files[int(at * (len(files) - 1))] for at in (share, other))
        damage(folder / "artifacts" / target, how, edits, whole / source)
        for version in (1, 2):
            try:
                loaded = shelf.load("shop", version)
            except ArtifactError:
                tally.counts["refused"] += version == 1
                continue
            wanted = good.train if version == 1 else good.protected
            same = loaded.version == version and loaded.train.records.equals(wanted.records)
            if not same or not np.array_equal(loaded.train.vectors, wanted.vectors):
                tally.fault("wrong data", f"version {version} was read as another", (str(target), str(source), given))
            tally.counts["accepted"] += version == 1
        if by_run:
            day += 1
            write_jsonl(folder / "traffic" / "now.jsonl", rows_of(day, calm=60))
            with heard() as log:
                run = run_window(monitor, window(day), desk(store, at=FIRST + (day + 2) * DAY))
            assert run is not None
            said = run.error + log.getvalue()
            if any(mark in said for mark in TRACEBACKS):
                tally.fault("traceback", run.error, given)
            elif run.status is RunStatus.FAILED and not run.error:
                tally.fault("no reason", "a failed run", given)

    each(tally, st.tuples(HOW, SHARE, SHARE, EDITS, st.sampled_from([True, False, False])), cases, seed, one)
    shutil.rmtree(folder / "artifacts")
    shutil.copytree(whole, folder / "artifacts")


def cached(tally: Tally, folder: Path, cases: int, seed: int | None) -> None:
    """Whatever the file holds, vectors are those of the texts."""
    inner = HashingEmbedder(dimension=16)
    texts = [" ".join(words[n : n + 3]) for words in TOPICS.values() for n in range(9)]
    schema = record_schema(())
    rows = [{"id": str(n), "text": text} for n, text in enumerate(texts)]
    records = pa.Table.from_pylist(rows, schema=schema)
    wanted = inner.embed(records)
    path = folder / "fuzzed.db"
    CachedEmbedder(inner, path).embed(records.slice(0, 20))
    whole = path.read_bytes()

    def one(given: tuple[str, list[Any], list[Any]]) -> None:
        how, edits, more = given
        for ending in ("", "-wal", "-shm", "-journal"):
            gone = Path(f"{path}{ending}")
            gone.rmdir() if gone.is_dir() else gone.unlink(missing_ok=True)
        path.write_bytes(whole)
        damage(path, how, edits + more, Path(__file__))
        embedder = CachedEmbedder(inner, path)
        for _ in range(2):
            if not np.array_equal(embedder.embed(records), wanted):
                tally.fault("wrong data", "the cache gives other vectors", given)
                return
        tally.counts["accepted"] += 1

    each(tally, st.tuples(HOW, EDITS, EDITS), cases, seed, one)


def exports(tally: Tally, folder: Path, cases: int, seed: int | None) -> None:
    """Whatever lies where an export goes, it is written whole or refused."""
    candidates = tuple(
        Candidate(n, f"r{n}", "drift_cover", 0.5, 0.1, 0.01, None, (), "Because.", 0, f"text {n}", FIRST, "lamp", 0.5)
        for n in range(3)
    )
    export = Export("shop|1", "shop", "run-1", Window(FIRST, FIRST + DAY), candidates, 1, None)
    later = Export("shop|2", "shop", "run-2", Window(FIRST + DAY, FIRST + 2 * DAY), candidates, 1, None)
    place = folder / "fuzzed-exports"
    FilesExporter(str(place), ["parquet", "csv"]).write(export)
    FilesExporter(str(place), ["parquet", "csv"]).write(later)
    whole = folder / "whole-exports"
    shutil.copytree(place, whole)
    files = sorted(path.relative_to(whole) for path in whole.rglob("*") if path.is_file())

    def one(given: tuple[str, float, list[Any], Any, bool]) -> None:
        how, share, edits, data, structured = given
        shutil.rmtree(place)
        shutil.copytree(whole, place)
        target = place / files[int(share * (len(files) - 1))]
        if structured:
            with long_numbers():
                text = json.dumps(data if not isinstance(data, dict) else {"files": data, "as_of": data, **data})
            target.write_bytes(text.encode("utf-8", "surrogatepass"))
        else:
            damage(target, how, edits, Path(__file__))
        try:
            where = Path(FilesExporter(str(place), ["parquet", "csv"]).write(export))
        except PublishError as error:
            tally.counts["refused"] += 1
            if how != "folder":
                tally.fault("wrong data", f"refused: {str(error)[:40]}", given)
            return
        manifest = json.loads((where / "manifest.json").read_bytes())
        if not all((where / name).is_file() for name in manifest["files"]):
            tally.fault("partial write", "a manifest names a file that is not there", given)
        tally.counts["accepted"] += 1

    each(
        tally,
        st.tuples(HOW, SHARE, EDITS, JSON | st.dictionaries(st.sampled_from(["files", "as_of"]), JSON), st.booleans()),
        cases,
        seed,
        one,
    )


def database(tally: Tally, folder: Path, cases: int, seed: int | None) -> None:
    """Commands on a damaged SQLite file say so."""
    config = folder / "drift-monitor.yaml"
    config.write_text(yaml.safe_dump(raw_settings(folder, detectors=["class_balance"])))
    path = folder / "monitor.db"
    whole = path.read_bytes()

    def one(given: tuple[str, list[Any], str]) -> None:
        how, edits, command = given
        for ending in ("", "-wal", "-shm", "-journal"):
            gone = Path(f"{path}{ending}")
            gone.rmdir() if gone.is_dir() else gone.unlink(missing_ok=True)
        path.write_bytes(whole)
        damage(path, how, edits, Path(__file__))
        words = command.split()
        tally.settle(typed(*words, "-c", config), given)

    commands = st.sampled_from(
        ["runs", "check", "runs --json", "tickets", f"run --window {FIRST.date() + timedelta(days=1)}"]
    )
    with inside(folder):
        each(tally, st.tuples(HOW, EDITS, commands), cases, seed, one)
