"""torchdrift: the kernel MMD detector with its Gaussian kernel."""

from typing import Any

import torch
from job import Job, answer
from torchdrift.detectors import KernelMMDDriftDetector

torch.set_num_threads(1)


def fit(x: Any, job: Job) -> Any:
    detector = KernelMMDDriftDetector(n_perm=job["permutations"])
    detector.base_outputs = torch.from_numpy(x)
    return detector


def test(detector: Any, y: Any, _: Job) -> float:
    return float(detector.compute_p_value(torch.from_numpy(y)))


if __name__ == "__main__":
    answer(fit, test)
