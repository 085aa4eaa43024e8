"""The lower half of Monitor: what drifted, whether the data is sound, what a refresh would bring and did, whether the test keeps its word."""

from __future__ import annotations

from parts import (
    BLUE,
    GREEN,
    GREY,
    RED,
    YELLOW,
    Column,
    Query,
    band,
    dashed,
    lines,
    number,
    painted,
    rows_of,
    timeline,
)
from queries import limit, newest, since, verdict_code

__all__ = ["HIGH", "LOW", "NO_RUN", "live", "quality", "refresh", "trust", "what"]

NO_RUN = "No verdict yet"
NOT_VERIFIED = "No refresh verified yet"
NO_MODEL = "No model declared live yet"
LOW, HIGH = "95 % interval, from", "95 % interval"


def what() -> list[object]:
    """Causes and findings."""
    shown = painted({"0": ("no", "transparent"), "1": ("drifted", RED)})
    return [
        timeline(
            "Drift by cause",
            "Content: texts of a new kind. Class balance: more or less of the known classes. Red while the verdict says drift for this cause.",
            shown,
            Query(newest("drift", "cause"), "{{cause}}"),
            empty=NO_RUN,
            width=12,
            height=6,
        ),
        timeline(
            "Findings",
            "What the difference comes from, as told apart by the monitor: a shift of classes, a new topic, content that is unlike all training "
            "data, wording or format, another embedder, or a fault of the pipeline. Looked for when there is evidence or an alarm.",
            painted({"0": ("no", "transparent"), "1": ("found", YELLOW)}),
            Query(f"clamp_max({newest('findings', 'kind')}, 1)", "{{kind}}"),
            empty=NO_RUN,
            width=12,
            height=6,
        ),
    ]


def quality() -> list[object]:
    """Records, and what is wrong with them."""
    spoilt = newest("records", "kind", where='kind=~"repeats|empty|overlong|outside"')
    every = newest("records", where='kind="population"')
    return [
        lines(
            "Records",
            "Records of each window, how many of them were drawn, and the least that a verdict needs.",
            "short",
            Query(newest("records", where='kind="population"'), "in the window"),
            Query(newest("records", where='kind="sampled"'), "drawn"),
            Query(newest("sample_minimum_records"), "needed"),
            empty="No run yet",
            width=8,
            overrides={"needed": dashed(RED)},
        ),
        lines(
            "Records with a blemish",
            "Share of the window that is repeated, empty, cut because too long, or lies outside the window's time. A jump is mostly a fault of the "
            "pipeline, not of the customers.",
            "percentunit",
            Query(f"{spoilt} / on (monitor) group_left () ({every} > 0)", "{{kind}}"),
            empty="No run yet",
            width=8,
            at_least=0.05,
        ),
        lines(
            "Records that could not be read",
            "Records of each window that were left out, by reason.",
            "short",
            Query(newest("rejected_records", "reason"), "{{reason}}"),
            empty="Every record could be read",
            width=8,
            stacked=True,
        ),
    ]


