"""What a run needs at hand: one monitor's wired parts, the desk it works at, and the watch over its steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from monitor.decide import Policy
from monitor.detectors import Detector
from monitor.embedders import Embedder
from monitor.export_plan import ExportPlan
from monitor.exporters import Exporter
from monitor.notifiers import Notifier
from monitor.past import Memory
from monitor.picture import Excerpts
from monitor.reach import Reach
from monitor.redaction import Redactor, Texts
from monitor.selection.mixture import Mixture
from monitor.sources import Source
from monitor.store import Claim, Store
from monitor.tickets import Tickets
from monitor.values import Reference

__all__ = ["Desk", "Monitor", "Steps", "Stopped"]


class Stopped(Exception):
    """Raised by a watcher to stop a run before a step; the claim is given back and the window stays due."""

    def __init__(self, step: str) -> None:
        self.step = step
        super().__init__(f"stopped before {step}")


@dataclass(frozen=True, slots=True)
class Monitor:
    """One model's parts, wired: what runs in each room of the corridor."""

    name: str
    source: Source
    sampling: Mapping[str, Any]
    embedder: Embedder
    canary_embedder: Embedder
    load_reference: Callable[[], Reference]
    detectors: Mapping[str, Detector]
    policy: Policy
    memory: Callable[[Reference], Memory]
    season: timedelta | None
    keep: int
    mixture: Mixture
    budget: int
    junk: frozenset[str]
    negative_flips: float
    bandwidth: float
    excerpts: Excerpts
    tickets: Mapping[str, Tickets]
    exports: Mapping[str, Exporter]
    export_plans: Mapping[str, ExportPlan]
    notifiers: Mapping[str, Notifier]
    notify_pause: timedelta
    reopen: timedelta
    silence: timedelta
    allowed: float
    settings: str
    pages: str = ""
    audit: int = 0
    redactor: Redactor = field(default_factory=Redactor)
    texts: Mapping[tuple[str, str], Texts] = field(default_factory=dict)
    reach: Reach | None = None

    def texts_for(self, kind: str, destination: str) -> Texts:
        """How texts go to a destination of this kind: ``tickets``, ``exports`` or ``notify``; masked where nothing is said."""
        return self.texts.get((kind, destination), "redacted")


@dataclass(frozen=True, slots=True)
class Desk:
    """What a run works with besides its monitor: the store, a clock, a name, and who watches.

    ``step`` is told the name of each step before it begins; ``progress`` (done, in all) while texts are embedded. Either
    may raise to stop the run, which then stays claimable. ``claimed`` is told of each window that the run was given.
    """

    store: Store
    clock: Callable[[], datetime]
    worker: str
    lease: timedelta = timedelta(minutes=15)
    claimed: Callable[[Claim], None] = lambda claim: None
    step: Callable[[str], None] = lambda name: None
    progress: Callable[[int, int], None] = lambda done, total: None


class Steps:
    """Times the steps of a run, tells the watcher, and keeps the claim alive."""

    def __init__(self, desk: Desk, claim: Claim) -> None:
        self._desk = desk
        self.claim = claim
        self._alive = desk.clock()
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Do one step under this name."""
        self._desk.step(name)
        self.beat()
        began = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began

    def beat(self) -> None:
        """Renew the claim once a third of the lease is over."""
        now = self._desk.clock()
        if now - self._alive > self._desk.lease / 3:
            self._desk.store.renew(self.claim, now, self._desk.lease)
            self._alive = now

    def progress(self, done: int, total: int) -> None:
        """Pass progress on."""
        self._desk.progress(done, total)
        self.beat()
