"""One import from the file to the store. What it makes outside the database is finished before the one transaction that counts."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from monitor.intake.outcome import Case, Outcome
from monitor.intake.ruling import Ruling, ruling
from monitor.intake.vectors import located
from monitor.intake.versions import Head, head_of, next_step
from monitor.labels import Found, read_labels
from monitor.labels.checks import Checked, Known, Problem, checked
from monitor.store import Annotation, Intake, Standing
from monitor.store.columns import storable
from monitor.values import GivenLabel

__all__ = ["import_labels"]


def import_labels(case: Case) -> Outcome:
    """Take a file of labels in, or say why not; the same file again changes nothing."""
    request = case.request
    found = _clean(read_labels(request.path, request.kind, request.columns), request.by)
    head = head_of(case)
    read = checked(found, _known(case, head, found))
    if read.problems and not request.skip_invalid:
        return Outcome("invalid", found, read)
    import_id, said = _import_id(case), _said(case, read)
    earlier = case.store.imported(import_id)
    last = {(one.record_id, one.annotator): one for one in said}
    fresh = [one for one in read.labels if not _had(case, one, last.get((one.record_id, one.annotator)))]
    if not fresh or (earlier is not None and earlier.verdict != "refuse"):
        return Outcome("before", found, read, len(read.labels))
    outcome = Outcome("before", found, read, len(read.labels) - len(fresh))
    places = located(case, head.reference, list(dict.fromkeys(one.record_id for one in fresh)))
    gone = [one for one in fresh if one.record_id not in places.vectors]
    if gone:
        # They can be neither judged nor trained on.
        problems = [Problem(one.line, "neither text nor vector kept", one.record_id) for one in gone]
        outcome = replace(outcome, checked=replace(read, problems=(*read.problems, *problems)))
        fresh = [one for one in fresh if one.record_id in places.vectors]
        if not request.skip_invalid:
            return replace(outcome, verdict="invalid")
        if not fresh:
            return outcome
    rule = ruling(case, head.reference, fresh, said, places, _gold(case), int(import_id[:16], 16))
    return _entered(case, head, outcome, fresh, rule, import_id)


def _clean(found: Found, by: str) -> Found:
    """With names and ids as the database holds them."""
    labels = tuple(
        replace(
            one,
            record_id=storable(one.record_id),
            label=storable(one.label),
            annotator=storable(one.annotator or by),
            export=storable(one.export),
        )
        for one in found.labels
    )
    return replace(found, labels=labels)


def _gold(case: Case) -> dict[str, str]:
    path = case.request.gold
    return {} if path is None else {one.record_id: one.label for one in _clean(read_labels(path), "").labels}


def _known(case: Case, head: Head, found: Found) -> Known:
    name = case.monitor.name
    records = list(dict.fromkeys(one.record_id for one in found.labels))
    in_force = {one.label for one in case.store.accepted_labels(name).values()}
    declared = map(storable, case.request.new_classes)
    return Known(
        {record: one.candidate.text for record, one in case.store.proposed(name, records).items()},
        set(head.reference.train.ids),
        set(head.reference.protected.ids),
        {*head.classes, *case.monitor.selection.junk, *in_force, *declared},
    )


def _import_id(case: Case) -> str:
    """Of file, monitor and manner."""
    request = case.request
    parts = [case.monitor.name, _checksum(request.path), request.by, str(request.second_look)]
    if request.gold is not None:
        parts.append(_checksum(request.gold))
    return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _checksum(path: Path) -> str:
    """SHA-256 of a file, or of the names and contents of a folder's files."""
    if not path.is_dir():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    digest = hashlib.sha256()
    for file in sorted(one for one in path.rglob("*") if one.is_file()):
        digest.update(f"{file.relative_to(path)} {_checksum(file)}\n".encode())
    return digest.hexdigest()


def _said(case: Case, read: Checked) -> Sequence[Annotation]:
    return case.store.annotations(case.monitor.name, list(dict.fromkeys(one.record_id for one in read.labels)))


def _had(case: Case, one: GivenLabel, before: Annotation | None) -> bool:
    """Whether this person's last word on the record was the same. A second look at what was sent back is always new."""
    if before is None or before.standing is Standing.REFUSED:
        return False
    looks_again = case.request.second_look and before.standing is not Standing.ACCEPTED
    return (before.label, before.settled) == (one.label, one.settled) and not looks_again


def _entered(
    case: Case, head: Head, outcome: Outcome, fresh: Sequence[GivenLabel], rule: Ruling, import_id: str
) -> Outcome:
    """Make the new reference, then write everything at once."""
    name, request, store = case.monitor.name, case.request, case.store
    in_force = {record: one.label for record, one in store.accepted_labels(name).items()}
    had = {record: one.candidate.label for record, one in store.proposed(name, list(rule.labels)).items()} | in_force
    wanted = rule.labels and request.dataset
    refused_again = rule.verdict == "refuse" and store.imported(import_id) is not None
    step = next_step(case, head, {**in_force, **rule.labels}, fresh, import_id) if wanted else None
    if not request.dry_run and not refused_again:
        store.take_in(
            Intake(
                import_id,
                name,
                _checksum(request.path),
                outcome.found.kind,
                case.now,
                request.by,
                rule.verdict,
                rule.annotations,
                rule.labels,
                len(rule.returned),
                step.sets if step else (),
                step.shelve(case) if step else None,
                request.use,
                {**rule.figures, "problems": outcome.checked.reasons, "unlabelled": outcome.found.unlabelled},
            )
        )
    return replace(
        outcome,
        verdict=rule.verdict,
        labels=rule.labels,
        new=sum(had.get(record) is None for record in rule.labels),
        changed=sum(had.get(record) not in (None, label) for record, label in rule.labels.items()),
        returned=rule.returned,
        judged=rule.judged,
        training_set=step.sets[-1] if step else None,
    )
