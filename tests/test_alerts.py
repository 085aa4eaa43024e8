"""The alerts: rules, what they say and when, who is told, and the same for Grafana, held against the real tools of both ends."""

from __future__ import annotations

import functools
import json
import re
import runpy
import shutil
import subprocess
import urllib.request
from copy import deepcopy
from pathlib import Path

import promql_parser
import pytest
import yaml
from conftest import tool
from live_alertmanager import alertmanager, mailbox, oldest, wait_for

from monitor.metrics import METRICS
from monitor.metrics.collector import _CAUSES, _KINDS
from monitor.settings.limits import LimitSettings

ROOT = Path(__file__).resolve().parents[1]
ALERTS = ROOT / "alerts"
RULES = ALERTS / "drift-monitor.rules.yml"
UNIT_TESTS = sorted((ALERTS / "tests").glob("*.yml"))
ALERTMANAGER = ALERTS / "alertmanager.yml"


def loaded(path):
    return yaml.safe_load(path.read_text())


RUNBOOK = "{{ if .Labels.pages }}{{ .Labels.pages }}/runbooks{{ else }}docs/runbooks.md{{ end }}#"
OWNER = """* on (monitor) group_left (owner, pages) (
  topk by (monitor) (1, max by (monitor, owner, pages) (drift_monitor_info))
  or on (monitor) label_replace(max by (monitor) (drift_monitor_period_seconds) ^ 0, "owner", "nobody", "", "")
)"""
ALL = {rule["alert"]: rule for group in loaded(RULES)["groups"] for rule in group["rules"]}


@pytest.fixture(params=["newest", "oldest"])
def program(request):
    """Finds a program of the newest Prometheus family that is unpacked, or of the oldest that the rules are made for."""
    return tool if request.param == "newest" else oldest


def called(*command):
    return subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)


def test_the_rules_are_sound(program):
    done = called(program("promtool"), "check", "rules", "--lint=all", "--lint-fatal", RULES)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(ALL)} rules found" in done.stdout


def test_alerts_say_what_they_should_when_they_should(program):
    done = called(program("promtool"), "test", "rules", *UNIT_TESTS)
    assert done.returncode == 0, done.stdout + done.stderr


@functools.cache
def told():
    """Every expectation of the promtool tests: alert, minute, alerts that fire."""
    return [
        (test["name"], one["alertname"], int(one["eval_time"].removesuffix("m")), one["exp_alerts"])
        for path in UNIT_TESTS
        for test in loaded(path)["tests"]
        for one in test.get("alert_rule_test", [])
    ]


def test_each_alert_is_shown_silent_then_firing_a_minute_later_then_over():
    for name in ALL:
        stories = {}
        for story, alert, minute, firing in told():
            if alert == name:
                stories.setdefault(story, []).append((minute, bool(firing)))
        found = [sorted(story) for story in stories.values()]
        whole = [s for s in found if [fires for _, fires in s] == [False, True, False] and s[1][0] - s[0][0] == 1]
        assert whole, name


def test_firing_is_told_with_all_labels_and_texts():
    for _, alert, _, firing in told():
        for one in firing:
            assert one["exp_annotations"].keys() == ALL[alert]["annotations"].keys()
            assert {"severity", "owner"} <= one["exp_labels"].keys()
            assert one["exp_labels"]["severity"] == ALL[alert]["labels"]["severity"]


def retold(story, owner):
    """The story of a monitor whose address nobody knows; nor its owner, when that is ``None``."""
    series = [one for one in story["input_series"] if not one["series"].startswith("drift_monitor_info")]
    period = "drift_monitor_period_seconds" + '{monitor="support"}'
    info = f'drift_monitor_info{{monitor="support",owner="{owner}"}}'
    if period not in {one["series"] for one in series}:
        series.append({"series": period, "values": "604800x2000"})
    story["input_series"] = series + ([{"series": info, "values": "1x2000"}] if owner else [])
    for check in story["alert_rule_test"]:
        for one in check["exp_alerts"]:
            labels, texts = one["exp_labels"], one["exp_annotations"]
            if labels["owner"] == "platform":
                continue
            del labels["pages"]
            labels["owner"] = owner or "nobody"
            texts |= dict.fromkeys({"report_url", "tickets_url"} & texts.keys(), "")
            texts["runbook_url"] = f"docs/runbooks.md#{check['alertname'].lower()}"
    return story


