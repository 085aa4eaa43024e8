"""The settings file: every problem at once, each with its path, and no secret in any message."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import jsonschema
import pytest
import yaml
from shop import raw_settings

from monitor import config
from monitor.config import load, parse, schema
from monitor.errors import ConfigError
from monitor.plugins import BUILT_IN

ROOT = Path(__file__).resolve().parents[1]


def monitor(**changes):
    return {
        "name": "support",
        "source": {"kind": "files", "path": "x.parquet"},
        "reference": {"train": {"kind": "files", "path": "t.parquet"}},
        **changes,
    }


def problems(raw) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(raw)
    assert caught.value.exit_code == 2
    return list(caught.value.problems)


def test_defaults_are_those_of_a_small_team():
    settings = parse({"monitors": [monitor()]})
    one = settings.monitors[0]
    assert str(settings.store.url) == "sqlite:///drift-monitor.db"
    assert settings.serve.host == "127.0.0.1"
    assert one.schedule.tiling.length == timedelta(days=1)
    assert one.embedder.kind == "sentence_transformer"
    assert [part.name for part in one.detectors] == ["mmd", "ks", "class_balance"]
    assert [part.kind for part in one.selection.strategies] == ["drift_cover"]
    assert (one.policy.minimum_sample, one.selection.budget) == (50, 50)
    assert (one.policy.false_alarms, one.policy.tolerance, one.policy.calm) == ("1 per year", 0.02, 3)
    assert (one.policy.season, one.policy.keep) == (None, 1_000)
    assert one.policy.run_length(one.schedule) == 365.25


def test_all_problems_are_shown_together_with_their_path():
    raw = {
        "monitors": [
            monitor(
                name="Big Name",
                sample={"size": 0, "sise": 5},
                schedule={"every": "soon", "start": "2026-01-05T00:00:00"},
                source={"kind": "files", "paht": "x"},
                detectors=[{"kind": "mmd", "permutations": "many"}, "psi"],
            )
        ],
        "srve": {},
    }
    found = problems(raw)
    assert [line.partition(":")[0] for line in found] == [
        "monitors[0].name",
        "monitors[0].source.path",
        "monitors[0].source.paht",
        "monitors[0].schedule.every",
        "monitors[0].schedule.start",
        "monitors[0].sample.size",
        "monitors[0].sample.sise",
        "monitors[0].detectors[0].permutations",
        "monitors[0].detectors[1]",
        "srve",
    ]
    text = "\n".join(found)
    assert "monitors[0].sample.sise: unknown key" in text
    assert "monitors[0].source.paht: unknown key; files knows path," in text
    assert (
        "monitors[0].schedule.every: wanted a number above 0 and a unit of s, m, h, d, w or mo, for example 1h, 7d or 1mo"
        in text
    )
    assert "monitors[0].schedule.start: has no time zone; add one, for example 2026-01-05T00:00:00Z" in text
    installed = ", ".join(sorted(BUILT_IN["detectors"]))
    assert f"monitors[0].detectors[1]: there is no detectors part called 'psi'; installed are {installed}" in text


@pytest.mark.parametrize("raw", [None, [], "text", 3])
def test_a_file_that_is_no_mapping(raw):
    assert problems(raw) == [
        "the settings file must be a mapping with the key monitors; drift-monitor init writes a starter"
    ]


@pytest.mark.parametrize(
    ("budget", "every", "looks"),
    [
        ("1 per year", "1d", 365.25),
        ("1 per year", "1h", 8_766),
        ("1 per year", "1mo", 12),
        ("2 per quarter", "1h", 8_766 / 8),
        ("1 per month", "1d", 365.25 / 12),
        ("1 per 5 years", "1w", 5 * 365.25 / 7),
        ("0.5 per week", "6h", 56),
        ("3 per day", "5m", 96),
        ("1 per 10 days", "1d", 10),
    ],
)
def test_the_budget_of_false_alarms_in_looks(budget, every, looks):
    one = parse({"monitors": [monitor(policy={"false_alarms": budget}, schedule={"every": every})]}).monitors[0]
    assert one.policy.run_length(one.schedule) == pytest.approx(looks)


@pytest.mark.parametrize(
    "budget", ["never", "1", "per year", "0 per year", "0.0 per day", "1 per 0 years", "-1 per year", "1 per fortnight", 3]
)  # fmt: skip
def test_a_budget_that_is_none_is_refused(budget):
    assert problems({"monitors": [monitor(policy={"false_alarms": budget})]}) == [
        (
            "monitors[0].policy.false_alarms: wanted a number of alarms and a period, for example 1 per year, 2 per quarter "
            "or 1 per 5 years"
        )
    ]


def test_a_budget_that_leaves_no_calm_look_is_refused():
    too_many = monitor(policy={"false_alarms": "1 per week"}, schedule={"every": "1w"})
    assert problems({"monitors": [too_many]}) == [
        (
            "monitors[0]: policy.false_alarms: 1 per week with a look every 1w leaves no calm look between two; allow "
            "fewer, or look more often"
        )
    ]


@pytest.mark.parametrize(
    ("policy", "where"),
    [
        ({"tolerance": 1.0}, "policy.tolerance"),
        ({"tolerance": -0.01}, "policy.tolerance"),
        ({"minimum_sample": 0}, "policy.minimum_sample"),
        ({"calm": 0}, "policy.calm"),
        ({"keep": 63}, "policy.keep"),
        ({"season": "weekly"}, "policy.season"),
        ({"alpha": 0.01}, "policy.alpha"),
    ],
)
def test_policy_settings_out_of_range_are_named(policy, where):
    found = problems({"monitors": [monitor(policy=policy)]})
    assert [line.partition(":")[0] for line in found] == [f"monitors[0].{where}"]


def test_a_season_is_a_whole_number_of_windows():
    one = parse({"monitors": [monitor(policy={"season": "1w"}, schedule={"every": "1h"})]}).monitors[0]
    assert one.policy.season == timedelta(weeks=1)
    for season, every in (("1w", "5h"), ("36h", "1d"), ("1w", "1mo"), ("12h", "1d"), ("0d", "1d")):
        refused = monitor(policy={"season": season}, schedule={"every": every})
        assert problems({"monitors": [refused]}) == [
            f"monitors[0]: policy.season is no whole number of windows of {every}"
        ]


def test_names_must_be_unique():
    assert problems({"monitors": [monitor(), monitor()]}) == [
        "monitors: a name is used twice in ['support', 'support']"
    ]
    two = monitor(tickets=[{"kind": "file"}, {"kind": "file", "folder": "more"}])
    assert problems({"monitors": [two]}) == [
        "monitors[0]: tickets: file is listed twice; give one of them another name"
    ]
    named = monitor(tickets=[{"kind": "file"}, {"kind": "file", "folder": "more", "name": "second"}])
    assert [part.name for part in parse({"monitors": [named]}).monitors[0].tickets] == ["file", "second"]


def test_environment_is_read_only_in_urls_and_secrets(monkeypatch):
    monkeypatch.setenv("DB_HOST", "db.example")
    raw = {
        "store": "postgresql+psycopg://u@${DB_HOST}/m",
        "monitors": [monitor(source={"kind": "files", "path": "${DB_HOST}.csv"})],
    }
    settings = parse(raw)
    assert str(settings.store.url) == "postgresql+psycopg://u@db.example/m"
    assert settings.monitors[0].source.options["path"] == "${DB_HOST}.csv"


def test_a_variable_that_is_not_set_is_named(monkeypatch):
    monkeypatch.delenv("NO_SUCH", raising=False)
    assert problems({"store": "postgresql+psycopg://u:${NO_SUCH}@h/m", "monitors": [monitor()]}) == [
        "store.url: environment variable NO_SUCH is not set; set it or use the field's _file form"
    ]


def test_secrets_in_the_file_are_refused_and_not_repeated():
    raw = {
        "store": {"url": "postgresql+psycopg://u@h/m", "password": "hunter2"},
        "monitors": [monitor(source={"kind": "sql", "url": "postgresql+psycopg://u:hunter2@h/m", "query": "SELECT 1"})],
    }
    found = problems(raw)
    assert found == [
        "store.password: a secret stands in the file; write ${NAME} in its place and set that variable, or use password_file",
        "monitors[0].source.url: a password stands in the URL; write ${NAME} in its place and set that variable, or use url_file",
    ]


def test_a_secret_from_a_file(tmp_path):
    file = tmp_path / "password"
    file.write_text("hunter2\n")
    settings = parse(
        {"store": {"url": "postgresql+psycopg://u@h/m", "password_file": str(file)}, "monitors": [monitor()]}
    )
    assert settings.store.password == "hunter2"
    assert "hunter2" not in repr(settings)
    missing = {"store": {"url": "sqlite://", "password_file": str(tmp_path / "gone")}, "monitors": [monitor()]}
    assert problems(missing) == [f"store.password_file: secret file {tmp_path}/gone cannot be read: FileNotFoundError"]


def test_the_fingerprint_follows_the_settings_not_their_spelling():
    plain = parse({"monitors": [monitor()]}).monitors[0].fingerprint()
    spelt = parse({"monitors": [monitor(sample={"size": 2000}, detectors=["mmd", {"kind": "ks"}, "class_balance"])]})
    other = parse({"monitors": [monitor(sample={"size": 2001})]})
    assert spelt.monitors[0].fingerprint() == plain
    assert other.monitors[0].fingerprint() != plain


def test_the_monitor_is_chosen_by_name():
    settings = parse({"monitors": [monitor(), monitor(name="other")]})
    assert settings.monitor("other").name == "other"
    with pytest.raises(ConfigError, match="--monitor : there are support, other; name one of them"):
        settings.monitor(None)
    assert parse({"monitors": [monitor()]}).monitor(None).name == "support"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("monitors: [", r"settings.yaml line 1: "),
        ("cache: a\ncache: b\nmonitors: []", r"settings.yaml line 2: key 'cache' is given twice"),
        ("monitors: []", r"settings.yaml: monitors: List should have at least 1 item"),
        ("!!python/object/apply:os.system [id]", r"settings.yaml line 1: could not determine a constructor"),
    ],
)
def test_broken_files_say_where(tmp_path, text, message):
    file = tmp_path / "settings.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load(file)


def test_a_missing_and_an_unreadable_file(tmp_path):
    with pytest.raises(ConfigError, match="there is no such file; drift-monitor init writes a starter"):
        load(tmp_path / "none.yaml")
    (tmp_path / "latin").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(ConfigError, match=r"cannot be read as UTF-8 text \(UnicodeDecodeError\)"):
        load(tmp_path / "latin")


def test_the_starter_is_valid_for_both_parser_and_schema():
    text = (ROOT / "monitor" / "cli" / "starter.yaml").read_text(encoding="utf-8")
    settings = parse(yaml.safe_load(text))
    assert settings.monitors[0].tickets[0].kind == "file"
    jsonschema.Draft202012Validator(schema()).validate(yaml.safe_load(text))


@pytest.mark.parametrize(
    "change",
    [
        {"sample": {"sise": 3}},
        {"schedule": {"every": "soon"}},
        {"source": {"kind": "files", "paht": "x"}},
        {"detectors": [{"kind": "mmd", "permutations": "many"}]},
    ],
)
def test_the_schema_refuses_what_the_parser_refuses(change):
    validator = jsonschema.Draft202012Validator(schema())
    assert validator.is_valid({"monitors": [monitor()]})
    assert not validator.is_valid({"monitors": [monitor(**change)]})


def test_the_schema_takes_secret_files_and_installed_parts():
    validator = jsonschema.Draft202012Validator(schema())
    sql = {"kind": "sql", "url": "sqlite://", "query": "SELECT 1", "password_file": "p"}
    assert validator.is_valid({"store": {"url": "postgresql://u@h/d", "password_file": "p"}, "monitors": [monitor()]})
    assert validator.is_valid({"artifacts": {"url_file": "p"}, "monitors": [monitor()]})
    assert validator.is_valid({"store": "sqlite://", "monitors": [monitor(source=sql)]})
    assert validator.is_valid({"monitors": [monitor(source={"kind": "kafka", "topic": "t"})]})


def test_the_committed_schema_is_the_generated_one():
    committed = (ROOT / "docs" / "drift-monitor.schema.json").read_text(encoding="utf-8")
    assert committed == json.dumps(schema(), indent=2, ensure_ascii=False) + "\n", "run make gen"
    assert config.__doc__


@pytest.mark.parametrize(
    ("address", "pages"),
    [
        (None, ""),
        ("https://drift.example.org", "https://drift.example.org"),
        ("http://drift:9464/", "http://drift:9464"),
        ("http://[::1]:9464", "http://[::1]:9464"),
    ],
)
def test_the_address_of_the_pages_reaches_every_monitor(address, pages):
    from monitor.wiring import open_store, terms_of, wire  # noqa: PLC0415 - only here

    raw = raw_settings(Path("nowhere"))
    settings = parse(raw | {"serve": {"address": address}, "store": "sqlite://"})
    assert terms_of(settings)["shop"].pages == pages
    with open_store(settings) as store:
        assert wire(settings, settings.monitors[0], store).pages == pages


@pytest.mark.parametrize(
    "address",
    [
        "",
        "drift.example.org",
        "ftp://drift.example.org",
        "https://kim:right-horse@drift.example.org",
        "https://drift.example.org/behind/a/path",
        "https://drift.example.org/?a=b",
        'https://drift.example.org"}',
        "https://drift example.org",
        "https://drift.example.org\n",
        "https://" + "a" * 200,
    ],
)
def test_what_is_no_address_of_pages_is_refused_without_being_shown(address):
    with pytest.raises(ConfigError, match=r"serve\.address") as refused:
        parse(raw_settings(Path("nowhere")) | {"serve": {"address": address}})
    assert "right-horse" not in str(refused.value)
