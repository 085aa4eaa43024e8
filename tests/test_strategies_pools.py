"""Every strategy on pools that have little to offer: nothing breaks, nothing comes twice, row order is nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pools import NOBODY, a_pool, a_reference, calm, junk, labelled, mixed, of_intents, rng, with_column
from worlds import dataset

from monitor.plugins import BUILT_IN, build, takes
from monitor.selection import Answers, NotApplicable
from monitor.selection.augmented import AugmentedStrategy
from monitor.selection.badge import BadgeStrategy, DriftBadgeStrategy
from monitor.selection.coverage import KCenterStrategy, ProbCoverStrategy
from monitor.selection.disagreement import EnsembleStrategy, SecondModelStrategy
from monitor.selection.drift_cover import DriftCoverStrategy
from monitor.selection.helper_model import HelperModelStrategy
from monitor.selection.kernel_herding import DriftCoverageStrategy, KernelHerdingStrategy
from monitor.selection.nearest import KnnScoreStrategy, SimilarStrategy
from monitor.selection.sequence import SequenceStrategy
from monitor.selection.stratified import StratifiedStrategy
from monitor.selection.typiclust import TypiclustStrategy
from monitor.selection.uncertainty import EntropyStrategy, LeastConfidenceStrategy, MarginStrategy

STRATEGIES = {
    "margin": MarginStrategy(),
    "least_confidence": LeastConfidenceStrategy(),
    "entropy": EntropyStrategy(),
    "badge": BadgeStrategy(),
    "drift_badge": DriftBadgeStrategy(),
    "prob_cover": ProbCoverStrategy(),
    "k_center": KCenterStrategy(),
    "typiclust": TypiclustStrategy(),
    "kernel_herding": KernelHerdingStrategy(),
    "drift_coverage": DriftCoverageStrategy(),
    "drift_cover": DriftCoverStrategy(),
    "knn_score": KnnScoreStrategy(),
    "similar": SimilarStrategy(["t00003", "r00001"]),
    "stratified": StratifiedStrategy("country"),
    "stratified by nearest label": StratifiedStrategy("nearest_label", "proportional"),
    "second_model": SecondModelStrategy("teacher"),
    "ensemble": EnsembleStrategy(["teacher", "country"]),
    "sequence": SequenceStrategy(reach=20, similar=0.2),
    "helper_model": HelperModelStrategy(label="intent 2"),
    "helper_model by examples": HelperModelStrategy(examples=["t00003", "r00001"]),
    "augmented": AugmentedStrategy(lambda texts: ["intent 0" if "7" in text else "intent 1" for text in texts]),
}
OF_CHANCES = {"margin", "least_confidence", "entropy", "badge", "drift_badge"}
WHOLE = {"margin", "least_confidence", "entropy", "kernel_herding", "knn_score", "stratified"}
"""Strategies that rank or draw from the whole pool when more is asked for than there is."""


def dressed(window):
    """The window with a teacher that disagrees now and then, and countries."""
    n = len(window)
    segments = {
        "teacher": [f"intent {i % 3}" for i in range(n)],
        "country": [["DE", "FR", None][i % 3] for i in range(n)],
    }
    made = dataset(window.vectors, list(window.column("predicted")), ids=window.ids, segments=segments)
    return with_column(made, "text", [f"please tell me about number {i % 10} today" for i in range(n)])


REFERENCE = a_reference()
WINDOWS = {
    "mixed": mixed(),
    "empty": mixed().take([]),
    "one": mixed().take([80]),
    "duplicates": dataset(mixed().vectors[[80] * 40], ["intent 0"] * 40),
    "junk": junk(40),
    "stationary": calm(60, 12),
    "one class": of_intents([2] * 40, 13),
    "unseen only": of_intents([7] * 30 + [8] * 30, 14),
}
ONE_CLASS = a_reference(with_column(calm(40, 1, "t"), "label", ["intent 2"] * 40))
BARE = replace(a_reference(calm(240, 1, "t")), protected=calm(60, 2, "p"))
POOLS = {name: a_pool(dressed(window), REFERENCE) for name, window in WINDOWS.items()} | {
    "reference without labels": a_pool(dressed(mixed()), BARE),
    "reference of one class": a_pool(dressed(mixed()), ONE_CLASS),
    "reference of no rows": a_pool(dressed(mixed()), replace(BARE, train=BARE.train.take([]))),
    "later round": a_pool(
        dressed(mixed()),
        REFERENCE,
        Answers(with_column(labelled(junk(8, 21)), "label", ["junk"] * 8), frozenset({"junk"})),
    ),
}
NEVER = {
    "empty": {"stratified", "stratified by nearest label", "second_model", "ensemble", "sequence", "augmented"},
    "reference without labels": OF_CHANCES | {"stratified by nearest label", "helper_model"},
    "reference of one class": OF_CHANCES | {"helper_model"},
    "reference of no rows": OF_CHANCES
    | {"stratified by nearest label", "helper_model", "helper_model by examples", "knn_score"},
}
"""Which strategies cannot say anything about which pool."""


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("where", POOLS)
def test_any_pool_gives_distinct_open_rows_or_a_reason(name, where):
    pool, strategy = POOLS[where], STRATEGIES[name]
    if name in NEVER.get(where, set()):
        with pytest.raises(NotApplicable, match=r"\w+ \w+"):
            strategy.pick(pool, 5, NOBODY, rng())
        return
    for count in (0, 1, 7, 500):
        picks = list(strategy.pick(pool, count, NOBODY, rng()))
        assert len(picks) <= count
        assert len(set(picks)) == len(picks)
        assert set(picks) <= set(pool.rows.tolist())
        assert all(type(row) is int for row in picks)
        assert count < 500 or name not in WHOLE or len(picks) == len(pool.rows)


@pytest.mark.parametrize("name", STRATEGIES)
def test_what_is_taken_is_never_picked_again(name):
    pool, strategy = POOLS["mixed"], STRATEGIES[name]
    taken = np.array(strategy.pick(pool, 6, NOBODY, rng()), dtype=np.int64)
    assert len(taken) > 0
    assert not set(strategy.pick(pool, 500, taken, rng())) & set(taken.tolist())
    if name != "augmented":  # which says that nothing is left to ask about
        assert not list(strategy.pick(pool, 5, pool.rows, rng()))


@pytest.mark.parametrize("name", STRATEGIES)
def test_the_picks_are_the_same_in_any_row_order(name):
    window, ref = dressed(mixed()), REFERENCE
    shuffled = replace(ref, train=ref.train.take(rng(1).permutation(len(ref.train))))
    first, second = POOLS["mixed"], a_pool(window.take(rng(2).permutation(len(window))), shuffled)
    picks = [
        [pool.window.ids[row] for row in STRATEGIES[name].pick(pool, 20, NOBODY, rng(5))] for pool in (first, second)
    ]
    assert picks[0] == picks[1]


@pytest.mark.parametrize("name", sorted(set(STRATEGIES) & set(BUILT_IN["selection"])))
def test_a_strategy_is_built_by_its_name(name):
    options = {
        "similar": {"examples": ["a"], "by": "mean"},
        "second_model": {"column": "teacher"},
        "ensemble": {"columns": ["a", "b"]},
        "helper_model": {"label": "intent 1"},
        "stratified": {"by": "country", "shares": "proportional"},
        "prob_cover": {"radius": 0.2},
    }
    given = {"predict": lambda texts: texts} if takes("selection", name, "predict") else {}
    assert type(build("selection", name, options.get(name, {}), **given)) is type(STRATEGIES[name])


@pytest.mark.parametrize(
    "name", ["drift_badge", "drift_cover", "drift_coverage", "prob_cover", "typiclust", "kernel_herding"]
)
def test_a_new_topic_is_found_and_junk_is_not(name):
    pool = POOLS["mixed"]
    kinds = [pool.window.ids[row][0] for row in STRATEGIES[name].pick(pool, 3, NOBODY, rng())]
    assert kinds.count("n") >= {"kernel_herding": 1}.get(name, 2)
    assert kinds.count("j") == 0


def test_the_distance_score_is_drawn_to_junk():
    pool = a_pool(calm(70, 3).append(junk(10)), REFERENCE)
    picks = STRATEGIES["knn_score"].pick(pool, 10, NOBODY, rng())
    assert {pool.window.ids[row][0] for row in picks} == {"j"}
