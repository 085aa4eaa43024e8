"""The training reference as a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from monitor.values.records import Dataset, Vectors, aware

__all__ = [
    "Reference",
]


@dataclass(frozen=True, slots=True)
class Reference:
    """What production is compared with: one version of the training data and a protected held-out set.

    train        what the model was trained on
    protected    what it must keep serving well; never trained on
    fingerprint  SHA-256 over data, embedder and settings
    canaries     (c, d) float32 vectors of the fixed canary texts, (0, d) for precomputed vectors
    fitted       numbers fitted once, such as the kernel bandwidth
    settings     the settings it was built with, as written
    """

    name: str
    version: int
    created_at: datetime
    train: Dataset
    protected: Dataset
    fingerprint: str
    canaries: Vectors
    fitted: Mapping[str, float] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        aware(self.created_at, "reference creation time")
        if self.train.vectors.shape[1] != self.protected.vectors.shape[1]:
            raise ValueError(
                f"train vectors have {self.train.vectors.shape[1]} dimensions, "
                f"protected ones {self.protected.vectors.shape[1]}"
            )
        if self.train.embedder != self.protected.embedder:
            raise ValueError(
                f"train vectors come from {self.train.embedder}, protected ones from {self.protected.embedder}"
            )
        if self.train.segments != self.protected.segments:
            raise ValueError(f"train has the segments {self.train.segments}, protected {self.protected.segments}")

    @property
    def embedder(self) -> str:
        """Fingerprint of the embedder of both sets."""
        return self.train.embedder

    @property
    def everything(self) -> Dataset:
        """Train and protected rows together: the distribution the model was made for."""
        return self.train.append(self.protected)
