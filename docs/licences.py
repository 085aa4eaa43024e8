"""Writes docs/licences.md: what an installation brings and under which licences; ``--check`` says whether the page is current.

A package under a licence that is neither permissive nor excepted with a reason is refused by name.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PAGE = Path(__file__).parent / "licences.md"
PROJECT = Path(__file__).parents[1] / "pyproject.toml"
EXTRAS = ("offline", "postgres", "s3", "notify")

PERMISSIVE = {
    *("Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause", "BSD", "0BSD", "ISC", "PSF-2.0", "CNRI-Python", "Zlib"),
    *("BSL-1.0", "CC0-1.0", "Unlicense", "Apache-2.0 WITH LLVM-exception"),
}
EXCEPTED = {
    "psycopg": "the extra `postgres`; a library on its own that is loaded at run time, unchanged and replaceable",
    "psycopg-binary": "the same",
    "certifi": "the MPL holds for its own files alone, which come unchanged: a list of certificates",
    "tqdm": "the MPL holds for its own files alone, which come unchanged",
}

_CALLED = {
    "Apache Software License": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "Apache 2.0 License": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache License, Version 2.0": "Apache-2.0",
    "BSD License": "BSD",
    "ISC License": "ISC",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Python Software Foundation License": "PSF-2.0",
    "PSFL": "PSF-2.0",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}

HEAD = """# Licences

What `pip install 'drift-monitor[offline,postgres,s3,notify]'` brings on Linux with the versions of `constraints.txt`, each package with the licence that its own metadata name.
`make lint` refuses a package under a licence that is neither permissive nor excepted below, and a page that is not current (`python docs/licences.py` writes it). The
extras `gcs` and `azure` are not in it: they are tested by nobody here. drift-monitor itself is under Apache-2.0.

| package | licence | |
| --- | --- | --- |
"""


def shipped() -> dict[str, Distribution]:
    """Every package that an installation with :data:`EXTRAS` brings, by name."""
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    lines = [*project["dependencies"], *(line for extra in EXTRAS for line in project["optional-dependencies"][extra])]
    waiting = [(Requirement(line), ("",)) for line in ["torch", *lines]]
    found: dict[str, Distribution] = {}
    done: set[tuple[str, str]] = set()
    while waiting:
        wanted, extras = waiting.pop()
        if wanted.marker is not None and not any(wanted.marker.evaluate({"extra": extra}) for extra in extras):
            continue
        name = canonicalize_name(wanted.name)
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:
            raise SystemExit(f"{name} is not installed; licences can only be read off what is") from None
        new = {extra for extra in ("", *wanted.extras) if (name, extra) not in done}
        done |= {(name, extra) for extra in new}
        waiting += [(Requirement(line), tuple(new)) for line in found[name].requires or [] if new]
    return dict(sorted(found.items()))


def licence_of(metadata: Mapping[str, str], classifiers: list[str]) -> str:
    """The licence as SPDX writes it, as far as the metadata say; several that one may choose from are joined by OR."""
    if metadata.get("License-Expression"):
        return metadata["License-Expression"]
    said = (metadata.get("License") or "").strip()
    told = sorted(
        {line.rpartition(" :: ")[2] for line in classifiers if line.startswith("License :: ")} - {"OSI Approved"}
    )
    if len(told) > 1 or not re.fullmatch(r"[^\n]{2,40}", said) or said in ("Dual License", "UNKNOWN"):
        return " OR ".join(_CALLED.get(one, one) for one in told) or "unknown"
    return _CALLED.get(said, said)


def permissive(licence: str) -> bool:
    """Whether one of the choices of an expression is permissive throughout."""
    plain = licence.replace("(", " ").replace(")", " ")
    return any(all(one.strip() in PERMISSIVE for one in choice.split(" AND ")) for choice in plain.split(" OR "))


def rows() -> Iterator[str]:
    """Lines of the table; ``SystemExit`` names a package that may not be shipped."""
    found = shipped()
    if stale := EXCEPTED.keys() - found.keys():
        raise SystemExit(f"excepted, but not shipped: {', '.join(sorted(stale))}")
    for name, package in found.items():
        licence = licence_of(package.metadata, package.metadata.get_all("Classifier") or [])  # type: ignore[arg-type]
        if not permissive(licence) and name not in EXCEPTED:
            raise SystemExit(f"{name} {package.version} is under {licence!r}; find another, or except it with a reason")
        yield f"| {name} | {licence} | {EXCEPTED.get(name, '')} |\n"


def page() -> str:
    """The whole page."""
    return HEAD + "".join(rows())


if __name__ == "__main__":
    made = page()
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(made, encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != made:
        raise SystemExit("docs/licences.md is not current; python docs/licences.py writes it")
