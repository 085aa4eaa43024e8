"""hyppo: k-sample MMD by permutations, or by its own approximation when ``permutations`` is 0."""

from typing import Any

from hyppo.ksample import MMD
from job import Job, answer


def fit(x: Any, _: Job) -> Any:
    return x


def test(x: Any, y: Any, job: Job) -> float:
    count = job["permutations"]
    return float(MMD().test(x, y, reps=count, workers=1, auto=not count).pvalue)


if __name__ == "__main__":
    answer(fit, test)
