"""A scripted episode of drift, week by week, in runs made by hand: the same words on every machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial

import numpy as np
import pyarrow as pa
from run_examples import LEASE, candidate, finished, week

from monitor.desk import Desk, Monitor
from monitor.publish import wishes
from monitor.store import Store
from monitor.values import (
    Advice,
    Cause,
    Counts,
    Dataset,
    Decision,
    Estimate,
    Reference,
    Refresh,
    Run,
    State,
    record_schema,
)

ALARM = week(1).end.timestamp()
TOPIC = Cause(
    "new topic",
    "About 30 % (18 % to 42 %) of the traffic forms one tight group that the reference hardly has (5.7 % there).",
    terms=("boat", "harbour", "mail kim@shop.example"),
    examples=("r1", "r2"),
)
MIX = Cause("class mix", "The share of refund has risen from 12 % to 31 % of the traffic.")
LABEL = Advice("label", "Label these records and refresh: 27 % of the window's records lie where traffic is new.")
WAIT = Advice("wait", "Do not refresh: the new traffic is none of the model's business.")


@dataclass(frozen=True)
class Step:
    """What a week brings. ``by_hand`` is what a person does to the ticket before it."""

    state: State
    causes: tuple[str, ...] = ()
    findings: tuple[Cause, ...] = ()
    effect: float = 0.01
    advice: Advice = LABEL
    by_hand: str = ""


SCRIPT = (
    Step(State.STABLE),
    Step(State.DRIFTED, ("content",), (TOPIC,), 0.15),
    Step(State.DRIFTED, ("content",), (TOPIC,), 0.16),
    Step(State.DRIFTED, ("content", "class balance"), (TOPIC, MIX), 0.34),
    Step(State.DRIFTED, ("content",), (TOPIC,), 0.3, WAIT, by_hand="close"),
    Step(State.RECOVERING, effect=0.02),
    Step(State.STABLE),
    Step(State.DRIFTED, ("content",), (TOPIC,), 0.2),
    Step(State.INSUFFICIENT),
    Step(State.RECOVERING, effect=0.02),
    Step(State.STABLE),
)
SAID: Mapping[State, str] = {
    State.STABLE: "No drift: 140 records are like the 1,200 accepted before.",
    State.DRIFTED: "Drift in embeddings: as if {effect:.0f} % of traffic were a new kind of input (95 % interval {low:.0f} % to {high:.0f} %).",
    State.RECOVERING: "Recovering: no difference in 2 looks in a row; the alarm ends after 3 or a few more.",
    State.INSUFFICIENT: "No verdict: 12 usable records were sampled and 50 are needed; use longer windows or lower policy.minimum_sample.",
}


def decision(number: int, step: Step) -> Decision:
    percent = 100 * step.effect
    said = SAID[step.state].format(effect=percent, low=percent - 6, high=percent + 6)
    alarm = 0.0 if step.state is State.STABLE else ALARM
    evidence = {"alarm_since": alarm, "effect": step.effect, "p": 0.0004, "budget_spent": 0.02 * (number + 1)}
    return Decision(step.state, (said,), causes=step.causes, evidence=evidence, findings=step.findings)


def a_run(claimed: Run, number: int, step: Step) -> Run:
    drifted = step.state is State.DRIFTED
    found = (
        candidate(1, text="Where is my boat? Write to kim@shop.example | `now` <b>", segments={}),
        candidate(
            2, text="@all *harbour* [pier](http://x.example) 日本語 🚢", risk=0.0025, cluster=None, neighbours=()
        ),
        candidate(3, strategy="random", text=None, predicted=None, suggested_label=None),
    )
    refresh = Refresh(
        1, 20, 0, 0.96, 0.01, junk=Estimate(0.14, 0.06, 0.27), gain=Estimate(0.43, 0.0, 0.43), advice=(step.advice,)
    )
    return replace(
        claimed,
        counts=Counts(140, 140),
        decision=decision(number, step),
        candidates=found if drifted else (),
        refresh=refresh if drifted else None,
    )


def reference() -> Reference:
    """Version 3 of a reference with next to nothing in it."""

    def rows(names: list[str]) -> Dataset:
        columns = {"id": names, "text": names, "label": ["refund"] * len(names)}
        arrays = [pa.array(columns.get(f.name, [None] * len(names)), type=f.type) for f in record_schema(())]
        vectors = np.eye(len(names), 4, dtype=np.float32)
        table = pa.Table.from_arrays(arrays, schema=record_schema(()))
        return Dataset(table, vectors, np.ones(len(names)), "all-MiniLM-L6-v2@abc")

    at = datetime(2025, 12, 1, tzinfo=UTC)
    canaries = np.zeros((0, 4), dtype=np.float32)
    return Reference("support", 3, at, rows(["t1", "t2", "t3"]), rows(["p1"]), "f" * 64, canaries)


def _later(now: datetime) -> datetime:
    return now + timedelta(hours=1)


def play(store: Store, monitor: Monitor) -> Iterator[tuple[int, Step, Desk]]:
    """Save the runs one by one; after each the caller publishes, and does what the step's person does before the next."""
    for number, step in enumerate(SCRIPT):
        now = week(number).end + timedelta(hours=1)
        desk = Desk(store, partial(_later, now), "tests")
        yield number, step, desk
        claim = store.claim(monitor.name, week(number), "tests", now, LEASE)
        assert claim is not None
        run = a_run(finished(claim), number, step)
        wanted = wishes(monitor, run, desk)
        store.save(claim, run, tickets=wanted.tickets, exports=wanted.exports, notices=wanted.notices)
        yield number, step, desk
