"""Monitor: one monitor in depth, from the verdict down to what refreshing would bring."""

from __future__ import annotations

from collections.abc import Sequence

from boards import annotation, board
from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models.common import LegendPlacement
from outcome import HIGH, LOW, NO_RUN, live, quality, refresh, trust, what
from parts import (
    BLUE,
    GREEN,
    GREY,
    RED,
    STATE_TEXTS,
    Column,
    Query,
    at_one,
    band,
    bar_chart,
    dashed,
    lines,
    number,
    rows_of,
    thresholds,
    timeline,
)
from queries import left_of_budget, newest, state_code

__all__ = ["one_monitor"]

ALL = 'detector="change",subject="{}",segment=""'


def one_monitor() -> dashboard.Dashboard:
    """Everything about one monitor."""
    made = board(
        "monitor",
        "Drift monitor / Monitor",
        "One monitor: its verdict, how sure it is, what drifted, and what labelling would bring.",
        since="now-90d",
        one_monitor=True,
    )
    made = made.annotation(
        annotation(
            "Alarm is on",
            RED,
            newest("alarm_start_timestamp_seconds"),
            "Alarm is on",
            "The evidence reached its limit and the change is surely larger than tolerated.",
        )
    ).annotation(
        annotation(
            "New reference",
            BLUE,
            f"{newest('reference_created_timestamp_seconds')} * 1000",
            "New reference",
            "From here on windows are compared with newly built training data.",
            at_value=True,
        )
    )
    parts: Sequence[tuple[str, Sequence[object]]] = (
        ("Verdict", _verdict()),
        ("How much changed, and how sure that is", _change()),
        ("Classes", _classes()),
        ("Segments", _segments()),
        ("What drifted", what()),
        ("Data quality", quality()),
        ("Refresh: tickets, labels and what they bring", refresh()),
        ("What refreshes have brought", live()),
        ("Trust: does the test keep its word", trust()),
    )
    for title, panels in parts:
        made = made.with_row(dashboard.Row(title))
        for panel in panels:
            made = made.with_panel(panel)
    return made


def _verdict() -> list[object]:
    return [
        number(
            "State",
            "The verdict on the newest finished window. Stable: nothing to do. Watch: there is some evidence. Drifted: the alarm is "
            "on. Recovering: the alarm is on and the newest window is calm. Insufficient: too few records. Failed: the run broke.",
            "none",
            Query(state_code()),
            empty=NO_RUN,
            mappings=STATE_TEXTS,
            fill=True,
        ),
        number(
            "Evidence / limit",
            "Evidence for a change, divided by the limit that the false-alarm budget sets. From 1 on it is enough for an alarm.",
            "short",
            Query(f"{newest('evidence')} / {newest('evidence_limit')}"),
            empty=NO_RUN,
            steps=at_one(),
            decimals=2,
        ),
        number(
            "Change",
            "The estimate for the newest window against the accepted past: as if so much of the traffic were of a new kind, and how much of it moved to "
            "other classes. Beside it what the settings tolerate.",
            "percentunit",
            Query(newest("effect", where=ALL.format("embeddings")), "new kind of input"),
            Query(newest("effect", where=ALL.format("classes")), "changed class"),
            Query(newest("tolerance_ratio"), "tolerated"),
            empty=NO_RUN,
            width=7,
            decimals=1,
        ),
        number(
            "Would be seen",
            "The smallest share of new traffic that a window like the newest one shows in four cases of five. A calm verdict says nothing "
            "about less.",
            "percentunit",
            Query(newest("detectable_ratio", where='detector="change",segment=""')),
            empty="not known",
            width=3,
            decimals=1,
        ),
        number(
            "Budget left",
            "What is left of the false alarms that the settings allow in a year: every look at traffic uses a little.",
            "percentunit",
            Query(left_of_budget()),
            empty=NO_RUN,
            width=3,
            decimals=0,
        ),
        number(
            "Window until",
            "End of the newest window that was run.",
            "dateTimeFromNow",
            Query(f"{newest('window_end_timestamp_seconds')} * 1000"),
            empty="No run yet",
            width=3,
        ),
        timeline(
            "State over time",
            "The verdict on the newest window, as it stood at each time.",
            STATE_TEXTS,
            Query(state_code(), "{{monitor}}"),
            empty=NO_RUN,
            height=4,
        ),
    ]