@pytest.mark.parametrize("owner", ["search", None], ids=["without an address", "without an owner"])
def test_every_alert_comes_without_links_and_without_an_owner_too(owner, program, tmp_path):
    """Each story of one monitor, told once more."""
    stories = [story for path in UNIT_TESTS for story in loaded(path)["tests"] if "replicas" not in path.name]
    made = [retold(story, owner) for story in stories]
    assert {check["alertname"] for story in made for check in story["alert_rule_test"] if check["exp_alerts"]} == set(
        ALL
    )
    (tmp_path / "retold.yml").write_text(
        yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": made})
    )
    done = called(program("promtool"), "test", "rules", tmp_path / "retold.yml")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("fires", [False, True], ids=["never fires", "always fires"])
def test_the_promtool_tests_notice_a_rule_that_is_wrong(fires, promtool, tmp_path):
    rules = loaded(RULES)
    for group in rules["groups"]:
        for rule in group["rules"]:
            rule["expr"] = f"({rule['expr']}) or on () vector(1)" if fires else "vector(1) > 2"
            rule["annotations"] = {}
    (tmp_path / RULES.name).write_text(yaml.safe_dump(rules))
    shutil.copytree(ALERTS / "tests", tmp_path / "tests")
    done = called(promtool, "test", "rules", *(tmp_path / "tests").glob("*.yml"))
    assert done.returncode == 1
    noticed = re.findall(r"alertname: (\w+), time: (\d+)m", done.stdout + done.stderr)
    assert {(name, int(minute)) for name, minute in noticed} >= {
        (name, minute) for _, name, minute, firing in told() if bool(firing) is not fires
    }


def test_every_rule_has_what_people_need():
    for name, rule in ALL.items():
        assert re.fullmatch(r"DriftMonitor([A-Z][a-z]+)+", name)
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        texts = rule["annotations"]
        assert {"summary", "description", "runbook_url"} <= texts.keys() <= {*texts, "report_url", "tickets_url"}
        assert re.search(r"\d|\.Value|query|five minutes", rule["annotations"]["description"])
        if rule["labels"].get("owner") == "platform":
            assert texts["runbook_url"] == f"docs/runbooks.md#{name.lower()}"
            continue
        assert rule["expr"].strip().endswith(OWNER)
        assert texts["runbook_url"] == RUNBOOK + name.lower()
        assert {"report_url", "tickets_url"} & texts.keys()


def asked_in(text):
    """Queries of an annotation, as Prometheus will see them."""
    return [re.sub(r"%(\[1\])?s", "support", query) for query in re.findall(r'printf "([^"]+)"', text)]


def nodes(query):
    found = []
    walked = promql_parser.walk(promql_parser.parse(query), lambda node: found.append(node) or True)
    assert walked is not False
    return found


EXPRESSIONS = [
    *(rule["expr"] for rule in ALL.values()),
    *(query for rule in ALL.values() for text in rule["annotations"].values() for query in asked_in(text)),
]


def selectors(query):
    return [node for node in nodes(query) if isinstance(node, promql_parser.VectorSelector)]


