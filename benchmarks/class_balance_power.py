"""Class balance on CLINC150: power of the chi-square test, the rows a rare class needs, coverage of intervals, and how far
estimates without labels are off.

Domains (ten) are predicted by logistic regression on embeddings, trained on other rows. Run: python benchmarks/class_balance_power.py
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from sklearn.linear_model import LogisticRegression

sys.path.insert(0, str(Path(__file__).parent))

from real_data import embedded
from results_file import goal, write

from monitor.detectors.accuracy import AccuracyDetector
from monitor.detectors.blocks import Blocks
from monitor.detectors.class_balance import ClassBalanceDetector, adjusted_p_values
from monitor.detectors.class_table import ClassTable, tabulated
from monitor.detectors.label_shift import LabelShiftDetector
from monitor.detectors.proportions import newcombe
from monitor.values import Dataset, Reference, record_schema

GROWTH = 2.25
DETECTOR = ClassBalanceDetector(permutations=9_990)

NOTES = (
    "share x 2.25: the domain's share of traffic grows so, from a tenth to 22.5 %; likely x 2.25: each of its records is so much more likely, a fifth",
    "sessions: 4,000 repetitions; 500 gave 6.8 % once, with a standard error of 1.1 points",
)


class Traffic:
    """Held-out CLINC150 rows with true domain, predicted domain and confidence."""

    def __init__(self, seed: int) -> None:
        data = embedded("clinc150")
        rng = np.random.default_rng(seed)
        kept = np.flatnonzero(data.label != "oos")
        rng.shuffle(kept)
        train, self.rows = kept[:4_000], kept[4_000:]
        model = LogisticRegression(C=10.0, max_iter=1_000).fit(data.vectors[train], data.group[train])
        chances = model.predict_proba(data.vectors[self.rows])
        self.true = data.group[self.rows].astype(object)
        self.predicted = model.classes_[chances.argmax(axis=1)].astype(object)
        self.confidence = chances.max(axis=1)
        self.vectors = data.vectors[self.rows][:, :2].copy()
        self.domains = sorted(set(self.true))
        self.accuracy = float((self.true == self.predicted).mean())

    def drawn(self, n: int, weight: float, grown: str, among: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Rows without replacement, one domain as many times as likely."""
        weights = np.where(self.true[among] == grown, weight, 1.0)
        return rng.choice(among, n, replace=False, p=weights / weights.sum())

    def data(self, rows: np.ndarray, prefix: str, labelled: bool) -> Dataset:
        columns: dict[str, Any] = {
            "id": [f"{prefix}{i:06d}" for i in range(len(rows))],
            "predicted": self.predicted[rows].tolist(),
            "confidence": self.confidence[rows].tolist(),
            "label": self.true[rows].tolist() if labelled else None,
        }
        arrays = [
            pa.nulls(len(rows), f.type) if columns.get(f.name) is None else pa.array(columns[f.name], f.type)
            for f in record_schema()
        ]
        records = pa.Table.from_arrays(arrays, schema=record_schema())
        return Dataset(records, self.vectors[rows].astype(np.float32), np.ones(len(rows)), "clinc150")


