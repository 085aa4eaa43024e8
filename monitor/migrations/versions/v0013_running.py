"""What dead processes left behind is found without reading all runs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Add an index of the runs that are under way, of which there are few."""
    under_way = sa.text("status = 'running'")
    op.create_index(
        op.f("ix_runs_lease_until"), "runs", ["lease_until"], postgresql_where=under_way, sqlite_where=under_way
    )
