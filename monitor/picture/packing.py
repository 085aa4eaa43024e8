"""A picture as bytes: JSON with arrays in base64, compressed. 5,000 records take about 100 kB."""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import asdict
from typing import Any

import numpy as np

from monitor.picture.contents import Group, Picture

__all__ = ["from_bytes", "to_bytes"]

_FORM = 1
_ARRAYS = {"places": "<i2", "current": "|b1", "group": "|u1", "excess": "|u1", "classes": "<i2"}


def to_bytes(picture: Picture) -> bytes:
    """The picture packed."""
    document: dict[str, Any] = {
        name: base64.b64encode(np.ascontiguousarray(getattr(picture, name), dtype=kind).tobytes()).decode()
        for name, kind in _ARRAYS.items()
    }
    document |= {name: getattr(picture, name) for name in ("floor", "ids", "names", "of", "masked")}
    document |= {"texts": [*picture.texts.items()], "candidates": [*picture.candidates.items()]}
    document |= {"groups": [asdict(group) for group in picture.groups], "form": _FORM}
    return zlib.compress(json.dumps(document, separators=(",", ":")).encode(), 9)


def from_bytes(content: bytes) -> Picture | None:
    """The picture again; ``None`` for a form of a release that this one does not know."""
    document = json.loads(zlib.decompress(content))
    if document["form"] != _FORM:
        return None
    arrays = {
        name: np.frombuffer(base64.b64decode(document[name]), dtype=kind).copy() for name, kind in _ARRAYS.items()
    }
    return Picture(
        **arrays | {"places": arrays["places"].reshape(-1, 2)},
        floor=document["floor"],
        ids=tuple(document["ids"]),
        names=tuple(document["names"]),
        groups=tuple(
            Group(**one | {"terms": tuple(one["terms"]), "examples": tuple(one["examples"])})
            for one in document["groups"]
        ),
        of=(document["of"][0], document["of"][1]),
        texts=dict(document["texts"]),
        candidates=dict(document["candidates"]),
        masked=document.get("masked", {}),
    )
