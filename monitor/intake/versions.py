"""The next version of the training set and of the reference that belongs to it, made out of the newest one."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from monitor.errors import ConfigError
from monitor.intake.outcome import Case
from monitor.intake.vectors import located
from monitor.reference import Difference, class_counts, difference, labels_fingerprint, with_labels
from monitor.store import ReferenceVersion, Standing
from monitor.values import Dataset, GivenLabel, Lineage, Reference, TrainingSet
from monitor.wiring import grown_reference, open_shelf

__all__ = ["Head", "Step", "head_of", "next_step"]


@dataclass(frozen=True, slots=True)
class Head:
    """What the next version grows out of.

    reference  of the newest version of the training set, or the one in use when that is newer
    newest     the version of the training set that it is
    unsaved    whether that version is not in the store yet
    """

    reference: Reference
    newest: TrainingSet
    unsaved: bool

    @property
    def classes(self) -> set[str]:
        """Classes of the reference, true or predicted."""
        everything = self.reference.everything
        return {str(name) for name in (*everything.classes, *everything.column("label")) if name is not None}


@dataclass(frozen=True, slots=True)
class Step:
    """Versions of the training set to be saved, oldest first, and the reference of the last one."""

    sets: tuple[TrainingSet, ...]
    reference: Reference

    def shelve(self, case: Case) -> ReferenceVersion:
        """Put the reference on the shelf. One that an import left there before it was cut short is taken again."""
        shelf, reference = open_shelf(case.settings), self.reference
        name, version = reference.name, reference.version
        there = version in shelf.versions(name) and shelf.entry(name, version).fingerprint == reference.fingerprint
        entry = shelf.entry(name, version) if there else shelf.save(reference)
        return ReferenceVersion(entry.name, entry.version, entry.fingerprint, entry.uri, entry.created_at, False)


def head_of(case: Case) -> Head:
    """The newest version of the training set; a reference that was taken into use since is the next one."""
    name = case.monitor.name
    active = case.store.active_reference(name)
    if active is None:
        raise ConfigError(f"{name} has no reference; drift-monitor reference build --monitor {name}")
    shelf, sets = open_shelf(case.settings), case.store.training_sets(name)
    newest = sets[-1] if sets else None
    if newest is not None and newest.reference_version >= active:
        return Head(shelf.load(name, newest.reference_version), newest, unsaved=False)
    reference = shelf.load(name, active)
    before = None if newest is None else shelf.load(name, newest.reference_version).train
    return Head(reference, _described(case, reference, newest, before, Lineage()), unsaved=True)


def next_step(
    case: Case, head: Head, labels: Mapping[str, str], fresh: Sequence[GivenLabel], import_id: str
) -> Step | None:
    """The version with all these labels in force; ``None`` when the newest one says the same already."""
    reference = head.reference
    known = {*reference.train.ids, *reference.protected.ids}
    new = {record: label for record, label in labels.items() if record not in known}
    added = located(case, reference, list(new)).dataset(new, reference)
    train = with_labels(reference.train, set(reference.protected.ids), labels, set(case.monitor.selection.junk), added)
    changed = difference(reference.train, train)
    if not changed:
        return None
    grown = _numbered(case, grown_reference(case.settings, case.monitor, reference, train, now=case.now))
    touched = {*changed.added, *changed.dropped, *changed.relabelled}
    lineage = _lineage(case, touched, fresh, import_id)
    made = _described(case, grown, head.newest, reference.train, lineage)
    return Step((head.newest, made) if head.unsaved else (made,), grown)


def _numbered(case: Case, reference: Reference) -> Reference:
    """Under the number of an unregistered version with the same content, which an import left that was cut short."""
    shelf = open_shelf(case.settings)
    newest = reference.version - 1
    registered = {one.version for one in case.store.references(reference.name)}
    if newest in registered or newest not in shelf.versions(reference.name):
        return reference
    same = shelf.entry(reference.name, newest).fingerprint == reference.fingerprint
    return replace(reference, version=newest) if same else reference


def _described(
    case: Case, reference: Reference, parent: TrainingSet | None, before: Dataset | None, lineage: Lineage
) -> TrainingSet:
    train = reference.train
    changed = Difference((), (), ()) if before is None else difference(before, train)
    return TrainingSet(
        case.monitor.name,
        1 if parent is None else parent.version + 1,
        case.now,
        None if parent is None else parent.version,
        reference.version,
        labels_fingerprint(train),
        len(train),
        class_counts(train),
        len(changed.added),
        len(changed.dropped),
        len(changed.relabelled),
        lineage,
    )


def _lineage(case: Case, touched: Collection[str], fresh: Sequence[GivenLabel], import_id: str) -> Lineage:
    """Of the records that changed: of this import and of earlier ones whose labels were only kept."""
    name, records = case.monitor.name, sorted(touched)
    mine = [one for one in fresh if one.record_id in touched]
    in_force = case.store.accepted_labels(name)
    said = case.store.annotations(name, records)
    people = {one.annotator for one in mine} | {one.annotator for one in said if one.standing is Standing.ACCEPTED}
    fresh_ids = {one.record_id for one in mine}
    imports = {in_force[record].import_id for record in records if record in in_force and record not in fresh_ids}
    origins = case.store.origins(name, records)
    named = {one.export for one in mine if one.export}
    return replace(
        origins,
        exports=tuple(sorted(named or origins.exports)),
        imports=tuple(sorted({*imports, import_id})),
        annotators=tuple(sorted(people - {""})),
    )
