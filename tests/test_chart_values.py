"""What values the chart takes: every rule of its schema refuses what it is there to refuse, and so does every message of its templates."""

from __future__ import annotations

import importlib
import json
import re
import shutil
from collections import Counter
from functools import cache

import jsonschema
import pytest
import yaml
from helm_chart import CASES, CHART, ROOT, Refused, documents, merged, render, validate, values_of
from schema_rules import GONE, STRINGS, Rules, rounds

SCHEMA = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
MONITOR = {
    "name": "support",
    "source": {"kind": "files", "path": "x.parquet"},
    "reference": {"train": {"kind": "files", "path": "t.parquet"}},
}
SAMPLES = {
    ("config",): {"monitors": [MONITOR]},
    ("config", "monitors"): [MONITOR],
    ("config", "monitors", 0): MONITOR,
    ("config", "monitors", 0, "reference"): MONITOR["reference"],
}
FORBIDDEN = {r"^(app\.kubernetes\.io|helm\.sh)/", r"^(checksum|helm\.sh)/"}
"""Names that the chart itself uses; broken by a key, not by a value."""
RULES = Rules(SCHEMA, SAMPLES)
ROUNDS = rounds(RULES)


def place(path):
    return "".join(f"/{str(key).replace('/', '~1')}" for key in path)


def broken_in(group):
    values = {}
    for one in group:
        RULES.with_broken(values, one)
    return values


def refused(group, chart=CHART):
    """Places of the rules in a group that Helm's answer does not name."""
    with pytest.raises(Refused) as caught:
        validate(broken_in(group), chart)
    said = set(re.findall(r"at '([^']*)'", str(caught.value)))
    return [f"{place(one.at)} {one.keyword}" for one in group if place(one.at) not in said]


def test_there_are_rules_and_each_is_broken_somewhere():
    counted = Counter(one.keyword for group in ROUNDS for one in group)
    assert counted["additionalProperties"] > 40
    assert counted["type"] > 150
    assert {
        "pattern",
        "minimum",
        "maximum",
        "enum",
        "not",
        "required",
        "uniqueItems",
        "minItems",
        "maxItems",
    } <= counted.keys()
    assert sum(counted.values()) == len(list(RULES))
    own = json.dumps({**SCHEMA["properties"], "config": None}) + json.dumps(
        {key: one for key, one in SCHEMA["$defs"].items() if key[0].islower()}
    )
    assert {
        json.loads(f'"{found}"') for found in re.findall(r'"pattern": "((?:[^"\\\\]|\\\\.)*)"', own)
    } <= STRINGS.keys() | FORBIDDEN


@pytest.mark.parametrize("group", ROUNDS, ids=lambda group: f"{len(group)} rules")
def test_helm_refuses_what_breaks_a_rule(group):
    assert refused(group) == []


@pytest.mark.parametrize("group", ROUNDS, ids=lambda group: f"{len(group)} rules")
def test_it_is_that_rule_which_refuses(group):
    """By the reference implementation, which names the keyword; of the settings, what a part takes is theirs to test."""
    found = {
        (tuple(error.absolute_path), "not" if error.validator == "not" else error.validator)
        for error in jsonschema.Draft7Validator(SCHEMA).iter_errors(merged(broken_in(group)))
    }
    at_names = {(path, keyword) for path, keyword in found}
    assert [f"{place(one.at)} {one.keyword}" for one in group if (one.at, one.keyword) not in at_names] == []


@pytest.mark.parametrize(
    ("path", "keyword"),
    [(("image", "tag"), "not"), ((), "additionalProperties"), (("cronjob", "groups", 0), "required")],
)
def test_a_rule_that_is_taken_out_is_missed(path, keyword, tmp_path):
    weaker = json.loads(json.dumps(SCHEMA))
    node = weaker
    for key in path:
        node = node["items"] if key == 0 else node["properties"][key]
    del node[keyword]
    shutil.copytree(CHART, tmp_path / "chart")
    (tmp_path / "chart" / "values.schema.json").write_text(json.dumps(weaker), encoding="utf-8")
    (one, *_) = [one for one in RULES if (one.at, one.keyword) == (path, keyword)]
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        assert refused([one], tmp_path / "chart") == []


