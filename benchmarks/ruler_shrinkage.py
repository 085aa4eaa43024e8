"""Which shrinkage of the ruler's covariance works with 300 to 3,000 rows, and how much of the reference to set aside.

Power of the whitened component at 5 % (500 against 500 rows, CLINC150, 384 dimensions) for each shrinkage, and power of the whole test for
each share of a small reference that is made its ruler. Run: ``python benchmarks/ruler_shrinkage.py [--quick]``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
from real_data import embedded
from results_file import goal, write

from monitor.detectors.blocks import Blocks
from monitor.detectors.core4 import look
from monitor.detectors.kernels import median_squared_distance
from monitor.detectors.permutation import labellings
from monitor.detectors.power import alternatives
from monitor.detectors.prepared import Prepared, Side
from monitor.detectors.ruler import Ruler, make_ruler
from monitor.detectors.tiles import exponents
from monitor.values import FloatArray, Vectors

ROWS = (300, 1_000, 3_000)
N = 500
SHIFTS = ("mean shift 0.02", "mean shift 0.03", "spread 0.92", "new intent 5 %")
CHOSEN = "ridge 0.08 d/r"


def _unit(rows: FloatArray) -> Vectors:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


class Traffic:
    """CLINC150: known queries of 140 intents, 10 intents never seen, and out-of-scope ones."""

    def __init__(self) -> None:
        data = embedded("clinc150")
        names = np.unique(data.label[data.label != "oos"])
        self.new = [
            data.vectors[data.label == name] for name in np.random.default_rng(3).choice(names, 10, replace=False)
        ]
        self.outside = data.vectors[data.label == "oos"]
        drawn = np.random.default_rng(3).choice(names, 10, replace=False)
        self.known = data.vectors[(data.label != "oos") & ~np.isin(data.label, drawn)]

    def split(self, sizes: tuple[int, ...], rng: np.random.Generator) -> list[Vectors]:
        """Disjoint samples of known traffic."""
        order = rng.permutation(len(self.known))[: sum(sizes)]
        return [self.known[part] for part in np.split(order, np.cumsum(sizes)[:-1])]

    def drifted(self, window: Vectors, kind: str, rng: np.random.Generator) -> Vectors:
        """The window with one of the shifts."""
        if kind == "none":
            return window
        if kind.startswith("mean shift"):
            direction = rng.normal(size=window.shape[1])
            return _unit(window + float(kind.rsplit(maxsplit=1)[-1]) * direction / np.linalg.norm(direction))
        if kind.startswith("spread"):
            centre = window.mean(axis=0)
            return _unit(centre + float(kind.rsplit(maxsplit=1)[-1]) * (window - centre))
        found = window.copy()
        count = round(0.05 * len(window))
        pool = self.outside if kind.startswith("out-of-scope") else self.new[rng.integers(len(self.new))]
        found[:count] = pool[rng.choice(len(pool), count, replace=False)]
        return found


def _moments(rows: Vectors) -> tuple[FloatArray, FloatArray, FloatArray]:
    mean = rows.mean(axis=0, dtype=np.float64)
    centred = rows - mean
    centred = centred[:, rows.std(axis=0) >= 1e-6]
    return centred, centred.T @ centred / len(rows), mean


def _inverse_root(covariance: FloatArray) -> FloatArray:
    values, directions = np.linalg.eigh(covariance)
    return np.asarray((directions / np.sqrt(np.maximum(values, 1e-12))) @ directions.T)


def ridge(part: float) -> Callable[[Vectors], FloatArray]:
    """The covariance plus this part of its mean eigenvalue."""

    def whitening(rows: Vectors) -> FloatArray:
        _, covariance, _ = _moments(rows)
        d = len(covariance)
        return _inverse_root(covariance + part * np.trace(covariance) / d * np.eye(d))

    return whitening


def towards_identity(kind: str) -> Callable[[Vectors], FloatArray]:
    """Linear shrinkage: Ledoit and Wolf 2004, or the oracle approximation (Chen et al. 2010)."""

    def whitening(rows: Vectors) -> FloatArray:
        centred, covariance, _ = _moments(rows)
        n, d = centred.shape
        level, square = np.trace(covariance) / d, float(np.square(covariance).sum())
        if kind == "ledoit-wolf":
            noise = (float(np.square(np.square(centred).sum(axis=1)).sum()) / n - square) / n
            shrink = min(1.0, noise / (square - d * level**2))
        else:
            above = (1 - 2 / d) * square + (d * level) ** 2
            shrink = min(1.0, above / ((n + 1 - 2 / d) * (square - d * level**2)))
        return _inverse_root((1 - shrink) * covariance + shrink * level * np.eye(d))

    return whitening


def nonlinear(rows: Vectors) -> FloatArray:
    """Analytical nonlinear shrinkage (Ledoit and Wolf, Ann. Statist. 48, 2020), n > d or n <= d."""
    centred, covariance, _ = _moments(rows)
    n, p = centred.shape
    values, directions = np.linalg.eigh(covariance)
    lam = np.maximum(values[max(0, p - n + 1) :], 1e-12)
    h = n ** (-1 / 3)
    width = h * lam
    x = (lam[:, None] - lam[None, :]) / width[None, :]
    density = np.mean(3 / (4 * np.sqrt(5)) * np.maximum(1 - x**2 / 5, 0) / width[None, :], axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        log = (3 / 4 / np.sqrt(5) / np.pi) * (1 - x**2 / 5) * np.log(np.abs((np.sqrt(5) - x) / (np.sqrt(5) + x)))
    hilbert = -3 / 10 / np.pi * x + np.where(np.abs(np.abs(x) - np.sqrt(5)) < 1e-12, 0, log)
    hilbert = np.mean(hilbert / width[None, :], axis=1)
    c = p / n
    if p < n:
        shrunk = lam / ((np.pi * c * lam * density) ** 2 + (1 - c - np.pi * c * lam * hilbert) ** 2)
    else:
        top = 1 / np.sqrt(5) / h
        zero = (
            1 / np.pi * (3 / 10 / h**2 + 3 / 4 / np.sqrt(5) / h * (1 - 1 / 5 / h**2) * np.log((1 + top) / abs(1 - top)))
        )
        null = 1 / (np.pi * (p - n) / n * zero * np.mean(1 / lam))
        shrunk = lam / (np.pi**2 * lam**2 * (density**2 + hilbert**2))
        shrunk = np.concatenate([np.full(p - len(lam), null), shrunk])
    return np.asarray((directions / np.sqrt(np.maximum(shrunk, 1e-12))) @ directions.T)


METHODS: dict[str, Callable[[Vectors], FloatArray]] = {
    "ledoit-wolf": towards_identity("ledoit-wolf"),
    "oracle approximating": towards_identity("oas"),
    "nonlinear": nonlinear,
    "ridge 0.001": ridge(0.001),
    "ridge 0.01": ridge(0.01),
    "ridge 0.03": ridge(0.03),
    "ridge 0.1": ridge(0.1),
    "ridge 0.3": ridge(0.3),
    CHOSEN: lambda rows: np.asarray(make_ruler(rows).whitening, dtype=np.float64),
}


def linear_p_value(x: Vectors, y: Vectors, rng: np.random.Generator, permutations: int = 199) -> float:
    """Permutation p-value of the unbiased squared difference of means, exchanging pairs of rows."""
    pooled = np.concatenate([x, y])
    squares = np.square(pooled).sum(axis=1)
    units, own = (a.reshape(len(pooled) // 2, 2, -1).sum(axis=1) for a in (pooled, squares))
    n, m = len(x), len(y)
    labels = np.zeros((len(units), permutations + 1), dtype=np.float32)
    labels[n // 2 :, 0] = 1
    labels[:, 1:] = labellings(m // 2, len(units), permutations, rng)
    ours = units.T @ labels
    theirs = units.sum(axis=0)[:, None] - ours
    own_ours = own[:, 0] @ labels
    within = (np.square(ours).sum(axis=0) - own_ours) / (m * (m - 1))
    other = (np.square(theirs).sum(axis=0) - (own.sum() - own_ours)) / (n * (n - 1))
    found = within + other - 2 * (ours * theirs).sum(axis=0) / (n * m)
    return float((found >= found[0]).mean())


def shrinkage_table(traffic: Traffic, repetitions: int) -> list[dict[str, object]]:
    """Power of the whitened component for each shrinkage and number of ruler rows."""
    kinds = ("none", *SHIFTS)
    rulers = max(2, repetitions // 20)
    found = []
    for rows in ROWS:
        caught = {(name, kind): 0 for name in METHODS for kind in kinds}
        for repetition in range(repetitions):
            rng = np.random.default_rng((rows, repetition))
            if repetition % (repetitions // rulers) == 0:
                (ruler, rest) = traffic.split((rows, len(traffic.known) - rows), rng)
                live = ruler.std(axis=0) >= 1e-6
                whitenings = {name: method(ruler).astype(np.float32) for name, method in METHODS.items()}
            drawn = rest[rng.choice(len(rest), 2 * N, replace=False)]
            x = drawn[:N]
            for kind in kinds:
                y = traffic.drifted(drawn[N:], kind, rng)
                y = y[rng.permutation(N)]
                for name, whitening in whitenings.items():
                    p = linear_p_value(
                        x[:, live] @ whitening, y[:, live] @ whitening, np.random.default_rng(repetition)
                    )
                    caught[name, kind] += p <= 0.05
        for name in METHODS:
            shares = {kind: round(100 * caught[name, kind] / repetitions, 1) for kind in kinds}
            found.append({"ruler_rows": rows, "shrinkage": name, "repetitions": repetitions, **shares})
            print(found[-1], flush=True)
    return found


def window_of(vectors: Vectors, gamma: float, ruler: Ruler) -> Side:
    """Rows as one side of a look, each its own block."""
    blocks = Blocks(np.arange(len(vectors)), len(vectors), "record")
    return Side(None, blocks, exponents(vectors, gamma), ruler.whitened(vectors), ruler.novelty(vectors))  # type: ignore[arg-type]


def split_table(traffic: Traffic, repetitions: int) -> list[dict[str, object]]:
    """Power of the whole test, 500 rows in the window, for each share of the reference that is the ruler."""
    kinds = ("none", "mean shift 0.02", "new intent 5 %", "out-of-scope 5 %")
    found = []
    for reference in (400, 1_200, 4_000):
        for share in (0.25, 1 / 3, 0.5):
            caught = dict.fromkeys(kinds, 0)
            size = round(share * reference)
            for repetition in range(repetitions):
                rng = np.random.default_rng((reference, repetition))
                if repetition % 10 == 0:
                    known, rest = traffic.split((reference, len(traffic.known) - reference), rng)
                    ruler = make_ruler(known[:size])
                    gamma = 1.0 / median_squared_distance(known[:size])
                    test = window_of(known[size:], gamma, ruler)
                    blank = alternatives(known[:size], ruler, gamma)
                    prepared = Prepared(test, ruler, gamma, (0.4, 0.05), blank)
                drawn = rest[rng.choice(len(rest), N, replace=False)]
                for kind in kinds:
                    y = traffic.drifted(drawn, kind, rng)[rng.permutation(N)]
                    one = look(
                        prepared,
                        "",
                        np.arange(len(known) - size),
                        window_of(y, gamma, ruler),
                        np.arange(N),
                        (999, 999),
                        rng,
                    )
                    caught[kind] += one.p_value <= 0.05
            row = {kind: round(100 * count / repetitions, 1) for kind, count in caught.items()}
            found.append({"reference": reference, "ruler_share": round(share, 2), "repetitions": repetitions, **row})
            print(found[-1], flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few repetitions")
    quick = parser.parse_args().quick
    traffic = Traffic()
    shrinkage = shrinkage_table(traffic, 20 if quick else 120)
    split = split_table(traffic, 10 if quick else 60)
    mean_power = {
        (row["ruler_rows"], row["shrinkage"]): round(float(np.mean([row[kind] for kind in SHIFTS])), 1)
        for row in shrinkage
    }
    name = "ruler_shrinkage_quick" if quick else "ruler_shrinkage"
    goals = []
    for rows in ROWS:
        best = max(METHODS, key=lambda method: mean_power[rows, method])
        mine = mean_power[rows, CHOSEN]
        goals.append(
            goal(
                f"whitened power, mean over four shifts, ruler of {rows} rows, {CHOSEN}",
                f"within 3 points of the best ({best}, {mean_power[rows, best]})",
                mine,
                mine >= mean_power[rows, best] - 3,
            )
        )
    write(name, {"shrinkage": shrinkage, "split": split}, goals, "python benchmarks/ruler_shrinkage.py")


if __name__ == "__main__":
    main()
