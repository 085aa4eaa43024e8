"""What a run asks of a ticket: when one begins, goes on, ends and comes back, and what of it is worth a comment."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from run_examples import LEASE, START, WEEK, finished, week

from monitor.episodes import changes, episode_start, ticket_wish
from monitor.store import Claim
from monitor.values import Advice, Cause, Decision, Judged, Living, Refresh, State

TWO_WEEKS = 2 * WEEK
ALARM = week(1).end.timestamp()
TOPIC = Cause("new topic", "Many ask about boats.")
LABEL, WAIT = Advice("label", "Label these records."), Advice("wait", "Do not refresh.")


def a_run(number, state, causes=("content",), *, alarm=True, effect=0.1, **changed):
    evidence = {"alarm_since": ALARM if alarm else 0.0, "effect": effect}
    claim = Claim(f"run-{number}", "support", week(number), 1, "a", START, START + LEASE)
    decision = Decision(state, (f"It is {state}.",), causes=causes if state is State.DRIFTED else (), evidence=evidence)
    return replace(finished(claim), decision=decision, **changed)


def episode(**changed):
    made = Living(
        "key",
        "support",
        "support: content drift since 2026-01-12",
        week(1).start,
        "run-1",
        "run-1",
        True,
        ("content",),
        None,
    )
    return replace(made, **changed)


def asked(run, newest=None, told=None, history=(), **more):
    return ticket_wish(run, newest, told, history, **{"reopen": TWO_WEEKS, **more})


def test_only_drift_begins_one():
    for state in (State.STABLE, State.WATCH, State.RECOVERING, State.INSUFFICIENT, State.FAILED):
        assert asked(a_run(1, state)) is None
    assert asked(replace(a_run(1, State.STABLE), decision=None)) is None
    begun = asked(a_run(1, State.DRIFTED))
    assert (begun.open, begun.run_id, begun.since, begun.notes) == (True, "run-1", week(1).start, ())
    assert begun.title == "support: content drift since 2026-01-12"
    assert begun.standing == "Drift since the window of 2026-01-12."


def test_its_key_is_that_of_the_first_window_of_the_alarm():
    history = [
        Judged(week(2), State.INSUFFICIENT, alarm=True),
        Judged(week(1), State.DRIFTED, alarm=True),
        Judged(week(0), State.STABLE, alarm=False),
    ]
    later = a_run(3, State.DRIFTED)
    assert episode_start(later, history) == week(1).start
    assert asked(later, history=history).key == asked(a_run(1, State.DRIFTED)).key
    assert episode_start(later, history[1:]) == week(3).start, "a window that was never judged parts two alarms"


@pytest.mark.parametrize("state", [State.RECOVERING, State.INSUFFICIENT, State.FAILED])
def test_it_waits_where_nobody_knows(state):
    said = asked(a_run(2, state), episode())
    assert (said.open, said.run_id, said.notes) == (True, "run-1", ())
    assert said.standing == f"Newest window, 2026-01-19: It is {state}."


def test_it_ends_with_what_was_done_about_it():
    over = asked(a_run(4, State.STABLE, alarm=False), episode(), proof=["209 labels were used."])
    assert (over.open, over.over_at, over.run_id) == (False, week(4).end, "run-1")
    (note,) = over.notes
    assert note.sentences == (
        "The drift is over since the window of 2026-02-02, 28 days after it was first seen.",
        "It is stable.",
        "209 labels were used.",
    )


ENDED = {"open": False, "over_at": week(4).end}


@pytest.mark.parametrize(
    ("number", "causes", "version", "back"),
    [
        (5, ("content",), 3, True),
        (6, ("content",), 3, True),
        (7, ("content",), 3, False),
        (5, ("content", "class balance"), 3, False),
        (5, ("content",), 4, False),
    ],
    ids=["at once", "in time", "too late", "for a further cause", "against another reference"],
)
def test_drift_comes_back(number, causes, version, back):
    run = a_run(number, State.DRIFTED, causes, reference_version=version)
    said = asked(run, episode(**ENDED), a_run(1, State.DRIFTED, reference_version=3))
    assert (said.key == "key") is back
    assert said.open
    assert len(said.notes) == back
    if number == 6:
        assert said.notes[0].sentences[0] == "The drift is back in the window of 2026-02-16, 14 days after its end."


def test_a_silenced_monitor_opens_none_and_comments_on_none():
    assert asked(a_run(1, State.DRIFTED), silent=True) is None
    assert asked(a_run(5, State.DRIFTED), episode(**ENDED), silent=True) is None
    run = a_run(2, State.DRIFTED, ("content", "class balance"))
    said = asked(run, episode(), a_run(1, State.DRIFTED), silent=True)
    assert (said.notes, said.run_id, said.causes) == ((), "run-2", ("content", "class balance"))
    assert asked(a_run(4, State.STABLE, alarm=False), episode(), silent=True).notes, "its end is no drift"


def test_what_nobody_would_act_on_is_no_comment():
    told = a_run(1, State.DRIFTED, effect=0.1)
    assert changes(told, a_run(2, State.DRIFTED, effect=0.19), ("content",)) == ()
    assert changes(None, told, ()) == ()
    said = asked(a_run(2, State.DRIFTED), episode(), told)
    assert said.notes == ()
    assert said.run_id == "run-2"


def test_what_people_would_act_on_is_told():
    def refresh(advice, answers=0):
        return Refresh(1, 20, answers, 0.9, 0.01, advice=(advice,))

    told = a_run(1, State.DRIFTED, refresh=refresh(LABEL))
    run = a_run(
        2, State.DRIFTED, ("content", "class balance"), effect=0.2, refresh=refresh(WAIT, 12), reference_version=4
    )
    run = replace(run, decision=replace(run.decision, findings=(TOPIC,)))
    assert changes(told, run, ("content",)) == (
        "Class balance has drifted too.",
        "Traffic is compared with version 4 of the reference now.",
        "New topic: Many ask about boats.",
        "The change has grown from 10 % to 20 % of traffic.",
        "Do not refresh.",
        "The batch to label was chosen anew with the 12 labels that have come in.",
    )
    said = asked(run, episode(), told)
    assert said.title == "support: content and class balance drift since 2026-01-12"
    assert said.notes[0].key == f"{week(2).start.isoformat()} changed"


def test_a_change_that_creeps_is_told_once_it_has_doubled_since_people_were_told():
    told = a_run(1, State.DRIFTED, effect=0.1)
    sizes = (0.14, 0.18, 0.22)
    assert [
        bool(changes(told, a_run(2 + n, State.DRIFTED, effect=size), ("content",))) for n, size in enumerate(sizes)
    ] == [
        False,
        False,
        True,
    ]


def test_hours_are_said_for_short_windows():
    short = replace(
        a_run(1, State.STABLE, alarm=False), window=replace(week(1), end=week(1).start + timedelta(hours=5))
    )
    assert "5 hours after it was first seen" in asked(short, episode()).standing