def test_rules_ask_only_for_what_is_exported():
    known = {metric.name: metric for metric in METRICS}
    values = {
        ("drift_monitor_limit_seconds", "limit"): set(LimitSettings.model_fields),
        ("drift_monitor_drift", "cause"): set(_CAUSES),
        ("drift_monitor_findings", "kind"): set(_KINDS),
        ("drift_monitor_records", "kind"): {"population", "sampled", "repeats", "empty", "overlong", "outside"},
        ("drift_monitor_classes", "change"): {"new", "vanished"},
        ("drift_monitor_class_share_ratio", "data"): {"reference", "current"},
    }
    seen = set()
    for query in EXPRESSIONS:
        for selector in selectors(query):
            assert selector.name in known, query
            for matcher in selector.matchers.matchers:
                assert matcher.name in known[selector.name].labels, query
                if allowed := values.get((selector.name, matcher.name)):
                    assert set(matcher.value.split("|")) <= allowed, query
                    seen.add((selector.name, matcher.name))
    assert seen == values.keys()


def test_rules_repeat_no_number_that_the_settings_hold():
    for rule in ALL.values():
        numbers = {node.val for node in nodes(rule["expr"]) if isinstance(node, promql_parser.NumberLiteral)}
        assert numbers <= {0, 1, 2}
        assert rule.get("for", "0s") in {"0s", "5m"}


def test_each_limit_of_the_settings_has_its_alert():
    used = {
        matcher.value
        for rule in ALL.values()
        for selector in selectors(rule["expr"])
        if selector.name == "drift_monitor_limit_seconds"
        for matcher in selector.matchers.matchers
    }
    assert used == set(LimitSettings.model_fields)


# Runbooks


def test_every_alert_has_its_runbook_and_every_runbook_its_alert():
    text = (ROOT / "docs" / "runbooks.md").read_text()
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == list(ALL)
    parts = dict(zip(ALL, re.split(r"^## .+$", text, flags=re.MULTILINE)[1:], strict=True))
    for name, part in parts.items():
        whom = "the platform" if ALL[name]["labels"].get("owner") else "the owner"
        assert part.strip().startswith(f"**{ALL[name]['labels']['severity']}, to {whom}.**"), name
        assert "*Check.*" in part
        assert "*Do.*" in part
    for link in re.findall(r"\]\(#([^)]+)\)", text):
        assert link in {name.lower() for name in ALL}


# Grafana


@pytest.fixture(scope="module")
def grafana():
    return runpy.run_path(str(ALERTS / "grafana.py"))


def grafana_alerts():
    return [rule for group in loaded(ALERTS / "grafana-alerting.yml")["groups"] for rule in group["rules"]]


def test_grafanas_file_is_made_from_the_rules_as_they_are(grafana):
    assert (ALERTS / "grafana-alerting.yml").read_text() == grafana["grafana_rules"]()
    assert grafana["grafana_rules"]("other").count("uid: other") > len(ALL)


def test_grafanas_file_is_what_its_provisioning_reads():
    made = loaded(ALERTS / "grafana-alerting.yml")
    assert made["apiVersion"] == 1
    assert [group["name"] for group in made["groups"]] == [group["name"] for group in loaded(RULES)["groups"]]
    for group in made["groups"]:
        assert group.keys() == {"orgId", "name", "folder", "interval", "rules"}
    alerts = grafana_alerts()
    assert [one["title"] for one in alerts] == list(ALL)
    assert len({one["uid"] for one in alerts}) == len(ALL)
    for one in alerts:
        assert re.fullmatch(r"[a-z0-9-]{1,40}", one["uid"])
        parts = {part["refId"]: part for part in one["data"]}
        assert len(parts) == len(one["data"])
        assert one["condition"] == "B"
        assert "$A" in parts["B"]["model"]["expression"]
        assert (one["noDataState"], one["execErrState"], one["isPaused"]) == ("OK", "Error", False)
        for name, part in parts.items():
            assert part["model"]["refId"] == name
            assert part["model"]["datasource"]["uid"] == part["datasourceUid"]
            if name != "B":
                assert (part["datasourceUid"], part["model"]["instant"]) == ("prometheus", True)
                assert part["relativeTimeRange"] == {"from": 600, "to": 0}
                promql_parser.parse(part["model"]["expr"])


