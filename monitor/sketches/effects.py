"""How large a change is, from block sums, with intervals that leave out one block at a time."""

from __future__ import annotations

import numpy as np

from monitor.sketches.exchange import centred
from monitor.values import FloatArray

__all__ = [
    "Effect",
    "block_mmd2",
    "class_effect",
    "class_moves",
    "confidence_effect",
    "embedding_effect",
    "novel_effect",
    "null_spread",
]

_Z = 1.96

Effect = tuple[float, float, float, dict[str, float]]


def block_mmd2(
    sums: FloatArray, rows: FloatArray, current: int, centre: FloatArray | None = None
) -> tuple[float, float]:
    """Unbiased MMD² between the first blocks and the last ``current`` ones, and its block-jackknife standard error.

    Pairs of records within one block do not count: they may depend on each other.

    Parameters
    ----------
    sums : (G, f) sums of features of each block
    rows : (G,) records of each block
    current : how many of the last blocks are the window, >= 2, and as many before
    centre : the sums centred, where they are known

    Returns
    -------
    MMD², which can be negative, and its standard error >= 0
    """
    sums = centred(sums, rows) if centre is None else centre
    x, y, n, m = sums[:-current], sums[-current:], rows[:-current], rows[-current:]
    total_x, total_y = x.sum(axis=0), y.sum(axis=0)
    own_x, own_y = np.einsum("ij,ij->i", x, x), np.einsum("ij,ij->i", y, y)
    xx, yy, xy = total_x @ total_x - own_x.sum(), total_y @ total_y - own_y.sum(), total_x @ total_y
    pairs_x, pairs_y = n.sum() ** 2 - np.square(n).sum(), m.sum() ** 2 - np.square(m).sum()
    both = n.sum() * m.sum()
    mmd2 = xx / pairs_x + yy / pairs_y - 2.0 * xy / both
    with np.errstate(divide="ignore", invalid="ignore"):
        without_x = (
            (xx - 2.0 * (x @ total_x - own_x)) / (pairs_x - 2.0 * n * (n.sum() - n))
            + yy / pairs_y
            - 2.0 * (xy - x @ total_y) / (both - n * m.sum())
        )
        without_y = (
            xx / pairs_x
            + (yy - 2.0 * (y @ total_y - own_y)) / (pairs_y - 2.0 * m * (m.sum() - m))
            - 2.0 * (xy - y @ total_x) / (both - m * n.sum())
        )
    error = np.sqrt(_jackknife(without_x) + _jackknife(without_y))
    return float(mmd2), float(error)


def _jackknife(without: FloatArray) -> float:
    """Variance from the estimates that leave out one block each."""
    kept = without[np.isfinite(without)]
    return float((len(kept) - 1) / len(kept) * np.square(kept - kept.mean()).sum()) if len(kept) > 1 else 0.0


def embedding_effect(
    sums: FloatArray,
    rows: FloatArray,
    current: int,
    scale: float,
    centre: FloatArray | None = None,
    spread: float | None = None,
) -> Effect:
    """The share of traffic that a new topic would have to take to show such an MMD², 0 to 1, with interval and details.

    The standard error is at least the spread under random choices: near no difference the jackknife is far too small.

    Parameters
    ----------
    scale : squared distance of a topic to all content, see :class:`~monitor.sketches.plan.Plan`
    centre, spread : the sums centred, and what :func:`null_spread` gives, where they are known
    """
    if min(current, len(rows) - current) < 2:
        x, y = sums[:-current].sum(axis=0) / rows[:-current].sum(), sums[-current:].sum(axis=0) / rows[-current:].sum()
        # Without a second block nothing tells a difference from noise.
        return 0.0, 0.0, _share(float(np.square(x - y).sum()), scale), {}
    mmd2, error = block_mmd2(sums, rows, current, centre)
    detail = {"mmd2": mmd2}
    error = max(error, null_spread(sums, rows, current, centre) if spread is None else spread)
    return _share(mmd2, scale), _share(mmd2 - _Z * error, scale), _share(mmd2 + _Z * error, scale), detail


def _share(mmd2: float, scale: float) -> float:
    return float(min(1.0, np.sqrt(max(mmd2, 0.0) / scale)))


