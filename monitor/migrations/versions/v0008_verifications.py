"""Refreshes held against the model they replace, their flips, and models that went live."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add tables; what was written before stays as it is."""
    op.create_table(
        "verifications",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("monitor", sa.Text(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reference_version", sa.Integer(), nullable=False),
        sa.Column("dataset_version", sa.Integer(), nullable=True),
        sa.Column("old", sa.Text(), nullable=False),
        sa.Column("new", sa.Text(), nullable=False),
        sa.Column("windows", sa.JSON(), nullable=False),
        sa.Column("budget", sa.Double(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("ignored", sa.JSON(), nullable=False),
        sa.Column("held_out", sa.Boolean(), nullable=False),
        sa.Column("sets", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_verifications")),
    )
    op.create_index(op.f("ix_verifications_monitor_made_at"), "verifications", ["monitor", "made_at"])
    op.create_table(
        "flips",
        sa.Column("verification_id", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("monitor", sa.Text(), nullable=False),
        sa.Column("set_name", sa.Text(), nullable=False),
        sa.Column("record_id", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("old", sa.Text(), nullable=False),
        sa.Column("new", sa.Text(), nullable=False),
        sa.Column("negative", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["verification_id"],
            ["verifications.id"],
            name=op.f("fk_flips_verification_id_verifications"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("verification_id", "position", name=op.f("pk_flips")),
    )
    op.create_index(op.f("ix_flips_monitor_record_id"), "flips", ["monitor", "record_id"])
    op.create_table(
        "deployments",
        sa.Column("monitor", sa.Text(), nullable=False),
        sa.Column("live_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("declared_by", sa.Text(), nullable=False),
        sa.Column("declared_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("verification", sa.Text(), nullable=True),
        sa.Column("reference_version", sa.Integer(), nullable=True),
        sa.Column("dataset_version", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("monitor", "live_at", name=op.f("pk_deployments")),
    )