def test_what_is_around_a_broken_rule_is_right():
    """The values without what breaks them are taken: it is the rule that is tested."""
    whole = {}
    for one in RULES:
        for key in {one.touches[0]} - {"typo"}:
            whole[key] = RULES.sample(SCHEMA["properties"][key], (key,))
    whole["mode"] = "service"
    validate(whole)
    assert GONE not in whole.values()


@pytest.mark.parametrize("case", ["default", *CASES])
def test_a_typo_at_any_level_of_a_case_is_refused(case):
    """What people wrote, one key misspelt at a time."""
    values = values_of(case) or {"image": {}, "secrets": {"database": {}}}
    validate(values)
    tried = 0
    for path in closed_places(values, SCHEMA):
        wrong = json.loads(json.dumps(values))
        at = wrong
        for key in path:
            at = at[key]
        at["typpo"] = "x"
        assert any("typpo" in error.message for error in jsonschema.Draft7Validator(SCHEMA).iter_errors(wrong)), path
        tried += 1
    assert tried >= 3
    values["typpo"] = 1
    with pytest.raises(Refused, match="additional properties 'typpo' not allowed"):
        validate(values)


def closed_places(value, schema, at=()):
    """Paths of the mappings in a value for which the schema lists every key."""
    while "$ref" in schema:
        schema = SCHEMA["$defs"][schema["$ref"].removeprefix("#/$defs/")]
    if isinstance(value, dict) and schema.get("type") == "object":
        if schema.get("additionalProperties") is False:
            yield at
        for key, one in value.items():
            if key in schema.get("properties", {}):
                yield from closed_places(one, schema["properties"][key], (*at, key))
    if isinstance(value, list) and isinstance(schema.get("items"), dict):
        for number, one in enumerate(value):
            yield from closed_places(one, schema["items"], (*at, number))


# --- values that do not go together --------------------------------------------------------------------------------------

POSTGRES = {"store": "postgresql+psycopg://u@h/d", "artifacts": "s3://bucket/references", "monitors": [MONITOR]}
NO_VOLUME = {"persistence": {"enabled": False}}
CRON = {"mode": "cronjob", **NO_VOLUME, "config": POSTGRES}


def groups(*given):
    return {**CRON, "cronjob": {"groups": [{"schedule": "@daily", **one} for one in given]}}


TOGETHER = {
    "mode cronjob needs PostgreSQL": {"mode": "cronjob"},
    "replicas above 1 need PostgreSQL": {"replicas": 2},
    "SQLite without a volume": NO_VOLUME,
    "cannot share a ReadWriteOnce volume": {"replicas": 2, "config": POSTGRES},
    "references in a folder are lost": {**NO_VOLUME, "config": {**POSTGRES, "artifacts": {"url": "/data/references"}}},
    "config.serve.host is loopback": {"config": {"serve": {"host": "127.0.0.1"}, "monitors": [MONITOR]}},
    "config.serve.port is 0": {"config": {"serve": {"port": 0}, "monitors": [MONITOR]}},
    "users are given twice": {
        "secrets": {"auth": {"name": "users"}},
        "config": {"serve": {"auth_file": "/x"}, "monitors": [MONITOR]},
    },
    "the certificate is given twice": {
        "secrets": {"tls": {"name": "tls"}},
        "config": {"serve": {"tls_certificate": "/x", "tls_key": "/y"}, "monitors": [MONITOR]},
    },
    "the database's password is given twice": {
        **NO_VOLUME,
        "secrets": {"database": {"name": "database"}},
        "config": {**POSTGRES, "store": {"url": "postgresql+psycopg://u@h/d", "password_file": "/x"}},
    },
    "the name a is taken": groups({"name": "a", "monitors": ["support"]}, {"name": "a", "monitors": ["support"]}),
    "b has no monitors left": groups({"name": "a", "monitors": ["support"]}, {"name": "b"}),
    "other is no monitor of config.monitors; there are support": groups({"name": "a", "monitors": ["other"]}),
    "support is in two groups": groups({"name": "a", "monitors": ["support"]}, {"name": "b", "monitors": ["support"]}),
    "no group runs second": {
        **groups({"name": "a", "monitors": ["support"]}),
        "config": {**POSTGRES, "monitors": [MONITOR, {**MONITOR, "name": "second"}]},
    },
}


