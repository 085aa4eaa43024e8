"""The dashboards: made by their script, of the house's style, valid for Grafana, and full of data from a real Prometheus."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path

import jsonschema
import promql_parser
import pytest
import yaml
from conftest import missing
from live_prometheus import asked, exposed, moment, now_is, scraping
from run_examples import LEASE, START, WEEK, calm, candidate, export, failed, finished, open_ticket, tickets, week

from monitor.metrics import METRICS, render
from monitor.store import Store
from monitor.values import (
    Calibration,
    Cause,
    Counts,
    Decision,
    Estimate,
    Level,
    Measurement,
    MonitorTerms,
    Refresh,
    State,
)

FOLDER = Path(__file__).resolve().parents[1] / "dashboards"
NAMES = ("fleet", "monitor", "operations")
SCHEMAS = Path(__file__).resolve().parents[2] / "shared" / "schemas"
ROWS = {name: json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8")) for name in NAMES}
PANELS = {name: [p for p in board["panels"] if p["type"] != "row"] for name, board in ROWS.items()}
OWN = [(name, panel) for name in NAMES for panel in PANELS[name]]
QUERIES = [(name, panel["title"], target) for name, panel in OWN for target in panel["targets"]]
EVERY_PANEL = pytest.mark.parametrize(("name", "panel"), OWN, ids=[f"{name}: {panel['title']}" for name, panel in OWN])


# --- made by the script -------------------------------------------------------------------------------------------------


def test_making_them_again_changes_nothing(tmp_path):
    program = f"import sys; sys.path.insert(0, {str(FOLDER)!r}); import build, pathlib; build.write(pathlib.Path(sys.argv[1]))"
    done = subprocess.run([sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(f"{name}.json" for name in NAMES)
    for name in NAMES:
        assert (tmp_path / f"{name}.json").read_bytes() == (FOLDER / f"{name}.json").read_bytes(), name


def test_every_state_has_a_number_and_a_colour():
    program = f"import sys; sys.path.insert(0, {str(FOLDER)!r}); import queries; print(*queries.STATES)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == {state.value for state in State}


# --- valid for Grafana --------------------------------------------------------------------------------------------------


@cache
def schema(name):
    path = SCHEMAS / f"grafana-{name}.schema.json"
    if not path.exists():
        missing(f"no {path.name}: the folder shared/schemas beside the project has it")
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", NAMES)
def test_they_are_what_grafana_takes(name):
    whole = schema("dashboard")
    # The schema's generator writes "object" where Grafana takes any value.
    for kind, field in (("MatcherConfig", "options"), ("DynamicConfigValue", "value")):
        assert whole["definitions"][kind]["properties"][field].pop("type", "object") == "object"
    jsonschema.Draft7Validator(whole).validate(ROWS[name])


@pytest.mark.parametrize(("name", "title", "target"), QUERIES, ids=[f"{n}: {t} {q['refId']}" for n, t, q in QUERIES])
def test_every_query_is_what_the_data_source_takes(name, title, target):
    whole = schema("prometheus")
    jsonschema.Draft7Validator({**whole, "$ref": "#/definitions/Dataquery"}).validate(target)


# --- the house's style --------------------------------------------------------------------------------------------------

SOURCE = {"type": "prometheus", "uid": "${datasource}"}


@EVERY_PANEL
def test_a_panel_explains_itself(name, panel):
    defaults = panel["fieldConfig"]["defaults"]
    assert panel["title"]
    assert len(panel["description"]) >= 20
    assert panel["description"].endswith(".")
    assert defaults["unit"]
    assert defaults["noValue"]
    assert panel["datasource"] == SOURCE
    assert panel["targets"]
    assert all(target["datasource"] == SOURCE for target in panel["targets"])
    assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


@EVERY_PANEL
def test_a_panel_repeats_no_number_that_the_settings_hold(name, panel):
    """A threshold is a state (1: there is one), or 1 for a ratio to a limit that is itself a metric."""
    steps = panel["fieldConfig"]["defaults"].get("thresholds", {}).get("steps", [])
    for override in panel["fieldConfig"]["overrides"]:
        for one in override["properties"]:
            steps = steps + one["value"]["steps"] if one["id"] == "thresholds" else steps
    assert {step["value"] for step in steps} <= {None, 1}


@pytest.mark.parametrize("name", NAMES)
def test_panels_have_their_own_place_and_number(name):
    board = ROWS[name]
    numbers = [panel["id"] for panel in board["panels"]]
    assert len(set(numbers)) == len(numbers)
    places = [(panel["gridPos"], panel["title"]) for panel in board["panels"]]
    taken = Counter(
        (x, y)
        for place, _ in places
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    )
    assert max(taken.values()) == 1
    assert {x for x, _ in taken} == set(range(24))
    lines = sorted({y for _, y in taken})
    assert lines == list(range(lines[0], lines[-1] + 1))
    assert sum(taken.values()) == 24 * len(lines), "a hole between panels"


@pytest.mark.parametrize("name", NAMES)
def test_a_dashboard_has_its_name_and_variables(name):
    board = ROWS[name]
    assert board["uid"] == f"drift-monitor-{name}"
    assert "id" not in board
    assert board["tags"] == ["drift-monitor"]
    assert board["description"]
    variables = {one["name"]: one for one in board["templating"]["list"]}
    assert list(variables)[:3] == ["datasource", "owner", "monitor"]
    assert variables["datasource"]["type"] == "datasource"
    for one in variables.values():
        assert one["label"]
        assert one["type"] != "query" or one["datasource"] == SOURCE
    text = json.dumps(board)
    used = set(re.findall(r"\$\{?(\w+)", text)) - {"__rate_interval", "__range", "__value", "__url_time_range"}
    assert used == set(variables), "every variable is used and there is no other"


def test_marks_over_a_year_stay_one_region():
    """Prometheus gives 11,000 points at most; Grafana joins those that lie no further apart than the step asked for."""
    for name in NAMES:
        for one in annotations(name):
            hours = int(one["step"].removesuffix("h"))
            assert hours * 11_000 >= 366 * 24


def test_links_lead_to_dashboards_that_there_are():
    linked = {uid for name in NAMES for uid in re.findall(r"/d/([\w-]+)", json.dumps(ROWS[name]))}
    assert linked <= {ROWS[name]["uid"] for name in NAMES}
    assert linked


# --- the queries --------------------------------------------------------------------------------------------------------

KNOWN = {metric.name: metric for metric in METRICS}


def filled(expression, monitor=".*"):
    """The query as Grafana sends it; over a time long enough for a slow machine."""
    values = {"__rate_interval": "2m", "__range": "1h", "monitor": monitor, "owner": ".*", "class": "refund"}
    return re.sub(r"\$\{?(\w+)\}?", lambda found: values[found[1]], expression)


def selectors(expression):
    found = []
    promql_parser.walk(promql_parser.parse(expression), found.append)
    return [node for node in found if isinstance(node, promql_parser.VectorSelector)]


def annotations(name):
    return [one for one in ROWS[name]["annotations"]["list"] if not one.get("builtIn")]


EXPRESSIONS = [(f"{name}: {title}", target["expr"]) for name, title, target in QUERIES]
EXPRESSIONS += [(f"{name}: {one['name']}", one["expr"]) for name in NAMES for one in annotations(name)]


@pytest.mark.parametrize(("where", "expression"), EXPRESSIONS, ids=[where for where, _ in EXPRESSIONS])
def test_queries_ask_for_metrics_and_labels_that_there_are(where, expression):
    for node in selectors(filled(expression)):
        metric = KNOWN[node.name]
        labels = {matcher.name for matcher in node.matchers.matchers}
        assert labels <= {*metric.labels}, node.name
        assert "monitor" in labels or "monitor" not in metric.labels, "a series of all monitors, whatever is chosen"


@pytest.mark.parametrize(("where", "expression"), EXPRESSIONS, ids=[where for where, _ in EXPRESSIONS])
def test_rates_are_over_what_is_shown(where, expression):
    assert set(re.findall(r"\[([^\]]+)\]", expression)) <= {"$__rate_interval", "$__range"}
    counters = [node.name for node in selectors(filled(expression)) if KNOWN[node.name].kind == "counter"]
    assert len(counters) == len(re.findall(r"(?:rate|increase)\(drift_monitor_\w+_total", expression))


# --- live ---------------------------------------------------------------------------------------------------------------

TERMS = MonitorTerms(
    owner="support team",
    false_alarms=1.0,
    minimum_sample=50,
    limits={
        "lag": 2 * WEEK,
        "failing": timedelta(hours=1),
        "insufficient": 2 * WEEK,
        "drift": 4 * WEEK,
        "reference_age": timedelta(days=30),
        "ticket_wait": WEEK,
        "outbox_wait": timedelta(hours=1),
    },
)
MONITORS = {"support": TERMS, "sales": replace(TERMS, owner="sales team"), "returns": TERMS, "fresh": TERMS}
SHARES = {"refund": (0.25, 0.5), "parcel": (0.5, 0.5), "lamp": (0.25, 0.0), "boat": (0.0, 0.125)}


def measurements():
    detail = {"detectable_share": 0.04}
    for segment in ("", "country=DE", "country=FR"):
        for subject, effect in (("embeddings", 0.25), ("classes", 0.125)):
            yield Measurement("change", subject, effect, 0.125, 0.375, 0.001, 900, 400, segment, detail)
    yield Measurement("mmd", "embeddings", 0.0625, 0.03125, 0.125, 0.002, 900, 400)
    for name, (before, now) in SHARES.items():
        detail = {"share_reference": before, "share_current": now}
        yield Measurement("class_balance", f"class:{name}", now - before, -1.0, 1.0, None, 900, 400, detail=detail)


def in_depth(claim):
    """A drifted run that has something for every panel."""
    evidence = {
        "evidence": 512.0,
        "run_length": 52.0,
        "tolerance": 0.02,
        "martingale": 31.5,
        "budget_spent": 0.25,
        "alarms": 1.0,
        "alarm_since": claim.window.end.timestamp(),
    }
    decision = Decision(
        State.DRIFTED,
        ("Drift.",),
        ("change embeddings",),
        ("content",),
        evidence,
        (Cause("new topic", "A new topic."), Cause("class mix", "Other classes.")),
    )
    refresh = Refresh(
        1, 50, 0, 0.75, 0.01, gain=Estimate(0.0625, 0.03125, 0.125), flips=Estimate(0.0078125, 0.0, 0.015625)
    )
    return finished(
        claim,
        measurements=tuple(measurements()),
        decision=decision,
        refresh=refresh,
        counts=Counts(1_000, 400, 7, 5, 3, 1, {"wrong type": 2, "naive time": 1}),
        candidates=(candidate(1), candidate(2)),
        seconds={"sample": 1.5, "embed": 20.0, "detect": 2.5},
    )


def play(store):
    """Support has drifted, sales fails, returns has too few records, fresh has never run."""
    for name in MONITORS:
        store.register_monitor(name, settings="s", period=WEEK, now=START)
    store.register_reference("support", 3, "0123456789abcdef", "file:///ref/3", START - WEEK)
    store.use_reference("support", 3)
    claim = store.claim("support", week(0), "a", START, LEASE)
    store.save(claim, calm(claim))
    claim = store.claim("support", week(1), "a", START + WEEK, LEASE)
    run = in_depth(claim)
    wishes = tickets(run, destinations=["github", "jira"])
    store.save(claim, run, tickets=wishes, exports={"files": export(run), "bucket": export(run, "other")})
    store.keep_calibration(
        Calibration("support", START, 3, Level(200, 0.05, 0.025, 0.125), Level(90, 0.0625, 0.03125, 0.125), 0.03125)
    )
    store.import_labels("support", {"r1": "refund"}, by="ana", now=START + WEEK)
    first, second = store.due_tickets(START + 2 * WEEK)
    open_ticket(store, first, "https://example.org/1", START + 2 * WEEK)
    store.not_sent(second, "down", START + 2 * WEEK)
    first, second = store.due_exports(START + 2 * WEEK)
    store.sent(first, "/out", START + 2 * WEEK)
    store.not_sent(second, "no such bucket", START + 2 * WEEK, permanent=True)
    claim = store.claim("sales", week(0), "a", START, LEASE)
    store.save(claim, calm(claim))
    fail(store, 1)
    claim = store.claim("returns", week(0), "a", START, LEASE)
    store.save(claim, finished(claim, measurements=(), candidates=(), decision=Decision(State.INSUFFICIENT)))
    store.claim("fresh", week(0), "a", START, LEASE)


def fail(store, number):
    claim = store.claim("sales", week(number), "a", START, LEASE)
    store.save(claim, failed(claim))


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    """A Prometheus that scrapes two replicas of one store, while a run fails and the sending of a ticket does too."""
    folder = tmp_path_factory.mktemp("live")
    with ExitStack() as stack:
        store = stack.enter_context(Store.open(f"sqlite:///{folder / 'monitor.db'}"))
        store.upgrade()
        play(store)
        targets = [stack.enter_context(exposed(lambda: render(store, terms=MONITORS))) for _ in range(2)]
        url = stack.enter_context(scraping(folder, *targets))
        runs = 'count(drift_monitor_runs_total{{monitor="sales",status="failed"}} == {}) == 2'
        moment(url, runs.format(1))
        fail(store, 2)
        yield url, moment(url, runs.format(2))


def answered(live, target, monitor=".*"):
    url, at = live
    query = filled(target["expr"], monitor)
    if target.get("instant"):
        return [labels for labels, _ in now_is(url, query, at)]
    found = asked(url, "query_range", {"query": query, "start": at - 300, "end": at, "step": 1})
    return [one["metric"] for one in found["result"]]


@EVERY_PANEL
def test_every_query_has_data(live, name, panel):
    for target in panel["targets"]:
        monitor = "support" if name == "monitor" else ".*"
        assert answered(live, target, monitor), target["expr"]


@EVERY_PANEL
def test_two_replicas_are_not_two_monitors(live, name, panel):
    """Nothing but the replicas themselves is told apart by the address that was scraped."""
    for target in panel["targets"]:
        labels = {label for one in answered(live, target) for label in one}
        assert not labels & {"job", "__name__"}
        assert "instance" not in labels or "by (instance)" in target["expr"]


@pytest.mark.parametrize(
    ("name", "one"),
    [(name, one) for name in NAMES for one in annotations(name)],
    ids=lambda one: one if isinstance(one, str) else one["name"],
)
def test_every_annotation_has_data(live, name, one):
    url, at = live
    found = now_is(url, filled(one["expr"], "support"), at)
    assert [labels for labels, _ in found] == [{"monitor": "support"}]
    assert found[0][1] > 0


@pytest.mark.parametrize("name", NAMES)
def test_every_variable_has_values(live, name):
    for one in ROWS[name]["templating"]["list"]:
        if one["type"] != "query":
            continue
        selector, label = re.fullmatch(r"label_values\((.*), (\w+)\)", one["query"]).groups()
        found = {series[label] for series in asked(live[0], "series", {"match[]": filled(selector)})}
        wanted = {"owner": {"support team", "sales team"}, "monitor": set(MONITORS), "class": set(SHARES)}
        assert found == wanted[one["name"]]


def values(live, name, title, monitor=".*"):
    """What a panel shows: by labels without the names of the monitors where there is but one."""
    (panel,) = [panel for panel in PANELS[name] if panel["title"] == title]
    url, at = live
    return [now_is(url, filled(target["expr"], monitor), at) for target in panel["targets"]]


def test_the_fleet_counts_every_monitor_once(live):
    assert values(live, "fleet", "Monitors") == [[({}, 4.0)]]
    (states,) = values(live, "fleet", "By state")
    assert {labels["state"]: value for labels, value in states} == {
        "stable": 0,
        "watch": 0,
        "recovering": 0,
        "insufficient": 1,
        "drifted": 1,
        "failed": 1,
    }
    assert values(live, "fleet", "Open tickets") == [[({}, 1.0)]]


def test_who_needs_attention_is_named_with_owner_and_reason(live):
    (found,) = values(live, "fleet", "Needs attention now")
    assert {(labels["monitor"], labels["owner"], labels["why"]) for labels, _ in found} == {
        ("support", "support team", "drift"),
        ("support", "support team", "reference is old"),
        ("support", "support team", "ticket waits"),
        ("support", "support team", "cannot send"),
        ("support", "support team", "behind schedule"),
        ("sales", "sales team", "runs fail"),
        ("sales", "sales team", "behind schedule"),
        ("returns", "support team", "too few records"),
        ("returns", "support team", "behind schedule"),
        ("fresh", "support team", "never had a verdict"),
    }
    assert all(value > 0 for _, value in found)
    assert values(live, "fleet", "Need attention") == [[({}, 4.0)]]
    assert values(live, "fleet", "Need attention", "nobody's") == [[({}, 0.0)]]


def test_budget_and_duration_are_those_of_the_runs(live):
    allowed, spent, raised, left = values(live, "fleet", "False-alarm budget", "support")
    assert [one[0][1] for one in (allowed, spent, raised, left)] == [1.0, 0.25, 1.0, 0.75]
    (by_monitor,) = values(live, "operations", "Duration by monitor", "support")
    assert by_monitor == [({"monitor": "support"}, 24.0)]


# --- provisioning -------------------------------------------------------------------------------------------------------


def test_provisioning_loads_this_folder():
    provider = yaml.safe_load((FOLDER / "provisioning" / "dashboards" / "drift-monitor.yml").read_text())
    (one,) = provider["providers"]
    assert provider["apiVersion"] == 1
    assert one["type"] == "file"
    assert one["options"]["path"].endswith("/drift-monitor")
    sources = yaml.safe_load((FOLDER / "provisioning" / "datasources" / "prometheus.yml").read_text())
    assert [(source["type"], source["access"]) for source in sources["datasources"]] == [("prometheus", "proxy")]
