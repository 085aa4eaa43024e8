"""Exports on a schedule: the slot an export is due at, and the runs whose candidates it holds."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Add a table and an empty column; exports of single runs stay as they are."""
    op.add_column("exports", sa.Column("slot", sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        "export_runs",
        sa.Column("destination", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_export_runs_run_id_runs"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("destination", "run_id", "key", name=op.f("pk_export_runs")),
    )
    op.create_index(op.f("ix_export_runs_key_destination"), "export_runs", ["key", "destination"])
