"""Schema changes, one file each, run by ``drift-monitor db upgrade``.

Replicas are replaced one by one, so for a while the code of two releases works on one schema. A change first adds: a table, an
index that is not unique, a column that may be empty or has a default in the database. What is no longer used is taken away a
release later, in a change that sets ``OLDEST`` in its module, and calls :func:`raise_oldest` with it: the revision of the oldest
code that gets along without. A test reads the statements of every change and holds them against this.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

__all__ = ["raise_oldest"]


def raise_oldest(revision: str) -> None:
    """From now on, code that needs a schema older than this revision refuses to work on the database."""
    known = sa.table("schema_compatibility", sa.column("id", sa.Integer), sa.column("oldest", sa.Text))
    op.execute(sa.update(known).where(known.c.id == op.inline_literal(1)).values(oldest=op.inline_literal(revision)))
