"""Labels that come back for candidates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from monitor.store.columns import storable
from monitor.store.entries import LabelImport
from monitor.store.rows import candidate_of
from monitor.store.tables import candidates, runs
from monitor.values import Candidate, Checked, Window

__all__ = ["checked", "given", "import_labels", "labelled"]

_CHUNK = 500
_RANDOM = "random"
"""The strategy of candidates that are a sample of production: :data:`monitor.selection.mixture.RANDOM`, held together by a test."""


def import_labels(
    connection: Connection, monitor: str, labels: Mapping[str, str], by: str, now: datetime
) -> LabelImport:
    """Give each candidate its label, in every run that proposed it."""
    wanted = {storable(record): storable(label) for record, label in labels.items()}
    had = _known(connection, monitor, list(wanted))
    changed = {record: wanted[record] for record, old in had.items() if old != {wanted[record]}}
    if changed:
        this = (candidates.c.monitor == sa.bindparam("of"), candidates.c.record_id == sa.bindparam("record"))
        connection.execute(
            sa.update(candidates).where(*this).values(label=sa.bindparam("given"), labelled_by=by, labelled_at=now),
            [{"of": monitor, "record": record, "given": label} for record, label in changed.items()],
        )
    new = sum(had[record] == {None} for record in changed)
    unknown = tuple(record for record in wanted if record not in had)
    return LabelImport(new, len(changed) - new, len(had) - len(changed), len(unknown), unknown)


def _known(connection: Connection, monitor: str, records: Sequence[str]) -> dict[str, set[str | None]]:
    """Labels so far of those that are candidates; a record can be one in several runs."""
    found: dict[str, set[str | None]] = {}
    for first in range(0, len(records), _CHUNK):
        query = sa.select(candidates.c.record_id, candidates.c.label).where(
            candidates.c.monitor == monitor, candidates.c.record_id.in_(records[first : first + _CHUNK])
        )
        for record, label in connection.execute(query):
            found.setdefault(record, set()).add(label)
    return found


def labelled(
    connection: Connection, monitor: str, since: datetime | None, embedder: str | None = None
) -> list[Candidate]:
    """Labelled candidates, each record once, by record id; with ``embedder`` those of runs that had it."""
    query = (
        sa.select(candidates)
        .where(candidates.c.monitor == monitor, candidates.c.labelled_at.is_not(None))
        .order_by(candidates.c.run_id)
    )
    if since is not None:
        query = query.where(candidates.c.labelled_at > since)
    if embedder is not None:
        query = query.join(runs, runs.c.id == candidates.c.run_id).where(runs.c.embedder == embedder)
    found: dict[str, Candidate] = {}
    for row in connection.execute(query):
        found.setdefault(row.record_id, candidate_of(row))
    return [found[record] for record in sorted(found)]


def checked(connection: Connection, monitor: str, since: datetime | None = None) -> list[Checked]:
    """Candidates drawn at random that have a label and a prediction, oldest window first; of windows that start from ``since`` on."""
    which = (candidates.c.record_id, candidates.c.predicted, candidates.c.label, candidates.c.observed_at)
    query = (
        sa.select(*which, runs.c.window_start, runs.c.window_end, runs.c.population)
        .join(runs, runs.c.id == candidates.c.run_id)
        .where(candidates.c.monitor == monitor, candidates.c.strategy == _RANDOM)
        .where(candidates.c.labelled_at.is_not(None), candidates.c.predicted.is_not(None))
        .order_by(runs.c.window_start, candidates.c.position)
    )
    if since is not None:
        query = query.where(runs.c.window_start >= since)
    return [
        Checked(
            Window(row.window_start, row.window_end),
            row.population,
            row.record_id,
            row.predicted,
            row.label,
            row.observed_at,
        )
        for row in connection.execute(query)
    ]


def given(connection: Connection, monitor: str, after: datetime | None, until: datetime) -> int:
    """Records whose label came in after the one time and by the other."""
    query = sa.select(sa.func.count(candidates.c.record_id.distinct())).where(
        candidates.c.monitor == monitor, candidates.c.labelled_at <= until
    )
    return int(
        connection.execute(query if after is None else query.where(candidates.c.labelled_at > after)).scalar_one()
    )
