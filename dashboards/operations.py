"""Operations: whether the monitors themselves are in order."""

from __future__ import annotations

from boards import board
from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models.common import LegendPlacement
from parts import GREEN, GREY, RED, Column, Query, at_one, lines, names, number, painted, rows_of, thresholds, timeline
from queries import limit, newest, owner, raised, since

__all__ = ["operations"]

NO_RUN = "No run yet"
STEPS = newest("run_step_seconds", "step")
EMBED = newest("run_step_seconds", where='step="embed"')
BY_MODEL = newest("embedded_records", where='source="model"')
BY_CACHE = newest("embedded_records", where='source="cache"')
PENDING, SET_ASIDE = 'status="pending"', 'status!~"pending|sent"'
FAILED = 'status=~"failed|abandoned"'


def operations() -> dashboard.Dashboard:
    """Duration, failures, lag, cache, store and outbox."""
    made = board(
        "operations",
        "Drift monitor / Operations",
        "Whether the monitors run: how long each stage takes, what fails, what lags, what waits to be sent.",
        since="now-7d",
    )
    parts = (
        ("Now", _now()),
        ("Runs", _runs()),
        ("Stages and embedding", _stages()),
        ("Store and outbox", _outbox()),
        ("Reference and versions", _versions()),
    )
    for title, panels in parts:
        made = made.with_row(dashboard.Row(title))
        for panel in panels:
            made = made.with_panel(panel)
    return made


def _now() -> list[object]:
    wrong = thresholds((None, GREEN), (1, RED))
    return [
        number(
            "Store",
            "Whether every replica reaches the database and finds the schema it needs. While it is down nothing runs, and of the other panels only the past is shown.",
            "none",
            Query("min(drift_monitor_store_up)"),
            empty="No exporter is scraped",
            mappings=painted({"0": ("down", RED), "1": ("up", GREEN)}),
            fill=True,
        ),
        number(
            "Running",
            "Windows that are being worked on.",
            "none",
            Query(f"sum({newest('runs_in_progress')})"),
            empty=NO_RUN,
        ),
        number(
            "Failing",
            "Monitors whose newest finished run failed.",
            "none",
            Query(f"count({newest('failing_since_timestamp_seconds')}) or vector(0)"),
            empty=NO_RUN,
            steps=wrong,
        ),
        number(
            "Late",
            "Monitors whose newest verdict lies further behind the clock than their settings allow.",
            "none",
            Query(f"count({since('watermark')} > on (monitor) {limit('lag')}) or vector(0)"),
            empty=NO_RUN,
            steps=wrong,
        ),
        number(
            "Waiting to be sent",
            "Tickets and exports that are still to be sent. They are tried again by themselves, with growing pauses.",
            "none",
            Query(f"{_sum_of('tickets', PENDING)} + {_sum_of('exports', PENDING)}"),
            empty="0",
        ),
        number(
            "Set aside",
            "Tickets and exports that cannot succeed by themselves: drift-monitor tickets says why, and with --retry tries again.",
            "none",
            Query(f"{_sum_of('tickets', SET_ASIDE)} + {_sum_of('exports', SET_ASIDE)}"),
            empty="0",
            steps=wrong,
        ),
    ]


def _sum_of(what: str, which: str) -> str:
    held = newest(what, "destination", where=which)
    return f"(sum({held}) or vector(0))"


def _runs() -> list[object]:
    return [
        lines(
            "Runs ended",
            "How many attempts to run a window ended, and how: done, failed, or abandoned by a process that died.",
            "none",
            Query(f"sum by (status) (round({raised('runs', 'status')}))", "{{status}}"),
            empty=NO_RUN,
            bars=True,
            stacked=True,
            width=8,
            overrides={
                "done": {"color": {"mode": "fixed", "fixedColor": GREEN}},
                "failed": {"color": {"mode": "fixed", "fixedColor": RED}},
                "abandoned": {"color": {"mode": "fixed", "fixedColor": GREY}},
            },
        ),
        lines(
            "Behind the clock, against what may be",
            "Time since the end of the newest window with a verdict, divided by what the settings of the monitor allow. Over 1 (the line) it is late.",
            "short",
            Query(f"({since('watermark')}) / on (monitor) {limit('lag')}", "{{monitor}}"),
            empty="No verdict yet",
            width=8,
            steps=at_one("transparent"),
        ),
        rows_of(
            "Trouble with runs",
            "Monitors with runs that failed or were abandoned in the time shown, and since when the newest ones have been failing. The reason stands in the run: "
            "drift-monitor runs.",
            (
                names(),
                Column("owner", "Owner", width=90),
                Column("Value #A", "Ended badly", "none", width=95, looks={"decimals": 0}),
                Column("Value #B", "Failing for", "s", width=95),
            ),
            Query(
                f"(sum by (monitor) (round({raised('runs', 'status', where=FAILED, over='$__range')})) > 0) "
                f"* on (monitor) group_left (owner) {owner()}"
            ),
            Query(f"({since('failing_since')}) * on (monitor) group_left (owner) {owner()}"),
            empty="No run failed",
            width=8,
            sort="Failing for",
        ),
    ]


