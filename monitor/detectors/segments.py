"""What every detector does before it measures: rows put in order, thinned to their weights, and cut into segments."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from monitor.errors import ComparisonError
from monitor.values import SEGMENT_PREFIX, Dataset

__all__ = ["Rows", "check_comparable", "each_segment", "equalised", "ordered"]

Rows = npt.NDArray[np.int64]


def check_comparable(reference: Dataset, current: Dataset, minimum: int) -> None:
    """``ComparisonError`` for fewer than ``minimum`` rows, different embedders or dimensions, or vectors not finite."""
    for data, side in ((reference, "reference"), (current, "current")):
        if len(data) < minimum:
            raise ComparisonError(f"{len(data)} {side} rows are too few to compare; at least {minimum} are needed")
        broken = int((~np.isfinite(data.vectors).all(axis=1)).sum())
        if broken:
            raise ComparisonError(
                f"{broken} of {len(data)} {side} vectors hold NaN or infinity; embed these records again"
            )
    if reference.embedder != current.embedder or reference.vectors.shape[1] != current.vectors.shape[1]:
        raise ComparisonError(
            f"reference vectors of {reference.embedder} ({reference.vectors.shape[1]} dimensions) and current ones of "
            f"{current.embedder} ({current.vectors.shape[1]} dimensions) cannot be compared; use one embedder for both"
        )


def ordered(data: Dataset) -> Dataset:
    """The rows in the order of their ids, so that no result depends on the order in which they came."""
    return data.take(np.argsort(np.array(data.ids, dtype=object), kind="stable"))


def equalised(data: Dataset, rng: np.random.Generator) -> Dataset:
    """The rows in the order of their ids, thinned to equal weights.

    Tests know no weights. A stratified sample holds more of its rare strata than traffic does, so a row is kept with
    probability weight / largest weight: what remains is distributed like the population, at the price of rows. Equal
    weights keep every row.
    """
    data = ordered(data)
    most = data.weights.max(initial=0.0)
    if most <= 0 or np.all(data.weights == most):
        return data
    return data.take(rng.random(len(data)) < data.weights / most)


def _by_value(column: npt.NDArray[np.object_], minimum: int) -> dict[str, Rows]:
    values, codes = np.unique([value or "" for value in column], return_inverse=True)
    groups = {str(value): np.flatnonzero(codes == code) for code, value in enumerate(values)}
    return {value: rows for value, rows in groups.items() if value and len(rows) >= minimum}


def each_segment(
    reference: Dataset, current: Dataset, minimum: int, most: int = 20
) -> Iterator[tuple[str, Rows, Rows]]:
    """All traffic as ``""``, then ``field=value`` for each segment field that both sides carry.

    Yields the segment and the positions of its rows on either side. A value counts where both sides have at least
    ``minimum`` rows of it; of each field the ``most`` with the most current rows are taken. Nothing is yielded when a
    side has fewer than ``minimum`` rows at all, as thinning can leave.
    """
    if min(len(reference), len(current)) < minimum:
        return
    yield "", np.arange(len(reference)), np.arange(len(current))
    for name in current.segments:
        if name not in reference.segments:
            continue
        theirs = _by_value(reference.column(SEGMENT_PREFIX + name), minimum)
        ours = _by_value(current.column(SEGMENT_PREFIX + name), minimum)
        shared = sorted(theirs.keys() & ours.keys(), key=lambda value: (-len(ours[value]), value))
        for value in shared[:most]:
            yield f"{name}={value}", theirs[value], ours[value]
