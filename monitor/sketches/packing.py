"""Block sums as compact bytes: whole numbers split into byte planes, then compressed."""

from __future__ import annotations

import json
import zlib

import numpy as np
import numpy.typing as npt

from monitor.values import BlockSums

__all__ = ["from_bytes", "to_bytes"]

_MARK = b"sums1"


def to_bytes(sums: BlockSums) -> bytes:
    """What :func:`from_bytes` reads back to the same bits."""
    whole = np.concatenate([sums.rows[:, None], sums.sums], axis=1)
    largest = int(np.abs(whole).max(initial=0))
    kind = next(k for k in ("<i2", "<i4", "<i8") if largest <= np.iinfo(k).max)
    head = json.dumps({"plan": sums.plan, "segment": sums.segment, "shape": list(sums.sums.shape), "kind": kind})
    # Small numbers of either sign share their high bytes once the sign is the lowest bit.
    folded = ((whole << 1) ^ (whole >> 63)).astype("<u8")
    planes = folded.view(np.uint8).reshape(-1, 8)[:, : int(kind[2])]
    body = np.ascontiguousarray(planes.T).tobytes()
    return _MARK + zlib.compress(head.encode() + b"\n" + body, 6)


def from_bytes(content: bytes) -> BlockSums:
    """Block sums from :func:`to_bytes`; ``ValueError`` when the bytes are damaged or something else."""
    if not content.startswith(_MARK):
        raise ValueError("these bytes are not block sums")
    try:
        head, _, body = zlib.decompress(content[len(_MARK) :]).partition(b"\n")
        about = json.loads(head)
        blocks, width = about["shape"]
        size = int(about["kind"][2])
        planes = np.frombuffer(body, dtype=np.uint8).reshape(size, blocks * (width + 1))
        whole = np.empty((blocks, width + 1), dtype=np.int64)
        whole.reshape(-1)[:] = _unfolded(planes)
        return BlockSums(about["plan"], about["segment"], whole[:, 0].copy(), whole[:, 1:].copy())
    except (zlib.error, ValueError, KeyError, TypeError, IndexError) as error:
        raise ValueError(f"damaged block sums ({type(error).__name__}); measure this window again") from error


def _unfolded(planes: npt.NDArray[np.uint8]) -> npt.NDArray[np.signedinteger]:
    """Whole numbers from the bytes of each, the lowest first; the high ones of most windows are all zero."""
    unsigned = planes[0].astype(f"<u{len(planes)}")
    for place in range(1, len(planes)):
        if planes[place].any():
            unsigned |= planes[place].astype(unsigned.dtype) << (8 * place)
    signs = -(unsigned & 1)
    unsigned >>= 1
    unsigned ^= signs
    return np.asarray(unsigned.view(f"<i{len(planes)}"))