def null_spread(sums: FloatArray, rows: FloatArray, current: int, centre: FloatArray | None = None) -> float:
    """Standard deviation of MMD² when nothing differs, from all blocks together; ``centre`` are the sums centred, where known."""
    middle = centred(sums, rows) if centre is None else centre
    # Squared inner products of all pairs, by whichever product matrix is smaller.
    product = middle.T @ middle if middle.shape[1] < len(middle) else middle @ middle.T
    own = np.square(np.einsum("ij,ij->i", middle, middle)).sum()
    squares = np.square(product, out=product).sum() - own
    # Of a degenerate U-statistic: sqrt(2 E<x, y>²) (1/n + 1/m), with per-record second moments.
    pairs = rows.sum() ** 2 - np.square(rows).sum()
    second = np.sqrt(2.0 * max(squares, 0.0) / pairs)
    n, m = rows[:-current].sum(), rows[-current:].sum()
    return float(second * (1.0 / n + 1.0 / m))


def novel_effect(counts: FloatArray, rows: FloatArray, current: int) -> tuple[float, float, float]:
    """The least share of traffic that must be unlike the past to make so many more records novel, with interval.

    Parameters
    ----------
    counts : (G,) novel records of each block
    """
    parts = [(counts[:-current], rows[:-current]), (counts[-current:], rows[-current:])]
    before, now = (float(c.sum() / n.sum()) for c, n in parts)
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = sum(_jackknife((c.sum() - c) / (n.sum() - n)) for c, n in parts)
    known = max(1.0 - before, 1e-9)
    effect, reach = (now - before) / known, _Z * float(np.sqrt(variance)) / known
    low, high = effect - reach, effect + reach
    if min(current, len(rows) - current) < 2:
        low = 0.0
    return (*(float(np.clip(value, 0.0, 1.0)) for value in (effect, low, high)),)  # type: ignore[return-value]


def class_effect(counts: FloatArray, current: int) -> Effect:
    """Total variation distance less what sampling alone would show, with a jackknife interval over blocks.

    What sampling shows is estimated from how shares differ between blocks of one side, so that it holds for records that
    come together, and is taken off in squares: little of a clear difference, all of an unclear one.

    Parameters
    ----------
    counts : (G, k) records of each class in each block
    """
    past, now = counts[:-current], counts[-current:]
    variation = float(_variations(past.sum(axis=0)[None], now.sum(axis=0)[None])[0])
    noise = float(np.sqrt((_share_variance(past) + _share_variance(now)) * 2 / np.pi).sum()) / 2
    before, after = past.sum(axis=0), now.sum(axis=0)
    left = _jackknife(_variations(before - past, after[None])), _jackknife(_variations(before[None], after - now))
    error = float(np.sqrt(left[0] + left[1]))
    effect = float(np.sqrt(max(0.0, variation**2 - noise**2)))
    # Near no difference the jackknife is too small: the distance cannot fall below 0 and is never far above its noise.
    reach = _Z * max(error, noise / 2)
    return effect, max(0.0, effect - reach), min(1.0, effect + reach), {"total_variation": variation}


def class_moves(counts: FloatArray, current: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Share of each class before and now, and the standard error of the difference, over blocks; (k,) each."""
    past, now = counts[:-current], counts[-current:]
    before, after = past.sum(axis=0) / past.sum(), now.sum(axis=0) / now.sum()
    # A class that one side lacks has no spread there: at least that of one record.
    least = 1.0 / past.sum() ** 2 + 1.0 / now.sum() ** 2
    return before, after, np.sqrt(np.maximum(_share_variance(past) + _share_variance(now), least))


def _share_variance(counts: FloatArray) -> FloatArray:
    """Variance of each class's share over one side, from its blocks, (k,)."""
    rows = counts.sum(axis=1, keepdims=True)
    shares = counts.sum(axis=0) / rows.sum()
    return np.asarray(np.square(counts - rows * shares).sum(axis=0) / rows.sum() ** 2)


def _variations(a: FloatArray, b: FloatArray) -> FloatArray:
    """Total variation distance of each row's counts, one of the two may have a single row, (G,); NaN where a side has none."""
    many, few = a.sum(axis=1, keepdims=True), b.sum(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.abs(a / many - b / few).sum(axis=1) / 2
    return np.where(np.minimum(many, few)[:, 0] > 0, found, np.nan)


def confidence_effect(sums: FloatArray, counts: FloatArray, current: int) -> Effect:
    """Difference of mean confidence, current less past, with a jackknife interval over blocks.

    Parameters
    ----------
    sums, counts : (G,) fixed-point sums and numbers of confidences of each block
    """
    means, variance = [], 0.0
    for part in (slice(None, -current), slice(-current, None)):
        s, n = sums[part] / 2**16, counts[part]
        means.append(float(s.sum() / n.sum()))
        with np.errstate(divide="ignore", invalid="ignore"):
            variance += _jackknife((s.sum() - s) / (n.sum() - n))
    effect, reach = means[1] - means[0], _Z * float(np.sqrt(variance))
    return effect, effect - reach, effect + reach, {"mean_past": means[0], "mean_current": means[1]}
