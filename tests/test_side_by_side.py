"""Two releases on one schema during a rolling update: changes only add, and the code of the release before still works."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from alembic import op
from conftest import missing
from schema_statements import changes, hindrances, statements, whole

from monitor.migrations import raise_oldest
from monitor.store import Store
from monitor.store.schema import NEEDED

ROOT = Path(__file__).resolve().parents[1]
SUITE = ["test_store_claims", "test_store_runs", "test_store_outbox", "test_store_labels", "test_store_verifications"]
RULE_SINCE = "0012"


def git(*words):
    done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, check=False)
    if done.returncode:
        missing(f"no history to take the release before out of: git {' '.join(words)}: {done.stderr.decode()}")
    return done.stdout


@pytest.fixture(scope="module")
def before(tmp_path_factory):
    """The code as it was before the schema became what it is."""
    # A change may have come in a merge: each is compared with what it was merged into.
    line = ("log", "--first-parent", "-m", "--reverse", "--format=%H")
    found = git(*line, f'-SNEEDED = "{NEEDED}"', "--", "monitor/store/schema.py").split()
    if not found:
        missing(f"no commit in the history brought schema {NEEDED}: is it committed, and the history whole?")
    folder = tmp_path_factory.mktemp("before")
    archive = git("archive", f"{found[0].decode()}^", "monitor", "tests", "pyproject.toml")
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive, check=True)
    needed = re.search(r'^NEEDED = "(\d+)"', (folder / "monitor/store/schema.py").read_text(), re.MULTILINE)[1]
    assert needed < NEEDED
    return folder


def test_the_suite_of_the_release_before_passes_on_this_schema(before, tmp_path):
    for dialect in ("sqlite", "postgresql"):
        (tmp_path / f"{dialect}.sql").write_text(whole(dialect))
    (tmp_path / "newer_schema.py").write_text(Path(__file__).with_name("newer_schema.py").read_text())
    files = [f"tests/{name}.py" for name in SUITE if (before / "tests" / f"{name}.py").exists()]
    assert len(files) == len(SUITE)
    # Races and volume say nothing about columns, and take most of the time.
    chosen = [
        "-k",
        "not processes and not successors and not killed and not more_runs_than",
        "-p",
        "newer_schema",
        "-p",
        "no:cacheprovider",
        "-q",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *chosen, *files],
        cwd=before,
        env=os.environ | {"PYTHONPATH": f"{before}:{tmp_path}", "NEWER_SCHEMA": str(tmp_path), "CI": "true"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    passed = int(re.search(r"(\d+) passed", done.stdout)[1])
    assert passed > 100, done.stdout[-500:]


def test_the_script_makes_the_very_schema_that_upgrading_makes(database_url):
    """The suite of the release before runs on the real thing."""
    with Store.open(database_url) as store:
        with store._database.write() as connection:
            for one in whole(store._database.kind).split(";\n"):
                if one.strip():
                    connection.exec_driver_sql(one)
        store.check()
        scripted = shape(store)
    other = database_url + ("2" if database_url.startswith("sqlite") else "")
    with Store.open(other) as store:
        with store._database.write() as connection:
            for table in reversed(sa.inspect(connection).get_table_names()):
                connection.exec_driver_sql(f'DROP TABLE "{table}"' + (" CASCADE" if other == database_url else ""))
        store.upgrade()
        assert shape(store) == scripted


def shape(store):
    with store._database.read() as connection:
        looked = sa.inspect(connection)
        return {
            table: (
                [(one["name"], str(one["type"]), one["nullable"], one["default"]) for one in looked.get_columns(table)],
                sorted(str(one["column_names"]) for one in looked.get_indexes(table)),
            )
            for table in looked.get_table_names()
        }


RULED = [module for module in changes() if module.revision >= RULE_SINCE]


@pytest.mark.parametrize("module", RULED, ids=lambda module: module.revision)
def test_a_change_of_the_schema_only_adds_or_says_who_must_be_gone(module):
    for dialect in ("sqlite", "postgresql"):
        said = statements(module, dialect)
        oldest = getattr(module, "OLDEST", None)
        raised = [one for one in said if one.startswith("UPDATE schema_compatibility SET oldest=")]
        if oldest is None:
            assert raised == []
            assert list(hindrances(said)) == []
        else:
            assert RULE_SINCE <= oldest < module.revision, "code of the release before must still get along"
            assert raised == [f"UPDATE schema_compatibility SET oldest='{oldest}' WHERE schema_compatibility.id = 1"]


@pytest.mark.parametrize(
    "change",
    [
        lambda: op.drop_column("runs", "error"),
        lambda: op.drop_table("pictures"),
        lambda: op.alter_column("runs", "error", new_column_name="problem"),
        lambda: op.rename_table("runs", "windows"),
        lambda: op.alter_column("runs", "refresh", nullable=False, existing_type=sa.JSON()),
        lambda: op.alter_column("runs", "attempt", type_=sa.BigInteger()),
        lambda: op.add_column("runs", sa.Column("host", sa.Text(), nullable=False)),
        lambda: op.create_index("ix_runs_host", "runs", ["claimed_by"], unique=True),
        lambda: op.create_unique_constraint("uq_runs_host", "runs", ["claimed_by"]),
        lambda: op.execute("UPDATE runs SET status = 'finished' WHERE status = 'done'"),
        lambda: op.execute("DELETE FROM runs"),
    ],
)
def test_what_the_release_before_might_not_get_along_with_is_found(change):
    said = statements(SimpleNamespace(upgrade=change), "postgresql")
    assert len(said) == 1
    assert list(hindrances(said)) == said


def test_what_only_adds_is_let_through():
    def change():
        op.add_column("runs", sa.Column("host", sa.Text(), nullable=True))
        op.add_column("runs", sa.Column("tries", sa.Integer(), nullable=False, server_default="0"))
        op.create_index("ix_runs_host", "runs", ["claimed_by"])
        made = op.create_table("hosts", sa.Column("name", sa.Text(), primary_key=True))
        op.create_index("uq_hosts", "hosts", ["name"], unique=True)
        op.bulk_insert(made, [{"name": "a"}])

    assert list(hindrances(statements(SimpleNamespace(upgrade=change), "postgresql"))) == []


def test_saying_who_must_be_gone(database_url):
    with Store.open(database_url) as store:
        store.upgrade()
        said = statements(SimpleNamespace(upgrade=lambda: raise_oldest("9999")), store._database.kind)
        with store._database.write() as connection:
            connection.exec_driver_sql(said[0])
            assert connection.exec_driver_sql("SELECT id, oldest FROM schema_compatibility").all() == [(1, "9999")]
