"""Drift mass: how much of the traffic around each record the reference does not explain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from monitor.values import FloatArray, Vectors

__all__ = [
    "ANCHORS",
    "EXACT",
    "DriftMass",
    "around",
    "density_shrink",
    "drift_mass",
    "excess_mass",
    "kernel_block",
    "kernel_mean",
    "kth_largest",
    "label_need",
    "luck",
]

BLOCK = 1_024
EXACT = 10_000
ANCHORS = 5_000
_NEAREST = 10
_GROUP = 50
_LUCK_ROWS = 2_000


def kernel_mean(
    rows: Vectors,
    anchors: Vectors,
    bandwidth: float,
    weights: FloatArray | None = None,
    *,
    leave_one_out: bool = False,
) -> FloatArray:
    """Weighted mean of k(x, z) = exp((cos(x, z) - 1) / h) over the anchors z, for each row x.

    rho(x) = sum_z w_z k(x, z) / sum_z w_z; exact, in blocks of rows, so that memory stays linear.
    A kernel density estimate on the sphere with the von Mises-Fisher kernel (Hall, Watson & Cabrera, "Kernel density
    estimation with spherical data", Biometrika 74, 1987), not normalised.

    Parameters
    ----------
    rows : (n, d) float32, length one
    anchors : (m, d) float32, length one
    bandwidth : h > 0, in units of cosine
    weights : (m,) float64 >= 0, ones unless given
    leave_one_out : row i is anchor i and does not count for itself (then n must equal m)

    Returns
    -------
    (n,) float64 in [0, 1]; 0 where no anchor (but the row itself) has weight

    Raises
    ------
    ValueError
        when rows and anchors differ in dimensions, or in number under ``leave_one_out``
    """
    if leave_one_out and len(rows) != len(anchors):
        raise ValueError(f"{len(rows)} rows cannot be left out of {len(anchors)} anchors one by one")
    weight = np.ones(len(anchors)) if weights is None else weights
    own = np.arange(len(rows)) if leave_one_out else None
    return around(rows, anchors, weight, bandwidth, own)[0]


def around(
    rows: Vectors,
    anchors: Vectors,
    weights: FloatArray,
    bandwidth: float,
    own: npt.NDArray[np.int64] | None = None,
    nearest: int = 0,
) -> tuple[FloatArray, FloatArray]:
    """:func:`kernel_mean` of each row, and the cosine of its ``nearest``-th nearest anchor, in one pass.

    Parameters
    ----------
    own : (n,) the anchor that is the row itself and does not count, -1 for none
    nearest : 0 to leave the cosines out (they are 0 then); where there are fewer anchors the farthest counts

    Returns
    -------
    (n,) float64 in [0, 1] and (n,) float64 in [-1, 1]
    """
    if rows.shape[1] != anchors.shape[1]:
        raise ValueError(f"rows have {rows.shape[1]} dimensions and anchors {anchors.shape[1]}; use one embedder")
    sums, cosines, left_out = np.zeros(len(rows)), np.zeros(len(rows)), np.zeros(len(rows))
    k = min(nearest, len(anchors) - (own is not None))
    weight = weights.astype(np.float32)
    for start in range(0, len(rows), BLOCK):
        block = slice(start, start + BLOCK)
        kernel: npt.NDArray[np.float32] = rows[block] @ anchors.T
        if own is not None:
            itself = np.flatnonzero(own[block] >= 0)
            kernel[itself, own[block][itself]] = -np.inf
            left_out[block][itself] = weights[own[block][itself]]
        if k > 0:
            cosines[block] = kth_largest(kernel, k)
        sums[block] = _kernel(kernel, bandwidth) @ weight
    total = weights.sum() - left_out
    return np.divide(sums, total, out=np.zeros(len(rows)), where=total > 0), cosines


def kth_largest(values: npt.NDArray[np.float32], k: int) -> npt.NDArray[np.float32]:
    """The k-th largest of each row of (n, m) values, 1 <= k <= m; four times as fast as a partition of ten thousand.

    The k largest lie in the k groups of columns with the largest maxima, so that only those few need to be partitioned.
    """
    rows, columns = values.shape
    groups = columns // _GROUP
    if groups <= k:
        return np.partition(values, -k, axis=1)[:, -k]
    grouped = values[:, : groups * _GROUP].reshape(rows, _GROUP, groups)
    best = np.argpartition(grouped.max(axis=1), -k, axis=1)[:, -k:]
    among = np.take_along_axis(grouped, best[:, None, :], axis=2).reshape(rows, -1)
    among = np.concatenate([among, values[:, groups * _GROUP :]], axis=1)
    return np.partition(among, -k, axis=1)[:, -k]


def kernel_block(rows: Vectors, anchors: Vectors, bandwidth: float) -> npt.NDArray[np.float32]:
    """k(x, z) = exp((cos(x, z) - 1) / h) of every pair, (n, m) float32 in [0, 1]."""
    return _kernel(rows @ anchors.T, bandwidth)


def _kernel(cosines: npt.NDArray[np.float32], bandwidth: float) -> npt.NDArray[np.float32]:
    """The kernel, in the place of the cosines."""
    cosines -= 1.0
    np.minimum(cosines, 0.0, out=cosines)  # rounding can lift a cosine above one
    cosines /= bandwidth
    return np.exp(cosines, out=cosines)


def excess_mass(in_reference: FloatArray, in_window: FloatArray, typical: float) -> FloatArray:
    """Estimated share of the traffic around each record that is new.

    ex = clip(1 - (rho_R + 0.3 e0) / (rho_P + 0.3 e0), 0, 1): one minus the density ratio, as the mixture
    P = (1 - ex) R + ex N suggests, both densities lifted by a part of the typical one so that empty space is not new.
    Density ratio: Sugiyama, Suzuki & Kanamori, "Density Ratio Estimation in Machine Learning", 2012.

    Parameters
    ----------
    in_reference, in_window : (n,) float64 >= 0, kernel means rho_R and rho_P (the record itself left out)
    typical : e0 > 0, median of rho_R over the reference's own rows, each left out

    Returns
    -------
    (n,) float64 in [0, 1]
    """
    floor = 0.3 * typical
    return np.asarray(np.clip(1.0 - (in_reference + floor) / (in_window + floor), 0.0, 1.0))


def density_shrink(in_window: FloatArray, typical: float) -> FloatArray:
    """Factor that takes records without company to nothing: pen = rho_P / (rho_P + 0.5 e0).

    Parameters
    ----------
    in_window : (n,) float64 >= 0, kernel mean rho_P (the record itself left out)
    typical : e0 > 0

    Returns
    -------
    (n,) float64 in [0, 1)
    """
    return in_window / (in_window + 0.5 * typical)


def label_need(excess: FloatArray, doubt: FloatArray, unlike: FloatArray) -> FloatArray:
    """What a label of each record is worth for the new traffic: need = ex (0.7 + 0.3 max(doubt, unlike)).

    The model's doubt counts for little: it is often sure of itself on topics that it has never seen.

    Parameters
    ----------
    excess : (n,) float64 in [0, 1]
    doubt : (n,) float64 in [0, 1], one minus the model's confidence; NaN where unknown, which counts as all doubt
    unlike : (n,) float64 in [0, 1], how far from all that the reference knows

    Returns
    -------
    (n,) float64 in [0, 1]
    """
    unsure = np.clip(np.nan_to_num(doubt, nan=1.0), 0.0, 1.0)
    return np.asarray(excess * (0.7 + 0.3 * np.maximum(unsure, unlike)))


@dataclass(frozen=True, slots=True)
class DriftMass:
    """Densities around each record of a window, (n,) float64 each.

    in_window     kernel mean over the window's other records
    in_reference  kernel mean over the reference
    typical       e0, the median density of reference rows among the others
    far           share of reference rows whose tenth nearest other reference row is nearer than this record's, in [0, 1]
    """

    in_window: FloatArray
    in_reference: FloatArray
    typical: float
    far: FloatArray

    @property
    def excess(self) -> FloatArray:
        """Share of the traffic around each record that is new, in [0, 1]."""
        return excess_mass(self.in_reference, self.in_window, self.typical)

    @property
    def shrink(self) -> FloatArray:
        """Near 0 for records without company, in [0, 1)."""
        return density_shrink(self.in_window, self.typical)

    @property
    def unlike(self) -> FloatArray:
        """How surely each record is unlike all of the reference: ex clip((far - 0.8) / 0.2, 0, 1)."""
        return np.asarray(self.excess * np.clip((self.far - 0.8) / 0.2, 0.0, 1.0))

    @property
    def ratio(self) -> FloatArray:
        """How many times more traffic the window holds around each record than the reference explains."""
        return (self.in_window + 0.3 * self.typical) / (self.in_reference + 0.3 * self.typical)


def drift_mass(
    window: Vectors,
    weights: FloatArray,
    reference: Vectors,
    reference_weights: FloatArray,
    bandwidth: float,
    rng: np.random.Generator | None = None,
) -> DriftMass:
    """Densities of the window's records in the window and in the reference.

    Exact up to 10,000 rows a side; of more, 5,000 drawn by ``rng`` stand for their side.

    Parameters
    ----------
    window, reference : (n, d) and (m, d) float32, rows of length one
    weights, reference_weights : (n,) and (m,) float64 >= 0, how many records each row stands for
    bandwidth : h > 0
    """
    rng = np.random.default_rng(0) if rng is None else rng
    mine, theirs = _anchors(len(window), rng), _anchors(len(reference), rng)
    known, known_weights = reference[theirs], reference_weights[theirs]
    own = np.full(len(window), -1)
    own[mine] = np.arange(len(mine))
    company, _ = around(window, window[mine], weights[mine], bandwidth, own)
    explained, cosines = around(window, known, known_weights, bandwidth, None, _NEAREST)
    among, usual = around(known, known, known_weights, bandwidth, np.arange(len(known)), _NEAREST)
    typical = max(float(np.quantile(among, 0.5)) if len(among) else 0.0, float(np.finfo(np.float32).tiny))
    # A cosine below that of a reference row is a distance above it.
    nearer = len(usual) - np.searchsorted(np.sort(usual), np.round(cosines, 6), side="right")
    return DriftMass(company, explained, typical, nearer / max(len(usual), 1))


def _anchors(rows: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    return np.arange(rows) if rows <= EXACT else np.sort(rng.choice(rows, ANCHORS, replace=False))


def luck(
    reference: Vectors,
    weights: FloatArray,
    size: int,
    typical: float,
    bandwidth: float,
    rng: np.random.Generator,
    quantile: float,
) -> float:
    """Excess mass that calm traffic shows by luck alone: a quantile over mock windows drawn from the reference.

    In a small window two like records are enough to look like a cluster, so the floor under which excess says nothing
    depends on the window's size. Mock windows of that size, at least two, are compared with the rest of the reference, as many as
    give 2,000 records, and of large ones so many records in all.

    Parameters
    ----------
    reference : (m, d) float32, rows of length one
    weights : (m,) float64
    size : rows of the window to mock; at most half of the reference is drawn
    typical : e0 > 0
    bandwidth : h > 0
    quantile : in (0, 1)

    Returns
    -------
    in [0, 1]; 0 when the reference is too small to mock a window of two rows
    """
    drawn = min(size, len(reference) // 2)
    if drawn < 2:
        return 0.0
    found, mocks = [], max(2, _LUCK_ROWS // drawn)
    for _ in range(mocks):
        order = rng.permutation(len(reference))
        mock, rest = order[:drawn], order[drawn:]
        some = np.arange(min(drawn, -(-_LUCK_ROWS // mocks)))
        company, _ = around(reference[mock[some]], reference[mock], weights[mock], bandwidth, some)
        explained = kernel_mean(reference[mock[some]], reference[rest], bandwidth, weights[rest])
        found.append(excess_mass(explained, company, typical))
    return float(np.quantile(np.concatenate(found), quantile))
