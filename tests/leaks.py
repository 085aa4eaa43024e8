"""Looks for what was planted in everything a run wrote: as it is, and as files, pages and headers disguise it."""

from __future__ import annotations

import base64
import html
import json
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import quote

import pyarrow.parquet as pq

from monitor.store import Store


def disguises(planted: str) -> set[str]:
    """The forms in which a text may stand in a file, a page, an address or a header."""
    found = {
        planted,
        quote(planted, safe=""),
        quote(planted),
        html.escape(planted),
        json.dumps(planted)[1:-1],
        planted.encode("unicode_escape").decode(),
    }
    for before in ("", " ", "  "):  # base64 of a text that this one stands in, at any place
        coded = base64.b64encode((before + planted).encode()).decode().rstrip("=")
        found.add(coded[4 if before else 0 : -2])
    found.add(planted.encode().decode("latin-1"))  # as files are read here
    return found | {planted.encode("utf-16-le").decode("latin-1"), planted.encode().hex()}


def holding(places: Mapping[str, str], planted: Iterable[str]) -> list[tuple[str, str]]:
    """Which place holds which of what was planted, whatever the case of letters."""
    lowered = {place: content.lower() for place, content in places.items()}
    forms = {one: {form.lower() for form in disguises(one)} for one in planted}
    return sorted(
        (place, one)
        for place, content in lowered.items()
        for one, shapes in forms.items()
        if any(shape in content for shape in shapes)
    )


def files_below(folder: Path, without: Iterable[str] = ()) -> dict[str, str]:
    """Every byte of every file, its name too, but for those beneath these; Parquet unpacked."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if not path.is_file() or any(name == one or name.startswith(f"{one}/") for one in without):
            continue
        found[name] = name + path.read_bytes().decode("latin-1")
        if path.suffix == ".parquet":
            found[f"{name}, unpacked"] = str(pq.read_table(path).to_pylist())
    return found


def rows_of_every_table(store: Store, without: Mapping[str, Iterable[str]] | None = None) -> dict[str, str]:
    """Every row as text, but for these columns; what is packed in a picture too."""
    found = {}
    with store._database.read() as connection:
        for name in connection.dialect.get_table_names(connection):
            rows = connection.exec_driver_sql(f'SELECT * FROM "{name}"').mappings().all()
            hidden = set((without or {}).get(name, ()))
            found[f"table {name}"] = str([{key: row[key] for key in row if key not in hidden} for row in rows])
            for row in rows:
                packed = [value for value in row.values() if isinstance(value, bytes) and value[:1] == b"\x78"]
                found[f"table {name}"] += "".join(_unpacked(value) for value in packed)
    return found


def _unpacked(packed: bytes) -> str:
    try:
        return zlib.decompress(packed).decode("latin-1")
    except zlib.error:
        return ""
