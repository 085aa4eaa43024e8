"""What a batch of candidates is expected to do; needs, clusters and vectors of candidates."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add columns; what was written before stays as it is."""
    op.add_column("runs", sa.Column("refresh", sa.JSON(), nullable=True))
    op.add_column("candidates", sa.Column("need", sa.Double(), nullable=True))
    op.add_column("candidates", sa.Column("cluster", sa.Text(), nullable=True))
    op.add_column("candidates", sa.Column("vector", sa.LargeBinary(), nullable=True))
