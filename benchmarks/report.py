"""The report's map and size: how well a plane keeps what is near, by method and data set, CPU time of a picture, bytes of pictures and pages.

Real sentence embeddings. CPU time of one thread; trustworthiness is that of Venna & Kaski (2001), ten neighbours.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from real_data import Embedded, embedded
from results_file import goal, write
from sklearn.cluster import KMeans
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.manifold import TSNE, trustworthiness
from sklearn.neighbors import KNeighborsClassifier

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from pictured import a_source, candidates
from pools import with_column
from worlds import dataset, reference

from monitor.picture import draw_picture, to_bytes
from monitor.picture.layout import layout, principal
from monitor.report.run_page import run_page

SIDE = 2_500


def of_clusters(vectors: np.ndarray) -> np.ndarray:
    """The two axes that best part 24 clusters of k-means, after the 50 principal ones."""
    axes = principal(vectors, 50)
    found = KMeans(24, n_init=1, random_state=0).fit_predict(axes)
    return LinearDiscriminantAnalysis(n_components=2, solver="eigen", shrinkage=0.1).fit_transform(axes, found)


METHODS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "principal axes": lambda vectors: principal(vectors, 2),
    "discriminant axes of clusters": of_clusters,
    "ours": lambda vectors: layout(vectors, np.random.default_rng(0)),
    "t-SNE (scikit-learn)": lambda vectors: TSNE(random_state=0, n_jobs=1).fit_transform(vectors),
}


def kept(name: str, method: str, vectors: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """How near records of one class and neighbours in embedding space lie on the plane."""
    began = time.process_time()
    places = METHODS[method](vectors)
    seconds = time.process_time() - began
    return {
        "data": name,
        "method": method,
        "rows": len(vectors),
        "cpu_seconds": round(seconds, 2),
        "class_accuracy": round(by_neighbours(places, labels), 3),
        "class_accuracy_unprojected": round(by_neighbours(vectors, labels), 3),
        "trustworthiness": round(float(trustworthiness(vectors, places, n_neighbors=10)), 3),
    }


def by_neighbours(places: np.ndarray, labels: np.ndarray) -> float:
    """Share of the odd rows whose class is that of most of their ten nearest even rows."""
    model = KNeighborsClassifier(10).fit(places[::2], labels[::2])
    return float(model.score(places[1::2], labels[1::2]))


def drawn(data: Embedded, excerpts: str) -> dict[str, Any]:
    """A picture and a page of 2,500 against 2,500 records, one class kept out of the reference."""
    order = np.random.default_rng(1).permutation(len(data.vectors))
    labels = data.label
    new = labels == labels[order[0]]
    theirs = order[~new[order]][:SIDE]
    ours = np.setdiff1d(order, theirs, assume_unique=True)[:SIDE]
    sides = []
    for rows, prefix in ((theirs, "training-record-"), (ours, "production-record-")):
        side = dataset(data.vectors[rows], labels[rows].tolist(), prefix=prefix)
        sides.append(with_column(side, "text", [str(data.texts[i]) for i in rows]))
    ref = reference(sides[0], sides[0].take(np.arange(0)))
    chosen = candidates(sides[1], 50)
    began = time.process_time()
    made = draw_picture(ref, sides[1], chosen, 0.1, excerpts, np.random.default_rng(2))
    drawing = time.process_time() - began
    content = to_bytes(made)
    run = a_source().run
    began = time.process_time()
    page = run_page(a_source(run=run, picture=made, size=len(content)))
    return {
        "texts_kept": excerpts,
        "records": len(made),
        "groups": len(made.groups),
        "cpu_seconds_drawing": round(drawing, 2),
        "picture_bytes": len(content),
        "cpu_seconds_page": round(time.process_time() - began, 2),
        "page_bytes": len(page.encode()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one data set, and no t-SNE")
    quick = parser.parse_args().quick
    rows = []
    for name in ("clinc150",) if quick else ("clinc150", "banking77", "arxiv_cs"):
        data = embedded(name)
        some = np.random.default_rng(0).choice(len(data.vectors), min(2 * SIDE, len(data.vectors)), replace=False)
        labels = data.label[some]
        for method in METHODS:
            if not (quick and "t-SNE" in method):
                rows.append(kept(name, method, data.vectors[some], labels))
                print(rows[-1], flush=True)
    sizes = [drawn(embedded("clinc150"), excerpts) for excerpts in ("none", "candidates", "all")]
    for one in sizes:
        print(one, flush=True)
    ours = [row for row in rows if row["method"] == "ours"]
    worst = max(row["cpu_seconds"] for row in ours)
    page = max(one["page_bytes"] for one in sizes)
    goals = [
        goal("CPU seconds to lay out 5,000 records", "below 2", worst, worst < 2),
        goal("bytes of a page of 5,000 records, every text kept", "below 5,000,000", page, page < 5_000_000),
    ]
    if not quick:
        write("report", {"planes": rows, "sizes": sizes}, goals, "python benchmarks/report.py")


if __name__ == "__main__":
    main()
