"""Runs with pictures, to draw, to keep and to report: a calm reference, and a window in which a topic is new."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
from pools import CENTRES, KNOWN, rng, with_column
from run_examples import START, candidate, finished, week
from worlds import around, dataset, reference

from monitor.picture import Picture, draw_picture, to_bytes
from monitor.report.run_page import Source
from monitor.store import Claim
from monitor.values import (
    Advice,
    Candidate,
    Cause,
    Counts,
    Dataset,
    Decision,
    Estimate,
    Measurement,
    Reference,
    Refresh,
    Run,
    State,
)

WORDS = ["parcel", "refund", "lamp", "login", "invoice", "voucher", "boat", "harbour", "anchor", "mast"]
NEW = 8


def records(which: list[int], seed: int, prefix: str, **columns: list[object]) -> Dataset:
    """Records of these topics, each with its topic's word, a class, and a number that must be masked."""
    vectors = around(CENTRES, which, rng(seed), spread=0.6)
    made = dataset(vectors, [f"topic {min(i, KNOWN)}" for i in which], prefix=prefix)
    texts = [f"my {WORDS[i]} and order number 4711-{n} of {prefix}" for n, i in enumerate(which)]
    for name, values in ({"text": texts} | columns).items():
        made = with_column(made, name, values)
    return made


def a_reference(rows: int = 300, **columns: list[object]) -> Reference:
    which = (np.arange(rows) % KNOWN).tolist()
    return reference(records(which, 1, "t", **columns), records(which[: rows // 5], 2, "p"))


def a_window(rows: int = 200, new: int = 60, **columns: list[object]) -> Dataset:
    which = [*(np.arange(rows - new) % KNOWN).tolist(), *[NEW] * new]
    return records(which, 3, "w", **columns)


def candidates(window: Dataset, count: int = 12) -> tuple[Candidate, ...]:
    """The last records of the window, as they are proposed."""
    texts, ids = window.column("text"), window.ids
    return tuple(
        candidate(
            n + 1,
            record_id=ids[-1 - n],
            text=texts[-1 - n],
            gain=0.2 / (n + 1),
            need=0.9 - n / 50,
            risk=None if n % 3 == 2 else n / 500,
            duplicates=n % 4,
            predicted=f"topic {n % 3}",
            cluster="boat, harbour" if n % 2 else None,
        )
        for n in range(min(count, len(window)))
    )


def picture(ref: Reference | None = None, window: Dataset | None = None, excerpts: str = "candidates") -> Picture:
    window = a_window() if window is None else window
    made: Picture = draw_picture(ref or a_reference(), window, candidates(window), 0.1, excerpts, rng(5))
    return made


def change(subject: str, effect: float, segment: str = "") -> Measurement:
    low, high = max(0.0, effect - 0.03), effect + 0.04
    return Measurement("change", subject, effect, low, high, 0.001, 900, 200, segment)


def share(name: str, before: float, now: float, **detail: float) -> Measurement:
    shares = {"share_reference": before, "share_current": now, **detail}
    low, high = now - before - 0.04, now - before + 0.05
    return Measurement("class_balance", f"class:{name}", now - before, low, high, None, 360, 200, detail=shares)


def a_run(number: int = 9, **changes: object) -> Run:
    """A drifted run of this week with something in every section."""
    window = week(number)
    claim = Claim(f"run-{number}", "support", window, 1, "a", window.end, window.end + timedelta(minutes=15))
    evidence = {
        "evidence": 312.5,
        "run_length": 52.0,
        "tolerance": 0.02,
        "budget_spent": 0.19,
        "alarm_since": week(8).end.timestamp(),
    }
    decided = Decision(
        State.DRIFTED,
        ("Drift in embeddings: as if 14 % of traffic were a new kind of input.", "Content has moved."),
        ("change embeddings",),
        ("content",),
        evidence,
        (
            Cause(
                "new topic",
                "About 14 % of the traffic forms one tight group.",
                {"share": 0.14},
                ("boat", "mast"),
                ("w00199", "gone"),
            ),
        ),
        {"country=DE": State.DRIFTED, "country=FR": State.STABLE},
    )
    percent = Estimate(0.2, 0.1, 0.3)
    made = finished(
        claim,
        decision=decided,
        measurements=(
            change("embeddings", 0.14),
            change("classes", 0.05),
            change("embeddings", 0.3, "country=DE"),
            share("topic 0", 0.2, 0.1),
            share("topic 6", 0.0, 0.3, new=1.0),
            Measurement("mmd", "embeddings", 0.125, 0.0625, 0.25, 0.001, 1_500, 2_000),
        ),
        candidates=candidates(a_window()),
        refresh=Refresh(1, 50, 0, 0.91, 0.01, junk=percent, gain=percent, flips=percent, guarded=percent,
                        advice=(Advice("refresh", "Label these records and refresh."),), notes=("badge chose nothing: no head",)),
        seconds={"sample": 1.5, "embed": 20.25},
    )  # fmt: skip
    return replace(made, **changes)


def calm_run(number: int) -> Run:
    decided = Decision(
        State.STABLE,
        ("No drift.",),
        evidence={"evidence": 1.2, "run_length": 52.0, "tolerance": 0.02, "reference": 1.0},
    )
    measured = (change("embeddings", 0.01), change("classes", 0.0))
    return a_run(number, decision=decided, measurements=measured, candidates=(), refresh=None)


def a_source(**changes: object) -> Source:
    """What the report of a drifted week is made from, eight calm weeks before it."""
    drawn = picture()
    made = Source(
        a_run(),
        [calm_run(number) for number in range(1, 9)],
        START,
        drawn,
        len(to_bytes(drawn)),
        seed=17,
        version="0.1.0",
    )
    return replace(made, **changes)


def without_anything(run: Run, **changes: object) -> Source:
    return Source(replace(run, counts=Counts(), measurements=(), candidates=(), refresh=None, **changes))
