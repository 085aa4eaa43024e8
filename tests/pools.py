"""Pools for tests of strategies: a calm reference, windows of any kind, and columns that data sets of worlds.py lack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from worlds import around, dataset, intents, reference, unit

from monitor.selection import Answers, Pool, pool_of
from monitor.values import Dataset, Reference

DIMENSIONS = 32
KNOWN = 6
CENTRES = intents(10, DIMENSIONS, seed=1)
NOBODY = np.zeros(0, dtype=np.int64)


def rng(seed=0):
    return np.random.default_rng(seed)


def with_column(data: Dataset, name: str, values: Sequence[Any]) -> Dataset:
    """The data set with other values in a column that every record has."""
    where = data.records.schema.get_field_index(name)
    field = data.records.schema.field(where)
    return replace(data, records=data.records.set_column(where, field, pa.array(list(values), field.type)))


def of_intents(which: Sequence[int], seed: int, prefix: str = "r", **more: Any) -> Dataset:
    """Records of these intents, predicted as the nearest known one."""
    vectors = around(CENTRES, which, rng(seed), spread=0.8) if len(which) else CENTRES[:0]
    predicted = [f"intent {i}" for i in (vectors @ CENTRES[:KNOWN].T).argmax(axis=1)]
    return dataset(vectors, predicted, prefix=prefix, **more)


def calm(rows: int, seed: int, prefix: str = "r", **more: Any) -> Dataset:
    return of_intents(rng(seed).integers(0, KNOWN, rows), seed, prefix, **more)


def labelled(data: Dataset) -> Dataset:
    """The data set with the true intent of each record as its label."""
    return with_column(data, "label", [f"intent {i}" for i in (data.vectors @ CENTRES.T).argmax(axis=1)])


def a_reference(train: Dataset | None = None) -> Reference:
    return reference(labelled(calm(240, 1, "t")) if train is None else train, labelled(calm(60, 2, "p")))


def junk(rows: int, seed: int = 9) -> Dataset:
    return dataset(unit(rng(seed).normal(size=(rows, DIMENSIONS))), ["intent 0"] * rows, prefix="j")


def mixed(seed: int = 3) -> Dataset:
    """70 calm records, 30 of a new topic, 10 of junk."""
    return calm(70, seed).append(of_intents([8] * 30, seed, "n")).append(junk(10))


def a_pool(window: Dataset, ref: Reference | None = None, answers: Answers | None = None) -> Pool:
    return pool_of(ref or a_reference(), window, 0.97, 0.1, answers)
