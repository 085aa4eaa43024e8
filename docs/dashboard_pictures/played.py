"""The demo's story as Prometheus would have seen it: played week by week at the time it tells of, every metric kept with its time."""

from __future__ import annotations

import copy
import json
import shutil
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console

from monitor.calibration import held_out, level_of, reference_against_itself, tolerance_of
from monitor.config import load
from monitor.demo.play import Play
from monitor.demo.story import VOICE, WEEKS, window_of
from monitor.desk import Desk
from monitor.metrics import StoreCollector
from monitor.past import Memory
from monitor.pipeline import publish_pending, run_window
from monitor.store import Store
from monitor.values import Calibration, Deployment
from monitor.verifying import Predictions, known_records, verify
from monitor.wiring import build_reference, labelled_sample, open_shelf, open_store, terms_of, wire

__all__ = ["STEP", "UNTIL", "played"]

STEP = timedelta(hours=3)
LATE = timedelta(hours=1)
UNTIL = window_of(len(WEEKS) - 1).end + timedelta(days=3)
OUTAGE = 14
"""The week from which on the source of one monitor is gone."""

History = dict[str, dict[tuple[tuple[str, str], ...], list[tuple[float, float]]]]


class _Desk(Play):
    """The play without its commands: it writes what the shop writes, and we run the windows at the story's own time."""

    def settings(self) -> Path:
        raw = self._settings()
        first = raw["monitors"][0]
        first["owner"] = "support team"
        first["fields"]["segments"] = first["reference"]["fields"]["segments"] = ["channel"]
        others = [copy.deepcopy(first) for _ in range(3)]
        self._vary(*others)
        raw["monitors"] += others
        self._config.write_text(yaml.safe_dump(raw, sort_keys=False), encoding="utf-8")
        return self._config

    def _vary(self, patient: dict[str, Any], picky: dict[str, Any], broken: dict[str, Any]) -> None:
        patient |= {"name": "support-desk-patient", "owner": "chat team", "policy": {"tolerance": 0.4}}
        picky |= {"name": "support-desk-picky", "owner": "chat team", "policy": {"minimum_sample": 110}}
        broken |= {"name": "support-desk-mirror", "owner": "platform"}
        broken["source"] = {"kind": "files", "path": f"{self._folder}/mirror/*.jsonl"}
        broken["exports"] = [{"kind": "files", "folder": f"{self._folder}/training.jsonl/exports", "formats": ["csv"]}]

    def write(self, weeks: range, model: Any) -> None:
        """The log of these weeks, with the channel each message came by."""
        self._serve_weeks(model, weeks)
        sources = {message.id: message.source for week in self._weeks for message in week}
        (self._folder / "mirror").mkdir(exist_ok=True)
        for week in weeks:
            path = self._folder / f"traffic/{window_of(week).start:%Y-%m-%d}.jsonl"
            rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
            self._write(
                f"traffic/{path.name}", [row | {"channel": _channel(row["id"], sources[row["id"]])} for row in rows]
            )
            shutil.copy(path, self._folder / "mirror")

    def learn(self, added: list[Any]) -> Any:
        """The model, trained again with these."""
        model = self._train([*self._training, *added])
        path = self._folder / "training.jsonl"
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        self._write(path.name, [row | {"channel": _channel(row["id"], "")} for row in rows])
        return model

    def label(self) -> list[Any]:
        return self._label()

    def known(self, added: list[Any]) -> list[str]:
        """Ids of what the model learnt from, in its order."""
        return [message.id for message in (*self._training, *added) if message.intent]


def _channel(record: str, source: str) -> str:
    return "voice" if source == VOICE else ("web", "app", "mail")[int(record[-2:], 16) % 3]


