"""The verdict on a batch of labels."""

from __future__ import annotations

import numpy as np

from monitor.values import Dataset, GateTerms, LabelBatch, LabelVerdict

__all__ = ["judged"]


def judged(batch: LabelBatch, reference: Dataset, terms: GateTerms, rng: np.random.Generator) -> LabelVerdict:
    """Judge a batch against the training reference, whose labels are trusted.

    Parameters
    ----------
    reference : training records with ``label``, from the embedder that made the batch's vectors; rows without a label do not count
    rng : draws the folds of cross-validation; nothing else is left to chance

    Raises
    ------
    ValueError
        when vectors do not fit together, when the reference has fewer than two classes, or when labels name classes that are
        neither in the reference nor declared as new
    """
    raise NotImplementedError
