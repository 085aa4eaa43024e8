"""The picture of a run: the same each time, near where it should be near, fair in its shares, discreet, small, and kept where it is looked at."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pictured import KNOWN, NEW, a_reference, a_window, candidates, picture, records
from pools import CENTRES, rng, with_column
from run_examples import LEASE, START, calm, failed, finished, week
from shop import desk, open_shop, window
from worlds import around

from monitor.picture import EXTENT, draw_picture, from_bytes, to_bytes
from monitor.picture.layout import layout
from monitor.pipeline import run_window
from monitor.store.pictures import KEPT
from monitor.values import Decision, State


def same(a, b):
    for name in ("places", "current", "group", "excess", "classes"):
        assert np.array_equal(getattr(a, name), getattr(b, name)), name
    for name in ("floor", "ids", "names", "groups", "of", "texts", "candidates"):
        assert getattr(a, name) == getattr(b, name), name


def test_the_same_records_give_the_same_picture_and_it_comes_back_from_its_bytes():
    first, second = picture(), picture()
    same(first, second)
    same(from_bytes(to_bytes(first)), first)


def test_bytes_of_a_later_release_are_no_picture(monkeypatch):
    monkeypatch.setattr("monitor.picture.packing._FORM", 2)
    later = to_bytes(picture())
    monkeypatch.undo()
    assert from_bytes(later) is None


def test_like_records_lie_near_each_other():
    which = np.repeat(np.arange(10), 40)
    places = layout(around(CENTRES, which.tolist(), rng(4), spread=0.6), rng(0))
    assert places.shape == (400, 2)
    assert (places.min(), places.max()) == (0.0, 1.0)
    far = np.linalg.norm(places[:, None] - places[None], axis=2)
    np.fill_diagonal(far, np.inf)
    nearest = np.argsort(far, axis=1)[:, :5]
    # By luck it would be one in ten.
    assert (which[nearest] == which[:, None]).mean() > 0.9


@pytest.mark.parametrize("rows", [0, 1, 2, 3, 12])
def test_few_rows_and_equal_ones_have_places_too(rows):
    assert layout(CENTRES[:1].repeat(rows, axis=0), rng(0)).shape == (rows, 2)
    assert np.isfinite(layout(CENTRES[:1].repeat(rows, axis=0), rng(0))).all()
    assert layout(np.ones((rows, 1), dtype=np.float32), rng(0)).shape == (rows, 2)


def test_the_new_topic_is_a_group_that_surely_grew_and_lies_in_the_drifted_region():
    made = picture()
    grown = made.groups[0]
    assert (grown.sure, grown.top_class, grown.terms[0]) == (True, f"topic {KNOWN}", "anchor")
    assert grown.reference < 0.01
    assert grown.current == pytest.approx(0.3, abs=0.05)
    assert 0 < grown.low < grown.current - grown.reference < grown.high
    assert grown.new > 0.8
    new = np.array([record.startswith("w") and int(record.removeprefix("w")) >= 140 for record in made.ids])
    assert made.drifted[new].mean() > 0.8
    assert made.drifted[~new & made.current].mean() < 0.1
    assert not made.drifted[~made.current].any()
    assert sum(group.current for group in made.groups) == pytest.approx(1)
    assert sum(group.reference for group in made.groups) == pytest.approx(1)


def test_calm_windows_show_no_group_that_surely_changed():
    sure = [
        sum(group.sure for group in picture(window=records(rng(s).integers(0, KNOWN, 200).tolist(), s, "w")).groups)
        for s in range(10, 30)
    ]
    # At 95 % over all groups together one window of twenty is expected to.
    assert sum(one > 0 for one in sure) <= 4


def test_texts_are_kept_redacted_and_of_those_records_alone_that_the_settings_name():
    kept = picture()
    allowed = {*kept.candidates, *(row for group in kept.groups for row in group.examples)}
    assert set(kept.texts) == allowed
    assert len(allowed) < len(kept) / 2
    assert all(kept.current[row] for row in allowed)
    assert all("[number]" in text and "4711" not in text for text in kept.texts.values())
    assert picture(excerpts="none").texts == {}
    assert len(picture(excerpts="all").texts) == len(kept)
    assert b"4711" not in to_bytes(kept)


def test_candidates_that_were_not_drawn_are_added_and_do_not_count(monkeypatch):
    monkeypatch.setattr("monitor.picture.drawing._MOST", 100)
    window = a_window()
    made = draw_picture(a_reference(), window, candidates(window, 40), 0.1, "candidates", rng(1))
    assert made.of == (360, 200)
    assert 100 < made.current.sum() < 140
    assert (~made.current).sum() == 100
    assert {made.ids[row]: rank for row, rank in made.candidates.items()} == {
        one.record_id: one.rank for one in candidates(window, 40)
    }
    # 40 of the 60 new ones are candidates; counted with the drawn ones they would make the group look larger.
    assert made.groups[0].current == pytest.approx(0.3, abs=0.1)


def test_weights_thin_the_sides_so_that_shares_are_those_of_the_traffic():
    window = a_window(400, new=200)
    weights = np.where(np.arange(400) < 200, 4.0, 1.0)
    made = draw_picture(a_reference(), replace(window, weights=weights), (), 0.1, "none", rng(2))
    assert made.groups[0].current == pytest.approx(0.2, abs=0.07)


def test_words_of_a_single_block_name_no_group():
    window = with_column(a_window(), "block", ["one session"] * 200)
    assert not any("anchor" in group.terms for group in picture(window=window).groups)


def test_odd_records_are_drawn_too():
    window = with_column(a_window(3, new=1), "text", [None, "", "\0 \u202e" + "x" * 10_000])
    window = with_column(window, "predicted", [None, "y" * 1_000, "<b>"])
    made = picture(window=window)
    assert len(made) == 363
    assert max(map(len, made.names)) == 200
    assert max(map(len, made.texts.values())) <= 162
    same(from_bytes(to_bytes(made)), made)
    nothing = picture(window=with_column(a_window(), "text", [None] * 200))
    assert nothing.texts == {}


def test_five_thousand_records_make_a_quarter_of_a_megabyte_at_most():
    ref, window = a_reference(2_500), a_window(2_600, new=300)
    made = picture(ref, window)
    assert made.of == (3_000, 2_600)
    assert (~made.current).sum() == 2_500
    assert made.current.sum() >= 2_500
    assert len(made.groups) <= 24
    assert made.places.max() == EXTENT
    assert made.places.min() == 0
    assert len(to_bytes(made)) < 250_000


def test_a_window_that_is_all_new():
    made = picture(window=records([NEW] * 60, 7, "w"))
    assert made.groups[0].current == 1
    assert made.groups[0].new == 1


def saved(store, number, make=calm, picture=b"picture", **changes):
    claim = store.claim("support", week(number), "a", START, LEASE, retry_failed=True)
    run = replace(make(claim, **changes), measurements=(), candidates=())
    store.save(claim, run, picture=picture)
    return run.id


def test_pictures_stay_while_they_are_the_newest_or_show_something(store):
    first = saved(store, 0, picture=bytes(range(256)))
    assert store.picture(first) == bytes(range(256))
    drifted = saved(store, 1, finished, picture=b"drifted")
    assert store.picture(first) is None
    second = saved(store, 2)
    third = saved(store, 3, failed, picture=None)
    assert [store.picture(run) for run in (first, drifted, second, third)] == [None, b"drifted", b"picture", None]
    watched = Decision(State.WATCH, ("Worth watching.",))
    fourth = saved(store, 4, finished, decision=watched)
    assert [store.picture(run) for run in (drifted, second, fourth)] == [b"drifted", None, b"picture"]
    # Another monitor's pictures are its own, and a window run again has a new one.
    claim = store.claim("other", week(9), "a", START, LEASE)
    store.save(claim, replace(calm(claim), measurements=(), candidates=()), picture=b"other")
    assert store.picture(fourth) == b"picture"
    assert store.picture("nobody") is None


def test_a_long_drift_keeps_its_newest_pictures(tmp_path):
    from monitor.store import Store  # noqa: PLC0415 - SQLite is enough here

    with Store.open(f"sqlite:///{tmp_path / 'monitor.db'}") as store:
        store.upgrade()
        ids = [saved(store, number, finished) for number in range(KEPT + 3)]
        assert [store.picture(one) is not None for one in ids] == [False] * 3 + [True] * KEPT


def test_a_run_keeps_its_picture_as_the_settings_say(tmp_path):
    _, store, monitor = open_shop(tmp_path, report={"excerpts": "none"})
    first = run_window(monitor, window(0), desk(store))
    calm_one = from_bytes(store.picture(first.id))
    assert calm_one.of == (750, 120)
    assert not any(group.sure for group in calm_one.groups)
    run = run_window(monitor, window(2), desk(store))
    made = from_bytes(store.picture(run.id))
    assert made.texts == {}
    assert {made.ids[row] for row in made.candidates} == {one.record_id for one in run.candidates}
    assert (made.groups[0].sure, made.groups[0].reference) == (True, 0)
    assert store.picture(first.id) is None


def test_a_picture_that_cannot_be_drawn_costs_no_verdict(tmp_path, monkeypatch, caplog):
    quoted = []

    def broken(reference, current, *_):
        quoted.append(current.column("text")[0])
        raise RuntimeError(quoted[0])

    _, store, monitor = open_shop(tmp_path)
    monkeypatch.setattr("monitor.illustrate.draw_picture", broken)
    run = run_window(monitor, window(2), desk(store))
    assert run.decision.state is State.DRIFTED
    assert store.picture(run.id) is None
    assert "no picture" in caplog.messages
    assert not any(quoted[0] in said for said in caplog.messages)
