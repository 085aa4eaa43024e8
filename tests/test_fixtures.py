"""The shared fixtures themselves."""

from __future__ import annotations

import pytest
import sqlalchemy as sa


@pytest.mark.parametrize("turn", [1, 2])
def test_database_is_fresh(database_url, turn):
    engine = sa.create_engine(database_url)
    with engine.begin() as connection:
        assert sa.inspect(connection).get_table_names() == []
        connection.execute(sa.text("CREATE TABLE left_over (turn INTEGER)"))
        connection.execute(sa.text("INSERT INTO left_over VALUES (:turn)"), {"turn": turn})
        assert connection.scalar(sa.text("SELECT turn FROM left_over")) == turn
    engine.dispose()


def test_postgres_listens_on_the_loopback_only_with_utf8(postgres_database):
    engine = sa.create_engine(postgres_database)
    with engine.connect() as connection:
        assert connection.scalar(sa.text("SHOW listen_addresses")) == "127.0.0.1"
        assert connection.scalar(sa.text("SHOW server_encoding")) == "UTF8"
    engine.dispose()
