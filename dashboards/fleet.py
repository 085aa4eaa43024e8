"""Fleet: all monitors at once, and who needs attention."""

from __future__ import annotations

from boards import board
from grafana_foundation_sdk.builders import dashboard
from parts import PAGES, RED, STATE_TEXTS, Column, Query, at_one, lines, names, number, rows_of, thresholds, timeline
from queries import STATES, left_of_budget, limit, newest, owner, since, state_code

__all__ = ["fleet"]


def over(name: str) -> str:
    return f"> on (monitor) {limit(name)}"


def _why(reason: str, expr: str) -> str:
    return f'label_replace({expr}, "why", "{reason}", "", "")'


LATE = f"{since('watermark')} {over('lag')}"
_REASONS = {
    "drift": since("drifted_since"),
    "runs fail": f"{since('failing_since')} {over('failing')}",
    "too few records": f"{since('insufficient_since')} {over('insufficient')}",
    "behind schedule": LATE,
    "never had a verdict": f"({since('first_seen')} {over('lag')}) unless on (monitor) {newest('watermark_timestamp_seconds')}",
    "reference is old": f"{since('reference_created')} {over('reference_age')}",
    "ticket waits": f"max by (monitor) ({since('ticket_open_since', 'destination')}) {over('ticket_wait')}",
    "cannot send": f"max by (monitor) ({since('outbox_oldest', 'kind', 'destination')}) {over('outbox_wait')}",
}
ATTENTION = " or ".join(_why(reason, expr) for reason, expr in _REASONS.items())


def fleet() -> dashboard.Dashboard:
    """Who needs attention, and how every monitor is doing."""
    made = board(
        "fleet",
        "Drift monitor / Fleet",
        "All monitors: their state, who needs attention, what is open.",
        since="now-90d",
    )
    for panel in (*_numbers(), _attention(), _tickets(), _monitors(), _states(), _evidence(), _budget(), _runs()):
        made = made.with_panel(panel)
    return made


def _numbers() -> list[object]:
    colours = {state: {"color": {"mode": "fixed", "fixedColor": colour}} for state, colour in STATES.items()}
    return [
        number(
            "Monitors",
            "How many monitors are shown. The owner and the monitor at the top choose which.",
            "none",
            Query(f"count({newest('period_seconds')})"),
            empty="none",
            width=3,
        ),
        number(
            "Need attention",
            "Monitors with something to do now: those of the table below, each counted once.",
            "none",
            Query(f"count(count by (monitor) ({ATTENTION})) or vector(0)"),
            empty="none",
            width=3,
            steps=thresholds((None, "green"), (1, "red")),
        ),
        number(
            "By state",
            "How many monitors are in which state, by the verdict on their newest window. Watch: there is some evidence. "
            "Drifted: the alarm is on. Recovering: the alarm is on and the newest window is calm. Insufficient: too few "
            "records for a verdict. Failed: the run broke.",
            "none",
            Query(f"sum by (state) ({newest('state', 'state')})", "{{state}}"),
            empty="no verdict yet",
            width=12,
            overrides=colours,
        ),
        number(
            "Open tickets",
            "Tickets that were sent for an alarm that is still on.",
            "none",
            Query(f"count({newest('ticket_open_since_timestamp_seconds', 'destination')}) or vector(0)"),
            empty="none",
            width=3,
        ),
        number(
            "Alarms",
            "Alarms that the monitors have raised since each of their baselines began, beside how many chance alone would "
            "have raised at most.",
            "short",
            Query(f"sum({newest('alarms')})", "raised"),
            Query(f"sum({newest('false_alarms_expected')})", "by chance"),
            empty="no verdict yet",
            width=3,
            overrides={"by chance": {"decimals": 1}},
        ),
    ]


def _attention() -> object:
    joined = f"({ATTENTION}) * on (monitor) group_left (owner) {owner()}"
    columns = (
        names(width=190),
        Column("owner", "Owner", width=150),
        Column(
            "why",
            "Why",
            looks={"color": {"mode": "fixed", "fixedColor": RED}, "custom.cellOptions": {"type": "color-text"}},
        ),
        Column("Value", "For", "s", width=130),
    )
    return rows_of(
        "Needs attention now",
        "Who is to look at what, and for how long it has been so. Drift stands here from the first window on; everything else "
        "once it has lasted longer than the limits in the settings of the monitor. Click a monitor to see it in depth.",
        columns,
        Query(joined),
        empty="Nothing needs attention",
        width=13,
        sort="For",
    )


def _tickets() -> object:
    opened = since("ticket_open_since", "destination")
    columns = (
        names(width=170),
        Column(
            "destination",
            "Sent to",
            looks={"links": [{"title": "Tickets of drift-monitor", "url": f"{PAGES}tickets", "targetBlank": True}]},
        ),
        Column("owner", "Owner"),
        Column("Value #A", "Open for", "s", width=95),
        Column("Value #B", "May wait", "s", width=95),
    )
    return rows_of(
        "Tickets of alarms that are on",
        "Each ticket that is open, the oldest first, and how long a ticket may wait by the settings. Click the destination "
        "for the list with links to each ticket.",
        columns,
        Query(f"{opened} + on (monitor) group_left (owner) 0 * {owner()}"),
        Query(
            f"{newest('ticket_open_since_timestamp_seconds', 'destination')} * 0 + on (monitor) group_left (owner) 0 * {owner()} "
            f"+ on (monitor) group_left () {limit('ticket_wait')}"
        ),
        empty="No open ticket",
        width=11,
        sort="Open for",
    )


