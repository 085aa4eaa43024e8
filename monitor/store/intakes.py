"""Imports of labels: who said what, what is in force, and the versions of the training set that came of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from monitor.errors import StoreError
from monitor.store import references
from monitor.store.columns import storable
from monitor.store.entries import Accepted, Annotation, Intake, Proposed, Standing
from monitor.store.labels import import_labels
from monitor.store.rows import candidate_of
from monitor.store.tables import (
    accepted_labels,
    annotation_table,
    candidates,
    datasets,
    exports,
    label_imports,
    runs,
    tickets,
)
from monitor.values import Lineage, TrainingSet

__all__ = ["accepted", "imported", "intakes", "origins", "proposed", "said", "take_in", "training_sets"]

_CHUNK = 500
_SET = (
    "monitor",
    "version",
    "created_at",
    "parent",
    "reference_version",
    "fingerprint",
    "rows",
    "classes",
    "added",
    "dropped",
    "relabelled",
)


def take_in(connection: Connection, intake: Intake) -> None:
    """Write all of it. ``StoreError`` when another import has made a version of the training set since."""
    connection.execute(sa.delete(label_imports).where(label_imports.c.id == intake.id))
    connection.execute(sa.insert(label_imports).values(_import_row(intake)))
    if intake.annotations:
        connection.execute(sa.insert(annotation_table), [_annotation_row(intake, one) for one in intake.annotations])
    if intake.labels:
        import_labels(connection, intake.monitor, intake.labels, intake.by, intake.at)
        _put_in_force(connection, intake)
    if intake.reference is not None:
        references.register(connection, intake.reference)
        if intake.use:
            references.use(connection, intake.monitor, intake.reference.version)
    if intake.sets:
        _add_sets(connection, intake)


def _import_row(intake: Intake) -> dict[str, Any]:
    return {
        "id": intake.id,
        "monitor": intake.monitor,
        "checksum": intake.checksum,
        "format": intake.format,
        "imported_at": intake.at,
        "imported_by": intake.by,
        "verdict": intake.verdict,
        "accepted": len(intake.labels),
        "rejected": intake.rejected,
        "dataset": intake.sets[-1].version if intake.sets else None,
        "figures": intake.figures,
    }


def _annotation_row(intake: Intake, one: Annotation) -> dict[str, Any]:
    return {
        "import_id": intake.id,
        "record_id": one.record_id,
        "annotator": one.annotator,
        "monitor": intake.monitor,
        "label": one.label,
        "settled": one.settled,
        "given_at": one.at,
        "imported_at": intake.at,
        "standing": one.standing.value,
        "reason": one.reason,
    }


def _put_in_force(connection: Connection, intake: Intake) -> None:
    table = accepted_labels
    this = (table.c.monitor == intake.monitor, table.c.record_id == sa.bindparam("record"))
    connection.execute(sa.delete(table).where(*this), [{"record": storable(record)} for record in intake.labels])
    connection.execute(
        sa.insert(table),
        [
            {
                "monitor": intake.monitor,
                "record_id": record,
                "label": label,
                "import_id": intake.id,
                "accepted_at": intake.at,
            }
            for record, label in intake.labels.items()
        ],
    )


def _add_sets(connection: Connection, intake: Intake) -> None:
    newest = connection.execute(
        sa.select(sa.func.max(datasets.c.version)).where(datasets.c.monitor == intake.monitor)
    ).scalar()
    if (newest or 0) + 1 != intake.sets[0].version:
        raise StoreError(
            f"{intake.monitor} has dataset version {newest} since this import began; nothing of it was kept: import again"
        )
    rows = [{name: getattr(one, name) for name in _SET} | {"lineage": asdict(one.lineage)} for one in intake.sets]
    connection.execute(sa.insert(datasets), rows)


def imported(connection: Connection, import_id: str) -> Intake | None:
    """An import by its id, without its labels."""
    row = connection.execute(sa.select(label_imports).where(label_imports.c.id == import_id)).one_or_none()
    return None if row is None else _intake(row)


def intakes(connection: Connection, monitor: str) -> list[Intake]:
    """All imports, oldest first, without their labels."""
    query = sa.select(label_imports).where(label_imports.c.monitor == monitor)
    return [_intake(row) for row in connection.execute(query.order_by(label_imports.c.imported_at, label_imports.c.id))]


def _intake(row: Row[Any]) -> Intake:
    return Intake(
        row.id,
        row.monitor,
        row.checksum,
        row.format,
        row.imported_at,
        row.imported_by,
        row.verdict,
        rejected=row.rejected,
        figures=row.figures,
    )


def said(connection: Connection, monitor: str, records: Sequence[str]) -> list[Annotation]:
    """What people said of these records, oldest import first."""
    table = annotation_table
    found: list[Row[Any]] = []
    for some in _chunks(records):
        query = sa.select(table).where(table.c.monitor == monitor, table.c.record_id.in_(some))
        found += connection.execute(query.order_by(table.c.imported_at, table.c.import_id)).all()
    return [
        Annotation(r.record_id, r.annotator, r.label, r.settled, r.given_at, Standing(r.standing), r.reason)
        for r in found
    ]


def accepted(connection: Connection, monitor: str) -> dict[str, Accepted]:
    """Labels in force, by record."""
    table = accepted_labels
    query = sa.select(table).where(table.c.monitor == monitor).order_by(table.c.record_id)
    return {row.record_id: Accepted(row.label, row.import_id) for row in connection.execute(query)}


def proposed(connection: Connection, monitor: str, records: Sequence[str]) -> dict[str, Proposed]:
    """Those of these records that were candidates, as their newest run proposed them."""
    found: dict[str, Proposed] = {}
    for some in _chunks(records):
        query = (
            sa.select(candidates, runs.c.embedder)
            .join(runs, runs.c.id == candidates.c.run_id)
            .where(candidates.c.monitor == monitor, candidates.c.record_id.in_(some))
            .order_by(runs.c.window_start)
        )
        found |= {row.record_id: Proposed(candidate_of(row), row.embedder) for row in connection.execute(query)}
    return found


def origins(connection: Connection, monitor: str, records: Sequence[str]) -> Lineage:
    """Runs that proposed these records, the tickets that were open for them, and the exports they went out with."""
    starts: dict[str, Any] = {}
    for some in _chunks(records):
        query = (
            sa.select(runs.c.id, runs.c.window_start)
            .join(candidates, candidates.c.run_id == runs.c.id)
            .where(candidates.c.monitor == monitor, candidates.c.record_id.in_(some))
        )
        starts |= {row.id: row.window_start for row in connection.execute(query)}
    keys = connection.execute(
        sa.select(exports.c.key).where(exports.c.monitor == monitor, exports.c.run_id.in_(list(starts))).distinct()
    ).scalars()
    return Lineage(
        tickets=tuple(sorted({key for start in starts.values() for key in _tickets_at(connection, monitor, start)})),
        runs=tuple(sorted(starts)),
        exports=tuple(sorted(keys)),
    )


def _tickets_at(connection: Connection, monitor: str, start: Any) -> list[str]:
    """The ticket that covers a drifted window: one lives on through all windows of its episode, so it is the last opened by then."""
    query = (
        sa.select(tickets.c.key)
        .join(runs, runs.c.id == tickets.c.run_id)
        .where(tickets.c.monitor == monitor, runs.c.window_start <= start)
        .order_by(runs.c.window_start.desc())
        .limit(1)
    )
    return list(connection.execute(query).scalars())


def training_sets(connection: Connection, monitor: str) -> list[TrainingSet]:
    """Versions of the training set, oldest first."""
    query = sa.select(datasets).where(datasets.c.monitor == monitor).order_by(datasets.c.version)
    return [_training_set(row) for row in connection.execute(query)]


def _training_set(row: Row[Any]) -> TrainingSet:
    lineage: Mapping[str, Sequence[str]] = row.lineage
    values = {name: getattr(row, name) for name in _SET}
    return TrainingSet(**values, lineage=Lineage(**{name: tuple(keys) for name, keys in lineage.items()}))


def _chunks(records: Sequence[str]) -> Iterator[list[str]]:
    for first in range(0, len(records), _CHUNK):
        yield [storable(record) for record in records[first : first + _CHUNK]]
