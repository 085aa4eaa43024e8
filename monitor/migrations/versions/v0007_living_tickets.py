"""Tickets that live as long as their drift, their comments, and who wants to hear nothing for a while."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add columns and tables; tickets that were sent before stay as they are."""
    for column in (
        sa.Column("since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("told_run", sa.Text(), nullable=True),
        sa.Column("open", sa.Boolean(), nullable=True),
        sa.Column("standing", sa.Text(), nullable=True),
        sa.Column("causes", sa.JSON(), nullable=True),
        sa.Column("over_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("wished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=True),
        sa.Column("known", sa.JSON(), nullable=True),
    ):
        op.add_column("tickets", column)
    op.create_index(op.f("ix_tickets_monitor_since"), "tickets", ["monitor", "since"])
    op.create_table(
        "ticket_notes",
        sa.Column("ticket", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("monitor", sa.Text(), nullable=False),
        sa.Column("sentences", sa.JSON(), nullable=False),
        sa.Column("lasting", sa.Boolean(), nullable=False),
        sa.Column("said_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("ticket", "key", name=op.f("pk_ticket_notes")),
    )
    op.create_table(
        "silences",
        sa.Column("monitor", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("said_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("monitor", "key", name=op.f("pk_silences")),
    )
