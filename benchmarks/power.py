"""How often each test finds a change, on CLINC150: core-4 as shipped beside one median kernel, KS, energy distance, neighbours, a classifier and peers.

``large``: ruler of 6,000 rows, n rows against n. ``small``: ruler of 500, n against n. ``reference of 8,000`` and ``of 2,000``: as the detector has it, a
quarter is the ruler and the rest, at most 5,000 rows, is compared with the window of n. Goals are judged on ``large``.

python benchmarks/power.py [--quick]
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import results_file
from level import alone, binomial_error, data_of, reference_of
from peers.beside import ask
from real_data import embed, embedded
from scipy import stats
from sklearn.linear_model import LogisticRegression

from monitor.detectors.c2st import C2stDetector
from monitor.detectors.class_balance import ClassBalanceDetector
from monitor.detectors.class_table import tabulated
from monitor.detectors.core4 import COMPONENTS, Look, look
from monitor.detectors.energy import EnergyDetector
from monitor.detectors.knn import KnnDetector
from monitor.detectors.prepared import Prepared, Side, prepare, side_of
from monitor.detectors.ruler import DEAD, make_ruler
from monitor.values import Vectors

RULER, SMALL_RULER, HELD = 6_000, 500, 10
REFERENCES = (8_000, 2_000)
COUNTS = 999, 999
RIVALS = {
    "energy": EnergyDetector(refined=999),
    "knn": KnnDetector(refined=999),
    "c2st": C2stDetector(),
}
CHI_SQUARE = ClassBalanceDetector(permutations=9_990)

SCENES = (
    ("none", 500),
    ("typo in 50 %", 500),
    ("mean shift 0.02", 500),
    ("new intent 5 %", 500),
    ("out of scope 5 %", 500),
    ("domain's share x 2.25", 500),
    ("domain 2.25 x as likely", 500),
    ("typo in 50 %", 250),
    ("polite 40 %", 250),
)
GOALS = {
    ("typo in 50 %", 500): ("core-4, large", 0.99),
    ("mean shift 0.02", 500): ("core-4, large", 0.98),
    ("new intent 5 %", 500): ("core-4, large", 0.72),
    ("out of scope 5 %", 500): ("core-4, large", 0.65),
    ("domain's share x 2.25", 500): ("chi-square on predicted domains", 0.85),
    ("domain 2.25 x as likely", 500): ("chi-square on predicted domains", 0.85),
    ("typo in 50 %", 250): ("core-4, large", 0.95),
    ("polite 40 %", 250): ("core-4, large", 0.85),
}

SCREENED = {"permutations": (25, 75), "enough": 5}
"""100 permutations, stopped where 5 reached: whatever the others were, 5 % and 1 % are decided."""


@dataclass(frozen=True)
class Peer:
    """A test of ``peers/run_NAME.py`` on the first ``each`` pairs of every split, and the levels it can tell."""

    test: str
    name: str
    job: dict[str, Any]
    each: int = 2
    levels: tuple[float, ...] = (0.05, 0.01)
    scenes: tuple[tuple[str, int], ...] = field(default=SCENES)


FEW = ("none", 500), ("new intent 5 %", 500), ("out of scope 5 %", 500)
PEERS_BESIDE = (
    Peer("alibi-detect MMDDrift, 100 permutations", "alibi_detect", SCREENED),
    Peer("torchdrift KernelMMD, 100 permutations", "torchdrift", SCREENED),
    Peer("hyppo MMD, its approximation", "hyppo", {"permutations": (0,)}),
    Peer("evidently model, its default", "evidently", {"method": "model", "permutations": (100,)}, levels=(0.05,)),
    Peer("evidently MMD, at 5 %", "evidently", {"method": "MMD at 5 %", "permutations": (100,)}, levels=(0.05,)),
    Peer("evidently MMD, as shipped", "evidently", {"permutations": (100,)}, levels=(0.05,), scenes=SCENES[:1]),
    Peer("frouros MMD, 19 permutations", "frouros", {"permutations": (19,)}, each=1, levels=(0.05,), scenes=FEW),
)
COARSE = {peer.test for peer in PEERS_BESIDE if 0.01 not in peer.levels}
KEPT = max(peer.each for peer in PEERS_BESIDE)

Rows = np.ndarray
Pairs = list[tuple[Vectors, Vectors]]
Found = dict[str, float]
Tables = dict[tuple[str, int], dict[str, list[float]]]


def typo(text: str, rng: np.random.Generator) -> str:
    """Two letters of one word swapped, a letter dropped, or one doubled."""
    words = text.split()
    long = [i for i, word in enumerate(words) if len(word) > 3]
    if not long:
        return text
    i = int(rng.choice(long))
    word, at = words[i], int(rng.integers(1, len(words[i]) - 1))
    words[i] = (
        word[:at] + word[at + 1] + word[at] + word[at + 2 :],
        word[:at] + word[at + 1 :],
        word[:at] + word[at] + word[at:],
    )[rng.integers(3)]
    return " ".join(words)


def polite(text: str, rng: np.random.Generator) -> str:
    """A polite word before or after."""
    return (f"please {text}", f"{text} please", f"{text} thanks")[rng.integers(3)]


class Texts:
    """All rows, and edited copies of some of them embedded again."""

    def __init__(self, edited: int) -> None:
        self.data = embedded("clinc150")
        rng = np.random.default_rng(7)
        known = np.flatnonzero(self.data.label != "oos")
        self.edited = np.sort(rng.choice(known, edited, replace=False))
        texts = [str(text) for text in self.data.texts[self.edited]]
        self.typed = embed([typo(text, rng) for text in texts])
        self.thanked = embed([polite(text, rng) for text in texts])


class Split:
    """Rows for references, windows and rulers, without ten intents that are new to them all.

    Positions count through ``vectors``: rows as they are, then edited copies with typos, then polite ones.
    """

    def __init__(self, texts: Texts, seed: int, classifier_rows: int) -> None:
        data, rng = texts.data, np.random.default_rng(seed)
        intents = np.unique(data.label[data.label != "oos"])
        self.new = [np.flatnonzero(data.label == name) for name in rng.choice(intents, HELD, replace=False)]
        known = ~np.isin(np.arange(len(data.label)), np.concatenate([*self.new, np.flatnonzero(data.label == "oos")]))
        self.vectors = np.concatenate([data.vectors, texts.typed, texts.thanked])
        self.live = data.vectors.std(axis=0, dtype=np.float64) >= DEAD
        kept = np.flatnonzero(known[texts.edited])
        self.plain = texts.edited[kept]
        self.copies = {"typo": len(data.vectors) + kept, "polite": len(data.vectors) + len(texts.edited) + kept}
        first = rng.permutation(np.setdiff1d(np.flatnonzero(known), texts.edited))
        self.rest = np.concatenate([first[REFERENCES[0] :], self.plain])
        self.ours = first[REFERENCES[0] :]
        self.strange = np.flatnonzero(data.label == "oos")
        taught = first[:classifier_rows]
        model = LogisticRegression(C=10.0, max_iter=300).fit(data.vectors[taught], data.group[taught])
        self.domain, self.domains = data.group, model.classes_
        self.predicted = model.predict(data.vectors).astype(object)
        everything = data_of(self.vectors)
        self.settings: dict[str, tuple[Prepared, Side]] = {}
        for size in REFERENCES:
            ready = prepare(data_of(data.vectors[first[:size]]), {}, 5_000)
            self.settings[f"reference of {size:,}"] = ready, self._side(everything, ready)
        for name, size in (("large", RULER), ("small", SMALL_RULER)):
            ruler = make_ruler(data.vectors[first[:size]])
            ready = replace(ready, ruler=ruler, gamma=1.0 / ruler.median)
            side = self._side(everything, ready)
            self.settings[name] = replace(ready, test=side), side

    def _side(self, everything: Any, ready: Prepared) -> Side:
        return side_of(everything, alone(len(everything)), ready.gamma, ready.ruler)

    def drawn(self, scene: str, n: int, turn: int, rng: np.random.Generator) -> tuple[Rows, Rows, Vectors | None]:
        """Positions of n reference rows and n window rows; and the window's vectors where they are moved."""
        edits = {"typo in 50 %": ("typo", 0.5), "polite 40 %": ("polite", 0.4)}
        if scene in edits:
            kind, share = edits[scene]
            x, places = rng.choice(self.ours, n, replace=False), rng.choice(len(self.plain), n, replace=False)
            changed = rng.permutation(n) < round(share * n)
            y = np.where(changed, self.copies[kind][places], self.plain[places])
            return x, y, None
        x, y = np.split(rng.choice(self.rest, 2 * n, replace=False), 2)
        if scene == "new intent 5 %":
            y[: n // 20] = rng.choice(self.new[turn % HELD], n // 20, replace=False)
        if scene == "out of scope 5 %":
            y[: n // 20] = rng.choice(self.strange, n // 20, replace=False)
        if scene.startswith("domain"):
            others = np.setdiff1d(self.rest, x)
            grown = self.domain[others] == self.domains[turn % len(self.domains)]
            share = grown.mean()
            odds = 2.25 if "likely" in scene else 2.25 * (1.0 - share) / (1.0 - 2.25 * share)
            weights = np.where(grown, odds, 1.0)
            y = rng.choice(others, n, replace=False, p=weights / weights.sum())
        if scene != "mean shift 0.02":
            return x, y, None
        # Constant dimensions stay so: a shift there would be seen by any test that looks at them, at any size.
        way = np.where(self.live, rng.normal(size=len(self.live)), 0.0)
        moved = self.vectors[y] + 0.02 * way / np.linalg.norm(way)
        return x, y, np.asarray(moved / np.linalg.norm(moved, axis=1, keepdims=True), np.float32)

    def core4(self, name: str, x: Rows, y: Rows, moved: Vectors | None, rng: np.random.Generator) -> Look:
        """One look of a setting."""
        ready, side = self.settings[name]
        if moved is not None:
            side, y = side_of(data_of(moved), alone(len(y)), ready.gamma, ready.ruler), np.arange(len(y))
        if name.startswith("reference"):
            return look(ready, "", np.arange(len(ready.test.data)), side, y, COUNTS, rng)
        return look(replace(ready, remembered={}), "", x, side, y, COUNTS, rng)


def one(split: Split, scene: str, n: int, turn: int, rng: np.random.Generator, rivals: bool, pairs: Pairs) -> Found:
    """p-values of every test on one drawing; the drawing is added to ``pairs``."""
    x, y, moved = split.drawn(scene, n, turn, rng)
    vectors = split.vectors[y] if moved is None else moved
    if turn < KEPT:
        pairs.append((split.vectors[x], vectors))
    found: Found = {}
    for name in split.settings:
        if rivals or not name.startswith("reference"):
            seen = split.core4(name, x, y, moved, rng)
            found[f"core-4, {name}"] = seen.p_value
            if name in {"large", "small"}:
                alone_p = ((seen.drawn >= seen.effects[:, None]).sum(axis=1) + 1) / (seen.drawn.shape[1] + 1)
                found |= {f"{part} alone, {name}": float(p) for part, p in zip(COMPONENTS, alone_p, strict=True)}
    if scene == "none" or scene.startswith("domain"):
        _, a, b = tabulated(split.predicted[x], alone(n), split.predicted[y], alone(n))
        found["chi-square on predicted domains"] = CHI_SQUARE.p_value(a, b, rng) or 1.0
    if rivals:
        mine = split.vectors[x]
        found["KS of each dimension, Bonferroni"] = ks_bonferroni(mine, vectors)
        known = reference_of(data_of(mine[: n // 2], prefix="t"), data_of(mine[n // 2 :], prefix="p"))
        window = data_of(vectors, prefix="c")
        for name, detector in RIVALS.items():
            p = detector.measure(known, window, rng)[0].p_value
            found[name] = 1.0 if p is None else p
    return found


def ks_bonferroni(x: Vectors, y: Vectors) -> float:
    """Asymptotic KS test of each live dimension, the smallest p-value times their number; what peers do by default."""
    pooled = np.concatenate([x, y])
    pooled = pooled[:, pooled.std(axis=0, dtype=np.float64) >= DEAD]
    n, m = len(x), len(y)
    steps = np.where(np.argsort(pooled, axis=0, kind="stable") < n, 1.0 / n, -1.0 / m)
    largest = float(np.abs(np.cumsum(steps, axis=0)).max())
    return min(1.0, float(stats.kstwo.sf(largest, round(n * m / (n + m)))) * pooled.shape[1])


def beside(pairs: dict[tuple[str, int], Pairs], p_values: Tables) -> list[str]:
    """Adds the peers' p-values on these pairs; returns a note for each peer: its CPU seconds, or why it is left out."""
    notes = []
    for peer in PEERS_BESIDE:
        # The first of each split: KEPT pairs of every split follow one another.
        chosen = [[pair for i, pair in enumerate(pairs[at]) if i % KEPT < peer.each] for at in peer.scenes]
        sets = [(np.array([x for x, _ in some]), np.array([y for _, y in some])) for some in chosen]
        answer = ask(peer.name, sets, **peer.job)
        if "error" in answer:
            notes.append(f"left out: {peer.test}: {answer['error']}")
        else:
            notes.append(f"{peer.test}: {answer['cpu_seconds']:.0f} CPU seconds for {sum(map(len, chosen))} pairs")
            for at, found in zip(peer.scenes, answer["found"], strict=True):
                p_values[at][peer.test] = [as_p_value(one) for one in found]
        print(notes[-1], flush=True)
    return notes


def as_p_value(found: float | bool) -> float:
    """Of p-values that can be 0, an alarm is p < level; the others' is p <= level. Who only decides, has 0 or 1."""
    return float(not found) if isinstance(found, bool) else found + 1e-9


def rows_of(scene: str, n: int, p_values: dict[str, list[float]]) -> list[dict[str, Any]]:
    found = []
    for name, values in p_values.items():
        p = np.array(values)
        row: dict[str, Any] = {"change": scene, "n": n, "test": name, "repetitions": len(p)}
        for limit in (0.05,) if name in COARSE else (0.05, 0.01):
            rate = float((p <= limit).mean())
            row |= {f"at_{limit}": round(rate, 4), f"se_{limit}": round(binomial_error(rate, len(p)), 4)}
        found.append(row)
    return found


def goals_of(table: Sequence[dict[str, Any]], wider: float) -> list[dict[str, Any]]:
    """``wider``: binomial standard errors by which a quick run may miss."""
    found = []
    for (scene, n), (test, want) in GOALS.items():
        rows = {row["test"]: row for row in table if (row["change"], row["n"]) == (scene, n)}
        at = {name: row["at_0.05"] for name, row in rows.items()}
        least = want - wider * binomial_error(want, rows[test]["repetitions"])
        name = f"power at 5 %, n = {n}, {scene}: {test}"
        found.append(results_file.goal(name, f">= {least:.0%}", at[test], at[test] >= least))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few repetitions")
    quick = parser.parse_args().quick
    splits, each, with_rivals, edited = (1, 4, 1, 600) if quick else (12, 50, 8, 2_500)
    texts, start = Texts(edited), time.process_time()
    p_values: Tables = {at: defaultdict(list) for at in SCENES}
    pairs: dict[tuple[str, int], Pairs] = {at: [] for at in SCENES}
    for seed in range(splits):
        split, rng = Split(texts, seed, 500 if quick else 3_000), np.random.default_rng([seed, 1])
        for scene, n in SCENES:
            for turn in range(each):
                found = one(split, scene, n, turn, rng, turn < with_rivals, pairs[scene, n])
                for name, p in found.items():
                    p_values[scene, n][name].append(p)
            print(seed, scene, n, f"{time.process_time() - start:.0f} s", flush=True)
        keep(p_values, [], quick)
    keep(p_values, beside(pairs, p_values), quick)


def keep(p_values: Tables, notes: Sequence[str], quick: bool) -> None:
    table = [row for (scene, n), values in p_values.items() for row in rows_of(scene, n, values)]
    tables = {"power": table, "notes": [{"note": note} for note in (*NOTES, *notes)]}
    command = "python benchmarks/power.py" + (" --quick" if quick else "")
    results_file.write("power-quick" if quick else "power", tables, goals_of(table, 3.0 if quick else 0.0), command)


NOTES = (
    "rbf1 alone, large, is what one median kernel gives: the test that peers run, here exact",
    "12 splits of 50 repetitions, 600 in all: with 200 (4 splits), a standard error of 3.4 points was too coarse to judge goals of 65 and 85; with 200 core-4, large, found out of scope 5 % in 63 % and the chi-square a domain 2.25 x as likely in 79 %",
    "ten intents are new to references, rulers and windows alike; each split draws other ten",
    "peers run where benchmarks/peers/create.py made their environment, on the first two pairs of each split, the same rows as ours",
    "alibi-detect and torchdrift stop at 5 permutations that reached, which decides as all 100 do; their p-values can be 0, and their alarm is p < level",
    "frouros takes seconds a pair: 19 permutations, the fewest that can reach 5 %, on the first pair of each split, in three of the scenes",
    "evidently gives no p-value; its model compares with the 95 % quantile of random scores; its MMD as shipped takes the 5 % quantile of its null for a limit, so it runs here at 95 % too",
    "a tenth of traffic that is 2.25 times as likely as before has a share of a fifth, x 2; with its share x 2.25 it has 22.5 %",
    "labellings are not refined beyond 999",
)


if __name__ == "__main__":
    main()