@cache
def answer(message):
    with pytest.raises(Refused) as caught:
        render(TOGETHER[message])
    return str(caught.value)


@pytest.mark.parametrize("message", TOGETHER)
def test_values_that_do_not_go_together_are_refused_with_what_to_do(message):
    assert message in answer(message)
    assert re.search(r"[Ss]et |leave |name |give |there are ", answer(message))


def test_every_refusal_of_the_templates_has_its_test():
    templates = "".join(path.read_text(encoding="utf-8") for path in (CHART / "templates").glob("*.tpl"))
    asked = re.findall(r'fail \(?(?:printf )?"([^"]+)"', templates)
    assert len(asked) == templates.count("fail ") == len(TOGETHER)
    for text in asked:
        pattern = re.compile(".*".join(re.escape(piece) for piece in text.split("%s")))
        assert len([message for message in TOGETHER if pattern.search(answer(message))]) == 1, text


@pytest.mark.parametrize(
    "values",
    [
        {"replicas": 2, **NO_VOLUME, "config": POSTGRES},
        {**NO_VOLUME, "config": {**POSTGRES, "artifacts": "/mnt/references"}},
        {
            "replicas": 2,
            "persistence": {"accessModes": ["ReadWriteMany"]},
            "config": {**POSTGRES, "artifacts": "artifacts"},
        },
        {"config": {"cache": None, "serve": {"tls_certificate": None, "auth_file": None}, "monitors": [MONITOR]}},
        {**CRON, "replicas": 3},
    ],
)
def test_their_neighbours_are_taken(values):
    assert documents(render(values))


# --- what is made from other files ----------------------------------------------------------------------------------------


def test_what_is_made_is_current(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "helm")
    files = importlib.import_module("chart_files").made()
    assert {"README.md", "values.schema.json", "files/fleet.json"} < files.keys()
    for path, content in files.items():
        assert (CHART / path).read_bytes() == content, f"{path}: run make gen"


def test_the_readme_tells_of_every_value_that_the_schema_takes():
    rows = set(re.findall(r"^\| `([A-Za-z.]+)` \|", (CHART / "README.md").read_text(encoding="utf-8"), re.MULTILINE))
    defaults = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))

    def leaves(schema, at=""):
        while "$ref" in schema:
            schema = SCHEMA["$defs"][schema["$ref"].removeprefix("#/$defs/")]
        for key, one in schema["properties"].items():
            path = f"{at}.{key}".removeprefix(".")
            if path in rows or path == "global":
                yield path
            else:
                yield from leaves(one, path)

    assert rows - {"config.monitors"} <= set(leaves(SCHEMA))
    assert defaults.keys() == SCHEMA["properties"].keys() - {"global"}


def test_the_schema_of_the_settings_is_whole():
    """What is left out of it is words, no rules."""
    settings = json.loads((ROOT / "docs" / "drift-monitor.schema.json").read_text(encoding="utf-8"))
    for raw, valid in (
        ({"monitors": [MONITOR]}, True),
        ({"monitors": []}, False),
        ({"monitors": [MONITOR], "stor": "x"}, False),
        ({"monitors": [{**MONITOR, "schedule": {"every": "soon"}}]}, False),
        (
            {
                "monitors": [
                    {**MONITOR, "tickets": [{"kind": "github", "repository": "a/b", "token_file": "/x", "tokn": 1}]}
                ]
            },
            False,
        ),
    ):
        assert jsonschema.Draft202012Validator(settings).is_valid(raw) == valid
        assert jsonschema.Draft7Validator(SCHEMA).is_valid({"mode": "service", "config": raw}) == valid