def refresh() -> list[object]:
    """Candidates, labels, tickets, and what they are expected to bring."""
    return [
        lines(
            "Proposed and labelled",
            "Records that the newest run proposes for labelling, and proposed records that have a label by now.",
            "short",
            Query(newest("candidates"), "proposed"),
            Query(newest("labelled_candidates"), "labelled, of all runs"),
            empty="No run yet",
            width=6,
        ),
        _expected(
            "Expected gain",
            "How much more accurate the model should be on the new traffic once it has learnt the newest batch, with the 95 % interval. Known after a first "
            "round of labels.",
            "expected_gain_ratio",
        ),
        _expected(
            "Expected regressions",
            "Share of what the model has right today that a refresh with the newest batch should break, with the 95 % interval.",
            "expected_negative_flips_ratio",
        ),
        rows_of(
            "Tickets and exports",
            "How many tickets and exports there are, by where they go and what became of them. Pending: tried again by itself. Parked: set aside until "
            "a person looks (drift-monitor tickets).",
            (
                Column("what", "What", width=80),
                Column("destination", "Sent to"),
                Column("status", "Status", width=80),
                Column("Value", "Number", "none", width=80),
            ),
            Query(
                f'label_replace({newest("tickets", "destination", "status")}, "what", "ticket", "", "") or '
                f'label_replace({newest("exports", "destination", "status")}, "what", "export", "", "")'
            ),
            empty="Nothing sent yet",
            width=6,
            sort="Number",
            left_out=("monitor",),
        ),
        lines(
            "Open ticket, against how long it may wait",
            "How long the ticket of the alarm that is on has been open, and how long it may by the settings. Nothing is drawn while no alarm is on.",
            "s",
            Query(since("ticket_open_since", "destination"), "{{destination}}"),
            Query(limit("ticket_wait"), "may wait"),
            empty="No open ticket",
            overrides={"may wait": dashed(RED)},
        ),
        rows_of(
            "Compared with",
            "Which training reference, embedder and settings the newest run worked with. Another embedder or reference begins the comparison anew.",
            (
                Column("reference_version", "Reference", width=100),
                Column("embedder", "Embedder"),
                Column("settings", "Settings", width=150),
                Column("Value #B", "Reference built", "dateTimeFromNow", width=150),
            ),
            Query(newest("run_info", "reference_version", "embedder", "settings")),
            Query(f"{newest('reference_created_timestamp_seconds')} * 1000"),
            empty="No run yet",
            left_out=("monitor",),
        ),
    ]


def _expected(title: str, told: str, metric: str) -> object:
    return lines(
        title,
        told,
        "percentunit",
        Query(newest(metric, where='bound="low"'), LOW),
        Query(newest(metric, where='bound="high"'), HIGH),
        Query(newest(metric, where='bound="value"'), "expected"),
        empty="Not known: no batch, or no labels yet",
        width=6,
        overrides={**band(LOW, HIGH), "expected": {"color": {"mode": "fixed", "fixedColor": BLUE}}},
        minimum=None,
    )


def live() -> list[object]:
    """What refreshes have brought: verified, live, and what production says."""
    verified = {
        str(code): look for code, look in enumerate((("passed", GREEN), ("not shown", YELLOW), ("failed", RED)))
    }
    return [
        number(
            "Refresh verified",
            "Whether the newest refresh keeps the budget of negative flips on protected records. Not shown: too few records to tell. "
            "drift-monitor refresh verify shows who lost by it.",
            "none",
            Query(verdict_code()),
            empty=NOT_VERIFIED,
            width=3,
            height=8,
            mappings=painted(verified),
            fill=True,
        ),
        rows_of(
            "Old against new",
            "The newest verification: accuracy of both models on protected records, on the labelled candidates, and on those of them that were drawn at "
            "random; and the share of what the old model had right that the new one breaks.",
            (
                Column("set", "Records"),
                Column("Value #A", "Old", "percentunit", width=75, looks={"decimals": 1}),
                Column("Value #B", "New", "percentunit", width=75, looks={"decimals": 1}),
                Column("Value #C", "Broken", "percentunit", width=80, looks={"decimals": 2}),
                Column("Value #D", "Mended", "percentunit", width=85, looks={"decimals": 1}),
            ),
            *(Query(newest("verified_accuracy_ratio", "set", where=f'model="{model}"')) for model in ("old", "new")),
            *(Query(newest(f"{kind}_flips_ratio", "set", where='bound="value"')) for kind in ("negative", "positive")),
            empty=NOT_VERIFIED,
            width=9,
            left_out=("monitor",),
        ),
        lines(
            "Negative flips, against the budget",
            "Share of what the old model had right on protected records that the new one has wrong, with its 95 % interval. Dashed red: what the owner allows.",
            "percentunit",
            Query(newest("negative_flips_ratio", where='set="protected",bound="low"'), LOW),
            Query(newest("negative_flips_ratio", where='set="protected",bound="high"'), HIGH),
            Query(newest("negative_flips_ratio", where='set="protected",bound="value"'), "broken"),
            Query(newest("negative_flips_budget_ratio"), "budget"),
            empty=NOT_VERIFIED,
            width=6,
            overrides={
                **band(LOW, HIGH),
                "broken": {"color": {"mode": "fixed", "fixedColor": BLUE}},
                "budget": dashed(RED),
            },
        ),
        lines(
            "Accuracy on production",
            "Share of traffic that the model in production has right, by records drawn at random that have a label, with the 95 % interval: an unbiased "
            "estimate over the newest windows that have any.",
            "percentunit",
            Query(newest("production_accuracy_ratio", where='bound="low"'), LOW),
            Query(newest("production_accuracy_ratio", where='bound="high"'), HIGH),
            Query(newest("production_accuracy_ratio", where='bound="value"'), "right"),
            empty="No random record has a label yet",
            width=6,
            overrides={**band(LOW, HIGH), "right": {"color": {"mode": "fixed", "fixedColor": BLUE}}},
        ),
        rows_of(
            "Live model",
            "The model that was declared live last (drift-monitor models deploy), and how many labels came in for it.",
            (
                Column("model", "Model"),
                Column("Value #A", "Live", "dateTimeFromNow", width=130),
                Column("Value #B", "Labels", "none", width=90),
            ),
            Query(_live("model_live_timestamp_seconds", " * 1000")),
            Query(_live("refresh_labels")),
            empty=NO_MODEL,
            width=8,
            height=4,
            left_out=("monitor",),
        ),
        number(
            "From alarm to recovery",
            "Time from the last alarm before the model went live to the first stable window.",
            "s",
            Query(newest("refresh_recovery_seconds")),
            empty="Not over, or no model declared",
            width=6,
            decimals=1,
        ),
        number(
            "Accuracy before and since",
            "Share of traffic that the models before and since have right, by records drawn at random.",
            "percentunit",
            *(
                Query(newest("refresh_accuracy_ratio", where=f'bound="value",period="{when}"'), when)
                for when in ("before", "since")
            ),
            empty=NO_MODEL,
            width=10,
            decimals=1,
        ),
    ]


