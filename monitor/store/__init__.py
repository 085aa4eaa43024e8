"""What is remembered: runs, who may run what, and what is still to be sent. SQLite or PostgreSQL.

One method is one transaction; values go in and come out, never rows. Leases compare times, so every ``now`` given to one
store must come from one clock: :meth:`Store.now` reads the database's, which all replicas share.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from monitor.errors import ClaimLost, LeaseLost, StoreError, StoreUnavailable
from monitor.store import (
    calibrations,
    claims,
    history,
    intakes,
    outbox,
    overview,
    pictures,
    redactions,
    references,
    results,
    retention,
    schema,
    slots,
    sums,
)
from monitor.store import labels as label_rows
from monitor.store import tickets as ticket_rows
from monitor.store import verifications as verified
from monitor.store.database import Database
from monitor.store.entries import (
    Accepted,
    Annotation,
    AnyDue,
    Attempt,
    Claim,
    Delivery,
    DeliveryStatus,
    Due,
    Intake,
    LabelImport,
    Overview,
    Past,
    PastWindow,
    Place,
    Proposed,
    ReferenceVersion,
    Standing,
    Wish,
)
from monitor.store.patience import Patience, patient
from monitor.store.purge import Mention, Purged, Scrub, purge
from monitor.store.tables import runs
from monitor.values import (
    Baseline,
    Calibration,
    Candidate,
    Checked,
    Decision,
    Deployment,
    Export,
    Judged,
    Known,
    Lineage,
    Living,
    Measurement,
    Notice,
    Run,
    Said,
    Silence,
    State,
    TicketWish,
    TrainingSet,
    Verification,
    Window,
)

__all__ = [
    "Accepted",
    "Annotation",
    "AnyDue",
    "Attempt",
    "Claim",
    "ClaimLost",
    "Delivery",
    "DeliveryStatus",
    "Due",
    "Intake",
    "LabelImport",
    "LeaseLost",
    "Mention",
    "Overview",
    "Past",
    "PastWindow",
    "Place",
    "Proposed",
    "Purged",
    "ReferenceVersion",
    "Standing",
    "Store",
    "StoreError",
    "StoreUnavailable",
]

_SENDING = timedelta(minutes=15)
_PATIENCE = timedelta(minutes=1)


# A purge returns what it found, which a second time would not find again.
@patient(but={"open", "close", "hurry", "without_patience", "upgrade", "check", "describe", "purge"})
class Store:
    """The database of one installation; any number of processes and threads may share it.

    A database that is away for a moment is waited for, up to ``patience`` for each method: what was begun is done again,
    once in effect. :class:`StoreUnavailable` says that it stayed away for longer.
    """

    def __init__(self, database: Database, patience: timedelta = _PATIENCE) -> None:
        self._database = database
        self._patience = Patience(patience)

    @classmethod
    def open(cls, url: str, *, password: str | None = None, patience: timedelta = _PATIENCE) -> Store:
        """A store at this URL; nothing is connected to yet."""
        return cls(Database(url, password), patience)

    def without_patience(self) -> Store:
        """The same database for whoever wants an answer at once or none, such as a page."""
        return Store(self._database, timedelta(0))

    def hurry(self) -> None:
        """Wait for the database no more, from now on and where it is waited for already; for a process that is to end."""
        self._patience.hurry()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()

    def upgrade(self) -> str | None:
        """Bring the schema up to date; any number of processes may call this at once.

        The revision it had, ``None`` for an empty database. A newer schema that this release may still work on is left alone.
        """
        return schema.upgrade(self._database)

    def check(self) -> None:
        """Raise :class:`StoreError` unless the database answers and has the schema this release needs."""
        schema.check(self._database)

    def describe(self) -> str:
        """Where the database is, without password, and how far its schema; nothing is made or changed."""
        return schema.describe(self._database)

    def copy_to(self, file: Path) -> None:
        """Copy one moment of a SQLite store to an empty or new file, while others read and write; see ``drift-monitor db backup``."""
        self._database.copy_to(file)

    def now(self) -> datetime:
        """The database's clock, in UTC."""
        return self._database.now()

    # --- claiming and saving -----------------------------------------------------------------------------------------

    def register_monitor(self, name: str, *, settings: str, period: timedelta, now: datetime) -> None:
        """Make a monitor known before its first run; known ones stay as they are."""
        with self._database.write() as connection:
            claims.know(connection, name, period, now, settings)

    def claim(
        self, monitor: str, window: Window, worker: str, now: datetime, lease: timedelta, *, retry_failed: bool = False
    ) -> Claim | None:
        """The right to run the window until ``now + lease``.

        ``None`` when it is done, when another process has it, or when it failed and ``retry_failed`` is false. A claim
        whose lease has ended is taken over with the next attempt; its former holder can no longer save. Windows of one
        monitor are run one at a time, and what was begun is ended before a later one begins: ``None`` as well while another
        window of the monitor is being run, or an earlier one was left unfinished.
        """
        wanted = Claim(claims.run_id_of(monitor, window.start), monitor, window, 1, worker, now, now + lease)
        with self._database.write() as connection:
            mine = claims.held(connection, wanted) if self._database.in_doubt else None
            return mine or claims.claim(connection, wanted, retry_failed=retry_failed)

    def renew(self, claim: Claim, now: datetime, lease: timedelta) -> Claim:
        """Keep the claim until ``now + lease``, or :class:`ClaimLost`."""
        with self._database.write() as connection:
            return claims.renew(connection, claim, now + lease)

    def release(self, claim: Claim) -> None:
        """Give the window back unfinished; any process may claim it at once."""
        with self._database.write() as connection:
            claims.release(connection, claim)

    def save(
        self,
        claim: Claim,
        run: Run,
        *,
        tickets: Sequence[tuple[str, TicketWish]] = (),
        exports: Mapping[str, Export] | None = None,
        notices: Mapping[str, Notice] | None = None,
        past: Past | None = None,
        picture: bytes | None = None,
        masked: Mapping[str, int] | None = None,
    ) -> None:
        """Write a finished run, done or failed, its wishes by destination, and what later windows need of it, all or nothing.

        ``masked``: how much of the picture's excerpts was masked, by kind. A picture stays as long as its window is the newest, or is one of the newest with something to see.

        Tickets come as (destination, wish), once for each episode. :class:`ClaimLost` when the window was taken over. The
        key of an export or a notice that its destination has had before adds nothing; that of a ticket changes it.
        """
        with self._database.write() as connection:
            if self._database.in_doubt and results.saved(connection, claim, run):
                return
            results.save(connection, claim, run, tickets, exports or {}, notices or {}, past, picture)
            redactions.add(connection, run.monitor, "report", "report", masked or {})

    def unfinished(self, monitor: str, now: datetime) -> Sequence[Window]:
        """Windows whose process died or gave them back, oldest first; some may lie before the watermark."""
        with self._database.read() as connection:
            return claims.unfinished(connection, monitor, now)

    def attempts(self, monitor: str, limit: int) -> Sequence[Attempt]:
        """How far the runs of the newest windows have come, newest first."""
        with self._database.read() as connection:
            return claims.attempts(connection, monitor, limit)

    def left_behind(self, now: datetime) -> Collection[str]:
        """Monitors with a window whose process died or gave it back."""
        with self._database.read() as connection:
            return claims.left_behind(connection, now)

    # --- sending -----------------------------------------------------------------------------------------------------

    def due_tickets(self, now: datetime, limit: int = 50, lease: timedelta = _SENDING) -> Sequence[Due[TicketWish]]:
        """Tickets to bring up to date now; no other process gets them before the lease ends."""
        with self._database.write() as connection:
            return outbox.due_tickets(connection, now, limit, lease, again=self._database.in_doubt)

    def due_exports(self, now: datetime, limit: int = 50, lease: timedelta = _SENDING) -> Sequence[Due[Export]]:
        """Exports to write now; no other process gets them before the lease ends."""
        with self._database.write() as connection:
            return outbox.due_exports(connection, now, limit, lease, again=self._database.in_doubt)

    def ask_export(
        self, monitor: str, destination: str, slot: datetime, now: datetime, *, everything: bool = False
    ) -> int:
        """Have the candidates of runs that ended by ``slot`` exported there, once a slot; the number of runs.

        Those that no earlier slot of this destination has, or all of them with ``everything``.
        """
        with self._database.write() as connection:
            return slots.ask(connection, monitor, destination, slot, now, everything=everything)

    def to_export(self, monitor: str, destination: str, slot: datetime, *, everything: bool = False) -> Sequence[str]:
        """Ids of the runs that :meth:`ask_export` would have exported there, newest window first."""
        with self._database.read() as connection:
            return slots.waiting(connection, monitor, destination, slot, everything=everything)

    def due_notices(self, now: datetime, limit: int = 50, lease: timedelta = _SENDING) -> Sequence[Due[Notice]]:
        """Notices to send now; no other process gets them before the lease ends."""
        with self._database.write() as connection:
            return outbox.due_notices(connection, now, limit, lease, again=self._database.in_doubt)

    def hold(self, due: Due[Wish], now: datetime, lease: timedelta = _SENDING) -> Due[Wish]:
        """What is due, kept from other processes until ``now + lease`` at least, or :class:`LeaseLost`.

        Asked before each step that cannot be taken back. Nothing is written while much of the lease is left.
        """
        if outbox.held(due, now, lease):
            return due
        with self._database.write() as connection:
            return outbox.hold(connection, due, now, lease, again=self._database.in_doubt)

    def keep_ticket(self, due: Due[TicketWish], known: Known) -> None:
        """Note a step of bringing a ticket up to date that cannot be taken back, or :class:`LeaseLost`."""
        with self._database.write() as connection:
            if not ticket_rows.keep(connection, outbox.ours(due), known):
                raise outbox.lost(due)

    def settled(
        self,
        due: Due[TicketWish],
        known: Known,
        now: datetime,
        *,
        baseline: Baseline | None = None,
        silence: Silence | None = None,
        lifted: bool = False,
        masked: Mapping[str, int] | None = None,
    ) -> bool:
        """Note that a ticket is up to date and how it was left, and do what a person asked for on it.

        False, and nothing but that the ticket is due again, when another process has taken over the sending meanwhile:
        what was written last may be this one's, older, words. ``lifted`` takes back a silence that was said on it; ``masked`` is how much was masked in its texts, by kind.
        """
        reopened = known.open is True and due.known.open is False
        with self._database.write() as connection:
            if not ticket_rows.settled(connection, outbox.ours(due), known, due.revision, now, reopened=reopened):
                ticket_rows.again(connection, due.key, due.destination, now)
                return False
            redactions.add(connection, due.monitor, "ticket", due.destination, masked or {})
            if baseline is not None:
                references.accept(connection, baseline)
            if lifted:
                ticket_rows.lift(connection, due.monitor, due.key)
            if silence is not None:
                ticket_rows.silence(connection, silence)
            return True

    def living(self, monitor: str, limit: int = 10) -> Sequence[Living]:
        """Episodes of drift that have tickets, the newest first."""
        with self._database.read() as connection:
            return ticket_rows.living(connection, monitor, limit)

    def tell(self, key: str, note: Said, now: datetime) -> bool:
        """Add a comment to the tickets of an episode; false when there are none or it was told before."""
        with self._database.write() as connection:
            return ticket_rows.tell(connection, key, note, now)

    def silence(self, said: Silence) -> None:
        """Say nothing about a monitor's drift until then."""
        with self._database.write() as connection:
            ticket_rows.silence(connection, said)

    def lift_silence(self, monitor: str) -> int:
        """Speak again about a monitor's drift; the number of silences that ended."""
        with self._database.write() as connection:
            return ticket_rows.lift(connection, monitor)

    def silenced(self, now: datetime) -> Mapping[str, Silence]:
        """The longest silence of each monitor that has not run out."""
        with self._database.read() as connection:
            return ticket_rows.silenced(connection, now)

    def sent(
        self,
        due: Due[Export] | Due[Notice],
        location: str,
        now: datetime,
        *,
        masked: Mapping[str, int] | None = None,
    ) -> None:
        """Note that the export is written or the notice sent, where, and how much was masked in it, by kind."""
        with self._database.write() as connection:
            outbox.sent(connection, due, location, now, masked)

    def not_sent(
        self,
        due: AnyDue,
        error: str,
        now: datetime,
        *,
        permanent: bool = False,
        wait: timedelta = timedelta(0),
    ) -> None:
        """Note why it could not be sent: due again later, each time later, after ``wait`` at least; or parked when ``permanent``."""
        with self._database.write() as connection:
            outbox.not_sent(connection, due, error, now, permanent=permanent, least=wait)

    def unpark(self) -> int:
        """Make all that could not be sent due at once, parked or waiting; how many that is."""
        with self._database.write() as connection:
            return outbox.unpark(connection)

    def tickets(
        self,
        monitor: str | None = None,
        limit: int = 1_000,
        *,
        after: Place | None = None,
        known: Collection[str] | None = None,
    ) -> Sequence[Delivery]:
        """Tickets and what became of them, newest first: of one monitor, of known ones, those that come after a place."""
        with self._database.read() as connection:
            return outbox.deliveries(connection, "tickets", monitor, limit, after, known)

    def exports(
        self, monitor: str | None = None, limit: int = 1_000, *, run_id: str | None = None
    ) -> Sequence[Delivery]:
        """Exports and what became of them, newest first: of one monitor, of one run."""
        with self._database.read() as connection:
            return outbox.deliveries(connection, "exports", monitor, limit, run_id=run_id)

    def notices(self, monitor: str | None = None, limit: int = 1_000) -> Sequence[Delivery]:
        """Notices and what became of them, newest first."""
        with self._database.read() as connection:
            return outbox.deliveries(connection, "notices", monitor, limit)

    # --- reading -----------------------------------------------------------------------------------------------------

    def run(self, monitor: str, window_start: datetime) -> Run | None:
        """The run of the window that starts then, however far it has come."""
        with self._database.read() as connection:
            return history.run(connection, (runs.c.monitor == monitor) & (runs.c.window_start == window_start))

    def run_by_id(self, run_id: str) -> Run | None:
        """The run of this id."""
        with self._database.read() as connection:
            return history.run(connection, runs.c.id == run_id)

    def runs(
        self,
        monitor: str | None = None,
        *,
        limit: int = 100,
        since: datetime | None = None,
        before: datetime | None = None,
        with_candidates: bool = True,
    ) -> Sequence[Run]:
        """Runs of any status whose window starts at or after ``since`` and before ``before``, newest window first."""
        with self._database.read() as connection:
            return history.runs_of(connection, monitor, limit, since, before, with_candidates=with_candidates)

    def latest_runs(self) -> Sequence[Run]:
        """Newest finished run of every monitor, done or failed, without its candidates."""
        with self._database.read() as connection:
            return history.latest(connection)

    def history(self, monitor: str, before: datetime, limit: int) -> Sequence[tuple[Window, Decision]]:
        """Verdicts on windows that start before then, newest first; failed runs gave none."""
        with self._database.read() as connection:
            return history.history(connection, monitor, before, limit)

    def judged(self, monitor: str, before: datetime, limit: int) -> Sequence[Judged]:
        """What history tells, in short: for looking far back."""
        with self._database.read() as connection:
            return history.judged(connection, monitor, before, limit)

    def states(self, monitor: str, since: datetime, before: datetime) -> Sequence[tuple[Window, State]]:
        """State of each window that starts from ``since`` on and before the other time, oldest first; failed runs have none."""
        with self._database.read() as connection:
            return history.states(connection, monitor, since, before)

    def picture(self, run_id: str) -> bytes | None:
        """The picture of a run as it was saved, while it is kept."""
        with self._database.read() as connection:
            return pictures.content(connection, run_id)

    def past_windows(self, monitor: str, plan: str, before: datetime) -> Sequence[PastWindow]:
        """Windows that start before then and whose block sums of this plan are kept, oldest first."""
        with self._database.read() as connection:
            return sums.past_windows(connection, monitor, plan, before)

    def block_sums(self, runs: Sequence[str]) -> Mapping[str, Mapping[str, bytes]]:
        """Block sums of these runs as they were saved, by run and segment."""
        with self._database.read() as connection:
            return sums.contents(connection, runs)

    def watermark(self, monitor: str) -> datetime | None:
        """End of the newest window that is done; a failed one leaves it where it was."""
        with self._database.read() as connection:
            return history.watermark(connection, monitor)

    def overview(self) -> Sequence[Overview]:
        """All that is shown about each monitor, read at one moment, by name."""
        with self._database.read() as connection:
            return overview.overview(connection)

    def measured(self, run_ids: Collection[str]) -> dict[str, Sequence[Measurement]]:
        """What was measured in each of these runs, single classes within segments left out."""
        with self._database.read() as connection:
            return dict(history.measured_of(connection, list(run_ids), classes_within_segments=False))

    # --- labels, references, baselines -------------------------------------------------------------------------------

    def import_labels(self, monitor: str, labels: Mapping[str, str], by: str, now: datetime) -> LabelImport:
        """Give candidates their true labels by record id; the same again changes nothing."""
        with self._database.write() as connection:
            return label_rows.import_labels(connection, monitor, labels, by, now)

    def labelled_candidates(
        self, monitor: str, since: datetime | None = None, embedder: str | None = None
    ) -> Sequence[Candidate]:
        """Candidates labelled after ``since`` (such as the creation of a reference), each record once, by record id.

        With ``embedder``, a fingerprint, those of runs that had it.
        """
        with self._database.read() as connection:
            return label_rows.labelled(connection, monitor, since, embedder)

    def take_in(self, intake: Intake) -> None:
        """Write an import of labels and all that comes of it, all or nothing; one of the same id is replaced."""
        with self._database.write() as connection:
            intakes.take_in(connection, intake)

    def imported(self, import_id: str) -> Intake | None:
        """An import of labels by its id, without the labels."""
        with self._database.read() as connection:
            return intakes.imported(connection, import_id)

    def intakes(self, monitor: str) -> Sequence[Intake]:
        """Imports of labels, oldest first, without the labels."""
        with self._database.read() as connection:
            return intakes.intakes(connection, monitor)

    def annotations(self, monitor: str, records: Sequence[str]) -> Sequence[Annotation]:
        """What people said of these records, oldest import first."""
        with self._database.read() as connection:
            return intakes.said(connection, monitor, records)

    def accepted_labels(self, monitor: str) -> Mapping[str, Accepted]:
        """Labels in force that came through :meth:`take_in`, by record."""
        with self._database.read() as connection:
            return intakes.accepted(connection, monitor)

    def proposed(self, monitor: str, records: Sequence[str]) -> Mapping[str, Proposed]:
        """Those of these records that were candidates, as they were proposed last."""
        with self._database.read() as connection:
            return intakes.proposed(connection, monitor, records)

    def origins(self, monitor: str, records: Sequence[str]) -> Lineage:
        """Runs, tickets and exports that these records came out of."""
        with self._database.read() as connection:
            return intakes.origins(connection, monitor, records)

    def training_sets(self, monitor: str) -> Sequence[TrainingSet]:
        """Versions of the training set, oldest first."""
        with self._database.read() as connection:
            return intakes.training_sets(connection, monitor)

    def register_reference(self, monitor: str, version: int, fingerprint: str, uri: str, created_at: datetime) -> None:
        """Make a version known; the same again changes nothing, other content under its number is a StoreError."""
        with self._database.write() as connection:
            references.register(connection, ReferenceVersion(monitor, version, fingerprint, uri, created_at, False))

    def use_reference(self, monitor: str, version: int) -> None:
        """Compare with this version from now on."""
        with self._database.write() as connection:
            references.use(connection, monitor, version)

    def references(self, monitor: str) -> Sequence[ReferenceVersion]:
        """Known versions, oldest first."""
        with self._database.read() as connection:
            return references.versions(connection, monitor)

    def active_reference(self, monitor: str) -> int | None:
        """The version in use."""
        return next((one.version for one in self.references(monitor) if one.active), None)

    def accept_baseline(self, baseline: Baseline) -> None:
        """Accept a gap from its window on."""
        with self._database.write() as connection:
            references.accept(connection, baseline)

    def refingerprint(self, monitor: str, version: int, fingerprint: str) -> None:
        """Note what a version holds after a purge."""
        with self._database.write() as connection:
            references.refingerprint(connection, monitor, version, fingerprint)

    # --- privacy -----------------------------------------------------------------------------------------------------

    def forget(self, before: datetime, limit: int = 200, *, dry_run: bool = False) -> Mapping[str, int]:
        """Forget texts and vectors of at most ``limit`` runs that ended before then, by place; nothing when none is left."""
        with self._database.write() as connection:
            found: Mapping[str, int] = retention.forget(connection, before, limit)
            if dry_run:
                connection.rollback()
            return found

    def purge(
        self,
        ids: Collection[str],
        monitor: str | None,
        *,
        scrub: Scrub,
        redraw: Callable[[bytes], bytes | None],
        dry_run: bool = False,
    ) -> Purged:
        """Remove these records of one monitor, or of all, wherever they are in the store; see :mod:`monitor.store.purge`."""
        now = self.now()
        with self._database.write() as connection:
            found = purge(connection, ids, monitor, scrub, redraw, now)
            if dry_run:
                connection.rollback()
        if not dry_run:
            self._database.compact(found.tables)
        return found

    def keep_calibration(self, calibration: Calibration) -> None:
        """Keep the newest calibration of a monitor."""
        with self._database.write() as connection:
            calibrations.keep(connection, calibration)

    def calibration(self, monitor: str) -> Calibration | None:
        """The newest calibration of a monitor, if there was one."""
        with self._database.read() as connection:
            return calibrations.newest(connection).get(monitor)

    def baselines(self, monitor: str, at: datetime) -> Sequence[Baseline]:
        """Gaps accepted on windows that start before ``at`` and not run out by then, oldest first."""
        with self._database.read() as connection:
            return references.accepted(connection, monitor, at)

    # --- refreshes ---------------------------------------------------------------------------------------------------

    def save_verification(self, found: Verification) -> None:
        """Keep a verification; the same again changes nothing."""
        with self._database.write() as connection:
            verified.save(connection, found)

    def verification(self, which: str) -> Verification | None:
        """The verification of this id."""
        with self._database.read() as connection:
            return verified.verification(connection, which)

    def verifications(self, monitor: str, limit: int = 100, *, with_flips: bool = True) -> Sequence[Verification]:
        """Verifications of a monitor, newest first."""
        with self._database.read() as connection:
            return verified.of_monitor(connection, monitor, limit, with_flips=with_flips)

    def declare_live(self, deployment: Deployment) -> None:
        """Keep that a model went live; :class:`StoreError` when another did at the same moment."""
        with self._database.write() as connection:
            verified.declare(connection, deployment)

    def deployments(self, monitor: str) -> Sequence[Deployment]:
        """Models that were declared live, newest first."""
        with self._database.read() as connection:
            return verified.deployed(connection, monitor)

    def checked(self, monitor: str, since: datetime | None = None) -> Sequence[Checked]:
        """Records drawn at random from windows that start from ``since`` on, with prediction and label, oldest window first."""
        with self._database.read() as connection:
            return label_rows.checked(connection, monitor, since)

    def labels_given(self, monitor: str, after: datetime | None, until: datetime) -> int:
        """Records whose label came in after the one time and by the other."""
        with self._database.read() as connection:
            return label_rows.given(connection, monitor, after, until)
