"""The statements that schema changes consist of, without a database to make them on."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import Any

from alembic.config import Config
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory


def changes() -> list[Any]:
    """Modules of the schema changes, oldest first."""
    config = Config()
    config.set_main_option("script_location", "monitor:migrations")
    return [one.module for one in reversed(list(ScriptDirectory.from_config(config).walk_revisions()))]


def statements(module: Any, dialect: str) -> list[str]:
    """What a change says to a database of this kind: ``sqlite`` or ``postgresql``."""
    written = io.StringIO()
    context = MigrationContext.configure(dialect_name=dialect, opts={"as_sql": True, "output_buffer": written})
    with Operations.context(context):
        module.upgrade()
    return [" ".join(one.split()) for one in written.getvalue().split(";\n") if one.strip()]


def whole(dialect: str) -> str:
    """A script that makes an empty database one of the newest schema."""
    made = changes()
    version = [
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)",
        f"INSERT INTO alembic_version (version_num) VALUES ('{made[-1].revision}')",
    ]
    return ";\n".join([*(one for module in made for one in statements(module, dialect)), *version]) + ";\n"


def hindrances(said: Iterable[str]) -> Iterator[str]:
    """Statements that the code of the release before might not get along with."""
    added: set[str] = set()
    for one in said:
        words = one.split()
        upper = one.upper()
        table = words[2].strip('"') if len(words) > 2 else ""
        if upper.startswith("CREATE TABLE "):
            added.add(table)
            continue
        if upper.startswith("CREATE INDEX "):
            continue
        if upper.startswith(("INSERT INTO ", "ALTER TABLE ", "CREATE UNIQUE INDEX ", "UPDATE ")):
            target = {"INSERT": words[2], "ALTER": words[2], "UPDATE": words[1]}.get(words[0].upper())
            target = (target or words[words.index("ON") + 1]).strip('"')
            if target in added:
                continue
            adds = upper.startswith("ALTER TABLE ") and words[3].upper() == "ADD" and words[4].upper() == "COLUMN"
            if adds and (" NOT NULL" not in upper or " DEFAULT " in upper) and " UNIQUE" not in upper:
                continue
        yield one