def _effect(title: str, told: str, subject: str, *, detectable: bool) -> object:
    chosen = ALL.format(subject)
    queries = [
        Query(newest("effect_low", where=chosen), LOW),
        Query(newest("effect_high", where=chosen), HIGH),
        Query(newest("effect", where=chosen), "estimate"),
        Query(newest("tolerance_ratio"), "tolerated"),
    ]
    if detectable:
        queries.append(Query(newest("detectable_ratio", where='detector="change",segment=""'), "would have been seen"))
    looks = {"estimate": {"color": {"mode": "fixed", "fixedColor": BLUE}}, "tolerated": dashed(RED)}
    looks |= {"would have been seen": dashed(GREY)} if detectable else {}
    return lines(title, told, "percentunit", *queries, empty=NO_RUN, overrides={**band(LOW, HIGH), **looks})


def _change() -> list[object]:
    return [
        _effect(
            "New kind of input",
            "How different the texts are from the accepted past: as if so much of the traffic were of a new kind. The band is the 95 % "
            "interval; only when all of it lies over the dashed red line can there be an alarm. Dashed grey: the least that this window would have shown.",
            "embeddings",
            detectable=True,
        ),
        _effect(
            "Changed class",
            "How much of the traffic moved to other predicted classes, against the accepted past, with its 95 % interval. Dashed red: what is tolerated.",
            "classes",
            detectable=False,
        ),
        lines(
            "Evidence and its limit",
            "Evidence for a change, collected over all windows since calm, and the limit that the false-alarm budget sets. The limit is the number "
            "of looks between two false alarms that the settings allow. The scale is logarithmic; evidence under 0.1 is drawn as 0.1.",
            "short",
            Query(f"clamp_min({newest('evidence')}, 0.1)", "evidence"),
            Query(newest("evidence_limit"), "limit"),
            empty=NO_RUN,
            log=True,
            overrides={"limit": dashed(RED), "evidence": {"color": {"mode": "fixed", "fixedColor": BLUE}}},
        ),
        rows_of(
            "Every measurement of the newest window",
            "What each detector found on all traffic, in its own unit, with the 95 % interval. A small p-value is unlikely by chance, before "
            "correcting for how many there are. Change compares with the accepted past and raises alarms; the others compare with the training "
            "reference and are there to explain.",
            (
                Column("detector", "Detector", width=110),
                Column("subject", "Subject"),
                Column("Value #A", "Effect", "short", width=80, looks={"decimals": 3}),
                Column("Value #B", "from", "short", width=80, looks={"decimals": 3}),
                Column("Value #C", "to", "short", width=80, looks={"decimals": 3}),
                Column("Value #D", "P-value", "short", width=95),
            ),
            *(
                Query(newest(name, "detector", "subject", where='segment="",subject!~"class:.*"'))
                for name in ("effect", "effect_low", "effect_high", "p_value")
            ),
            empty=NO_RUN,
            sort="Detector",
            descending=False,
            left_out=("monitor",),
        ),
    ]


