"""One column of whatever type a user has, as the type records travel with; single bad values are named by reason.

Each function returns the converted column and which rows could not be converted. A column whose type can never be
right raises :class:`WrongTypeError` with what would be.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

__all__ = [
    "Converted",
    "Mask",
    "WrongTypeError",
    "class_names",
    "is_text",
    "joined",
    "largest",
    "numbers",
    "plain",
    "probabilities",
    "texts",
    "vectors",
]

Mask = npt.NDArray[np.bool_]
PROBABILITIES = pa.map_(pa.string(), pa.float64())
VECTOR = pa.list_(pa.float32())
_CANNOT = (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError)


class WrongTypeError(Exception):
    """The column's type cannot be read; the message says which could."""


class Converted(NamedTuple):
    """A column in its final type and the rows that are wrong, by reason."""

    values: pa.Array
    bad: dict[str, Mask]


def is_text(kind: pa.DataType) -> bool:
    """Any of Arrow's string types."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def is_bytes(kind: pa.DataType) -> bool:
    """Any of Arrow's binary types."""
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_binary_view(kind)
        or pa.types.is_fixed_size_binary(kind)
    )


def plain(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """One array without dictionary encoding or extension type."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if isinstance(column.type, pa.BaseExtensionType):
        uuid = getattr(column.type, "extension_name", "") == "arrow.uuid"
        column = pa.array([v and str(v) for v in column.to_pylist()], pa.string()) if uuid else column.storage
    return column


def texts(column: pa.Array) -> Converted:
    """Strings, or bytes that are UTF-8; invalid UTF-8 is bad."""
    if pa.types.is_null(column.type):
        return Converted(column.cast(pa.string()), {})
    if not is_text(column.type) and not is_bytes(column.type):
        raise WrongTypeError("a string")
    raw = column.cast(pa.binary())
    try:
        return Converted(raw.cast(pa.string()), {})
    except pa.ArrowInvalid:
        values, bad = _each(raw, lambda value: value.decode("utf-8"))
        return Converted(pa.array(values, pa.string()), {"invalid UTF-8": bad})


def class_names(column: pa.Array, what: str) -> Converted:
    """Strings as they are, whole numbers and truth values as text; a fraction is bad."""
    kind = column.type
    if pa.types.is_floating(kind):
        whole, number = column.cast(pa.int64(), safe=False), column.cast(pa.float64())
        fits = pc.and_(pc.less(pc.abs(number), 2.0**53), pc.equal(number, pc.floor(number))).fill_null(False)
        bad = pc.and_(column.is_valid(), pc.invert(fits)).to_numpy(zero_copy_only=False)
        return Converted(pc.if_else(fits, whole, None).cast(pa.string()), {f"unreadable {what}": bad})
    simple = pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_decimal(kind)
    if simple or pa.types.is_date(kind):
        return Converted(column.cast(pa.string()), {})
    try:
        return texts(column)
    except WrongTypeError:
        raise WrongTypeError("a string or a whole number") from None


def numbers(column: pa.Array, what: str) -> Converted:
    """Numbers, or strings that hold one; what is no finite number is bad."""
    kind, unreadable = column.type, np.zeros(len(column), dtype=bool)
    if is_text(kind):
        try:
            column = column.cast(pa.float64())
        except pa.ArrowInvalid:
            values, unreadable = _each(column, float)
            column = pa.array(values, pa.float64())
    elif pa.types.is_decimal(kind) or pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_null(kind):
        # Whole numbers beyond 2**53 are rounded.
        column = column.cast(pa.float64(), safe=False)
    else:
        raise WrongTypeError("a number")
    infinite = pc.invert(pc.is_finite(column)).fill_null(False).to_numpy(zero_copy_only=False)
    return Converted(column, {f"unreadable {what}": unreadable, f"non-finite {what}": infinite})


def vectors(column: pa.Array) -> Converted:
    """Lists of numbers, or JSON strings of them, as float32; NaN, infinity and null elements are bad."""
    unreadable = np.zeros(len(column), dtype=bool)
    if is_text(column.type):
        values, unreadable = _each(column, _number_list)
        column = pa.array(values, VECTOR)
    elif not pa.types.is_null(column.type) and not _is_list_of_numbers(column.type):
        raise WrongTypeError("a list of numbers")
    column = _compact(column.cast(VECTOR))
    finite = np.isfinite(column.values.to_numpy(zero_copy_only=False))
    infinite = np.zeros(len(column), dtype=bool)
    infinite[_parents(column)[~finite]] = True
    return Converted(column, {"unreadable vector": unreadable, "non-finite vector": infinite})


def probabilities(column: pa.Array, classes: Sequence[str]) -> Converted:
    """A map, struct, list in the order of ``classes``, or JSON string of either, as a map from class to number."""
    kind, unreadable = column.type, np.zeros(len(column), dtype=bool)
    if is_text(kind):
        values, unreadable = _each(column, lambda text: _number_map(text, classes))
        column = pa.array(values, PROBABILITIES)
    elif pa.types.is_struct(kind):
        parts = zip((field.name for field in kind), column.flatten(), strict=True)
        return joined({name: numbers(plain(part), "probabilities") for name, part in parts})
    elif _is_list_of_numbers(kind):
        column, unreadable = _listed(column, classes)
    elif not pa.types.is_map(kind) and not pa.types.is_null(kind):
        raise WrongTypeError("a map, a struct, a list of numbers or a JSON string")
    try:
        column = _compact(column.cast(PROBABILITIES))
    except _CANNOT:
        raise WrongTypeError("a map from class to number") from None
    finite = np.isfinite(column.items.to_numpy(zero_copy_only=False))
    infinite = np.zeros(len(column), dtype=bool)
    infinite[_parents(column)[~finite]] = True
    return Converted(column, {"unreadable probabilities": unreadable, "non-finite probabilities": infinite})


def joined(classes: Mapping[str, Converted]) -> Converted:
    """One column of numbers for each class as one map; a null says nothing about its class."""
    matrix = np.stack([one.values.to_numpy(zero_copy_only=False) for one in classes.values()], axis=1)
    known = np.stack([one.values.is_valid().to_numpy(zero_copy_only=False) for one in classes.values()], axis=1)
    bad: dict[str, Mask] = {}
    for one in classes.values():
        for reason, mask in one.bad.items():
            bad[reason] = bad[reason] | mask if reason in bad else mask
    return Converted(_map_of(matrix, known, list(classes)), bad)


def largest(column: pa.Array) -> pa.Array:
    """The largest probability of each row, null where there is none."""
    column = _compact(column)
    values = np.full(len(column), np.nan)
    np.fmax.at(values, _parents(column), column.items.to_numpy(zero_copy_only=False))
    return pa.array(values, mask=np.isnan(values))


def _each(column: pa.Array, read: Callable[[Any], Any]) -> tuple[list[Any], Mask]:
    """Every value read by itself, and which could not be."""
    values: list[Any] = []
    bad = np.zeros(len(column), dtype=bool)
    for row, scalar in enumerate(column):
        try:
            # Inside: strings of a file need not be UTF-8.
            value = scalar.as_py()
            values.append(None if value is None else read(value))
        except (ValueError, TypeError, OverflowError, RecursionError):
            values.append(None)
            bad[row] = True
    return values, bad


def _number_list(text: str) -> list[float] | None:
    if not text.strip():
        return None
    found = json.loads(text)
    if not isinstance(found, list):
        raise TypeError("no list")
    return [float(value) for value in found]


def _number_map(text: str, classes: Sequence[str]) -> list[tuple[str, float]] | None:
    if not text.strip():
        return None
    found = json.loads(text)
    if isinstance(found, list):
        found = dict(zip(classes, found, strict=True))
    if not isinstance(found, dict):
        raise TypeError("no object")
    return [(str(name), float(value)) for name, value in found.items() if value is not None]


def _is_list_of_numbers(kind: pa.DataType) -> bool:
    listed = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    if not listed:
        return False
    inner = kind.value_type
    return bool(pa.types.is_floating(inner) or pa.types.is_integer(inner) or pa.types.is_null(inner))


def _listed(column: pa.Array, classes: Sequence[str]) -> tuple[pa.Array, Mask]:
    if not classes:
        raise WrongTypeError("a map or struct; for a list set fields.classes to the names of the classes, in its order")
    column = _compact(column.cast(pa.list_(pa.float64())))
    right = pc.equal(pc.list_value_length(column), len(classes)).fill_null(False).to_numpy(zero_copy_only=False)
    matrix = np.full((len(column), len(classes)), np.nan)
    matrix[right] = column.filter(pa.array(right)).flatten().to_numpy(zero_copy_only=False).reshape(-1, len(classes))
    known = np.repeat(right[:, None], len(classes), axis=1)
    return _map_of(matrix, known, list(classes)), column.is_valid().to_numpy(zero_copy_only=False) & ~right


def _map_of(matrix: npt.NDArray[np.float64], known: Mask, classes: list[str]) -> pa.Array:
    ends = np.concatenate([[0], np.cumsum(known.sum(axis=1))])
    empty = np.append(~known.any(axis=1), False)
    keys = pa.array(classes, pa.string()).take(pa.array(np.nonzero(known)[1]))
    return pa.MapArray.from_arrays(pa.array(ends, pa.int32(), mask=empty), keys, pa.array(matrix[known]))


def _compact(column: pa.Array) -> pa.Array:
    """The same rows with nothing before, between or behind them in memory."""
    return column.take(pa.array(np.arange(len(column))))


def _parents(column: pa.Array) -> npt.NDArray[np.int64]:
    """The row that each element of a compact list or map column belongs to."""
    return np.repeat(np.arange(len(column)), np.diff(column.offsets.to_numpy()))