def _stages() -> list[object]:
    return [
        lines(
            "Duration by stage",
            "Seconds that the newest run spent in each stage, added up over the monitors chosen. Sample reads the source, embed asks the model, detect and look back "
            "compare, select chooses what to label.",
            "s",
            Query(f"sum by (step) ({STEPS})", "{{step}}"),
            empty=NO_RUN,
            stacked=True,
            legend_at=LegendPlacement.RIGHT,
        ),
        lines(
            "Duration by monitor",
            "Seconds that the newest run of each monitor took.",
            "s",
            Query(f"sum by (monitor) ({STEPS})", "{{monitor}}"),
            empty=NO_RUN,
        ),
        rows_of(
            "Stages of the newest run",
            "Seconds by monitor and stage, the longest first.",
            (names(), Column("step", "Stage", width=100), Column("Value", "Took", "s", width=80)),
            Query(STEPS),
            empty=NO_RUN,
            width=8,
            sort="Took",
        ),
        lines(
            "Embedding speed",
            "Texts that the newest run gave to the model, in a second. Texts that the cache knew do not count; 0 where it knew them all.",
            "suffix: texts/s",
            Query(f"{BY_MODEL} / on (monitor) ({EMBED} > 0)", "{{monitor}}"),
            empty=NO_RUN,
            width=8,
        ),
        lines(
            "Out of the cache",
            "Share of the vectors of the newest run that the cache knew. New texts cannot be there; a fall on traffic that repeats itself, or when a window "
            "is run again, means that the cache is lost or too small.",
            "percentunit",
            Query(f"{BY_CACHE} / on (monitor) (({BY_CACHE} + {BY_MODEL}) > 0)", "{{monitor}}"),
            empty=NO_RUN,
            width=8,
            at_least=1,
        ),
    ]


def _outbox() -> list[object]:
    return [
        timeline(
            "Store",
            "Whether the database answered each replica.",
            painted({"0": ("down", RED), "1": ("up", GREEN)}),
            Query("min by (instance) (drift_monitor_store_up)", "{{instance}}"),
            empty="No exporter is scraped",
            width=8,
        ),
        lines(
            "Longest wait, against what may be",
            "How long the oldest ticket or export has waited to be sent, divided by what the settings of its monitor allow. Over 1 (the line) it is stuck.",
            "short",
            Query(
                f"({since('outbox_oldest', 'kind', 'destination')}) / on (monitor) group_left () {limit('outbox_wait')}",
                "{{monitor}}: {{kind}} to {{destination}}",
            ),
            empty="Nothing waits",
            width=8,
            steps=at_one("transparent"),
        ),
        lines(
            "Could not be sent",
            "Tickets and exports that could not be sent, each try.",
            "none",
            Query(
                f"sum by (kind, destination) (round({raised('publish_failures', 'kind', 'destination')}))",
                "{{kind}} to {{destination}}",
            ),
            empty="Nothing sent yet",
            bars=True,
            stacked=True,
            width=8,
        ),
        rows_of(
            "Outbox",
            "Tickets and exports of each monitor, by where they go and what became of them. Pending: tried again by itself. Parked: set aside until a person looks.",
            (
                names(),
                Column("what", "What", width=80),
                Column("destination", "Sent to"),
                Column("status", "Status", width=90),
                Column("Value", "Number", "none", width=80),
            ),
            Query(
                f'label_replace({newest("tickets", "destination", "status")}, "what", "ticket", "", "") or '
                f'label_replace({newest("exports", "destination", "status")}, "what", "export", "", "")'
            ),
            empty="Nothing sent yet",
            sort="Status",
            descending=False,
        ),
        lines(
            "Pending",
            "Tickets and exports that wait to be sent, added up over the monitors chosen.",
            "none",
            Query(_sum_of("tickets", PENDING), "tickets"),
            Query(_sum_of("exports", PENDING), "exports"),
            empty="Nothing waits",
            at_least=5,
        ),
    ]


def _versions() -> list[object]:
    return [
        lines(
            "Age of the reference, against what may be",
            "Time since the training reference was built, divided by what the settings of the monitor allow. Over 1 (the line) the model's training "
            "data is old news.",
            "short",
            Query(f"({since('reference_created')}) / on (monitor) {limit('reference_age')}", "{{monitor}}"),
            empty="No reference yet",
            width=8,
            steps=at_one("transparent"),
        ),
        rows_of(
            "What the monitors work with",
            "Reference, embedder and settings of the newest run of each monitor.",
            (
                names(),
                Column("reference_version", "Reference", width=90),
                Column("embedder", "Embedder"),
                Column("settings", "Settings", width=110),
            ),
            Query(newest("run_info", "reference_version", "embedder", "settings")),
            empty=NO_RUN,
            width=11,
            sort="Monitor",
            descending=False,
        ),
        number(
            "Versions",
            "Versions of drift-monitor that are scraped, and by how many replicas.",
            "none",
            Query("count by (version) (drift_monitor_build_info)", "{{version}}"),
            empty="No exporter is scraped",
            width=5,
            height=8,
            named=True,
        ),
    ]