def played(folder: Path) -> History:
    """Every series of every metric over the story, as (seconds, value)."""
    desk = _Desk(folder / "demo", Console(quiet=True))
    settings = load(desk.settings())
    relearnt = next(n for n, week in enumerate(WEEKS) if week.chapter == "labels added")
    history: History = defaultdict(lambda: defaultdict(list))
    with open_store(settings) as store:
        store.upgrade()
        desk.write(range(len(WEEKS)), desk.learn([]))
        for one in settings.monitors:
            _new_reference(settings, store, one, at=window_of(0).start - timedelta(days=2))
        wired = {one.name: wire(settings, one, store) for one in settings.monitors}
        for week in range(len(WEEKS)):
            if week == relearnt:
                added = desk.label()
                labels = {message.id: str(message.intent) for message in added}
                for one in settings.monitors:
                    store.import_labels(one.name, labels, by="support team", now=window_of(week - 1).end)
                model = desk.learn(added)
                _prove(settings, store, desk.known(added), model, at=window_of(week).start)
                _new_reference(settings, store, settings.monitors[0], at=window_of(week).start, labels=True)
                desk.write(range(relearnt, len(WEEKS)), model)
            if week == OUTAGE:
                shutil.rmtree(folder / "demo" / "mirror")
            _run(wired, store, week, history, terms_of(settings))
            if week == 5:
                _calibrate(settings, store, at=window_of(week).end)
    return history


def _new_reference(settings: Any, store: Store, one: Any, *, at: datetime, labels: bool = False) -> None:
    labelled = labelled_sample(store, settings, one) if labels else None
    reference, _ = build_reference(settings, one, now=at, labelled=labelled)
    entry = open_shelf(settings).save(reference)
    store.register_reference(one.name, entry.version, entry.fingerprint, entry.uri, entry.created_at)
    store.use_reference(one.name, entry.version)


def _prove(settings: Any, store: Store, learnt: list[str], model: Any, *, at: datetime) -> None:
    """Hold the model against the one before it, by what each says of records that it has not seen, and put it live."""
    one = settings.monitors[0]
    reference = open_shelf(settings).load(one.name, 1)
    runs = [run for run in reversed(store.runs(one.name)) if run.candidates]
    known = known_records(reference, runs, one.selection.junk)
    protected = zip(reference.protected.ids, reference.protected.column("predicted"), strict=True)
    old = {**dict(protected), **{c.record_id: c.predicted for run in runs for c in run.candidates}}
    unseen = dict(zip(learnt, model.held_out_predictions(), strict=True))
    texts = {c.record_id: str(c.text) for run in runs for c in run.candidates if c.record_id not in unseen}
    served = model.predict(list(texts.values())) if texts else []
    new = {**unseen, **{record: said for record, (said, _) in zip(texts, served, strict=True)}}
    new = {record: new[record] for record in old if record in new}
    both = Predictions("desk", old, {}), Predictions("desk-2", new, {})
    budget = one.selection.negative_flips
    found = verify(reference, runs, known, both, budget=budget, made_at=at - LATE, trained_on=())
    store.save_verification(found)
    store.declare_live(Deployment(one.name, "desk-2", at, "support team", at, found.id, reference.version))


def _run(wired: dict[str, Any], store: Store, week: int, history: History, terms: Any) -> None:
    window = window_of(week)
    at = window.end + LATE
    desk = Desk(store, lambda: at, "story")
    for monitor in wired.values():
        run_window(monitor, window, desk, retry_failed=True)
    publish_pending(wired, desk)
    until = window_of(week + 1).end if week + 1 < len(WEEKS) else UNTIL
    times = list(_between(at, min(until + LATE, UNTIL)))
    text = generate_latest(StoreCollector(store, terms=terms, clock=lambda: at)).decode()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            waits = sample.name == "drift_monitor_watermark_lag_seconds"
            points = [(t, sample.value + (t - at.timestamp() if waits else 0)) for t in times]
            history[sample.name][tuple(sorted(sample.labels.items()))] += points


def _between(start: datetime, end: datetime) -> Iterator[float]:
    while start < end:
        yield start.timestamp()
        start += STEP


def _calibrate(settings: Any, store: Store, *, at: datetime) -> None:
    one = settings.monitors[0]
    reference = open_shelf(settings).load(one.name, 1)
    drawn = reference_against_itself(Memory.of(reference).plan, held_out(reference), 76, 100, np.random.default_rng(1))
    level = level_of([m.p_value for m in drawn if m.p_value is not None])
    store.keep_calibration(Calibration(one.name, at, 1, level, None, tolerance_of(drawn)))
