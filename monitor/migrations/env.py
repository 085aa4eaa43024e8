"""Run by Alembic. The caller owns connection and transaction, so that a change happens whole or not at all."""

from alembic import context

from monitor.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
