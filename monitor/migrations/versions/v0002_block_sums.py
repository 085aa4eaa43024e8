"""Block sums of past windows, calibrations, what a difference comes from, and a state for each segment."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add a table and a column; what was written before stays as it is."""
    op.create_table(
        "block_sums",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("segment", sa.Text(), nullable=False),
        sa.Column("monitor", sa.Text(), nullable=False),
        sa.Column("window_start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("window_end", sa.DateTime(timezone=True), nullable=False),
        sa.Column("plan", sa.Text(), nullable=False),
        sa.Column("draw", sa.BigInteger(), nullable=False),
        sa.Column("accepted", sa.Boolean(), nullable=False),
        sa.Column("baseline", sa.Double(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_block_sums_run_id_runs"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "segment", name=op.f("pk_block_sums")),
    )
    op.create_index(
        op.f("ix_block_sums_monitor_plan_segment_window_start"),
        "block_sums",
        ["monitor", "plan", "segment", "window_start"],
    )
    op.create_table(
        "calibrations",
        sa.Column("monitor", sa.Text(), nullable=False),
        sa.Column("calibrated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reference_version", sa.Integer(), nullable=False),
        sa.Column("reference", sa.JSON(), nullable=True),
        sa.Column("past", sa.JSON(), nullable=True),
        sa.Column("tolerance", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("monitor", name=op.f("pk_calibrations")),
    )
    op.add_column("decisions", sa.Column("findings", sa.JSON(), nullable=True))
    op.add_column("decisions", sa.Column("segments", sa.JSON(), nullable=True))
