"""Records taken out of saved references."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from monitor.errors import ArtifactError
from monitor.reference.assembly import fingerprint_of
from monitor.reference.shelf import Entry, Shelf
from monitor.values import Dataset, Reference

__all__ = ["PurgedVersion", "purge_versions"]


@dataclass(frozen=True, slots=True)
class PurgedVersion:
    """A version that held the records. ``entry`` is what it says now; ``None`` when nothing was written."""

    version: int
    records: int
    entry: Entry | None
    replaces: int | None = None


def purge_versions(
    shelf: Shelf, name: str, ids: Collection[str], active: int | None, now: datetime, *, dry_run: bool = False
) -> list[PurgedVersion]:
    """Take the records out of every version; the one in use, if it holds any, is followed by a new one without them.

    The new version comes first, so that runs change over before the old one's data change under its number. Each old version keeps
    its number and gets the fingerprint of what it holds now; the former one stays in its manifest.
    """
    done = []
    for version in shelf.versions(name):
        shelf.tidy(name, version, dry_run=dry_run)
        reference = shelf.load(name, version)
        left = _without(reference, ids)
        records = len(reference.everything) - len(left.everything)
        if not records:
            continue
        if dry_run:
            done.append(PurgedVersion(version, records, None))
            continue
        if version == active:
            number = shelf.versions(name)[-1] + 1
            settings = {**reference.settings, "purged": {"from": version, "records": records}}
            made = replace(left, version=number, created_at=now, settings=settings)
            made = replace(made, fingerprint=fingerprint_of(made.train, made.protected, settings))
            done.append(PurgedVersion(number, 0, shelf.save(made), replaces=version))
        left = replace(left, fingerprint=fingerprint_of(left.train, left.protected, left.settings))
        done.append(PurgedVersion(version, records, shelf.rewrite(left, records, now)))
    return done


def _without(reference: Reference, ids: Collection[str]) -> Reference:
    train, protected = _rest(reference.train, ids), _rest(reference.protected, ids)
    if not len(train) or not len(protected):
        raise ArtifactError(
            f"reference {reference.name} version {reference.version} would have no records left; build a new version and "
            "delete this one"
        )
    return replace(reference, train=train, protected=protected)


def _rest(data: Dataset, ids: Collection[str]) -> Dataset:
    kept = np.array([record not in ids for record in data.ids], dtype=bool)
    return data if kept.all() else data.take(kept)