def test_grafana_says_the_same_as_prometheus():
    number = re.compile(r"\{\{ with .*? \| query \}\}\{\{ \. \| first \| (.*?) \}\}\{\{ end \}\}")
    for one in grafana_alerts():
        rule = ALL[one["title"]]
        assert one["labels"] == rule["labels"]
        assert (one["for"], one["keepFiringFor"]) == (rule.get("for", "0s"), rule["keep_firing_for"])
        parts = {part["refId"]: part["model"] for part in one["data"]}
        assert parts["A"]["expr"] == rule["expr"].strip()
        assert one["annotations"].keys() == rule["annotations"].keys()
        asked = []
        for name, text in rule["annotations"].items():
            theirs = one["annotations"][name]
            # Grafana fills in what looks like a variable of the environment.
            assert "$" not in theirs
            asked += [parts[name]["expr"] for name in re.findall(r"\.Values\.(N\d+)\.", theirs)]
            theirs = re.sub(r"\.Values\.N\d+\.Value \|", "value |", theirs)
            theirs = re.sub(r"\.Values\.N\d+\.Labels\.(\w+)", r'label "\1"', theirs)
            assert theirs.replace(".Values.A.Value", ".Value") == number.sub(r"{{ \1 }}", text)
        wanted = [query for text in rule["annotations"].values() for query in asked_in(text)]
        assert len(asked) == len(wanted) == len(parts) - 2
        for query, theirs in zip(wanted, asked, strict=True):
            assert theirs.endswith(" or on () vector(NaN)")
            whose = ["drift_monitor_info", "drift_monitor_period_seconds"]
            assert [s.name for s in selectors(theirs)] == [*(s.name for s in selectors(query)), *whose]


def test_grafanas_queries_give_each_alert_its_own_numbers(program, tmp_path):
    (tests,) = [
        test for test in loaded(ALERTS / "tests" / "traffic.yml")["tests"] if test["name"] == "class-balance drift"
    ]
    (one,) = [one for one in grafana_alerts() if one["title"] == "DriftMonitorClassBalanceDrift"]
    queries = {part["refId"]: part["model"].get("expr") for part in one["data"]}
    other = deepcopy(tests["input_series"])
    for series in other:
        series["series"] = series["series"].replace('monitor="support"', 'monitor="calm"').replace("search", "desk")
        series["values"] = series["values"].replace("0.25x60", "0.5x60")
    pages = ',pages="https://drift.example.org"'
    mine, theirs = '{monitor="support",owner="search"%s' + pages + "}", '{monitor="calm",owner="desk"%s' + pages + "}"
    expected = {
        "A": [(mine % "", 1), (theirs % "", 1)],
        "N1": [(mine % "", 512), (theirs % "", 512)],
        "N2": [(mine % "", 52), (theirs % "", 52)],
        "N3": [(mine % ',class="invoice"', 0.25), (theirs % ',class="refund"', 0.125)],
        "N4": [(mine % "", 0.25), (theirs % "", 0.125)],
        "N5": [(mine % "", 0.02), (theirs % "", 0.02)],
    }
    asked = [
        {
            "expr": queries[name],
            "eval_time": "20m",
            "exp_samples": [{"labels": one, "value": value} for one, value in samples],
        }
        for name, samples in expected.items()
    ]
    assert queries.keys() == expected.keys() | {"B"}
    story = {"interval": "1m", "input_series": [*tests["input_series"], *other], "promql_expr_test": asked}
    (tmp_path / "grafana.yml").write_text(
        yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": [story]})
    )
    done = called(program("promtool"), "test", "rules", tmp_path / "grafana.yml")
    assert done.returncode == 0, done.stdout + done.stderr


# Alertmanager


def test_alertmanagers_example_is_sound(program):
    done = called(program("amtool"), "check-config", ALERTMANAGER)
    assert done.returncode == 0, done.stdout + done.stderr