def _monitors() -> object:
    change = 'detector="change",subject="{}",segment=""'
    share = {"custom.cellOptions": {"type": "gauge", "mode": "basic"}, "min": 0, "max": 1, "decimals": 0}
    over = {
        "decimals": 2,
        "custom.cellOptions": {"type": "color-text"},
        "thresholds": {"mode": "absolute", "steps": [{"value": None, "color": "green"}, {"value": 1, "color": "red"}]},
    }
    columns = (
        names(),
        Column("owner", "Owner"),
        Column(
            "Value #B",
            "State",
            width=110,
            looks={"mappings": STATE_TEXTS, "custom.cellOptions": {"type": "color-background", "mode": "basic"}},
        ),
        Column("Value #C", "Evidence / limit", "short", width=120, looks=over),
        Column("Value #D", "New kind of input", "percentunit", width=140, looks={"decimals": 1}),
        Column("Value #E", "Changed class", "percentunit", width=120, looks={"decimals": 1}),
        Column("Value #F", "Tolerated", "percentunit", width=95, looks={"decimals": 1}),
        Column(
            "Value #G",
            "Budget left",
            "percentunit",
            width=150,
            looks={**share, "color": {"mode": "fixed", "fixedColor": "blue"}},
        ),
        Column("Value #H", "Last verdict", "dateTimeFromNow", width=130),
        Column("Value #I", "To label", "none", width=90),
    )
    return rows_of(
        "All monitors",
        "One line for each monitor. Evidence over its limit, and a change surely over what is tolerated, raise the alarm. "
        "New kind of input: as if so much of the traffic were of a kind not seen before. Changed class: so much of the traffic moved to "
        "other classes. Budget left: what is left of the false alarms that the settings allow in a year.",
        columns,
        Query(owner()),
        Query(state_code()),
        Query(f"{newest('evidence')} / {newest('evidence_limit')}"),
        Query(newest("effect", where=change.format("embeddings"))),
        Query(newest("effect", where=change.format("classes"))),
        Query(newest("tolerance_ratio")),
        Query(left_of_budget()),
        Query(f"{newest('last_success_timestamp_seconds')} * 1000"),
        Query(newest("candidates")),
        empty="No monitor has run yet",
        width=24,
        height=9,
        sort="State",
    )


def _states() -> object:
    return timeline(
        "State over time",
        "The verdict on the newest window of each monitor, as it stood at each time.",
        STATE_TEXTS,
        Query(state_code(), "{{monitor}}"),
        empty="No verdict yet",
    )


def _evidence() -> object:
    return lines(
        "Evidence over its limit",
        "Evidence for a change, divided by the limit that the budget of the monitor sets. At 1 (the line) the limit is reached; an alarm "
        "also asks that the change is surely larger than what is tolerated. The scale is logarithmic, and everything under a hundredth is "
        "drawn as a hundredth.",
        "short",
        Query(f"clamp_min({newest('evidence')} / {newest('evidence_limit')}, 0.01)", "{{monitor}}"),
        empty="No verdict yet",
        log=True,
        steps=at_one("transparent"),
    )


def _budget() -> object:
    columns = (
        names(width=180),
        Column("Value #A", "Allowed a year", "short"),
        Column("Value #B", "By chance so far", "short"),
        Column("Value #C", "Raised so far", "none"),
        Column("Value #D", "Left this year", "percentunit", looks={"decimals": 0}),
    )
    return rows_of(
        "False-alarm budget",
        "How many false alarms the settings allow in a year; how many chance alone would have raised at most since the baseline "
        "began; how many alarms there were. More alarms than chance explains are real changes.",
        columns,
        Query(newest("false_alarms_allowed_per_year")),
        Query(newest("false_alarms_expected")),
        Query(newest("alarms")),
        Query(left_of_budget()),
        empty="No verdict yet",
        sort="Monitor",
        descending=False,
    )


def _runs() -> object:
    columns = (
        names(width=200),
        Column("Value #A", "Window until", "dateTimeAsIso", width=170),
        Column("Value #B", "Run ended", "dateTimeFromNow"),
        Column("Value #C", "Took", "s"),
        Column("Value #D", "Records", "short"),
        Column("Value #E", "Looked at", "short"),
        Column("Value #F", "Needed", "short"),
        Column("Value #G", "Behind the clock", "s"),
        Column("Value #H", "May be behind", "s"),
    )
    return rows_of(
        "Newest runs",
        "The newest finished run of each monitor: the end of its window, when it ran and how long, how many records the window had, how many "
        "were drawn, and how many a verdict needs. Behind the clock: time since the end of the newest window that has a verdict.",
        columns,
        Query(f"{newest('window_end_timestamp_seconds')} * 1000"),
        Query(f"{newest('run_finish_timestamp_seconds')} * 1000"),
        Query(f"sum by (monitor) ({newest('run_step_seconds', 'step')})"),
        Query(newest("records", where='kind="population"')),
        Query(newest("records", where='kind="sampled"')),
        Query(newest("sample_minimum_records")),
        Query(since("watermark")),
        Query(limit("lag")),
        empty="No run has finished yet",
        width=24,
        sort="Run ended",
    )
