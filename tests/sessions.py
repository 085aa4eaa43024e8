"""Traffic in sessions, for tests of what blocks are for: records of a session share an intent, or part of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
from worlds import World, reference

from monitor.detectors.blocks import Blocks
from monitor.detectors.sides import Sides
from monitor.values import Dataset, Reference


def blocked(data: Dataset, blocks: Sequence[str | None]) -> Dataset:
    """The data with this column ``block``."""
    place = data.records.schema.get_field_index("block")
    column = pa.array(list(blocks), pa.string())
    return replace(data, records=data.records.set_column(place, data.records.schema.field("block"), column))


def sessions(
    world: World, count: int, size: int, rng: np.random.Generator, prefix: str, shares: Sequence[float] | None = None
) -> Dataset:
    """``count`` sessions of ``size`` records, half of each on the intent of the session."""
    k = len(shares) if shares else world.count
    topics = np.repeat(rng.choice(k, count, p=shares), size)
    which = np.where(rng.random(count * size) < 0.5, topics, rng.choice(k, count * size, p=shares))
    return blocked(world.data(which, rng, prefix), [f"{prefix}{i // size}" for i in range(count * size)])


def known_sessions(world: World, count: int, size: int, rng: np.random.Generator) -> Reference:
    """A reference of calm sessions, half of them protected."""
    half = count // 2
    return reference(sessions(world, half, size, rng, "t"), sessions(world, count - half, size, rng, "p"))


def alone(n: int) -> Blocks:
    """Every row a block."""
    return Blocks(np.arange(n), n, "record")


def rows(n: int, m: int) -> Sides:
    """Two sides of independent rows."""
    return Sides(alone(n), alone(m))


def in_blocks(n: int, m: int, size: int) -> Sides:
    """Two sides of blocks of ``size`` rows."""
    return Sides(*(Blocks(np.arange(k) // size, -(-k // size), "field") for k in (n, m)))