ROUTES = {
    "alertname=DriftMonitorSemanticDrift owner=search severity=warning monitor=support": "automation,slack-search",
    "alertname=DriftMonitorDriftPersists owner=search severity=critical monitor=support": "automation,pager-search",
    "alertname=DriftMonitorReferenceOld owner=search severity=info monitor=support": "automation,mail-search",
    "alertname=DriftMonitorExporterDown owner=platform severity=critical": "automation,pager-platform",
    "alertname=DriftMonitorFailing owner=platform severity=warning monitor=own": "automation,slack-platform",
    "alertname=DriftMonitorSemanticDrift owner=nobody severity=warning monitor=sales": "automation",
    "alertname=DiskFull owner=platform severity=critical": "pager-platform",
    "alertname=DiskFull severity=critical": "mail",
}


@pytest.mark.parametrize("labels", ROUTES)
def test_each_route_leads_where_it_should(labels, program):
    command = (program("amtool"), "config", "routes", "test", f"--config.file={ALERTMANAGER}")
    done = called(*command, f"--verify.receivers={ROUTES[labels]}", *labels.split())
    assert done.returncode == 0, done.stdout + done.stderr
    done = called(*command, "--verify.receivers=somebody-else", *labels.split())
    assert done.returncode == 1


def walk(value, path=()):
    yield path, value
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from walk(inner, (*path, key))


def test_every_receiver_is_reached_and_no_secret_is_written_down():
    config = loaded(ALERTMANAGER)
    receivers = {receiver["name"] for receiver in config["receivers"]}
    assert receivers == {name for names in ROUTES.values() for name in names.split(",")}
    kinds = {key for receiver in config["receivers"] for key in receiver if key != "name"}
    assert kinds == {"email_configs", "slack_configs", "pagerduty_configs", "webhook_configs"}
    assert config["route"]["group_by"] == ["monitor"]
    secret = re.compile(r"password|api_url|routing_key|service_key|token|credentials|secret|bearer")
    keys = [path[-1] for path, _ in walk(config) if path and isinstance(path[-1], str) and secret.search(path[-1])]
    assert keys
    assert all(key.endswith("_file") for key in keys)


def inhibitions():
    for rule in loaded(ALERTMANAGER)["inhibit_rules"]:
        (source,), (target,) = rule["source_matchers"], rule["target_matchers"]
        names = [re.compile(re.fullmatch(r'alertname=~?"(.+)"', matcher)[1]) for matcher in (source, target)]
        yield *({alert for alert in ALL if pattern.fullmatch(alert)} for pattern in names), rule.get("equal", [])


def test_a_broken_monitor_says_nothing_of_traffic():
    of_traffic = {rule["alert"] for rule in loaded(RULES)["groups"][0]["rules"]}
    held_back = {}
    for sources, targets, equal in inhibitions():
        assert sources
        assert targets <= of_traffic
        if targets == of_traffic:
            held_back |= dict.fromkeys(sources, equal)
    assert held_back == {
        "DriftMonitorFailing": ["monitor"],
        "DriftMonitorStale": ["monitor"],
        "DriftMonitorEmbedderChanged": ["monitor"],
        "DriftMonitorExporterDown": [],
        "DriftMonitorStoreDown": [],
    }


PAGES = "https://drift.example.org"


