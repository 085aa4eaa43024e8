"""Saving what a run found, together with what it wants sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from monitor.store import outbox, pictures, rows, sums
from monitor.store import tickets as ticket_rows
from monitor.store.claims import lost, ours
from monitor.store.entries import Claim, Past
from monitor.store.tables import candidates, decisions, measurements, monitors, runs
from monitor.values import Decision, Export, Notice, Run, RunStatus, TicketWish

__all__ = ["save", "saved"]


def _check(claim: Claim, run: Run, exports: Mapping[str, Export]) -> Decision:
    """The run's verdict. Refuse a run that is not finished, or not the claimed one, or that asks to export what it does not hold."""
    if (run.id, run.monitor, run.window, run.attempt) != (claim.run_id, claim.monitor, claim.window, claim.attempt):
        raise ValueError(
            f"the run of {run.monitor} {run.window} attempt {run.attempt} is not that of the claim {claim}"
        )
    if run.status is RunStatus.RUNNING or run.finished_at is None or run.decision is None:
        raise ValueError(
            f"the run of {run.monitor} {run.window} is saved finished, with its decision and finishing time"
        )
    for destination, export in exports.items():
        if export.run_id != run.id or export.candidates != run.candidates:
            raise ValueError(
                f"the export to {destination} must hold the candidates of its run {run.id}, all and no other"
            )
    return run.decision


def saved(connection: Connection, claim: Claim, run: Run) -> bool:
    """Whether this very run was saved already, and the answer lost on its way."""
    this = sa.and_(
        runs.c.id == claim.run_id,
        runs.c.attempt == claim.attempt,
        runs.c.claimed_by == claim.worker,
        runs.c.status == run.status.value,
        runs.c.finished_at == run.finished_at,
    )
    return connection.execute(sa.select(runs.c.id).where(this)).first() is not None


def save(
    connection: Connection,
    claim: Claim,
    run: Run,
    tickets: Sequence[tuple[str, TicketWish]],
    exports: Mapping[str, Export],
    notices: Mapping[str, Notice],
    past: Past | None = None,
    picture: bytes | None = None,
) -> None:
    """Write the run and its wishes; :class:`ClaimLost` when the window has another owner by now."""
    decision = _check(claim, run, exports)
    failed = int(run.status is RunStatus.FAILED)
    changed = sa.update(runs).where(ours(claim)).values(rows.run_row(run) | {"failures": runs.c.failures + failed})
    if connection.execute(changed).rowcount != 1:
        raise lost(claim)
    period = run.window.length.total_seconds()
    connection.execute(
        sa.update(monitors).where(monitors.c.name == run.monitor).values(settings=run.settings, period_seconds=period)
    )
    for table, made in (
        (measurements, rows.measurement_rows(run)),
        (decisions, [rows.decision_row(run, decision)]),
        (candidates, rows.candidate_rows(run)),
    ):
        connection.execute(sa.delete(table).where(table.c.run_id == run.id))
        if made:
            connection.execute(sa.insert(table), made)
    if past is not None:
        sums.save(connection, run, past)
    pictures.save(connection, run, picture)
    for destination, wanted in tickets:
        ticket_rows.wish(connection, [destination], wanted, run.finished_at or claim.started_at)
    outbox.wish(connection, run, exports, notices)
