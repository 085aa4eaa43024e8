"""evidently: the MMD method for embeddings with ``bootstrap=True``, which always resamples 100 times."""

from typing import Any

import pandas as pd
from evidently.legacy.metrics.data_drift.embedding_drift_methods import mmd
from job import Job, answer


def fit(x: Any, _: Job) -> Any:
    return pd.DataFrame(x)


def test(reference: Any, y: Any, job: Job) -> float:
    score, _, _ = mmd(bootstrap=bool(job["permutations"]))(pd.DataFrame(y), reference)
    return float(score)


answer(fit, test)
