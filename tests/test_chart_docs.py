"""docs/deploy-kubernetes.md: every snippet of values is rendered, every name in a command exists, what runs in a pod runs here."""

from __future__ import annotations

import re
import shlex
import sqlite3
import subprocess
import sys
from functools import cache

import helm_python
import pytest
import typer
from helm_chart import ROOT, documents, render
from test_chart import problems

from monitor.cli import app
from monitor.store import Store

PAGE = (ROOT / "docs" / "deploy-kubernetes.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = [line for block in re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
FIRST = helm_python.values_from_yaml(SNIPPETS[0])


@cache
def made(number):
    values = helm_python.values_from_yaml(SNIPPETS[number])
    config = {"monitors": FIRST["config"]["monitors"], **values.get("config", {})}
    return documents(render({**values, "config": config}, name="drift-monitor", namespace="drift-monitor"))


@pytest.mark.parametrize("number", range(len(SNIPPETS)))
def test_every_snippet_is_rendered(number):
    own = [one for one in made(number) if "monitoring.coreos.com" not in one["apiVersion"]]
    assert own
    assert [problem for one in own for problem in problems("1.37", one)] == []


def test_every_object_that_a_command_names_is_made():
    there = {
        f"{one['kind'].lower()}/{one['metadata']['name']}" for number in range(len(SNIPPETS)) for one in made(number)
    }
    named = set(re.findall(r"((?:deployment|cronjob|job)/drift-monitor\S*?)[\s`]", "\n".join([*COMMANDS, PAGE])))
    assert len(named) >= 4
    assert named <= there


def test_every_secret_that_a_command_makes_is_mounted():
    (*secrets,) = re.findall(r"create secret generic (\S+) --from-file=(\S+)", "\n".join(COMMANDS))
    mounted = {
        (volume["secret"]["secretName"])
        for number in range(len(SNIPPETS))
        for one in made(number)
        if one["kind"] == "Deployment"
        for volume in one["spec"]["template"]["spec"]["volumes"]
        if "secret" in volume
    }
    assert len(secrets) == 2
    assert {name for name, _ in secrets} <= mounted


def test_every_command_of_the_program_exists():
    program = typer.main.get_command(app)
    found = re.findall(r"-- drift-monitor ([a-z -]+)", "\n".join(COMMANDS))
    assert found
    for words in map(shlex.split, found):
        command = program
        while words and not words[0].startswith("-"):
            command = command.commands[words.pop(0)]
        assert set(words) <= {option for one in command.params for option in one.opts}


def test_the_copy_of_sqlite_is_whole(tmp_path):
    (line,) = [line for line in COMMANDS if "sqlite3" in line]
    (script,) = re.findall(r'python3 -c "([^"]+)"', line)
    with Store.open(f"sqlite:///{tmp_path}/drift-monitor.db") as store:
        store.upgrade()
        subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)
    with Store.open(f"sqlite:///{tmp_path}/copy.db") as copy:
        copy.check()
    copied = sqlite3.connect(tmp_path / "copy.db")
    assert copied.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    copied.close()
