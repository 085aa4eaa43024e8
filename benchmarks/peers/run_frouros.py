"""frouros: MMD with its permutation callback in one process."""

from typing import Any

from frouros.callbacks import PermutationTestDistanceBased
from frouros.detectors.data_drift import MMD
from job import Job, answer


def fit(x: Any, job: Job) -> Any:
    callback = PermutationTestDistanceBased(num_permutations=job["permutations"], num_jobs=1, name="permutations")
    detector = MMD(callbacks=[callback])
    detector.fit(X=x)
    return detector


def test(detector: Any, y: Any, _: Job) -> float:
    return float(detector.compare(X=y)[1]["permutations"]["p_value"])


if __name__ == "__main__":
    answer(fit, test)
