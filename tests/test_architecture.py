"""The house rules, held against the imports themselves. A file without a row in the table fails too."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1] / "monitor"
PURE_LIBRARIES = {"numpy", "scipy", "sklearn"}
PARTS = {"sources", "embedders", "detectors", "selection", "tickets", "exporters", "notifiers"}
EDGE = {"values", "errors", "secrets"}

# room: (rooms it may import, third-party packages it may import). A folder's own files are always allowed.
HOUSE: dict[str, tuple[set[str], set[str]]] = {
    "__init__": ({"values", "errors", "sources", "embedders", "detectors", "selection", "tickets", "exporters"}, set()),
    "__main__": ({"cli"}, set()),
    "values": (set(), {"numpy", "pyarrow"}),
    "errors": (set(), set()),
    "secrets": (set(), {"pydantic", "pydantic_core"}),
    "sampling": ({"values", "errors", "bottom_k"}, PURE_LIBRARIES | {"pyarrow"}),
    "testing": (
        {"values", "errors", "sources", "embedders", "detectors", "selection", "tickets", "exporters", "notifiers"},
        {"numpy", "pyarrow"},
    ),
    "bottom_k": ({"values", "errors"}, PURE_LIBRARIES | {"pyarrow"}),
    "decide": ({"values", "errors"}, PURE_LIBRARIES),
    # torch for int8 products alone, imported where they are made.
    "detectors": ({"values", "errors"}, PURE_LIBRARIES | {"torch"}),
    "sketches": ({"values", "errors", "detectors"}, PURE_LIBRARIES),
    "causes": ({"values", "errors", "detectors"}, PURE_LIBRARIES),
    # causes for the words that name a group.
    "selection": ({"values", "errors", "causes"}, PURE_LIBRARIES),
    "verification": ({"values", "selection"}, PURE_LIBRARIES),
    # selection for the classifier on embeddings; nltk for Krippendorff's alpha alone.
    "quality": ({"values", "errors", "selection"}, PURE_LIBRARIES | {"nltk"}),
    "labels": ({"values", "errors", "formulas"}, {"pyarrow"}),
    # The libraries are imported where they are first needed.
    "redaction": ({"values"}, {"re2", "phonenumbers", "detect_secrets"}),
    "picture": ({"values", "detectors", "causes", "selection", "redaction"}, PURE_LIBRARIES),
    "illustrate": ({"values", "desk", "logs", "picture"}, {"numpy"}),
    "report": ({"values", "picture", "redaction"}, {"jinja2", "markupsafe", "numpy"}),
    "sources": (EDGE | {"by_name"}, {"pyarrow", "fsspec", "sqlalchemy", "numpy"}),
    "sqlite_files": (set(), set()),
    "embedders": (
        EDGE | {"logs", "sqlite_files"},
        {"pyarrow", "numpy", "sentence_transformers", "torch", "transformers", "huggingface_hub"},
    ),
    "reference": (EDGE | {"embedders", "sampling", "sources"}, {"pyarrow", "numpy", "fsspec"}),
    "reach": ({"errors"}, set()),
    "http_client": ({"errors", "reach"}, {"pydantic", "urllib3"}),
    # rich for the width of letters, without a terminal.
    "documents": ({"values"}, {"rich"}),
    "tickets": (EDGE | {"documents", "http_client", "logs", "whole_files"}, {"pydantic"}),
    "exporters": (EDGE | {"formulas", "whole_files"}, {"pyarrow", "fsspec"}),
    "formulas": (set(), set()),
    "notifiers": (EDGE, {"apprise"}),
    "news": ({"values", "decide", "report"}, set()),
    "whole_files": (set(), set()),
    "plugins": ({"errors", "secrets"}, {"pydantic"}),
    "settings": ({"errors", "reach", "secrets", "plugins", "redaction", "windows"}, {"pydantic", "pydantic_core"}),
    "config": ({"errors", "secrets", "plugins", "settings"}, {"pydantic", "yaml"}),
    "store": ({"values", "errors", "secrets", "logs", "sqlite_files"}, {"sqlalchemy", "alembic", "psycopg"}),
    "migrations": ({"store"}, {"sqlalchemy", "alembic"}),
    "metrics": ({"values", "errors", "reach", "store", "outcomes"}, {"prometheus_client"}),
    "push": ({"errors", "logs", "metrics", "reach", "settings", "store", "wiring"}, set()),
    "logs": (set(), set()),
    "windows": ({"values"}, set()),
    "calibration": ({"values", "detectors", "sketches"}, {"numpy"}),
    "past": ({"values", "sketches", "store"}, set()),
    "looks": ({"values", "decide", "desk", "past", "sketches", "store"}, {"numpy"}),
    "export_plan": ({"windows"}, set()),
    "desk": ({"values", "decide", "export_plan", "past", "picture", "reach", "redaction", "store"} | PARTS, set()),
    "by_name": ({"errors"}, set()),
    "user_model": ({"errors", "by_name"}, set()),
    "answers": ({"values", "desk", "selection", "verification"}, {"numpy", "pyarrow"}),
    "refreshing": (
        {"values", "errors", "desk", "answers", "sampling", "selection", "embedders", "whole_files"},
        {"numpy", "pyarrow"},
    ),
    "reporting": ({"values", "logs", "picture", "report", "store", "windows"}, set()),
    "pages": ({"values", "formulas", "picture", "redaction", "report", "store"}, {"jinja2", "markdown_it"}),
    "outcomes": ({"values", "store", "verification"}, set()),
    "verifying": (
        {
            "values",
            "errors",
            "decide",
            "secrets",
            "selection",
            "settings",
            "sources",
            "store",
            "verification",
            "wiring",
        },
        {"numpy"},
    ),
    "retention": ({"errors", "embedders", "logs", "settings", "store"}, set()),
    "purge": (
        {"errors", "embedders", "formulas", "picture", "reference", "reporting", "secrets", "store", "whole_files"},
        {"fsspec", "pyarrow"},
    ),
    "page_routes": ({"values", "errors", "logs", "pages", "report", "reporting", "store"}, {"starlette"}),
    "attempts": (set(), set()),
    "awaiting": ({"errors", "logs", "store"}, set()),
    "slow_clients": ({"door"}, {"uvicorn"}),
    "door": ({"attempts", "errors", "pages"}, {"starlette"}),
    "remarks": ({"values", "outcomes", "report", "store"}, set()),
    "episodes": ({"values", "decide", "report"}, set()),
    "ticketing": (
        {
            "values",
            "errors",
            "decide",
            "desk",
            "exporters",
            "logs",
            "reach",
            "remarks",
            "report",
            "reporting",
            "store",
            "tickets",
        },
        set(),
    ),
    "exporting": ({"values", "errors", "desk", "export_plan", "logs", "redaction", "reporting", "store"}, set()),
    "publish": (
        {
            "values",
            "errors",
            "desk",
            "episodes",
            "exporting",
            "news",
            "reach",
            "remarks",
            "store",
            "ticketing",
            "tickets",
            "logs",
        },
        set(),
    ),
    "pipeline": (
        {"values", "errors", "sampling", "decide", "causes", "desk", "looks", "publish", "embedders", "logs", "store"}
        | {"answers", "illustrate", "selection", "windows"},
        {"numpy"},
    ),
    "wiring": (
        {"values", "errors", "settings", "plugins", "pipeline", "reference", "sampling", "store", "decide", "past"}
        | {"sources", "embedders", "detectors", "selection", "user_model", "export_plan"},
        {"numpy", "pyarrow"},
    ),
    "intake": (
        {"values", "errors", "settings", "store", "labels", "quality", "reference", "embedders", "exporters", "wiring"}
        | {"formulas", "whole_files"},
        {"numpy", "pyarrow"},
    ),
    "serve": (
        {
            "values",
            "errors",
            "awaiting",
            "settings",
            "fleet",
            "wiring",
            "store",
            "metrics",
            "logs",
        }
        | {"door", "page_routes", "slow_clients"},
        {"starlette", "uvicorn"},
    ),
    "fleet": (
        {"values", "errors", "settings", "pipeline", "wiring", "windows", "store", "push", "retention", "logs"},
        {"apscheduler", "psutil"},
    ),
    "demo": ({"values", "errors", "redaction"}, {"numpy", "sklearn", "rich", "yaml"}),
}
ANYTHING = {"cli"}
"""Rooms at the door: they parse, wire, call and print, and may know everyone."""
PURE = {"values", "errors", "sampling", "bottom_k", "windows", "decide", "detectors", "selection", "report"} | {
    "sketches",
    "causes",
    "calibration",
    "documents",
    "episodes",
    "news",
    "picture",
    "quality",
    "redaction",
    "verification",
    "formulas",
    "export_plan",
}
IMPURE_MODULES = {"os", "time", "random", "logging", "pathlib", "io", "subprocess", "socket", "shutil", "tempfile"}
GLOBAL_GENERATORS = {
    "seed",
    "rand",
    "randn",
    "randint",
    "random",
    "choice",
    "shuffle",
    "permutation",
    "normal",
    "uniform",
}
FILES = sorted(p for p in ROOT.rglob("*.py"))


def room_of(path: Path) -> str:
    inside = path.relative_to(ROOT)
    return inside.parts[0] if len(inside.parts) > 1 else inside.stem


def imports_of(tree: ast.AST) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative import"
            module = node.module or ""
            found |= {f"monitor.{alias.name}" for alias in node.names} if module == "monitor" else {module}
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_follow_the_table(path):
    room = room_of(path)
    assert room in set(HOUSE) | ANYTHING, f"{path.name} has no row in the table"
    ours, theirs = (set(HOUSE) | ANYTHING, {"typer", "rich", "pyarrow", "numpy"}) if room in ANYTHING else HOUSE[room]
    for name in imports_of(ast.parse(path.read_text(encoding="utf-8"))):
        top, _, rest = name.partition(".")
        if top == "monitor":
            target = rest.partition(".")[0]
            assert target in ours | {room} or target.startswith("__version"), f"{room} must not import {name}"
        elif top not in sys.stdlib_module_names:
            assert top in theirs, f"{room} must not import {top}"


@pytest.mark.parametrize("path", [p for p in FILES if room_of(p) in PURE], ids=lambda p: str(p.relative_to(ROOT)))
def test_pure_rooms_touch_no_world(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not {n.partition(".")[0] for n in imports_of(tree)} & IMPURE_MODULES
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in {"open", "print", "input", "datetime.now", "datetime.utcnow", "date.today"}, called
            owner, _, method = called.rpartition(".")
            if owner in {"np.random", "numpy.random"}:
                assert method not in GLOBAL_GENERATORS, f"{called}: pass a Generator"
                assert method != "default_rng" or node.args, "an unseeded generator"


def test_no_room_is_called_by_a_word_that_says_nothing():
    empty = {
        "utils",
        "util",
        "helpers",
        "common",
        "base",
        "core",
        "manager",
        "handler",
        "engine",
        "service",
        "processor",
    }
    assert not {p.stem for p in FILES} & empty
