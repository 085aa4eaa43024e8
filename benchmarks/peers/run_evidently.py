"""evidently: the MMD method for embeddings with ``bootstrap=True``, which always resamples 100 times, or with "method" in the job another.

``MMD at 5 %`` takes the null's quantile of 0.95; as shipped it is 0.05, and most windows without any change are above that. ``model`` is what evidently takes
when nothing is asked for: the AUC of a linear classifier against that of random scores, or against 0.55 from 1,000 reference rows on.
"""

from typing import Any

import pandas as pd
from evidently.legacy.metrics.data_drift.embedding_drift_methods import mmd, model
from job import Job, answer


def fit(x: Any, _: Job) -> Any:
    return pd.DataFrame(x)


def test(reference: Any, y: Any, job: Job) -> bool:
    """Whether there is drift; evidently gives no p-value."""
    method = job.get("method", "MMD")
    if method == "model":
        reference = reference.copy()  # it gains a column
        look = model(bootstrap=len(reference) < 1_000)
    elif method == "MMD at 5 %":
        look = mmd(bootstrap=True, quantile_probability=0.95)
    else:
        look = mmd(bootstrap=bool(job["permutations"]))
    _, drift, _ = look(pd.DataFrame(y), reference)
    return bool(drift)


if __name__ == "__main__":
    answer(fit, test)