def _live(metric: str, times: str = "") -> str:
    """A number of the model that is live, with its name."""
    return f"{newest('model_info', 'model')} * on (monitor) group_left () {newest(metric)}{times}"


def trust() -> list[object]:
    """Whether the test keeps its word."""
    level = "calibrated_level_ratio"
    return [
        rows_of(
            "False alarms of a single look, measured",
            "What drift-monitor calibrate found on traffic without drift: the share of looks with p ≤ 5 %, with its 95 % interval. A test that "
            "keeps its word shows about 5 %. Far more on past windows means that traffic has a rhythm: set policy.season.",
            (
                Column("data", "Held against itself", width=155),
                Column("Value #A", "Measured", "percentunit", looks={"decimals": 1}),
                Column("Value #B", "from", "percentunit", looks={"decimals": 1}),
                Column("Value #C", "to", "percentunit", looks={"decimals": 1}),
            ),
            *(Query(newest(level, "data", where=f'bound="{bound}"')) for bound in ("measured", "low", "high")),
            empty="Not measured yet: run drift-monitor calibrate",
            width=8,
            height=7,
            left_out=("monitor",),
        ),
        number(
            "Tolerance",
            "Share of traffic that may change without a ticket: as set, and as drift-monitor calibrate suggests from how much accepted windows differ anyway.",
            "percentunit",
            Query(newest("tolerance_ratio"), "set"),
            Query(newest("suggested_tolerance_ratio"), "suggested"),
            empty=NO_RUN,
            width=4,
            height=7,
            decimals=1,
        ),
        lines(
            "Alarms, against what chance allows",
            "Alarms since the baseline began, and how many chance alone would have raised at most by then.",
            "short",
            Query(newest("alarms"), "raised"),
            Query(newest("false_alarms_expected"), "by chance at most"),
            empty=NO_RUN,
            width=6,
            height=7,
            overrides={"by chance at most": dashed(GREY)},
        ),
        lines(
            "A second opinion",
            "The wealth of a bettor who bets on every look that something has changed. If nothing changes, only one monitor in twenty ever sees "
            "twenty times the stake. The scale is logarithmic.",
            "short",
            Query(newest("martingale"), "wealth"),
            empty=NO_RUN,
            width=6,
            height=7,
            log=True,
        ),
    ]
