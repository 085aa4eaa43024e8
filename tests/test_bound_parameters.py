"""SQL with bound parameters only: read off the code, and tried with values that would break out of a quoted text."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import sqlalchemy as sa
from run_examples import LEASE, START, WEEK, candidate, finished, tickets, week

from monitor.store import Store
from monitor.values import Baseline

ROOT = Path(__file__).resolve().parents[1] / "monitor"
RUNS = {"execute", "executemany", "executescript", "exec_driver_sql", "read_sql", "scalar", "scalars"}
MAKES = {"text", "literal_column", "DDL", "TextClause"}

# What is put into a statement there, and why it cannot come from outside.
REASONED = {
    ("embedders/cache.py", "f'SELECT count(*) FROM vectors {which}'"): "one of two texts of the line above, bound by ?",
    (
        "embedders/cache.py",
        "f'SELECT text_hash, vector FROM vectors WHERE embedder = ? AND text_hash IN ({marks})'",
    ): "as many question marks as values are bound",
    (
        "store/database.py",
        "f'PRAGMA busy_timeout = {round(_BUSY_SECONDS * 1000)}'",
    ): "a number of this module; no driver binds it",
    ("store/database.py", "f'SET lock_timeout = {_BUSY_SECONDS * 1000}'"): "a number of this module; SET binds nothing",
    (
        "store/postgres.py",
        "f\"SET statement_timeout = '{STATEMENT_SECONDS}s'\"",
    ): "a number of that module; SET binds nothing",
    (
        "store/postgres.py",
        "f\"SET idle_in_transaction_session_timeout = '{IDLE_SECONDS}s'\"",
    ): "the same",
    ("store/database.py", "f'VACUUM (FULL) \"{table}\"'"): "names of our own tables; VACUUM binds nothing",
    ("sources/sql.py", "query"): "the user's own query, from the settings file; times go in as :start and :end",
}


def built(node: ast.expr, assigned: dict[str, list[ast.expr]]) -> bool:
    """Whether a text is put together here, in place or under a name of this file."""
    if isinstance(node, ast.JoinedStr):
        return any(isinstance(part, ast.FormattedValue) for part in node.values)
    if isinstance(node, ast.BinOp):
        ends = (node.left, node.right)
        return any(isinstance(end, ast.Constant | ast.JoinedStr) or built(end, assigned) for end in ends)
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in {"format", "join", "replace"}
    ):
        return isinstance(node.func.value, ast.Constant | ast.JoinedStr | ast.Name)
    if isinstance(node, ast.Name):
        return any(built(value, {}) for value in assigned.get(node.id, []))
    return False


def made_of_pieces(source: str) -> list[str]:
    """Statements of a module that are not constants or expressions of SQLAlchemy."""
    tree = ast.parse(source)
    assigned: dict[str, list[ast.expr]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign) and node.value is not None:
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                if isinstance(target, ast.Name):
                    assigned.setdefault(target.id, []).append(node.value)
    found = []
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
            continue
        name, first = node.func.attr, node.args[0]
        of_sqlalchemy = isinstance(node.func.value, ast.Name) and node.func.value.id in {"sa", "sqlalchemy", "op"}
        wild = name in MAKES and of_sqlalchemy and not isinstance(first, ast.Constant)
        if wild or (name in RUNS and built(first, assigned)):
            found.append(ast.unparse(first))
    return found


def test_no_statement_is_put_together_but_for_those_with_a_reason():
    found = {
        (str(path.relative_to(ROOT)), statement)
        for path in ROOT.rglob("*.py")
        for statement in made_of_pieces(path.read_text(encoding="utf-8"))
    }
    assert found == REASONED.keys()


@pytest.mark.parametrize(
    "line",
    [
        "c.execute(f'SELECT {x}')",
        "c.execute('SELECT ' + x)",
        "c.execute('SELECT %s' % x)",
        "c.execute('SELECT {}'.format(x))",
        "c.exec_driver_sql(f'DROP {x}')",
        "q = f'SELECT {x}'; c.execute(q)",
        "q = 'SELECT '\nq += f'{x}'\nc.execute(q)",
        "c.execute(sa.text(x))",
        "sa.select(sa.literal_column(x))",
        "op.execute(f'ALTER {x}')",
    ],
)
def test_the_look_at_the_code_finds_what_it_should(line):
    assert made_of_pieces(line)


def test_the_look_at_the_code_lets_the_rest_be():
    for line in (
        "c.execute('SELECT 1', [x])",
        "c.execute(sa.select(t).where(t.c.a == x))",
        "c.execute(sa.text('SELECT :x'))",
    ):
        assert made_of_pieces(line) == []


HOSTILE = [
    "'; DROP TABLE runs; --",
    '"; DROP TABLE candidates; --',
    "x' OR '1'='1",
    "%s %(a)s :a ? $1 {0} {a}",
    "\\'; DELETE FROM monitors; --",
    "a%' ESCAPE '_' /*",
]


def tried(store: Store, value: str, innocent: str) -> None:
    """A monitor, records, classes, labels and all else of this name, beside one whose record has the same id."""
    now = START + WEEK
    for name in (value, innocent):
        store.register_monitor(name, settings=value, period=WEEK, now=START)
        claim = store.claim(name, week(0), value, now, LEASE)
        own = candidate(
            1,
            record_id=value,
            text=value,
            predicted=value,
            suggested_label=value,
            cluster=value,
            segments={value: value},
        )
        run = finished(claim, candidates=(own, candidate(2, record_id=f"other {name}")), settings=value, embedder=value)
        store.save(claim, run, tickets=tickets(run, key=f"{value} of {name}", destinations=(value,)))
        store.register_reference(name, 1, value, value, now)
        store.use_reference(name, 1)
    kept = store.run(value, week(0).start)
    assert (kept.monitor, kept.settings, kept.embedder, kept.claimed_by) == (value,) * 4
    first = kept.candidates[0]
    assert (first.record_id, first.text, first.predicted, first.segments) == (value, value, value, {value: value})
    assert [one.id for one in store.runs(value)] == [kept.id]
    assert store.run_by_id(value) is None
    assert store.import_labels(value, {value: value, "nobody": value}, by=value, now=now).new == 1
    store.accept_baseline(Baseline(value, START, value, value, now, None, {value: 0.5}))
    assert [one.effects for one in store.baselines(value, now)] == [{value: 0.5}]
    (due,) = [one for one in store.due_tickets(now + WEEK) if one.monitor == value]
    store.not_sent(due, value, now=now + WEEK, permanent=True)
    (parked,) = store.tickets(value)
    assert (parked.error, parked.destination) == (value, value)
    store.purge([value], value, scrub=lambda text, _: text, redraw=lambda picture: None)
    assert {one.record_id for one in store.run(innocent, week(0).start).candidates} == {value, f"other {innocent}"}
    assert value not in {one.record_id for one in store.run(value, week(0).start).candidates}


def test_values_stay_values_in_either_database(store: Store):
    for n, value in enumerate(HOSTILE):
        tried(store, value, f"innocent {n}")
    with store._database.read() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM runs")).scalar() == 2 * len(HOSTILE)
        assert connection.execute(sa.text("SELECT count(*) FROM tickets")).scalar() == 2 * len(HOSTILE)