def table_of(classes: Sequence[np.ndarray], size: int = 1) -> tuple[ClassTable, ClassTable]:
    blocks = [Blocks(np.arange(len(c)) // size, -(-len(c) // size), "field") for c in classes]
    return tabulated(classes[0], blocks[0], classes[1], blocks[1])[1:]


def power(traffic: Traffic, n: int, change: str, repetitions: int, rng: np.random.Generator) -> dict[str, Any]:
    """``change``: none, ``share x 2.25`` of one domain's share of traffic, or ``likely x 2.25``, which makes a tenth a fifth."""
    every = np.arange(len(traffic.rows))
    p_values = []
    for i in range(repetitions):
        grown = traffic.domains[i % 10]
        first = rng.choice(every, n, replace=False)
        others = np.setdiff1d(every, first)
        share = float((traffic.true[others] == grown).mean())
        odds = (1.0 - share) / (1.0 - GROWTH * share) if change.startswith("share") else 1.0
        second = traffic.drawn(n, 1.0 if change == "none" else GROWTH * odds, grown, others, rng)
        a, b = table_of([traffic.predicted[first], traffic.predicted[second]])
        p_values.append(DETECTOR.p_value(a, b, rng))
    found = np.array(p_values)
    rates = {f"at_{level}": round(float((found <= level).mean()), 4) for level in (0.05, 0.01)}
    return {"n": n, "change": change, "repetitions": repetitions, **rates}


def sessions_level(traffic: Traffic, repetitions: int, rng: np.random.Generator) -> dict[str, Any]:
    """No drift; sessions of ten rows, half of them of the session's domain: blocks against single rows."""
    where = {d: np.flatnonzero(traffic.true == d) for d in traffic.domains}
    every, right, wrong = np.arange(len(traffic.rows)), 0, 0
    for _ in range(repetitions):
        sides = []
        for _ in range(2):
            own = np.concatenate([rng.choice(where[d], 5) for d in rng.choice(traffic.domains, 50)]).reshape(50, 5)
            rows = np.concatenate([own, rng.choice(every, (50, 5))], axis=1).ravel()
            sides.append(traffic.predicted[rows])
        right += DETECTOR.p_value(*table_of(sides, 10), rng) <= 0.05
        wrong += DETECTOR.p_value(*table_of(sides), rng) <= 0.05
    return {
        "n": 500,
        "session": 10,
        "repetitions": repetitions,
        "blocks": right / repetitions,
        "rows": wrong / repetitions,
    }


def rare_rows(classes: int, repetitions: int, rng: np.random.Generator) -> list[dict[str, Any]]:
    """How often a class that goes from 0.2 % to 0.4 % is seen, by its interval and by the p-value for all classes."""
    found = []
    rest = (1 - 0.002) / (classes - 1)
    before = np.append(np.full(classes - 1, rest), 0.002)
    after = np.append(np.full(classes - 1, rest * 0.996 / 0.998), 0.004)
    for n in (4_000, 8_000, 12_000, 16_000, 24_000, 32_000):
        interval, adjusted, calm = 0, 0, 0
        for i in range(repetitions):
            a, b, c = rng.multinomial(n, before), rng.multinomial(n, after), rng.multinomial(n, before)
            interval += newcombe(int(a[-1]), n, int(b[-1]), n)[0] > 0
            low, high = newcombe(int(a[-1]), n, int(c[-1]), n)
            calm += low > 0 or high < 0
            if i < repetitions // 10:
                counted = [np.repeat(np.arange(classes).astype(str).astype(object), k) for k in (a, b)]
                adjusted += adjusted_p_values(*table_of(counted), rng, 199)[_last(classes)] <= 0.05
        found.append(
            {
                "classes": classes,
                "n": n,
                "interval": interval / repetitions,
                "adjusted_p": adjusted / (repetitions // 10),
                "false_by_interval": calm / repetitions,
            }
        )
    return found


def _last(classes: int) -> int:
    return sorted(str(i) for i in range(classes)).index(str(classes - 1))


def reference_of(traffic: Traffic, rows: np.ndarray) -> Reference:
    data = traffic.data(rows, "p", labelled=True)
    canaries = np.zeros((0, 2), np.float32)
    return Reference("clinc150", 1, datetime(2026, 1, 1, tzinfo=UTC), data.take(np.arange(50)), data, "", canaries)


def estimates(traffic: Traffic, repetitions: int, rng: np.random.Generator) -> tuple[dict[str, Any], dict[str, Any]]:
    """True shares and accuracy estimated without labels, where one domain is 2.25 times as likely; truth from all rows."""
    every = np.arange(len(traffic.rows))
    covered, raw_off, off, accuracy_off, accuracy_covered, refused, errors = [], [], [], [], [], 0, []
    atc_off, atc_covered = [], []
    base = np.array([(traffic.true == d).mean() for d in traffic.domains])
    right = traffic.true == traffic.predicted
    by_domain = np.array([right[traffic.true == d].mean() for d in traffic.domains])
    for i in range(repetitions):
        grown = traffic.domains[i % 10]
        weights = np.where(np.array(traffic.domains) == grown, 2.25, 1.0) * base
        truth = weights / weights.sum()
        protected = rng.choice(every, 1_000, replace=False)
        window = traffic.drawn(500, 2.25, grown, np.setdiff1d(every, protected), rng)
        known, current = reference_of(traffic, protected), traffic.data(window, "c", labelled=False)
        shares = {m.subject: m for m in LabelShiftDetector().measure(known, current, rng)}
        for j, domain in enumerate(traffic.domains):
            one = shares[f"true share:{domain}"]
            covered.append(one.low <= truth[j] - base[j] <= one.high)
            off.append(one.effect - (truth[j] - base[j]))
            raw_off.append(one.detail["share_predicted"] - one.detail["share_reference"] - (truth[j] - base[j]))
        first, second = AccuracyDetector().measure(known, current, rng)
        refused += int("refused" in first.detail)
        if "refused" not in first.detail:
            change = float((truth - base) @ by_domain)
            actual = float(right[window].mean())
            accuracy_off.append(first.detail["estimated"] - actual)
            atc_off.append(second.detail["estimated"] - actual)
            accuracy_covered.append(first.low <= change <= first.high)
            atc_covered.append(second.low <= change <= second.high)
            errors.append(first.detail["error"])
    label = {
        "protected": 1_000,
        "window": 500,
        "repetitions": repetitions,
        "coverage": round(float(np.mean(covered)), 4),
        "rms_error": rms(off),
        "rms_error_of_predicted_shares": rms(raw_off),
        "classifier_accuracy": round(traffic.accuracy, 4),
    }
    accuracy = {
        "protected": 1_000,
        "window": 500,
        "repetitions": repetitions,
        "refused": refused / repetitions,
        "coverage": round(float(np.mean(accuracy_covered)), 4),
        "coverage_atc": round(float(np.mean(atc_covered)), 4),
        "rms_error": rms(accuracy_off),
        "rms_error_atc": rms(atc_off),
        "error_it_states": round(float(np.mean(errors)), 4),
    }
    return label, accuracy


def rms(values: Sequence[float]) -> float:
    return round(float(np.sqrt(np.mean(np.square(values)))), 4) if values else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the repetitions")
    quick = parser.parse_args().quick
    rng, times = np.random.default_rng(0), 0.1 if quick else 1.0
    traffic = Traffic(seed=1)
    many = int(1_000 * times)
    share, likely = f"share x {GROWTH}", f"likely x {GROWTH}"
    changes = ((250, share), (500, "none"), (500, share), (500, likely))
    powers = [power(traffic, n, change, many, rng) for n, change in changes]
    level = sessions_level(traffic, int(4_000 * times), rng)
    rare = [row for classes in (10, 150) for row in rare_rows(classes, int(2_000 * times), rng)]
    label, accuracy = estimates(traffic, int(200 * times), rng)
    seen = [row["n"] for row in rare if row["classes"] == 10 and row["interval"] >= 0.8]
    tested = [row["n"] for row in rare if row["classes"] == 150 and row["adjusted_p"] >= 0.8]
    nothing = 0
    goals = [
        *(
            goal(
                f"power, one of ten domains, {p['change']}, n = 500",
                ">= 0.85 at 5 %",
                p["at_0.05"],
                p["at_0.05"] >= 0.85,
            )
            for p in powers[2:]
        ),
        goal(
            "level without drift, n = 500",
            "0.035 to 0.065 at 5 %",
            powers[1]["at_0.05"],
            0.035 <= powers[1]["at_0.05"] <= 0.065,
        ),
        goal("level, sessions of 10, by blocks", "<= 0.06 at 5 %", level["blocks"], level["blocks"] <= 0.06),
        goal(
            "rows a side until 0.2 % -> 0.4 % is outside its interval in 80 %",
            "<= 16,000",
            min(seen, default=nothing),
            bool(seen) and min(seen) <= 16_000,
        ),
        goal(
            "rows a side until the same is certain among 150 classes in 80 %",
            "<= 32,000",
            min(tested, default=nothing),
            bool(tested),
        ),
        goal("coverage of BBSE intervals", "0.93 to 0.98", label["coverage"], 0.93 <= label["coverage"] <= 0.98),
        goal(
            "coverage of the estimated change of accuracy",
            ">= 0.93",
            accuracy["coverage"],
            accuracy["coverage"] >= 0.93,
        ),
    ]
    name = "class_balance_power-quick" if quick else "class_balance_power"
    write(
        name,
        {
            "power": powers,
            "sessions": [level],
            "rare class": rare,
            "true shares": [label],
            "estimated accuracy": [accuracy],
            "notes": [{"note": note} for note in NOTES],
        },
        goals,
        "python benchmarks/class_balance_power.py" + (" --quick" if quick else ""),
    )


if __name__ == "__main__":
    main()