def _classes() -> list[object]:
    current = newest("class_share_ratio", "class", where='data="current"')
    reference = newest("class_share_ratio", "class", where='data="reference"')
    one = 'class="$class"'
    bar = {
        "custom.cellOptions": {"type": "gauge", "mode": "basic", "valueDisplayMode": "text"},
        "min": 0,
        "decimals": 1,
    }
    return [
        bar_chart(
            "Class shares, reference beside window",
            "The share of each predicted class in the training reference and in the newest window. Classes beyond the largest are summed as "
            "other.",
            "percentunit",
            Column("class", "Class"),
            {"Reference": GREY, "Window": BLUE},
            Query(reference),
            Query(current),
            empty="No predicted classes",
            height=11,
        ),
        rows_of(
            "Class shares with intervals",
            "The same numbers, with the 95 % interval of the share in the window and how far it moved. If the reference lies outside the "
            "interval, the class has probably changed; with many classes one in twenty does so by chance.",
            (
                Column("class", "Class"),
                Column("Value #A", "Reference", "percentunit", looks={"decimals": 1}),
                Column(
                    "Value #B", "Window", "percentunit", looks={**bar, "color": {"mode": "fixed", "fixedColor": BLUE}}
                ),
                Column("Value #C", "from", "percentunit", width=70, looks={"decimals": 1}),
                Column("Value #D", "to", "percentunit", width=70, looks={"decimals": 1}),
                Column("Value #E", "Moved", "percentunit", width=90, looks={"decimals": 1}),
            ),
            Query(reference),
            Query(current),
            Query(newest("class_share_low_ratio", "class")),
            Query(newest("class_share_high_ratio", "class")),
            Query(f"{current} - {reference}"),
            empty="No predicted classes",
            height=11,
            sort="Moved",
            left_out=("monitor",),
        ),
        lines(
            "Share of $class",
            "The share of the class chosen at the top, with its 95 % interval; dashed: its share in the training reference.",
            "percentunit",
            Query(newest("class_share_low_ratio", where=one), LOW),
            Query(newest("class_share_high_ratio", where=one), HIGH),
            Query(newest("class_share_ratio", where=f'{one},data="current"'), "window"),
            Query(newest("class_share_ratio", where=f'{one},data="reference"'), "reference"),
            empty="No predicted classes",
            width=9,
            overrides={
                **band(LOW, HIGH),
                "window": {"color": {"mode": "fixed", "fixedColor": BLUE}},
                "reference": dashed(GREY),
            },
        ),
        lines(
            "Class shares over time",
            "The share of each predicted class, one upon the other. Classes beyond the largest are summed as other.",
            "percentunit",
            Query(current, "{{class}}"),
            empty="No predicted classes",
            width=11,
            legend_at=LegendPlacement.RIGHT,
            stacked=True,
        ),
        number(
            "New and vanished",
            "Classes with records that the reference does not have, and classes of the reference of which records were to be expected and none came.",
            "none",
            Query(newest("classes", "change"), "{{change}}"),
            empty="No predicted classes",
            height=8,
            steps=thresholds((None, GREEN), (1, RED)),
        ),
    ]


def _segments() -> list[object]:
    chosen = 'detector="change",subject="embeddings",segment!=""'
    per = 'detector="change",segment!=""'
    return [
        lines(
            "New kind of input, by segment",
            "As if so much of the traffic of each segment were of a new kind, against the accepted past of that segment. Dashed red: what is tolerated.",
            "percentunit",
            Query(newest("effect", "segment", where=chosen), "{{segment}}"),
            Query(newest("tolerance_ratio"), "tolerated"),
            width=10,
            empty="No segments: name columns in fields.segments",
            overrides={"tolerated": dashed(RED)},
        ),
        rows_of(
            "Segments of the newest window",
            "Each segment with its change, the 95 % interval and the p-value; how many records of it were compared with how many, and the least new "
            "traffic it would have shown. A segment with few records can hide much.",
            (
                Column("segment", "Segment", width=130),
                Column("Value #A", "New kind", "percentunit", looks={"decimals": 1}),
                Column("Value #B", "from", "percentunit", width=70, looks={"decimals": 1}),
                Column("Value #C", "to", "percentunit", width=70, looks={"decimals": 1}),
                Column("Value #D", "P-value", "short", width=85),
                Column("Value #E", "Records", "short", width=85),
                Column("Value #F", "Compared with", "short", width=120),
                Column("Value #G", "Would be seen", "percentunit", width=115, looks={"decimals": 1}),
            ),
            *(
                Query(newest(name, "segment", where=chosen))
                for name in ("effect", "effect_low", "effect_high", "p_value")
            ),
            Query(newest("rows", "segment", where='segment!="",data="current"')),
            Query(newest("rows", "segment", where='segment!="",data="reference"')),
            Query(newest("detectable_ratio", "segment", where=per)),
            empty="No segments: name columns in fields.segments",
            width=14,
            sort="New kind",
            left_out=("monitor",),
        ),
    ]
