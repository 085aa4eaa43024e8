"""How many vectors of a window came from the cache."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add a column; what was written before stays as it is."""
    op.add_column("runs", sa.Column("cached", sa.BigInteger(), nullable=True))
