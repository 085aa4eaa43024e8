"""An owner who runs a monitor over history, window by window through the service's own code, and accepts what alarms."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from real_data import Strings

from monitor.config import parse
from monitor.decide import key_of
from monitor.desk import Desk
from monitor.pipeline import run_window
from monitor.store import Store
from monitor.values import Baseline, Measurement, Run, Vectors
from monitor.wiring import build_reference, open_shelf, wire

__all__ = ["ALL", "FAST", "NONE", "History", "Owner", "Rows", "class_share", "look", "told", "utc"]

Parts = Sequence[str | dict[str, Any]]

FAST: Parts = ({"kind": "class_balance", "permutations": 999},)
"""Alarms rest on the comparison with the past, not on the detectors: this one suffices where classes are to be named."""
NONE: Parts = ("confidence",)
"""Measures nothing where there are no confidences: enough to count alarms."""
ALL: Parts = ("mmd", "ks", "class_balance")
_NAME = "timeline"


@dataclass(frozen=True, slots=True)
class Rows:
    """Records with their vectors: (n,) strings and times, (n, 384) float32."""

    ids: Strings
    texts: Strings
    classes: Strings
    times: Sequence[datetime]
    vectors: Vectors

    def write(self, path: Path) -> None:
        """As Parquet in the order of time, in small row groups, so that a window reads little."""
        order = np.argsort(np.array([t.timestamp() for t in self.times]), kind="stable")
        table = pa.table(
            {
                "id": self.ids[order].tolist(),
                "text": self.texts[order].tolist(),
                "time": pa.array([self.times[i] for i in order], pa.timestamp("us", tz="UTC")),
                "class": self.classes[order].tolist(),
                "vector": pa.FixedSizeListArray.from_arrays(self.vectors[order].ravel(), self.vectors.shape[1]).cast(
                    pa.list_(pa.float32())
                ),
            }
        )
        pq.write_table(table, path, row_group_size=200)

    def take(self, rows: Any, times: Sequence[datetime] | None = None) -> Rows:
        """These rows, at other times where they are given."""
        chosen = np.asarray(rows)
        kept = times if times is not None else [self.times[i] for i in chosen]
        return Rows(self.ids[chosen], self.texts[chosen], self.classes[chosen], kept, self.vectors[chosen])


@dataclass(frozen=True, slots=True)
class History:
    """What came of a walk: the runs in order, and the starts of the windows whose run raised an alarm."""

    runs: Sequence[Run]
    raised: frozenset[datetime]


def _settings(folder: Path, every: str, false_alarms: str, detectors: Parts, texts: bool) -> dict[str, Any]:
    fields = {"timestamp": "time", "vector": "vector", "text": "text" if texts else None}
    return {
        "store": f"sqlite:///{folder}/monitor.db",
        "artifacts": f"{folder}/artifacts",
        "cache": None,
        "monitors": [
            {
                "name": _NAME,
                "schedule": {"every": every},
                "source": {"kind": "files", "path": f"{folder}/traffic.parquet"},
                "fields": {**fields, "predicted": "class"},
                "embedder": {"kind": "precomputed", "name": "all-MiniLM-L6-v2"},
                "reference": {
                    "train": {"kind": "files", "path": f"{folder}/training.parquet"},
                    "fields": {**fields, "label": "class"},
                },
                "detectors": list(detectors),
                # A title and how the abstract begins; causes are sought in them.
                "sample": {"max_characters": 400},
                "policy": {"false_alarms": false_alarms},
            }
        ],
    }


class Owner:
    """One monitor in a folder of its own: settings, reference and store as the service has them.

    training, traffic  what the model was trained on, and what production saw
    every              the schedule, ``1mo`` or ``1w``
    false_alarms       the budget
    accepts            whether every alarm's window is accepted as the new baseline at once
    detectors, texts   what else is measured, and whether causes may be sought in texts; neither moves an alarm
    """

    def __init__(
        self,
        folder: Path,
        training: Rows,
        traffic: Rows,
        *,
        every: str = "1mo",
        false_alarms: str = "1 per year",
        accepts: bool = True,
        detectors: Parts = ALL,
        texts: bool = True,
    ) -> None:
        folder.mkdir(parents=True)
        training.write(folder / "training.parquet")
        traffic.write(folder / "traffic.parquet")
        self._settings = parse(_settings(folder, every, false_alarms, detectors, texts))
        self._one = self._settings.monitors[0]
        self._accepts = accepts

    def walk(self, start: datetime, end: datetime) -> History:
        """Run every whole window of ``[start, end)`` in turn."""
        with Store.open(self._settings.store.url) as store:
            store.upgrade()
            reference, _ = build_reference(self._settings, self._one, now=start)
            entry = open_shelf(self._settings).save(reference)
            store.register_reference(_NAME, entry.version, entry.fingerprint, entry.uri, entry.created_at)
            store.use_reference(_NAME, entry.version)
            monitor = wire(self._settings, self._one, store)
            runs, raised = [], []
            for window in self._one.schedule.tiling.between(start, end):
                at = window.end + timedelta(days=1)
                run = run_window(monitor, window, Desk(store, lambda at=at: at, "owner", timedelta(minutes=15)))  # type: ignore[misc]
                if run is None or run.decision is None or run.error:
                    raise SystemExit(f"the run of {window} failed: {run.error if run else 'not claimed'}")
                runs.append(run)
                if run.decision.evidence.get("alarm_since") == window.end.timestamp():
                    raised.append(window.start)
                    if self._accepts:
                        self._accept(store, run, at)
        return History(tuple(runs), frozenset(raised))

    def _accept(self, store: Store, run: Run, at: datetime) -> None:
        """What ``drift-monitor baseline accept --window`` does."""
        effects = {key_of(m): max(m.effect, m.high) for m in run.measurements if m.p_value is not None}
        store.accept_baseline(Baseline(_NAME, run.window.start, "owner", "seen", at, None, effects))


def look(run: Run, raised: bool) -> dict[str, Any]:
    """One look in a row of numbers: state, change against the accepted past, evidence, gap to the reference, what was said."""
    decision = run.decision
    assert decision is not None
    row: dict[str, Any] = {
        "window": f"{run.window.start:%Y-%m-%d}",
        "records": run.counts.sampled,
        "state": decision.state.value,
        "alarm": raised,
        "evidence": _short(decision.evidence.get("evidence", 0.0)),
    }
    for subject in ("embeddings", "classes"):
        row |= _numbers(_find(run, "change", subject), f"change_{subject}")
    row |= _numbers(_find(run, "class_balance", "classes"), "gap_classes")
    gap = _find(run, "mmd", "embeddings")
    row |= _numbers(gap, "gap_mmd2")
    if gap is not None:
        row |= {
            f"gap_{name}": _short(gap.detail[name])
            for name in ("share", "share_low", "share_high")
            if name in gap.detail
        }
    return row | {"causes": ", ".join(decision.causes), "findings": ", ".join(f.name for f in decision.findings)}


def told(run: Run, classes: Sequence[str]) -> dict[str, Any]:
    """What an alarm said to its owner, and which classes it named."""
    decision = run.decision
    assert decision is not None
    said = " ".join(decision.reasons)
    return {
        "window": f"{run.window.start:%Y-%m-%d}",
        "subjects": ", ".join(decision.subjects),
        "causes": ", ".join(decision.causes),
        "reasons": list(decision.reasons),
        "findings": [f"{f.name}: {f.sentence}" for f in decision.findings],
        "classes_named": [name for name in classes if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", said)],
    }


def class_share(run: Run, name: str) -> Measurement | None:
    """The share of one class against the reference, as the class balance detector measured it."""
    return _find(run, "class_balance", f"class:{name}")


def _find(run: Run, detector: str, subject: str) -> Measurement | None:
    return next((m for m in run.measurements if (m.detector, m.subject, m.segment) == (detector, subject, "")), None)


def _numbers(m: Measurement | None, name: str) -> dict[str, float | None]:
    if m is None:
        return {name: None}
    found = {name: m.effect, f"{name}_low": m.low, f"{name}_high": m.high, f"{name}_p": m.p_value}
    return {key: None if value is None else _short(value) for key, value in found.items()}


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def utc(year: int, month: int = 1, day: int = 1) -> datetime:
    """Midnight of a day in UTC."""
    return datetime(year, month, day, tzinfo=UTC)
