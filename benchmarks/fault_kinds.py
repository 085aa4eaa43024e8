"""The faults: what befalls processes, the database, the network, disks and clocks, in an order drawn from a seed."""

from __future__ import annotations

import random
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from fault_world import LEASE, SENDING, Database, Disk, Replica
from tcp_proxy import Proxy

LONG_EVERY = 4
"""Every so many times a process is frozen for longer than what is sent is leased for, not only longer than a window is."""


@dataclass
class Scene:
    """What faults can befall."""

    replicas: list[Replica]
    ways: list[Proxy]
    database: Database
    tracker: Proxy
    exports: Disk
    quick: bool = False
    done: Counter[str] = field(default_factory=Counter)
    told: list[dict[str, object]] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)


class Injector(threading.Thread):
    """Brings one fault after another, each kind as often as any other, until it is told to stop; each is healed by then."""

    def __init__(self, scene: Scene, kinds: Sequence[str], seed: int, gap: tuple[float, float]) -> None:
        super().__init__(name="faults")
        self._scene, self._kinds, self._gap = scene, list(kinds), gap
        self._rng = random.Random(seed)
        self._stop_asked = threading.Event()
        self._bag: list[str] = []
        self.failure: Exception | None = None
        self._frozen = 0

    @property
    def once(self) -> bool:
        """Whether every kind has come at least once, or something went wrong."""
        return self.failure is not None or all(self._scene.done[kind] for kind in self._kinds)

    def stop(self) -> None:
        """Bring no more."""
        self._stop_asked.set()

    def run(self) -> None:
        """Until :meth:`stop`."""
        try:
            while not self._stop_asked.wait(self._rng.uniform(*self._gap)):
                if not self._bag:
                    self._bag = self._rng.sample(self._kinds, len(self._kinds))
                kind = self._bag.pop()
                at = time.monotonic() - self._scene.began
                if _KINDS[kind](self):
                    self._scene.done[kind] += 1
                    self._scene.told.append({"at": round(at, 1), "kind": kind, "seconds": round(time.monotonic() - self._scene.began - at, 1)})  # fmt: skip
        except Exception as error:  # noqa: BLE001 - raised again where the suite ends
            self.failure = error

    # --- processes ---------------------------------------------------------------------------------------------------

    def _one(self) -> Replica:
        return self._rng.choice(self._scene.replicas)

    def _down(self, low: float = 1.0, high: float = 4.0) -> None:
        time.sleep(self._rng.uniform(low, high))

    def kill(self, whom: str) -> bool:
        """SIGKILL; what is not started again by its parent is started again after some seconds."""
        replica = self._one()
        child = self._child(replica) if whom == "child" else None
        if whom == "child":
            return child is not None and replica.signal(signal.SIGKILL, whom=whom, child=child)
        there = replica.alive and replica.signal(signal.SIGKILL, whom=whom)
        replica.process.wait()
        self._down()
        replica.start(replica.skew)
        return there

    def _child(self, replica: Replica) -> object:
        until = time.monotonic() + 20
        while time.monotonic() < until:
            found = replica.children()
            if found:
                return self._rng.choice(found)
            time.sleep(0.3)
        return None

    def freeze(self, whom: str) -> bool:
        """SIGSTOP for longer than the lease, then SIGCONT."""
        replica = self._one()
        child = self._child(replica) if whom == "child" else None
        if whom == "child" and child is None:
            return False
        self._frozen += 1
        long = not self._scene.quick and self._frozen % LONG_EVERY == 0
        there = replica.signal(signal.SIGSTOP, whom=whom, child=child)
        try:
            time.sleep(self._rng.uniform(SENDING + 2, SENDING + 8) if long else self._rng.uniform(LEASE + 1, LEASE * 2))
        finally:
            replica.signal(signal.SIGCONT, whom=whom, child=child)
        return there

    def skew(self) -> bool:
        """A replica is killed and comes back with its clock an hour off, or right again."""
        replica = self._scene.replicas[-1]
        replica.kill()
        replica.start({"": "+3600", "+3600": "-3600", "-3600": ""}[replica.skew])
        return bool(replica.skew)

    # --- database, network, disks ------------------------------------------------------------------------------------

    def restart(self, how: str) -> bool:
        """The database goes down and comes back."""
        self._scene.database.restart(how)
        return True

    def cut(self) -> bool:
        """Every connection of one replica breaks; sometimes it cannot connect for a while either."""
        way = self._rng.choice(self._scene.ways)
        if self._rng.random() < 0.5:
            return way.cut() > 0
        way.refuse()
        try:
            self._down(1, LEASE * 2)
        finally:
            way.accept()
        return True

    def black_hole(self) -> bool:
        """One replica's connections stand and carry nothing, for longer than the lease."""
        way = self._rng.choice(self._scene.ways)
        way.silence()
        try:
            time.sleep(self._rng.uniform(LEASE + 1, LEASE * 2))
        finally:
            way.accept()
        return True

    def lost_commit(self) -> bool:
        """The connection breaks as a COMMIT is sent, or after it was done and before its answer is back."""
        way = self._rng.choice(self._scene.ways)
        before = way.lost
        way.lose(b"COMMIT", self._rng.choice(["before", "after"]))
        return self._came(lambda: way.lost > before)

    def lost_answer(self) -> bool:
        """The tracker does what it is told, and its answer is lost."""
        before = self._scene.tracker.lost
        self._scene.tracker.lose(b"POST /", "after")
        return self._came(lambda: self._scene.tracker.lost > before)

    def _came(self, there: Callable[[], bool]) -> bool:
        until = time.monotonic() + 15
        while not there() and time.monotonic() < until and not self._stop_asked.is_set():
            time.sleep(0.1)
        return there()

    def full(self, disk: Disk) -> bool:
        """No room on a disk for a while."""
        if not disk.small:
            return False
        disk.fill()
        try:
            self._down(3, 8)
        finally:
            disk.relieve()
        return True

    def full_exports(self) -> bool:
        """No room for exports."""
        return self.full(self._scene.exports)

    def full_database(self) -> bool:
        """No room for the database, which may end over it."""
        was = self.full(self._scene.database.disk)
        self._scene.database.raise_up()
        return was


_KINDS: dict[str, Callable[[Injector], bool]] = {
    "kill -9 of a parent": lambda one: one.kill("parent"),
    "kill -9 of a child": lambda one: one.kill("child"),
    "kill -9 of a whole replica": lambda one: one.kill("group"),
    "freeze of a parent": lambda one: one.freeze("parent"),
    "freeze of a child": lambda one: one.freeze("child"),
    "freeze of a whole replica": lambda one: one.freeze("group"),
    "clock an hour off": lambda one: one.skew(),
    "database crash": lambda one: one.restart("immediate"),
    "database restart": lambda one: one.restart("fast"),
    "connections cut": lambda one: one.cut(),
    "connections silent": lambda one: one.black_hole(),
    "commit cut": lambda one: one.lost_commit(),
    "tracker's answer lost": lambda one: one.lost_answer(),
    "export disk full": lambda one: one.full_exports(),
    "database disk full": lambda one: one.full_database(),
}
PROCESSES = tuple(_KINDS)[: 7 if shutil.which("cc") else 6]
SURROUNDINGS = tuple(_KINDS)[7:]
QUICK = ("kill -9 of a whole replica", "freeze of a child"), ("connections cut", "database crash")
