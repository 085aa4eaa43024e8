"""One person's records removed from everywhere this program keeps them: store, cache, references, exports, file tickets.

Every step can be repeated: what a crash left is found again where it lies. The store goes first, since reports are made anew from it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from monitor.embedders.cache import forget_vectors
from monitor.picture import from_bytes, to_bytes
from monitor.picture.without import without
from monitor.purge.exports import purge_exports
from monitor.purge.mentions import Mentions
from monitor.purge.tickets import purge_tickets
from monitor.reference import Shelf
from monitor.reference.purging import PurgedVersion, purge_versions
from monitor.reporting import report_of
from monitor.store import Mention, Store

__all__ = ["Places", "Report", "purge"]


@dataclass(frozen=True, slots=True)
class Places:
    """Where records may lie besides the store.

    monitors  names of the monitors to purge
    exports   folder or URL, and options of its object store
    tickets   local folders of file tickets
    cache     file of the embedding cache
    """

    monitors: Sequence[str]
    shelf: Shelf
    exports: Sequence[tuple[str, Mapping[str, object]]]
    tickets: Sequence[str]
    cache: str | None


@dataclass(frozen=True, slots=True)
class Report:
    """What became of it.

    counts      what was removed, by place; empty when the records are known nowhere
    mentions    tickets out of reach that name a record
    references  versions that were changed, and those that are new
    emptied     vectors that the embedding cache held: it knows no ids, so all of them went
    left        files that still name a record and could not be changed
    """

    counts: Mapping[str, int]
    mentions: Sequence[Mention]
    references: Mapping[str, Sequence[PurgedVersion]]
    emptied: int
    left: Sequence[str]


def purge(
    ids: Collection[str], store: Store, places: Places, now: datetime, *, everywhere: bool, dry_run: bool = False
) -> Report:
    """Remove the records; ``everywhere``: of all monitors, those that the settings name no more included."""
    wanted = frozenset(ids)
    mentions = Mentions(wanted)
    counts: Counter[str] = Counter()
    out_of_reach: list[Mention] = []
    texts: set[str] = set()

    def redraw(content: bytes) -> bytes | None:
        picture = from_bytes(content)
        left = None if picture is None else without(picture, wanted)
        return None if left is None else to_bytes(left)

    for monitor in [None] if everywhere else places.monitors:
        found = store.purge(wanted, monitor, scrub=mentions.scrubbed, redraw=redraw, dry_run=dry_run)
        counts += found.counts
        out_of_reach += found.mentions
        texts.update(found.texts)
    references = _references(wanted, store, places, now, dry_run=dry_run)
    counts["references"] += sum(one.records for some in references.values() for one in some)
    emptied = 0 if places.cache is None else forget_vectors(places.cache, None, dry_run=dry_run)
    left: list[str] = []
    for folder, storage in places.exports:
        done = purge_exports(folder, storage, places.monitors, mentions, _reports(store), dry_run=dry_run)
        counts["exports"] += done.changed
        left += done.left
    for folder in places.tickets:
        counts["file tickets"] += purge_tickets(folder, mentions, tuple(texts), _reports(store), dry_run=dry_run)
    local = tuple(folder.rstrip("/") + "/" for folder in places.tickets)
    return Report(
        +counts, [one for one in out_of_reach if not one.location.startswith(local)], references, emptied, left
    )


def _references(
    ids: Collection[str], store: Store, places: Places, now: datetime, *, dry_run: bool
) -> dict[str, list[PurgedVersion]]:
    changed = {}
    for name in places.monitors:
        active = store.active_reference(name)
        done = purge_versions(places.shelf, name, ids, active, now, dry_run=dry_run)
        for one in done:
            if one.entry is None:
                continue
            if one.replaces is None:
                store.refingerprint(name, one.version, one.entry.fingerprint)
            else:
                entry = one.entry
                store.register_reference(name, entry.version, entry.fingerprint, entry.uri, entry.created_at)
                store.use_reference(name, entry.version)
        if done:
            changed[name] = done
    return changed


def _reports(store: Store) -> Callable[[str], str | None]:
    """Makes the report of a run anew by the run's id or by the key of its ticket."""
    by_key: dict[str, str] = {}

    def made(name: str) -> str | None:
        run = store.run_by_id(name)
        if run is None:
            if not by_key:
                by_key.update((one.key, one.run_id) for one in store.tickets())
            run = store.run_by_id(by_key.get(name, ""))
        return None if run is None else report_of(store, run)

    return made
