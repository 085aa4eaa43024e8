"""The plan of a sketch: which features of a record are summed, made once from a reference and fixed from then on."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
from sklearn.cluster import KMeans

from monitor.detectors.blocks import blocks_of
from monitor.detectors.ruler import Ruler, in_ruler, make_ruler
from monitor.detectors.segments import ordered
from monitor.errors import ComparisonError
from monitor.values import Dataset, FloatArray, Reference, Vectors

__all__ = ["FOURIER_UNIT", "FOURIER_WIDTH", "Plan", "make_plan", "orthogonal_frequencies"]

VERSION = 1
"""Raised whenever a feature changes its meaning: sums of different versions never meet."""

FOURIER_WIDTH = 256
FOURIER_UNIT = 2**7
"""Whole numbers stand for multiples of 1/128 of a cosine or sine."""

COORDINATE_UNIT = 2**12
SCORE_UNIT = 2**8
CONFIDENCE_UNIT = 2**16

_MOST_CLASSES = 200
_KNOTS = 4_096
_FEWEST = 20
_ROWS_PER_CLUSTER = 10
_MOST_CLUSTERS = 100


@dataclass(frozen=True, slots=True)
class Plan:
    """How a record becomes the whole numbers that are summed.

    A row of sums holds, in this order: cosines and sines for the Gaussian kernel with gamma = 1/median, the same with
    gamma = 4/median, the live coordinates, the novelty score, one count for each class, for other classes and for none,
    and the sum and count of confidences. Whitening is linear, so it waits until the sums are compared.

    fingerprint  SHA-256 of the reference's fingerprint and the version of the features
    embedder     fingerprint of the embedder; other vectors do not fit
    ruler        see :class:`monitor.detectors.ruler.Ruler`
    frequencies  (D, 256) float32; zero in dead dimensions
    knots        (q,) float64, sorted novelty of reference rows outside the ruler
    classes      names counted one by one
    share_scale  squared distance in the feature space of gamma = 4/median between one topic and all content, > 0:
                 a share e of traffic replaced by such a topic shows as MMD² = e² times this
    """

    fingerprint: str
    embedder: str
    ruler: Ruler
    frequencies: Vectors
    knots: FloatArray
    classes: tuple[str, ...]
    share_scale: float

    @property
    def columns(self) -> dict[str, slice]:
        """Where each group of features lies in a row of sums."""
        widths = {
            "rbf1": 2 * FOURIER_WIDTH,
            "rbf4": 2 * FOURIER_WIDTH,
            "coordinates": int(self.ruler.live.sum()),
            "novelty": 1,
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
    ours = in_ruler(data, blocks_of(data))
    for rows, what in ((int(ours.sum()), "sets aside for its ruler"), (int((~ours).sum()), "keeps beside its ruler")):
        if rows < _FEWEST:
            raise ComparisonError(
                f"reference {reference.name!r} version {reference.version} {what} {rows} of {len(data)} records; "
                f"sketches need {_FEWEST}. Give a larger reference"
            )
    ruler = make_ruler(data.vectors[ours])
    frequencies = np.zeros((data.vectors.shape[1], FOURIER_WIDTH), dtype=np.float32)
    frequencies[ruler.live] = orthogonal_frequencies(int(ruler.live.sum()), FOURIER_WIDTH, ruler.median)
    knots = np.sort(ruler.novelty(data.vectors[~ours]))
    if len(knots) > _KNOTS:
        knots = knots[np.linspace(0, len(knots) - 1, _KNOTS).astype(np.int64)]
    fingerprint = sha256(f"sketch {VERSION} of {reference.fingerprint}".encode()).hexdigest()
    scale = _share_scale(ruler, frequencies[ruler.live])
    return Plan(fingerprint, reference.embedder, ruler, frequencies, knots, _classes(data), scale)


def _classes(data: Dataset) -> tuple[str, ...]:
    counts = Counter(c for c in data.classes if c is not None)
    return tuple(sorted(sorted(counts, key=lambda c: (-counts[c], c))[:_MOST_CLASSES]))


def _share_scale(ruler: Ruler, frequencies: Vectors) -> float:
    """Median over clusters of the ruler of the squared distance between a cluster's mean feature and the mean of all."""
    angles = 2.0 * (ruler.rows @ frequencies)
    features = np.concatenate([np.cos(angles), np.sin(angles)], axis=1) / np.sqrt(FOURIER_WIDTH)
    count = min(_MOST_CLUSTERS, max(2, len(ruler.rows) // _ROWS_PER_CLUSTER))
    count = min(count, len(np.unique(ruler.rows, axis=0)))
    if count < 2:
        return 1.0
    cluster = KMeans(count, n_init=1, random_state=0).fit_predict(ruler.rows)
    whole = features.mean(axis=0, dtype=np.float64)
    distances = []
    for one in range(count):
        members = features[cluster == one].astype(np.float64)
        if len(members) > 1:
            total = members.sum(axis=0)
            inside = (total @ total - len(members)) / (len(members) * (len(members) - 1))
            distances.append(inside - 2.0 * (total / len(members)) @ whole + whole @ whole)
    return float(max(np.median(distances), 1e-3)) if distances else 1.0
