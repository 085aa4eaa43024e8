"""What we depend on: licences that may be shipped, an audit that says what it could not see, and no dangerous doors in our own code."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import yaml

from monitor.config import _Loader

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "docs"))
import licences  # noqa: E402


@pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="the page is made with Python 3.11, others bring other packages"
)
def test_the_page_of_licences_is_current():
    assert licences.PAGE.read_text(encoding="utf-8") == licences.page()


def test_what_is_shipped_is_more_than_what_is_named():
    found = licences.shipped()
    assert {"torch", "numpy", "s3fs", "aiohttp", "apprise", "requests", "psycopg-binary", "certifi"} <= found.keys()
    assert not {"moto", "pytest", "python-gitlab"} & found.keys()


@pytest.mark.parametrize(
    ("metadata", "classifiers", "licence", "fine"),
    [
        ({"License-Expression": "MIT"}, [], "MIT", True),
        ({"License-Expression": "Apache-2.0 AND (MIT)"}, [], "Apache-2.0 AND (MIT)", True),
        ({"License-Expression": "GPL-2.0-only OR MIT"}, [], "GPL-2.0-only OR MIT", True),
        ({"License-Expression": "Apache-2.0 AND GPL-3.0-only"}, [], "Apache-2.0 AND GPL-3.0-only", False),
        ({"License": "Apache 2.0"}, [], "Apache-2.0", True),
        ({"License": "Copyright\nof many lines"}, ["License :: OSI Approved :: BSD License"], "BSD", True),
        (
            {},
            ["License :: OSI Approved :: GNU Affero General Public License v3"],
            "GNU Affero General Public License v3",
            False,
        ),
        ({"License": "UNKNOWN"}, [], "unknown", False),
    ],
)
def test_licences_are_read_as_packages_tell_them(metadata, classifiers, licence, fine):
    assert licences.licence_of(metadata, classifiers) == licence
    assert licences.permissive(licence) is fine


def test_a_package_that_may_not_be_shipped_is_refused_by_name(monkeypatch):
    monkeypatch.setattr(licences, "PERMISSIVE", licences.PERMISSIVE - {"ISC"})
    with pytest.raises(SystemExit, match=r"shellingham .* is under 'ISC'|requests-oauthlib .* is under 'ISC'"):
        licences.page()


def audited(folder: Path, told: list[dict] | None, *, answers: bool = True, status: int = 0, **environment: str):
    """The audit with a pip-audit that says this, and a service of advisories that answers or does not."""
    real = sys.executable
    (folder / "python").write_text(f'#!/bin/sh\ncase "$1" in -) exec {real} "$@";; *) exit 0;; esac\n')
    (folder / "told").write_text(json.dumps({"dependencies": told or []}))
    says = f'while [ "$1" != -o ]; do shift; done\ncp {folder}/told "$2"\nexit {status}' if answers else "exit 1"
    (folder / "pip-audit").write_text(f"#!/bin/sh\n{says}\n")
    for name in ("python", "pip-audit"):
        (folder / name).chmod(0o755)
    command = [str(ROOT / ".ci" / "audit"), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})
    return done.returncode, done.stdout + done.stderr


UNKNOWN = {"name": "torch", "skip_reason": "not found"}
CLEAN = {"name": "jinja2", "version": "3.1.6", "vulns": []}
HIT = {"name": "jinja2", "version": "3.0.0", "vulns": [{"id": "CVE-1", "fix_versions": ["3.1.6"]}]}


def test_the_audit_says_what_it_found_and_what_it_could_not_see(tmp_path):
    assert audited(tmp_path, [CLEAN, UNKNOWN]) == (
        0,
        "audit: no advisory names any of 1 pinned versions; not known there: torch\n",
    )
    status, said = audited(tmp_path, [HIT, CLEAN], status=1)
    assert (status, "vulnerable: jinja2 3.0.0: CVE-1, mended in 3.1.6" in said) == (1, True)
    for silent in (
        audited(tmp_path, [UNKNOWN]),
        audited(tmp_path, None, answers=False),
        audited(tmp_path, [CLEAN], status=1),
    ):
        assert silent[0] == 0
        assert silent[1].startswith("NOT AUDITED: no service of advisories answers here")
    assert audited(tmp_path, [UNKNOWN], AUDIT="required")[0] == 1


@cache
def calls_and_imports() -> list[tuple[str, str]]:
    """Every call and import of our own code, with its place."""
    return list(_calls_and_imports())


def _calls_and_imports():
    for path in sorted((ROOT / "monitor").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            where = f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Import):
                yield from ((where, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield from ((where, f"{node.module}.{alias.name}") for alias in node.names)
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
                yield where, f"{ast.unparse(node.func)}()"


def test_nothing_is_unpickled_evaluated_or_run_by_a_shell():
    banned = ("pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "jsonpickle")
    found = [
        (where, what)
        for where, what in calls_and_imports()
        if what.startswith(banned)
        or what
        in {"eval()", "exec()", "os.system()", "os.popen()", "yaml.unsafe_load()", "yaml.full_load()", "torch.load()"}
    ]
    assert found == []
    for path in (ROOT / "monitor").rglob("*.py"):
        assert "shell=True" not in path.read_text(encoding="utf-8"), path
        assert "allow_pickle=True" not in path.read_text(encoding="utf-8"), path
        assert "trust_remote_code=True" not in path.read_text(encoding="utf-8"), path


def test_yaml_is_read_by_safe_loaders_alone():
    found = {what for _, what in calls_and_imports() if what.startswith("yaml.") and "load" in what.lower()}
    assert found <= {"yaml.load()", "yaml.safe_load()", "yaml.constructor.ConstructorError()"}
    assert issubclass(_Loader, yaml.SafeLoader)
    with pytest.raises(yaml.YAMLError):
        yaml.load("!!python/object/apply:os.system [true]", Loader=_Loader)
