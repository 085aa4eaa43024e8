"""alibi-detect: MMDDrift with the pytorch backend and its defaults, but for the number of permutations."""

from typing import Any

import torch
from alibi_detect.cd import MMDDrift
from job import Job, answer

torch.set_num_threads(1)


def fit(x: Any, job: Job) -> Any:
    return MMDDrift(x, backend="pytorch", n_permutations=job["permutations"], device="cpu")


def test(detector: Any, y: Any, _: Job) -> float:
    return float(detector.predict(y)["data"]["p_val"])


if __name__ == "__main__":
    answer(fit, test)
