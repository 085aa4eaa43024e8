"""The tables. A monitor is a name out of the settings; everything it left behind hangs on that name."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    UniqueConstraint,
    text,
)

from monitor.store.columns import Document, Moment, Number, Words

__all__ = [
    "accepted_labels",
    "annotation_table",
    "baselines",
    "block_sums",
    "calibrations",
    "candidates",
    "compatibility",
    "datasets",
    "decisions",
    "deployments",
    "export_runs",
    "exports",
    "flips",
    "label_imports",
    "measurements",
    "metadata",
    "monitors",
    "pictures",
    "redactions",
    "reference_versions",
    "runs",
    "silences",
    "ticket_notes",
    "tickets",
    "verifications",
]

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _needed(name: str, kind: Any) -> Column[Any]:
    return Column(name, kind, nullable=False)


def _of_run() -> Column[Any]:
    return Column("run_id", Words, ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)


# One row: the revision of the oldest code that may work on this schema.
compatibility = Table(
    "schema_compatibility",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    _needed("oldest", Words),
)

monitors = Table(
    "monitors",
    metadata,
    Column("name", Words, primary_key=True),
    _needed("settings", Words),
    _needed("period_seconds", Number),
    _needed("first_seen", Moment),
)

reference_versions = Table(
    "reference_versions",
    metadata,
    Column("monitor", Words, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    _needed("fingerprint", Words),
    _needed("uri", Words),
    _needed("created_at", Moment),
    _needed("active", Boolean),
)

_UNDER_WAY = text("status = 'running'")
runs = Table(
    "runs",
    metadata,
    Column("id", Words, primary_key=True),
    _needed("monitor", Words),
    _needed("window_start", Moment),
    _needed("window_end", Moment),
    _needed("status", Words),
    _needed("attempt", Integer),
    _needed("failures", Integer),
    _needed("claimed_by", Words),
    _needed("lease_until", Moment),
    _needed("started_at", Moment),
    Column("finished_at", Moment),
    Column("reference_version", Integer),
    _needed("reference_fingerprint", Words),
    _needed("embedder", Words),
    _needed("settings", Words),
    _needed("population", BigInteger),
    _needed("sampled", BigInteger),
    _needed("repeats", BigInteger),
    _needed("empty", BigInteger),
    _needed("overlong", BigInteger),
    _needed("outside", BigInteger),
    _needed("rejected", Document),
    _needed("seconds", Document),
    _needed("error", Words),
    Column("refresh", Document),
    Column("cached", BigInteger),
    UniqueConstraint("monitor", "window_start"),
    Index(None, "monitor", "status", "window_start"),
    Index(None, "window_start"),
    Index(None, "lease_until", postgresql_where=_UNDER_WAY, sqlite_where=_UNDER_WAY),
)

measurements = Table(
    "measurements",
    metadata,
    _of_run(),
    Column("position", Integer, primary_key=True, autoincrement=False),
    _needed("detector", Words),
    _needed("subject", Words),
    _needed("segment", Words),
    _needed("effect", Number),
    _needed("low", Number),
    _needed("high", Number),
    Column("p_value", Number),
    _needed("n_reference", BigInteger),
    _needed("n_current", BigInteger),
    _needed("detail", Document),
)

decisions = Table(
    "decisions",
    metadata,
    _of_run(),
    _needed("state", Words),
    _needed("reasons", Document),
    _needed("subjects", Document),
    _needed("causes", Document),
    _needed("evidence", Document),
    Column("findings", Document),
    Column("segments", Document),
)

block_sums = Table(
    "block_sums",
    metadata,
    _of_run(),
    Column("segment", Words, primary_key=True),
    _needed("monitor", Words),
    _needed("window_start", Moment),
    _needed("window_end", Moment),
    _needed("plan", Words),
    _needed("draw", BigInteger),
    _needed("accepted", Boolean),
    _needed("baseline", Number),
    _needed("content", LargeBinary),
    Index(None, "monitor", "plan", "segment", "window_start"),
)

pictures = Table(
    "pictures",
    metadata,
    _of_run(),
    _needed("monitor", Words),
    _needed("window_start", Moment),
    _needed("lasting", Boolean),
    _needed("content", LargeBinary),
    Index(None, "monitor", "lasting", "window_start"),
)

calibrations = Table(
    "calibrations",
    metadata,
    Column("monitor", Words, primary_key=True),
    _needed("calibrated_at", Moment),
    _needed("reference_version", Integer),
    Column("reference", Document),
    Column("past", Document),
    _needed("tolerance", Number),
)

candidates = Table(
    "candidates",
    metadata,
    _of_run(),
    Column("position", Integer, primary_key=True, autoincrement=False),
    _needed("monitor", Words),
    _needed("rank", Integer),
    _needed("record_id", Words),
    _needed("strategy", Words),
    Column("need", Number),
    _needed("gain", Number),
    Column("risk", Number),
    Column("suggested_label", Words),
    _needed("neighbours", Document),
    _needed("reason", Words),
    _needed("duplicates", BigInteger),
    Column("text", Words),
    Column("observed_at", Moment),
    Column("predicted", Words),
    Column("confidence", Number),
    _needed("segments", Document),
    Column("cluster", Words),
    Column("vector", LargeBinary),
    Column("label", Words),
    Column("labelled_by", Words),
    Column("labelled_at", Moment),
    Index(None, "monitor", "record_id"),
    Index(None, "monitor", "labelled_at"),
)


def _outbox() -> list[Column[Any]]:
    """What a ticket and an export have in common: a wish, who is working on it until when, and what became of it."""
    return [
        Column("key", Words, primary_key=True),
        Column("destination", Words, primary_key=True),
        _needed("monitor", Words),
        Column("run_id", Words, ForeignKey("runs.id"), nullable=False, index=True),
        _needed("status", Words),
        _needed("attempts", Integer),
        _needed("failures", Integer),
        _needed("created_at", Moment),
        _needed("due_at", Moment),
        Column("leased_until", Moment),
        Column("sent_at", Moment),
        _needed("location", Words),
        _needed("error", Words),
    ]


tickets = Table(
    "tickets",
    metadata,
    *_outbox(),
    _needed("title", Words),
    # What the ticket said, up to schema 0006; its words are made anew at every sending since.
    _needed("body", Words),
    Column("since", Moment),
    Column("told_run", Words),
    Column("open", Boolean),
    Column("standing", Words),
    Column("causes", Document),
    Column("over_at", Moment),
    Column("wished_at", Moment),
    Column("revision", Integer),
    Column("known", Document),
    Index(None, "status", "due_at"),
    Index(None, "monitor", "since"),
)

ticket_notes = Table(
    "ticket_notes",
    metadata,
    Column("ticket", Words, primary_key=True),
    Column("key", Words, primary_key=True),
    _needed("monitor", Words),
    _needed("sentences", Document),
    _needed("lasting", Boolean),
    _needed("said_at", Moment),
)

silences = Table(
    "silences",
    metadata,
    Column("monitor", Words, primary_key=True),
    Column("key", Words, primary_key=True),
    _needed("until", Moment),
    _needed("by", Words),
    _needed("reason", Words),
    _needed("said_at", Moment),
)

exports = Table("exports", metadata, *_outbox(), Column("slot", Moment), Index(None, "status", "due_at"))

export_runs = Table(
    "export_runs",
    metadata,
    Column("destination", Words, primary_key=True),
    Column("run_id", Words, ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    Column("key", Words, primary_key=True),
    Index(None, "key", "destination"),
)

notices = Table(
    "notices",
    metadata,
    *_outbox(),
    _needed("event", Words),
    _needed("title", Words),
    _needed("body", Words),
    Index(None, "status", "due_at"),
    Index(None, "monitor", "destination", "created_at"),
)

redactions = Table(
    "redactions",
    metadata,
    Column("monitor", Words, primary_key=True),
    Column("channel", Words, primary_key=True),
    Column("destination", Words, primary_key=True),
    Column("kind", Words, primary_key=True),
    _needed("number", BigInteger),
)

baselines = Table(
    "baselines",
    metadata,
    Column("id", Integer, primary_key=True),
    _needed("monitor", Words),
    _needed("window_start", Moment),
    _needed("accepted_by", Words),
    _needed("reason", Words),
    _needed("accepted_at", Moment),
    Column("until", Moment),
    _needed("effects", Document),
    Index(None, "monitor", "accepted_at"),
)

verifications = Table(
    "verifications",
    metadata,
    Column("id", Words, primary_key=True),
    _needed("monitor", Words),
    _needed("made_at", Moment),
    _needed("reference_version", Integer),
    Column("dataset_version", Integer),
    _needed("old", Words),
    _needed("new", Words),
    _needed("windows", Document),
    _needed("budget", Number),
    _needed("verdict", Words),
    _needed("ignored", Document),
    _needed("held_out", Boolean),
    _needed("sets", Document),
    Index(None, "monitor", "made_at"),
)

flips = Table(
    "flips",
    metadata,
    Column("verification_id", Words, ForeignKey("verifications.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    _needed("monitor", Words),
    _needed("set_name", Words),
    _needed("record_id", Words),
    _needed("label", Words),
    _needed("old", Words),
    _needed("new", Words),
    _needed("negative", Boolean),
    Index(None, "monitor", "record_id"),
)

deployments = Table(
    "deployments",
    metadata,
    Column("monitor", Words, primary_key=True),
    Column("live_at", Moment, primary_key=True),
    _needed("model", Words),
    _needed("declared_by", Words),
    _needed("declared_at", Moment),
    Column("verification", Words),
    Column("reference_version", Integer),
    Column("dataset_version", Integer),
)

label_imports = Table(
    "label_imports",
    metadata,
    Column("id", Words, primary_key=True),
    _needed("monitor", Words),
    _needed("checksum", Words),
    _needed("format", Words),
    _needed("imported_at", Moment),
    _needed("imported_by", Words),
    _needed("verdict", Words),
    _needed("accepted", Integer),
    _needed("rejected", Integer),
    Column("dataset", Integer),
    _needed("figures", Document),
    Index(None, "monitor", "imported_at"),
)

annotation_table = Table(
    "annotations",
    metadata,
    Column("import_id", Words, ForeignKey("label_imports.id", ondelete="CASCADE"), primary_key=True),
    Column("record_id", Words, primary_key=True),
    Column("annotator", Words, primary_key=True),
    _needed("monitor", Words),
    _needed("label", Words),
    _needed("settled", Boolean),
    Column("given_at", Moment),
    _needed("imported_at", Moment),
    _needed("standing", Words),
    _needed("reason", Words),
    Index(None, "monitor", "record_id"),
)

accepted_labels = Table(
    "accepted_labels",
    metadata,
    Column("monitor", Words, primary_key=True),
    Column("record_id", Words, primary_key=True),
    _needed("label", Words),
    _needed("import_id", Words),
    _needed("accepted_at", Moment),
)

datasets = Table(
    "datasets",
    metadata,
    Column("monitor", Words, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    _needed("created_at", Moment),
    Column("parent", Integer),
    _needed("reference_version", Integer),
    _needed("fingerprint", Words),
    _needed("rows", BigInteger),
    _needed("classes", Document),
    _needed("added", BigInteger),
    _needed("dropped", BigInteger),
    _needed("relabelled", BigInteger),
    _needed("lineage", Document),
)
