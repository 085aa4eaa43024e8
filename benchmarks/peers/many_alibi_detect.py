"""alibi-detect on many pairs in one process: MMDDrift with the pytorch backend, its defaults and 100 permutations.

Arguments: a .npz with x (k, n, d) and y (k, m, d), and a .json for the k p-values.
"""

import json
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from alibi_detect.cd import MMDDrift

warnings.filterwarnings("ignore")
torch.set_num_threads(1)
torch.manual_seed(0)
pairs = np.load(sys.argv[1])
found = [
    float(MMDDrift(x, backend="pytorch", n_permutations=100, device="cpu").predict(y)["data"]["p_val"])
    for x, y in zip(pairs["x"], pairs["y"], strict=True)
]
Path(sys.argv[2]).write_text(json.dumps(found))
