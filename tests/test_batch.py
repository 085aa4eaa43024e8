"""A whole batch: shares of several strategies, windows that have little to offer, what it says of itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pools import NOBODY, a_pool, a_reference, calm, junk, labelled, mixed, of_intents, rng, with_column
from shop import open_shop, raw_settings
from worlds import dataset

from monitor.config import parse
from monitor.errors import ConfigError
from monitor.selection import Answers, IncumbentGate, NotApplicable
from monitor.selection.batch import propose
from monitor.selection.clusters import clusters
from monitor.selection.drift_cover import DriftCoverStrategy
from monitor.selection.gate import IncumbentGate as GateOfItsRoom
from monitor.selection.mixture import Mixture, Share
from monitor.selection.proposals import gains
from monitor.selection.random_share import RandomStrategy
from monitor.selection.uncertainty import MarginStrategy
from monitor.wiring import mixture_of, wire

REFERENCE = a_reference()
BARE = replace(a_reference(calm(240, 1, "t")), protected=calm(60, 2, "p"))
COVER = Mixture([Share("drift_cover", DriftCoverStrategy())], [Share("drift_cover", DriftCoverStrategy())])
SPAM = Answers(dataset(junk(8, 21).vectors, ["intent 0"] * 8, ["junk"] * 8, prefix="a"), frozenset({"junk"}))
TOLD = Answers(
    labelled(of_intents([8] * 40, 5, "a")).append(labelled(calm(10, 6, "b"))).append(SPAM.data), frozenset({"junk"})
)
WINDOWS = {
    "mixed": mixed(),
    "empty": mixed().take([]),
    "one": mixed().take([80]),
    "duplicates": dataset(mixed().vectors[[80] * 40], ["intent 0"] * 40),
    "junk": junk(40),
    "stationary": calm(60, 12),
    "one class": of_intents([2] * 40, 13),
    "unseen only": of_intents([7] * 30 + [9] * 30, 14),
    "without texts": with_column(mixed(), "text", [None] * len(mixed())),
}


@pytest.mark.parametrize("window", sorted(WINDOWS))
@pytest.mark.parametrize("reference", ["whole", "without labels", "without protected", "of one class"])
@pytest.mark.parametrize("answers", [None, SPAM, TOLD], ids=["first", "junk answered", "told"])
def test_every_window_gives_a_batch_that_explains_itself(window, reference, answers):
    known = {
        "whole": REFERENCE,
        "without labels": BARE,
        "without protected": replace(REFERENCE, protected=REFERENCE.protected.take([])),
        "of one class": a_reference(with_column(calm(40, 1, "t"), "label", ["intent 2"] * 40)),
    }[reference]
    pool = a_pool(WINDOWS[window], known, answers)
    found, refresh = propose(COVER, pool, 20, 0.01, rng())
    again, same = propose(COVER, a_pool(WINDOWS[window], known, answers), 20, 0.01, rng())
    assert (found, refresh) == (again, same)
    assert len(found) <= 20
    assert (len(found) > 0) == (window != "empty")
    assert refresh.round == (1 if answers is None else 2)
    assert refresh.advice
    assert all(advice.sentence.endswith(".") for advice in refresh.advice)
    assert 0 <= refresh.covered <= 1
    for estimate in (refresh.junk, refresh.flips, refresh.guarded):
        assert estimate is None or 0 <= estimate.low <= estimate.value <= estimate.high <= 1
    assert all(candidate.risk is None or 0 <= candidate.risk <= 1 for candidate in found)


def test_gains_are_the_facility_location_of_the_plain_loop():
    pool = a_pool(mixed(), REFERENCE)
    rows, worth = [3, 75, 80, 4], pool.window.weights * pool.need
    kernel = np.exp((pool.vectors @ pool.vectors.T - 1.0) / pool.bandwidth)
    covered, expected = np.zeros(len(worth)), []
    for row in rows:
        new = np.maximum(covered, kernel[row])
        expected.append(float(worth @ (new - covered)) / worth.sum())
        covered = new
    np.testing.assert_allclose(gains(pool, rows), expected, rtol=1e-4)


def test_shares_divide_the_budget_and_what_one_cannot_use_goes_to_the_others():
    class Shy:
        def pick(self, pool, count, taken, rng):
            return [int(row) for row in pool.rows if row not in taken][: min(count, 2)]

    class Never:
        def pick(self, pool, count, taken, rng):
            raise NotApplicable("records carry no mood")

    pool = a_pool(mixed(), REFERENCE)
    shares = [Share("margin", MarginStrategy(), 3), Share("shy", Shy(), 2), Share("never", Never(), 1)]
    picked = Mixture(shares, shares, random_share=0.0).pick(pool, 12, rng())
    names = [name for _, name in picked.rows]
    assert {name: names.count(name) for name in set(names)} == {"margin": 10, "shy": 2}
    assert picked.notes == ("never chose nothing: records carry no mood",)
    assert len({row for row, _ in picked.rows}) == 12
    fair = Mixture([Share("a", RandomStrategy(), 3), Share("b", RandomStrategy(), 1)], [], random_share=0.0)
    names = [name for _, name in fair.pick(pool, 8, rng()).rows]
    assert names.count("a") == 6
    assert names != sorted(names), "they take turns"


def test_groups_are_numbered_by_their_first_row():
    eye = np.eye(4, dtype=np.float32)
    assert clusters(eye[[2, 0, 2, 1, 0]]).tolist() == [0, 1, 0, 2, 1]
    assert clusters(eye[:0]).tolist() == []
    assert clusters(eye[:1]).tolist() == [0]


def test_the_gate_stands_at_the_door_of_the_room():
    assert IncumbentGate is GateOfItsRoom


def asking(folder, **selection):
    return parse(raw_settings(folder, selection=selection)).monitors[0].selection


def test_a_strategy_that_asks_the_model_is_given_it(tmp_path, monkeypatch):
    (tmp_path / "their_model.py").write_text(
        "def classes(texts):\n    return ['intent 1' if 'E' in t else 'intent 0' for t in texts]\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    parts = [{"kind": "augmented", "copies": 2, "share": 0.5}, "drift_cover"]
    mixture = mixture_of(asking(tmp_path, strategies=parts, predict="their_model:classes"))
    texts = [f"tell me more about {i}" for i in range(len(mixed()))]
    pool = a_pool(with_column(with_column(mixed(), "text", texts), "predicted", ["intent 0"] * len(texts)), REFERENCE)
    picked = mixture.pick(pool, 12, rng())
    assert "augmented" in {name for _, name in picked.rows}
    with pytest.raises(ConfigError, match=r"selection.augmented asks the model; give selection.predict"):
        mixture_of(asking(tmp_path, strategies=["augmented"]))


@pytest.mark.parametrize(
    ("selection", "said"),
    [
        ({"strategies": [{"kind": "herding", "share": 0}]}, "share: 0 is no number above 0"),
        ({"strategies": [{"kind": "herding", "share": True}]}, "share: True is no number above 0"),
        ({"strategies": []}, "at least 1 item"),
        ({"strategies": ["herding", "herding"]}, "selection.strategies: herding is listed twice"),
        ({"strategies": ["oracle"]}, "there is no selection part called 'oracle'"),
        ({"random_share": 2}, "less than or equal to 1"),
        ({"negative_flips": 0}, "greater than 0"),
    ],
)
def test_wrong_settings_are_named(tmp_path, selection, said):
    with pytest.raises(ConfigError, match=said):
        asking(tmp_path, **selection)


def test_a_mixture_from_settings_fills_a_drifted_run(tmp_path):
    settings, store, monitor = open_shop(
        tmp_path, selection={"strategies": [{"kind": "herding", "share": 2}, "knn_score"], "random_share": 0.25}
    )
    assert wire(settings, settings.monitors[0], store).budget == 50
    pool = monitor.mixture.pool(monitor.load_reference(), monitor.load_reference().protected, rng())
    assert len(monitor.mixture.pick(pool, 8, rng()).rows) <= 8
    assert NOBODY.size == 0
    store.close()
