"""How much was masked on its way to each destination."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add a table; what was written before stays as it is."""
    op.create_table(
        "redactions",
        sa.Column("monitor", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("destination", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("monitor", "channel", "destination", "kind", name=op.f("pk_redactions")),
    )
