"""Runs to save in tests of the store and of what reads it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from monitor.store import Claim, Due, Store
from monitor.values import (
    Candidate,
    Comparison,
    Counts,
    Decision,
    Deployment,
    Estimate,
    Export,
    ExportedRun,
    Flip,
    Known,
    Measurement,
    Neighbour,
    Run,
    RunStatus,
    State,
    TicketWish,
    Verdict,
    Verification,
    VerifiedSet,
    Window,
)

START = datetime(2026, 1, 5, tzinfo=UTC)
WEEK = timedelta(days=7)
LEASE = timedelta(minutes=15)
SECOND = timedelta(seconds=1)


def week(number: int) -> Window:
    """The week of this number, 0 for the first."""
    return Window(START + number * WEEK, START + (number + 1) * WEEK)


@contextmanager
def store_with_a_run(folder: Path) -> Iterator[Store]:
    """A store in the folder, with one drifted run of the monitor ``shop``."""
    with Store.open(f"sqlite:///{folder}/monitor.db") as store:
        store.upgrade()
        store.register_monitor("shop", settings="s", period=WEEK, now=START)
        claim = store.claim("shop", week(0), "a", START, LEASE)
        store.save(claim, finished(claim))
        yield store


def candidate(rank: int = 1, **changes: object) -> Candidate:
    made = Candidate(
        rank=rank,
        record_id=f"r{rank}",
        strategy="herding",
        need=0.875,
        gain=0.75,
        risk=None,
        suggested_label="refund",
        neighbours=(Neighbour("t1", "refund", 0.875), Neighbour("t2", None, -0.25)),
        reason="Far from every training example.",
        duplicates=3,
        text="Wo bleibt mein Geld? 💶 «naïve»\n\tzweite Zeile",
        observed_at=datetime(2026, 1, 6, 12, 30, 15, 123456, tzinfo=UTC),
        predicted="billing",
        confidence=0.5,
        segments={"country": "DE", "channel": "chat"},
        cluster="money back",
        vector=bytes(range(16)),
    )
    return replace(made, **changes)


def finished(claim: Claim, **changes: object) -> Run:
    """A drifted run of this claim, with something in every field."""
    made = Run(
        id=claim.run_id,
        monitor=claim.monitor,
        window=claim.window,
        status=RunStatus.DONE,
        attempt=claim.attempt,
        claimed_by=claim.worker,
        started_at=claim.started_at,
        finished_at=claim.started_at + timedelta(seconds=90, microseconds=5),
        reference_version=3,
        reference_fingerprint="f" * 64,
        embedder="all-MiniLM-L6-v2@abc",
        settings="s" * 16,
        counts=Counts(10_000_000_000, 2_000, 7, 5, 3, 1, {"wrong type": 2, "naive time": 1}),
        measurements=(
            Measurement("mmd", "embeddings", 0.125, 0.0625, 0.25, 0.001, 1_500, 2_000),
            Measurement("mmd", "embeddings", 0.5, 0.25, 0.75, 0.002, 300, 400, segment="country=DE"),
            Measurement("class_balance", "class:refund", 0.1, 0.05, 0.15, None, 9, 8, detail={"current_share": 0.25}),
        ),
        decision=Decision(
            State.DRIFTED,
            ("Content drifted.", "One more sentence."),
            ("mmd embeddings",),
            ("content",),
            {"smallest p": 0.001},
        ),
        candidates=(candidate(1), candidate(2, risk=0.25, text=None, observed_at=None, segments={})),
        seconds={"sample": 1.5, "embed": 20.25},
    )
    return replace(made, **changes)


def failed(claim: Claim, error: str = "the source is gone") -> Run:
    """A run of this claim that came to nothing."""
    return finished(
        claim,
        status=RunStatus.FAILED,
        error=error,
        measurements=(),
        candidates=(),
        counts=Counts(),
        decision=Decision(State.FAILED, (f"No verdict: {error}",)),
    )


def calm(claim: Claim, **changes: object) -> Run:
    """A run of this claim that found nothing."""
    return finished(claim, decision=Decision(State.STABLE, ("All as before.",)), candidates=(), **changes)


def wish(run: Run, key: str = "episode-1", **changes: object) -> TicketWish:
    """What a run asks of the ticket of its episode."""
    made = TicketWish(key, run.monitor, "Drift in support", run.window.start, run.id, causes=("content",))
    return replace(made, **changes)


def tickets(run: Run, key: str = "episode-1", destinations: Sequence[str] = ("file",)) -> list[tuple[str, TicketWish]]:
    """The same at every destination, as a store saves it."""
    return [(destination, wish(run, key)) for destination in destinations]


def open_ticket(store: Store, due: Due[TicketWish], location: str, now: datetime) -> None:
    """Mark a ticket as if its service had it now."""
    store.settled(due, Known(location, open=due.wish.open), now)


def source(run: Run) -> ExportedRun:
    """A run as an export names it."""
    records = frozenset(one.record_id for one in run.candidates)
    made_with = (run.reference_version or 0, run.reference_fingerprint, run.embedder, run.settings)
    return ExportedRun(run.id, run.window, *made_with, records)


def export(run: Run, key: str | None = None) -> Export:
    return Export(
        key or f"{run.monitor}|{run.window.start}",
        run.monitor,
        run.id,
        run.window,
        run.candidates,
        run.reference_version or 0,
        runs=(source(run),),
    )


def comparison(group: str = "", **changes: object) -> Comparison:
    """Two models on a hundred records."""
    made = Comparison(
        group=group,
        records=100,
        old_right=80,
        new_right=86,
        negative=2,
        positive=8,
        old=Estimate(0.8, 0.75, 0.875),
        new=Estimate(0.86, 0.8125, 0.9375),
        gain=Estimate(0.06, 0.0, 0.125),
        negative_rate=Estimate(0.025, 0.0, 0.0625),
        positive_rate=Estimate(0.4, 0.25, 0.5),
        trust=0.975,
        error=12 / 14,
        p_value=0.109375,
    )
    return replace(made, **changes)


def verification(monitor: str = "support", **changes: object) -> Verification:
    """A refresh that failed, with something in every field."""
    flips = (
        Flip("p1", "refund", "refund", "lamp", negative=True),
        Flip("p2", "lamp", "refund", "lamp", negative=False),
    )
    groups = (
        comparison("class refund"),
        comparison("class lamp", negative=0, negative_rate=None, trust=None, error=None),
    )
    held = VerifiedSet(
        "protected", {"without a new prediction": 2}, comparison(), groups, (comparison("country=DE"),), flips
    )
    told = VerifiedSet(
        "drifted", {"junk": 1}, comparison(), flips=(Flip("r1", "boat", "lamp", "boat", negative=False),)
    )
    made = Verification(
        id=f"{monitor}-1",
        monitor=monitor,
        made_at=START + 8 * SECOND,
        reference_version=3,
        old="old",
        new="candidate.parquet",
        windows=(START, START + WEEK),
        budget=0.01,
        verdict=Verdict.FAILED,
        sets=(held, told, VerifiedSet("random")),
        ignored={"new: of other records": 7},
        dataset_version=None,
    )
    return replace(made, **changes)


def deployment(model: str = "support-v2", **changes: object) -> Deployment:
    """A model that went live a day after the start."""
    at = START + timedelta(days=1)
    return replace(Deployment("support", model, at, "ana", at + SECOND, "support-1", 3), **changes)
