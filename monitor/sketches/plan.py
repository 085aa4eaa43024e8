"""The plan of a sketch: which features of a record are summed, made once from a reference and fixed from then on."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
import numpy.typing as npt
from sklearn.cluster import KMeans, MiniBatchKMeans

from monitor.detectors.blocks import Blocks, blocks_of
from monitor.detectors.ruler import Ruler, in_ruler, make_ruler
from monitor.detectors.segments import ordered
from monitor.errors import ComparisonError
from monitor.values import Dataset, FloatArray, Reference, Vectors

__all__ = ["FOURIER_UNIT", "FOURIER_WIDTH", "Plan", "in_plan", "make_plan", "orthogonal_frequencies"]

VERSION = 1
"""Raised whenever a feature changes its meaning: sums of different versions never meet."""

FOURIER_WIDTH = 256
FOURIER_UNIT = 2**7
"""Whole numbers stand for multiples of 1/128 of a cosine or sine."""

COORDINATE_UNIT = 2**12
SCORE_UNIT = 2**6
CONFIDENCE_UNIT = 2**16

NOVEL = 0.95
"""Records more novel than this share of the reference are counted as novel."""

_MOST_CLASSES = 200
_KNOTS = 4_096
_FEWEST = 20
_SHARE = 0.75
_ROWS_PER_CENTRE = 7
_MOST_CENTRES = 256
_EXACT_CLUSTERS = 5_000
_SMALLEST_SCALE = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """How a record becomes the whole numbers that are summed.

    A row of sums holds, in this order: cosines and sines for the Gaussian kernel with gamma = 1/median, the same with
    gamma = 4/median, the coordinates, the novelty score, whether a record is
    more novel than 95 % of the reference, one count for each class, for other classes and for none,
    and the sum and count of confidences. Whitening is linear, so it waits until the sums are compared.

    fingerprint  SHA-256 of the reference's fingerprint and the version of the features
    embedder     fingerprint of the embedder; other vectors do not fit
    ruler        see :class:`monitor.detectors.ruler.Ruler`; here three quarters of the reference, because what is tested is
                 production against production
    directions   (D, 256 + c) float32, the frequencies and the centres of c clusters of the ruler; zero in dead dimensions
    half_norms   (c,) float32, half the squared length of each centre
    knots        (q,) float64, sorted novelty of the other quarter
    classes      names counted one by one
    share_scale  squared distance in the feature space of gamma = 4/median between one topic and all content, > 0:
                 a share e of traffic replaced by such a topic shows as MMD² = e² times this
    """

    fingerprint: str
    embedder: str
    ruler: Ruler
    directions: Vectors
    half_norms: Vectors
    knots: FloatArray
    classes: tuple[str, ...]
    share_scale: float

    @property
    def columns(self) -> dict[str, slice]:
        """Where each group of features lies in a row of sums."""
        widths = {
            "rbf1": 2 * FOURIER_WIDTH,
            "rbf4": 2 * FOURIER_WIDTH,
            "coordinates": len(self.ruler.live),
            "novelty": 1,
            "novel": 1,
            "classes": len(self.classes) + 1,
            "unclassified": 1,
            "confidence": 1,
            "confident": 1,
        }
        places, start = {}, 0
        for name, width in widths.items():
            places[name] = slice(start, start + width)
            start += width
        return places

    @property
    def width(self) -> int:
        """Features of a row."""
        return int(self.columns["confident"].stop)


def orthogonal_frequencies(dimensions: int, width: int, median: float) -> Vectors:
    """Frequencies of the Gaussian kernel exp(-|x - y|²/median), orthogonal in groups as large as the dimensions allow.

    Yu et al., "Orthogonal random features", NeurIPS 2016: the same expectation as independent frequencies, less variance.
    Twice these frequencies serve gamma = 4/median.

    Returns
    -------
    (dimensions, width) float32
    """
    rng = np.random.default_rng(20_260_301)
    groups = []
    for start in range(0, width, dimensions):
        directions, _ = np.linalg.qr(rng.normal(size=(dimensions, dimensions)))
        lengths = np.sqrt(rng.chisquare(dimensions, size=dimensions))
        groups.append((directions * lengths)[:, : width - start])
    return np.asarray(np.concatenate(groups, axis=1) * np.sqrt(2.0 / median), dtype=np.float32)


def make_plan(reference: Reference) -> Plan:
    """The plan of a reference; the same for the same reference, whatever the order of its rows.

    ``ComparisonError`` when the ruler or the rest would have fewer than 20 rows.
    """
    data = ordered(reference.everything)
    ours = in_plan(data, blocks_of(data))
    for rows, what in ((int(ours.sum()), "measures with"), (int((~ours).sum()), "keeps beside these")):
        if rows < _FEWEST:
            raise ComparisonError(
                f"reference {reference.name!r} version {reference.version} {what} {rows} of {len(data)} records; "
                f"sketches need {_FEWEST}. Give a larger reference"
            )
    ruler = make_ruler(data.vectors[ours])
    frequencies = orthogonal_frequencies(int(ruler.live.sum()), FOURIER_WIDTH, ruler.median)
    centres, cluster = _clusters(ruler.rows)
    directions = np.zeros((len(ruler.live), FOURIER_WIDTH + len(centres)), dtype=np.float32)
    directions[ruler.live] = np.concatenate([frequencies, centres.T], axis=1)
    half_norms = np.asarray(np.square(centres).sum(axis=1) / 2.0, dtype=np.float32)
    projections = data.vectors[~ours] @ directions[:, FOURIER_WIDTH:]
    knots = np.sort(-(projections - half_norms).max(axis=1)).astype(np.float64)
    if len(knots) > _KNOTS:
        knots = knots[np.linspace(0, len(knots) - 1, _KNOTS).astype(np.int64)]
    fingerprint = sha256(f"sketch {VERSION} of {reference.fingerprint}".encode()).hexdigest()
    scale = _share_scale(ruler.rows, cluster, frequencies)
    return Plan(fingerprint, reference.embedder, ruler, directions, half_norms, knots, _classes(data), scale)


def in_plan(data: Dataset, blocks: Blocks) -> npt.NDArray[np.bool_]:
    """Which reference rows the plan is made from, (n,) bool; the others are left for :func:`reference_sums`."""
    return in_ruler(data, blocks, _SHARE)


def _classes(data: Dataset) -> tuple[str, ...]:
    counts = Counter(c for c in data.classes if c is not None)
    return tuple(sorted(sorted(counts, key=lambda c: (-counts[c], c))[:_MOST_CLASSES]))


def _clusters(rows: Vectors) -> tuple[Vectors, npt.NDArray[np.int64]]:
    """Means of clusters of the rows, (c, d), and the cluster of each row."""
    count = min(max(1, len(rows) // _ROWS_PER_CENTRE), _MOST_CENTRES, len(np.unique(rows, axis=0)))
    kind = KMeans if len(rows) <= _EXACT_CLUSTERS else MiniBatchKMeans
    fitted = kind(count, n_init=1, max_iter=20, random_state=0).fit(rows)
    return np.asarray(fitted.cluster_centers_, dtype=np.float32), np.asarray(fitted.labels_, dtype=np.int64)


def _share_scale(rows: Vectors, cluster: npt.NDArray[np.int64], frequencies: Vectors) -> float:
    """Median over clusters of the squared distance between a cluster's mean feature and the mean of all.

    Pairs of a row with itself do not count, or small clusters would seem further away than they are.
    """
    angles = 2.0 * (rows @ frequencies)
    features = np.concatenate([np.cos(angles), np.sin(angles)], axis=1) / np.sqrt(FOURIER_WIDTH)
    whole = features.mean(axis=0, dtype=np.float64)
    distances = []
    for one in range(int(cluster.max()) + 1):
        members = features[cluster == one].astype(np.float64)
        n = len(members)
        if n > 1:
            total = members.sum(axis=0)
            distances.append((total @ total - n) / (n * (n - 1)) - 2.0 * (total / n) @ whole + whole @ whole)
    return float(max(np.median(distances), _SMALLEST_SCALE)) if distances else 1.0
