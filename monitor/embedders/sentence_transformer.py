"""Text embedded by any sentence-transformers model; see Reimers & Gurevych, EMNLP 2019."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa

from monitor.embedders import Progress
from monitor.embedders.model_files import DEFAULT_MODEL, model_folder, refuse_pickled, weights_sha256
from monitor.errors import EmbedError
from monitor.values import Vectors

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

__all__ = ["DEFAULT_MODEL", "SentenceTransformerEmbedder", "model_folder", "weights_sha256"]

_LIBRARIES = ("sentence-transformers", "transformers", "tokenizers", "torch")
_CPU_TOKENS = 1024
"""Tokens in a batch, padding included: more pad more, fewer cost more calls."""
_TOKENIZED_AT_ONCE = 4096


class SentenceTransformerEmbedder:
    """Embeds the ``text`` column.

    ``model`` is a name on the hub or a folder; at most ``batch_size`` texts of similar length go through it at once;
    ``device`` is ``cpu``, ``cuda``, ...; ``threads`` limits torch (default: torch's own choice).
    """

    reads: Literal["text", "vector"] = "text"

    def __init__(
        self,
        model: str = DEFAULT_MODEL,
        batch_size: int = 32,
        device: str | None = None,
        threads: int | None = None,
    ) -> None:
        for name, value in (("batch_size", batch_size), ("threads", threads)):
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}; it must be at least 1")
        self._model = model
        self._batch_size = batch_size
        self._device = device
        self._threads = threads

    @cached_property
    def _folder(self) -> Path:
        return model_folder(self._model)

    @cached_property
    def weights(self) -> dict[str, str]:
        """SHA-256 by file of the model."""
        return weights_sha256(self._folder)

    @cached_property
    def fingerprint(self) -> str:
        """Model name and a hash over all its files."""
        whole = hashlib.sha256(json.dumps(self.weights, sort_keys=True).encode()).hexdigest()
        name = Path(self._model).absolute().name if Path(self._model).is_dir() else self._model.rpartition("/")[2]
        return f"sentence_transformer:{name}:{whole[:16]}"

    @cached_property
    def software(self) -> str:
        """The library versions that its vectors depend on."""
        return " ".join(f"{name} {version(name)}" for name in _LIBRARIES)

    @cached_property
    def _loaded(self) -> SentenceTransformer:
        refuse_pickled(self._folder)
        import torch  # noqa: PLC0415 - seconds to import; `check` and `runs` never need it
        import transformers  # noqa: PLC0415
        from sentence_transformers import SentenceTransformer  # noqa: PLC0415

        # A bar of its own would break ours, and log files.
        transformers.utils.logging.disable_progress_bar()
        if self._threads:
            torch.set_num_threads(self._threads)
        options: dict[str, Any] = {"model_kwargs": {"use_safetensors": True}, "local_files_only": True}
        try:
            return SentenceTransformer(str(self._folder), device=self._device, trust_remote_code=False, **options)
        except Exception as error:
            raise EmbedError(
                f"embedding model {self._model!r} in {self._folder} cannot be loaded ({type(error).__name__}); the folder "
                f"may be incomplete: copy it again; or the device may be wrong: {self._device or 'chosen by torch'}"
            ) from error

    def _token_counts(self, texts: list[str]) -> list[int]:
        model = self._loaded
        found: list[int] = []
        try:
            for start in range(0, len(texts), _TOKENIZED_AT_ONCE):
                some = texts[start : start + _TOKENIZED_AT_ONCE]
                encoded = model.tokenizer(some, truncation=True, max_length=model.max_seq_length)
                found += [len(tokens) for tokens in encoded["input_ids"]]
        except (AttributeError, KeyError, TypeError, ValueError):
            # A tokenizer of another make: four characters a token only cost speed.
            return [2 + len(text) // 4 for text in texts]
        return found

    def _batches(self, texts: list[str]) -> Iterator[list[str]]:
        """Texts in batches that pad little, the longest first, so that too little memory shows at once."""
        counts = dict(zip(texts, self._token_counts(texts), strict=True))
        ordered = sorted(texts, key=lambda text: (-counts[text], -len(text), text))
        on_cpu = self._loaded.device.type == "cpu"
        start = 0
        while start < len(ordered):
            fitting = max(1, _CPU_TOKENS // max(1, counts[ordered[start]]))
            size = min(self._batch_size, fitting) if on_cpu else self._batch_size
            yield ordered[start : start + size]
            start += size

    def _encode(self, texts: list[str]) -> Vectors:
        try:
            vectors = self._loaded.encode(
                texts, batch_size=len(texts), show_progress_bar=False, normalize_embeddings=True
            )
        except Exception as error:
            raise EmbedError(
                f"embedding model {self._model!r} failed on {len(texts)} texts of up to {max(map(len, texts))} characters "
                f"({type(error).__name__}); when memory is short, lower batch_size"
            ) from error
        return np.asarray(vectors, dtype=np.float32)

    def embed(self, records: pa.Table, progress: Progress | None = None) -> Vectors:
        """(n, d) unit rows, each distinct text embedded once."""
        texts = [text or "" for text in records.column("text").to_pylist()]
        if not texts:
            return self._encode([""])[:0]
        distinct = list(dict.fromkeys(texts))
        row_of: dict[str, int] = {}
        parts: list[Vectors] = []
        for batch in self._batches(distinct):
            row_of.update(zip(batch, range(len(row_of), len(row_of) + len(batch)), strict=True))
            parts.append(self._encode(batch))
            if progress is not None:
                progress(len(row_of), len(distinct))
        return np.concatenate(parts)[[row_of[text] for text in texts]]
