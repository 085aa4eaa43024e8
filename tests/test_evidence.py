"""E-values: fair bets, sums that may be looked at for ever, and naming under any dependence."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from monitor.decide import bet_on, e_bh, shiryaev_roberts


def test_a_bet_pays_one_on_average():
    # p = exp(-t): most of the integral lies at p far below what quad would look at.
    total, error = integrate.quad(lambda t: bet_on(np.exp(-t)) * np.exp(-t), 1e-12, 700, limit=2_000, points=[1e-4, 10])
    # Below exp(-700) is left out, p**0.2 and p**0.5 of the halves: nothing.
    assert total == pytest.approx(1.0, abs=1e-6 + error)
    assert total <= 1.0 + error


def test_bets_by_hand():
    assert bet_on(1.0) == pytest.approx(0.5 * 0.2 + 0.5 * 0.5)
    p = 0.01
    assert bet_on(p) == pytest.approx(0.5 * 0.2 * p**-0.8 + 0.5 * 0.5 * p**-0.5)
    assert bet_on(1e-5) == pytest.approx(0.5 * 0.2 * 10_000 + 0.5 * 0.5 * np.sqrt(100_000))
    assert bet_on(1e-6) > 5_000
    assert bet_on(0.05) > 1 > bet_on(0.5)


@given(st.floats(1e-12, 1), st.floats(1e-12, 1))
def test_a_bet_pays_less_the_larger_p(a, b):
    low, high = sorted((a, b))
    assert bet_on(high) <= bet_on(low) * (1 + 1e-12)
    if high > low * 1.01:
        assert bet_on(high) < bet_on(low)


@pytest.mark.parametrize("p", [0.0, -0.1, 1.0001, float("nan")])
def test_what_is_no_p_value_is_refused(p):
    with pytest.raises(ValueError, match=r"is not in \(0, 1\]"):
        bet_on(p)


def test_shiryaev_roberts_by_hand():
    path, now = [], 0.0
    for e in (0.5, 2.0, 4.0, 0.25):
        now = shiryaev_roberts(now, e)
        path.append(now)
    assert path == [0.5, 3.0, 16.0, 4.25]
    products = [0.5 * 2 * 4 * 0.25, 2 * 4 * 0.25, 4 * 0.25, 0.25]  # one for each look the change may have come at
    assert path[-1] == sum(products)
    assert shiryaev_roberts(3.0, 2.0, looks=4) == 14.0


def naive_e_bh(shares):
    """By the definition: the largest set of r such that all of it are at least 1/r."""
    if sum(shares.values()) < 1:
        return set()
    order = sorted(shares, key=lambda name: (-shares[name], name))
    for r in range(len(order), 0, -1):
        if all(shares[name] >= 1 / r for name in order[:r]):
            return set(order[:r])
    return {order[0]}


@given(st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from([0.0, 0.1, 0.125, 0.25, 0.3, 0.5, 0.9, 1.0, 7.0])))
def test_naming_follows_its_definition(shares):
    assert set(e_bh(shares)) == naive_e_bh(shares)
    assert list(e_bh(shares)) == sorted(e_bh(shares), key=lambda name: (-shares[name], name))


@given(
    st.dictionaries(st.sampled_from("abcdef"), st.floats(0, 3), min_size=1), st.sampled_from("abcdef"), st.floats(0, 3)
)
def test_more_evidence_never_names_less(shares, name, more):
    if name in shares:
        # The largest alone is a last resort: once its sum is proof, others may take its place.
        before = set(e_bh(shares))
        after = set(e_bh(shares | {name: shares[name] + more}))
        assert before <= after or len(before) == 1


def test_naming_by_hand():
    assert e_bh({}) == ()
    assert e_bh({"a": 0.6, "b": 0.39}) == ()
    assert e_bh({"a": 0.6, "b": 0.4}) == ("a",)  # together proof, alone none: the largest is named
    assert e_bh({"a": 0.6, "b": 0.5}) == ("a", "b")
    assert e_bh({"a": 0.5, "b": 5.0, "c": 0.1}) == ("b", "a")
    assert e_bh({"b": 2.0, "a": 2.0}) == ("a", "b")


BETS = np.vectorize(bet_on)


def weighted_paths(streams, looks, components, seed):
    """Shiryaev-Roberts sums and products of several independent p-values a look, weighted equally: (streams, looks)."""
    bets = BETS(np.random.default_rng(seed).uniform(size=(looks, streams, components)))
    sums, now = [], np.zeros((streams, components))
    for e in bets:
        now = shiryaev_roberts(now, e)
        sums.append(now.mean(axis=1))
    return np.array(sums).T, bets.cumprod(axis=0).mean(axis=2).T


def test_while_nothing_changes_looks_between_false_alarms_are_as_many_as_promised():
    limit, looks = 30.0, 300
    sums, _ = weighted_paths(250, looks, 2, seed=1)
    reached = sums >= limit
    # Streams that never get there count with the looks they had, which can only lower the mean.
    lengths = np.where(reached.any(axis=1), reached.argmax(axis=1) + 1, looks)
    assert lengths.mean() - 3 * lengths.std() / np.sqrt(len(lengths)) >= limit
    assert reached.any(axis=1).mean() > 0.2  # the limit is within reach: the promise is kept by more than idleness


def test_the_wealth_of_one_who_bets_rarely_ever_reaches_twenty():
    _, wealth = weighted_paths(400, 200, 2, seed=2)
    ever = int((wealth.max(axis=1) >= 20).sum())
    assert ever <= stats.binom.ppf(0.999, 400, 0.05)
    assert wealth.max() > 5


def test_a_change_is_seen_soon():
    rng = np.random.default_rng(3)
    delays = []
    for _ in range(50):
        now, look = 0.0, 0
        while now < 365:
            now, look = shiryaev_roberts(now, bet_on(rng.beta(0.2, 1.0))), look + 1
        delays.append(look)
    assert np.median(delays) <= 12