def raise_alert(url, name, monitor, **labels):
    rule = ALL[name]
    annotations = {
        "summary": f"{monitor}: it is so",
        "description": "12.5% of it.",
        "report_url": f"{PAGES}/monitors/{monitor}/newest",
        "tickets_url": "",
        "runbook_url": f"{PAGES}/runbooks#{name.lower()}",
    }
    alert = {"labels": {"alertname": name, "monitor": monitor, **rule["labels"], **labels}, "annotations": annotations}
    request = urllib.request.Request(url, json.dumps([alert]).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200


@pytest.fixture
def chain(program, tmp_path):
    """Address of a running Alertmanager's list of alerts, and the messages it sends."""
    with mailbox() as (box, got), alertmanager(program("prometheus-alertmanager"), tmp_path, box) as address:
        yield f"http://{address}/api/v2/alerts", got


def test_messages_arrive_whole_and_drift_is_held_back_while_the_monitor_is_broken(chain):
    url, got = chain

    def came(path, monitor):
        return [body for where, _, body in got if where == path and monitor in json.dumps(body)]

    raise_alert(url, "DriftMonitorStale", "sales", owner="search")
    wait_for(lambda: came("/pager", "sales") and came("/hook", "sales"), got)
    raise_alert(url, "DriftMonitorSemanticDrift", "sales", owner="search")
    raise_alert(url, "DriftMonitorSemanticDrift", "support", owner="search")
    raise_alert(url, "DriftMonitorNewClass", "support", owner="search")
    wait_for(lambda: "newclass" in str(came("/slack", "support")) and "NewClass" in str(came("/hook", "support")), got)
    with urllib.request.urlopen(url, timeout=10) as answer:
        known = {(one["labels"]["alertname"], one["labels"]["monitor"]): one["status"] for one in json.load(answer)}
    assert known["DriftMonitorSemanticDrift", "sales"]["inhibitedBy"]
    assert known["DriftMonitorSemanticDrift", "support"]["state"] == "active"

    (page,) = came("/pager", "sales")
    assert page["routing_key"] == "key-of-search"
    assert page["payload"]["summary"] == "sales: it is so"
    details = page["payload"]["custom_details"]
    assert details["what"].strip() == "12.5% of it."
    assert details["links"].split() == [f"{PAGES}/monitors/sales/newest", f"{PAGES}/runbooks#driftmonitorstale"]
    chat = came("/slack", "support")[-1]
    assert chat["channel"] == "#search-alerts"
    assert chat["attachments"][0]["title"] == "FIRING: support"
    lines = chat["attachments"][0]["text"].splitlines()
    assert lines.count("*support: it is so*") == 2
    assert lines.count(f"Report: {PAGES}/monitors/support/newest") == 2
    assert f"What to do: {PAGES}/runbooks#driftmonitornewclass" in lines
    assert not any(line.startswith("Tickets:") for line in lines)
    hooked = came("/hook", "support")[-1]
    assert {one["labels"]["alertname"] for one in hooked["alerts"]} == {
        "DriftMonitorSemanticDrift",
        "DriftMonitorNewClass",
    }
    assert {header for path, header, _ in got if path == "/hook"} == {"Bearer hook-token"}
    assert not came("/slack", "sales")


@pytest.mark.parametrize(
    ("links", "lines"),
    [
        ({}, []),
        ({"report_url": "", "tickets_url": ""}, []),
        ({"report_url": "https://n", "tickets_url": "https://t"}, ["Report: https://n", "Tickets: https://t"]),
    ],
)
def test_the_mail_reads_well(program, tmp_path, links, lines):
    (mail,) = next(one for one in loaded(ALERTMANAGER)["receivers"] if one["name"] == "mail")["email_configs"]
    told = {"summary": "S.", "description": "D.", "runbook_url": "https://r", **links}
    alert = {"status": "firing", "annotations": told}
    data = {"status": "firing", "alerts": [alert], "commonLabels": {"monitor": "support"}}
    (tmp_path / "data.json").write_text(json.dumps(data))
    (tmp_path / "none.tmpl").write_text('{{ define "none" }}{{ end }}')

    def rendered(text):
        command = (program("amtool"), "template", "render", f"--template.glob={tmp_path / 'none.tmpl'}")
        done = called(*command, f"--template.data={tmp_path / 'data.json'}", f"--template.text={text}")
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    assert rendered(mail["text"]).splitlines() == ["FIRING: S.", "D.", *lines, "What to do: https://r"]
    assert rendered(mail["headers"]["subject"]) == "FIRING: support"
