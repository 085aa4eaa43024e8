"""cleanlab: which labels it calls issues, by probabilities it is given or by its own cross-validation, as it is shipped.

A job names an .npz with, for each i, ``labels{i}`` (n,) int and either ``chances{i}`` (n, C) or ``vectors{i}`` (n, d). The answer:
for each i the rows it flags.
"""

from __future__ import annotations

import json
import sys
import warnings

import numpy as np
from cleanlab.classification import CleanLearning
from cleanlab.filter import find_label_issues
from cleanlab.version import __version__


def flagged(found: np.lib.npyio.NpzFile, i: int) -> list[int]:
    labels = found[f"labels{i}"]
    if f"chances{i}" in found:
        return np.flatnonzero(find_label_issues(labels, found[f"chances{i}"].astype(float), n_jobs=1)).tolist()
    issues = CleanLearning(seed=0).find_label_issues(found[f"vectors{i}"], labels)
    return np.flatnonzero(issues["is_label_issue"]).tolist()


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    job = json.load(sys.stdin)
    with np.load(job["sets"]) as found:
        json.dump({"version": __version__, "found": [flagged(found, i) for i in range(job["count"])]}, sys.stdout)
