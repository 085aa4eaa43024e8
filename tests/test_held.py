"""What a worker holds of its monitors between two turns."""

from __future__ import annotations

import pytest
from shop import build, raw_settings, write_shop

from monitor.config import parse
from monitor.fleet.held import Held
from monitor.store import Store

MIB = 2**20


@pytest.fixture
def three(tmp_path):
    """Settings of three monitors whose references are there, and their store."""
    write_shop(tmp_path)
    raw = raw_settings(tmp_path)
    (one,) = raw["monitors"]
    raw["monitors"] = [one | {"name": name} for name in "abc"]
    settings = parse(raw)
    with Store.open(settings.store.url) as store:
        store.upgrade()
        build(settings, store, monitors=3)
        yield settings, store


def turn(held, name):
    reference = held[name].load_reference()
    assert len(reference.train)
    held.trim()


def test_what_fits_stays(three):
    held = Held(*three, most=20 * MIB)
    first = held["a"]
    for name in "abcabc":
        turn(held, name)
    assert held.loaded == ("a", "b", "c")
    assert held["a"] is first
    assert (list(held), len(held)) == (["a", "b", "c"], 3)


def test_those_used_longest_ago_are_dropped_and_come_back_when_asked_for(three):
    # A little more than 4 MiB each.
    held = Held(*three, most=10 * MIB)
    first = held["a"]
    for name in "abac":
        turn(held, name)
    assert held.loaded == ("a", "c")
    assert held["a"] is first
    turn(held, "b")
    assert set(held.loaded) == {"a", "b"}


def test_the_last_one_stays_however_large(three):
    held = Held(*three, most=0)
    for name in "abc":
        turn(held, name)
        assert held.loaded == (name,)


def test_who_only_sends_holds_no_reference(three):
    held = Held(*three, most=0)
    assert [held[name].name for name in held] == ["a", "b", "c"]
    held.trim()
    assert held.loaded == ()
