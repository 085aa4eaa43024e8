"""Kernel sums over pairs of rows without a kernel matrix: tiles are built, used for everything at once, and dropped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from monitor.values import FloatArray, Vectors

__all__ = ["Forms", "exponents", "int8_products", "permuted_forms", "quadratic_forms", "tile_powers", "unbiased_mmd2"]

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int8]

_STRIP = 512
_WIDTH = 4 * _STRIP
_INT8 = 127.0


@dataclass(frozen=True, slots=True)
class Forms:
    """What a symmetric matrix K with zero diagonal gives for each labelling s.

    within    (k, c) float64, s'Ks for each kernel and labelling
    touching  (k, c) float64, s'K1
    total     (k,) float64, 1'K1
    """

    within: FloatArray
    touching: FloatArray
    total: FloatArray


def exponents(x: Vectors, gamma: float) -> tuple[Floats, Floats]:
    """Two factors whose product is -gamma |x - y|² for every pair, so that one matrix product gives it.

    Returns
    -------
    left and right (n, d + 2) float32: ``left[i] @ right[j]``
    """
    norms = gamma * np.einsum("ij,ij->i", x, x, dtype=np.float64)[:, None]
    ones = np.ones_like(norms)
    scaled = x * np.float32(2.0 * gamma)
    left = np.concatenate([scaled, -norms, ones], axis=1, dtype=np.float32, casting="same_kind")
    right = np.concatenate([x, ones, -norms], axis=1, dtype=np.float32, casting="same_kind")
    return left, right


def tile_powers(left: Floats, right: Floats, squarings: Sequence[int], constants: Sequence[float]) -> list[Floats]:
    """One tile of exp(-gamma |x - y|²) and of its powers 2**s by squaring, each less its constant.

    Parameters
    ----------
    left, right : (a, d + 2) and (b, d + 2), see :func:`exponents`
    squarings : ascending, from 0
    constants : what is subtracted from each power

    Returns
    -------
    (a, b) float32 each
    """
    kernel: Floats = left @ right.T
    np.exp(kernel, out=kernel)
    found: list[Floats] = []
    done = 0
    for place, power in enumerate(squarings):
        for _ in range(power - done):
            np.multiply(kernel, kernel, out=kernel)
        done = power
        last = place == len(squarings) - 1
        found.append(np.subtract(kernel, np.float32(constants[place]), out=kernel if last else None))
    return found


def int8_products() -> bool:
    """Whether int8 matrix products are fast here: the processor multiplies int8 four at a time (VNNI)."""
    import torch  # noqa: PLC0415

    return bool(torch.cpu._is_vnni_supported())  # noqa: SLF001


def permuted_forms(
    x: Vectors,
    labels: Labels,
    gamma: float,
    squarings: Sequence[int] = (0,),
    constants: Sequence[float] = (0.0,),
    *,
    int8: bool = False,
) -> Forms:
    """Forms s'Ks and s'K1 of every labelling s, for the Gaussian kernel and its powers, off the diagonal.

    The upper triangle is built in tiles. Products are float32 and added up in double. With ``int8`` each tile is rounded to
    127ths of the kernel's largest possible deviation from the constant and multiplied in whole numbers: a coarser kernel, but one and the same
    symmetric function of the pooled rows for all labellings, so a permutation test on it is as exact; its sums do not depend on the order of
    addition.

    Parameters
    ----------
    x : (N, d) float32
    labels : (N, c) int8 of zeros and ones
    gamma : inverse squared length, > 0
    squarings : ascending; s stands for the kernel of 2**s times gamma
    constants : subtracted from each kernel, near its mean; unbiased MMD² does not change, its rounding does

    Returns
    -------
    sums over the kernels less their constants, zero on the diagonal
    """
    count = labels.shape[1]
    within, touching = np.zeros((len(squarings), count)), np.zeros((len(squarings), count))
    total = np.zeros(len(squarings))
    left, right = exponents(x, gamma)
    for first in range(0, len(x), _WIDTH):
        last = min(first + _WIDTH, len(x))
        # One column of ones beside the labellings gives the row sums in the same product.
        panel = np.concatenate([labels[first:last], np.ones((last - first, 1), np.int8)], axis=1)
        multiply = _int8_product(panel) if int8 else _float32_product(panel)
        for start in range(0, last, _STRIP):
            stop, begin = min(start + _STRIP, last), max(start, first)
            tiles = tile_powers(left[start:stop], right[begin:last], squarings, constants)
            for k, tile in enumerate(tiles):
                if begin == start:  # strictly above the diagonal: each pair once
                    tile[:, : stop - start] = np.triu(tile[:, : stop - start], 1)
                products, unit = multiply(tile, begin - first, constants[k])
                one_side, from_rows, to_columns = _reduced(products, labels[start:stop])
                within[k] += 2.0 * unit * one_side
                touching[k] += unit * (from_rows @ labels[start:stop] + to_columns)
                total[k] += 2.0 * unit * from_rows.sum()
    return Forms(within, touching, total)


Product = Callable[[Floats, int, float], tuple[npt.NDArray[Any], float]]


def _float32_product(panel: Labels) -> Product:
    floats = panel.astype(np.float32)
    return lambda tile, begin, _: (tile @ floats[begin:], 1.0)


def _int8_product(panel: Labels) -> Product:
    import torch  # noqa: PLC0415

    whole = torch.from_numpy(panel)

    def product(tile: Floats, begin: int, constant: float) -> tuple[npt.NDArray[np.int32], float]:
        unit = max(constant, 1.0 - constant) / _INT8
        tile *= np.float32(1.0 / unit)
        np.rint(tile, out=tile)
        left = torch.from_numpy(tile.astype(np.int8))
        return torch._int_mm(left, whole[begin:]).numpy(), unit  # noqa: SLF001

    return product


def _reduced(products: npt.NDArray[Any], labels: Labels) -> tuple[Any, Any, Any]:
    """Sums s_I'K_IJ s_J, K_IJ 1 and 1'K_IJ s_J from K_IJ [s_J, 1]: in whole numbers when the products are whole."""
    each, row_sums = products[:, :-1], products[:, -1]
    if products.dtype == np.float32:
        ones, chosen = np.ones(len(products), np.float32), labels.astype(np.float32)
        chosen *= each
        return (ones @ chosen).astype(np.float64), row_sums.astype(np.float64), (ones @ each).astype(np.float64)
    return (each * labels).sum(axis=0, dtype=np.int64), row_sums.astype(np.int64), each.sum(axis=0, dtype=np.int64)


def quadratic_forms(matrix: Floats, labels: Floats) -> FloatArray:
    """Form s'As for each column s of ``labels``, from the upper half of a symmetric matrix.

    Parameters
    ----------
    matrix : (G, G) float32, symmetric
    labels : (G, c) float32

    Returns
    -------
    (c,) float64
    """
    found = np.zeros(labels.shape[1])
    strip = max(64, -(-len(matrix) // 6))
    for start in range(0, len(matrix), strip):
        stop = min(start + strip, len(matrix))
        products = matrix[start:stop, start:stop] @ labels[start:stop]
        if stop < len(matrix):
            products += np.float32(2.0) * (matrix[start:stop, stop:] @ labels[stop:])
        products *= labels[start:stop]
        found += products.sum(axis=0, dtype=np.float64)
    return found


def unbiased_mmd2(
    within: FloatArray, touching: FloatArray, total: float, rows: float, count: FloatArray | float
) -> FloatArray:
    """Unbiased MMD² from the sums of :class:`Forms`, for labellings with ``count`` ones among ``rows`` rows."""
    rest = rows - count
    other = total - 2.0 * touching + within
    pairs, others = count * (count - 1.0), rest * (rest - 1.0)
    return np.asarray(within / pairs + other / others - 2.0 * (touching - within) / (count * rest))
