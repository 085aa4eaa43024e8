"""From settings to working parts: the one place where names in the file become objects."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa

from monitor import plugins
from monitor.decide import Policy
from monitor.detectors import Detector
from monitor.embedders import Embedder, Progress
from monitor.embedders.cache import CachedEmbedder
from monitor.embedders.canaries import canary_vectors
from monitor.embedders.unit_rows import to_dataset
from monitor.errors import ArtifactError, ConfigError
from monitor.export_plan import ExportPlan
from monitor.past import Memory
from monitor.pipeline import Monitor
from monitor.reference import Shelf, assemble, split_protected, with_labels
from monitor.sampling import draw
from monitor.selection.mixture import Mixture, Share
from monitor.settings import ExportTerms, FieldSettings, MonitorSettings, Part, SelectionSettings, Settings
from monitor.sources import Source
from monitor.sources.fields import Fields
from monitor.store import Store
from monitor.user_model import predictor
from monitor.values import SEGMENT_PREFIX, Counts, Dataset, MonitorTerms, Reference, Sample, record_schema

__all__ = [
    "Shared",
    "build_reference",
    "classes_source",
    "embedder_of",
    "grown_reference",
    "labelled_sample",
    "labels_in_force",
    "mixture_of",
    "open_shelf",
    "open_store",
    "plan_of",
    "source_of",
    "wire",
]


def open_store(settings: Settings) -> Store:
    """The store of the settings; its schema is checked by the caller."""
    return Store.open(settings.store.url, password=settings.store.password)


def open_shelf(settings: Settings) -> Shelf:
    """Where references are kept."""
    return Shelf(settings.artifacts.url, settings.artifacts.storage)


def _fields(settings: FieldSettings) -> Fields:
    values = {name: getattr(settings, name) for name in FieldSettings.model_fields}
    values["segments"] = values["segments"] if isinstance(values["segments"], dict) else tuple(values["segments"])
    return Fields(**values)


def source_of(part: Part, fields: FieldSettings) -> Source:
    """A source with its field mapping."""
    source: Source = plugins.build("sources", part.kind, part.options, fields=_fields(fields))
    return source


def classes_source(part: Part, record_id: str, predicted: str | None) -> Source:
    """A source of ids, and of a class each where a column is named; nothing else is read."""
    fields = Fields(id=record_id, text=None, timestamp=None, predicted=predicted, inputs=False)
    source: Source = plugins.build("sources", part.kind, part.options, fields=fields)
    return source


class Shared:
    """What the monitors of one process share: a model that several name is loaded once.

    loaded  bytes of the reference that each monitor holds
    """

    def __init__(self) -> None:
        self._embedders: list[tuple[Part, Embedder]] = []
        self.loaded: dict[str, int] = {}

    def embedder(self, part: Part) -> Embedder:
        """The embedder of this kind with these options."""
        for known, made in self._embedders:
            if (known.kind, known.options) == (part.kind, part.options):
                return made
        new: Embedder = plugins.build("embedders", part.kind, part.options)
        self._embedders.append((part, new))
        return new


def embedder_of(
    settings: Settings, monitor: MonitorSettings, shared: Shared | None = None
) -> tuple[Embedder, Embedder]:
    """The embedder behind the cache, and the bare one: canaries must never come from the cache."""
    bare = (shared or Shared()).embedder(monitor.embedder)
    if settings.cache is None or bare.reads != "text":
        return bare, bare
    return CachedEmbedder(bare, settings.cache), bare


def wire(settings: Settings, monitor: MonitorSettings, store: Store, shared: Shared | None = None) -> Monitor:
    """Every part of one monitor, made; nothing is read or written yet. ``shared`` by all monitors of the process."""
    shared = shared or Shared()
    embedder, bare = embedder_of(settings, monitor, shared)
    sampling = monitor.sample.model_dump()
    segments = tuple(monitor.fields.segments)
    detectors: dict[str, Detector] = {
        part.name: plugins.build("detectors", part.kind, part.options) for part in monitor.detectors
    }
    return Monitor(
        name=monitor.name,
        source=source_of(monitor.source, monitor.fields),
        sampling={**sampling, "key": monitor.name, "segments": segments},
        embedder=embedder,
        canary_embedder=bare,
        load_reference=_cached_loader(open_shelf(settings), store, monitor.name, shared),
        detectors=detectors,
        policy=Policy(
            run_length=monitor.policy.run_length(monitor.schedule),
            **monitor.policy.model_dump(include={"tolerance", "minimum_sample", "calm"}),
        ),
        memory=_memory(),
        season=monitor.policy.season,
        keep=monitor.policy.keep,
        mixture=mixture_of(monitor.selection),
        budget=monitor.selection.budget,
        junk=frozenset(monitor.selection.junk),
        negative_flips=monitor.selection.negative_flips,
        bandwidth=monitor.selection.bandwidth,
        excerpts=monitor.report.excerpts,
        tickets={part.name: plugins.build("tickets", part.kind, part.options) for part in monitor.tickets},
        exports={part.name: plugins.build("exporters", part.kind, part.options) for part in monitor.exports},
        export_plans={part.name: plan_of(part.terms) for part in monitor.exports},
        notifiers={part.name: plugins.build("notifiers", part.kind, part.options) for part in monitor.notify},
        notify_pause=monitor.notify_pause,
        reopen=monitor.schedule.mean_length * 2 if monitor.policy.reopen is None else monitor.policy.reopen,
        silence=monitor.policy.silence,
        allowed=monitor.policy.false_alarms_per_year,
        settings=monitor.fingerprint(),
        pages=settings.serve.pages,
        audit=monitor.selection.audit,
        redactor=settings.privacy.redactor(),
        texts={
            (kind, part.name): part.texts
            for kind in ("tickets", "exports", "notify")
            for part in getattr(monitor, kind)
            if part.texts is not None
        },
        reach=settings.network.reach(),
    )


def plan_of(terms: object) -> ExportPlan:
    """When an export destination gets what, as its :class:`ExportTerms` say."""
    if not isinstance(terms, ExportTerms):
        return ExportPlan()
    return ExportPlan(terms.when != "schedule", terms.tiling, terms.delay, terms.what == "all", terms.note)


def terms_of(settings: Settings) -> dict[str, MonitorTerms]:
    """What the settings say of each monitor that its metrics are compared with."""
    return {
        one.name: MonitorTerms(
            one.owner,
            one.policy.false_alarms_per_year,
            one.policy.minimum_sample,
            one.limits.of(one.schedule),
            settings.serve.pages,
            frozenset(one.selection.junk),
        )
        for one in settings.monitors
    }


def mixture_of(settings: SelectionSettings) -> Mixture:
    """The strategies, made."""

    def made(part: Part) -> Share:
        given: dict[str, Any] = {}
        if plugins.takes("selection", part.kind, "predict"):
            if settings.predict is None:
                raise ConfigError(f"selection.{part.kind} asks the model; give selection.predict: module:function")
            given = {"predict": predictor(settings.predict)}
        return Share(part.name, plugins.build("selection", part.kind, part.options, **given), part.share)

    return Mixture(
        [made(part) for part in settings.strategies],
        [made(part) for part in settings.after_labels],
        settings.random_share,
        settings.near_duplicate,
        settings.bandwidth,
    )


def _cached_loader(shelf: Shelf, store: Store, name: str, shared: Shared) -> Callable[[], Reference]:
    """Loads the version in use, once per version."""
    held: list[Reference] = []

    def load() -> Reference:
        version = store.active_reference(name)
        if version is None:
            raise ArtifactError(f"monitor {name} has no reference; run drift-monitor reference build --monitor {name}")
        if not held or held[0].version != version:
            held[:] = [shelf.load(name, version)]
            shared.loaded[name] = held[0].train.nbytes + held[0].protected.nbytes
        return held[0]

    return load


def _memory() -> Callable[[Reference], Memory]:
    """What looking back at a reference needs, made once per version."""
    held: list[tuple[str, Memory]] = []

    def of(reference: Reference) -> Memory:
        if not held or held[0][0] != reference.fingerprint:
            held[:] = [(reference.fingerprint, Memory.of(reference))]
        return held[0][1]

    return of


@dataclass(frozen=True, slots=True)
class _Part:
    data: Dataset
    rejected: Mapping[str, int]


def _embed(sample: Sample, embedder: Embedder, what: str, progress: Progress | None) -> _Part:
    if not len(sample):
        counts = sample.counts
        raise ArtifactError(
            f"the {what} source gave no usable record ({counts.empty} empty, {sum(counts.rejected.values())} rejected: "
            f"{dict(counts.rejected)}); check its path or query and the field mapping"
        )
    data, unusable = to_dataset(embedder, sample, progress)
    return _Part(data, {**sample.counts.rejected, **unusable})


def labelled_sample(store: Store, settings: Settings, monitor: MonitorSettings) -> Sample:
    """Candidates whose labels have come in, as training records."""
    if embedder_of(settings, monitor)[1].reads != "text":
        raise ConfigError("--add-labels needs texts; add labelled records with vectors to the training data itself")
    junk = set(monitor.selection.junk)
    found = [c for c in store.labelled_candidates(monitor.name) if c.text and c.label not in junk]
    fields = monitor.reference.fields or monitor.fields
    schema = record_schema(tuple(fields.segments))
    columns = {
        "id": [c.record_id for c in found],
        "text": [c.text for c in found],
        "observed_at": [c.observed_at for c in found],
        "label": [c.label for c in found],
        **{SEGMENT_PREFIX + name: [c.segments.get(name) for c in found] for name in fields.segments},
    }
    arrays = [pa.array(columns.get(f.name, [None] * len(found)), type=f.type) for f in schema]
    return Sample(
        None, pa.Table.from_arrays(arrays, schema=schema), np.ones(len(found)), Counts(len(found), len(found))
    )


def labels_in_force(store: Store, monitor: MonitorSettings) -> dict[str, str]:
    """Labels that came in through the quality gate, by record, be it a candidate or a training record."""
    return {record: one.label for record, one in store.accepted_labels(monitor.name).items()}


def build_reference(
    settings: Settings,
    monitor: MonitorSettings,
    *,
    now: datetime,
    labelled: Sample | None = None,
    relabels: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> tuple[Reference, Mapping[str, int]]:
    """A new, unsaved version of a monitor's reference, and what was rejected on the way, by reason.

    ``labelled`` are further training records, such as candidates whose labels have come in; ``relabels`` are other labels
    for records of the training data, junk ones to leave them out.
    """
    embedder, bare = embedder_of(settings, monitor)
    wanted = monitor.reference
    fields = wanted.fields or monitor.fields
    options: dict[str, Any] = {
        "key": f"{monitor.name} reference",
        "max_characters": monitor.sample.max_characters,
        "segments": tuple(fields.segments),
    }
    train = _embed(
        draw(source_of(wanted.train, fields).read(None), None, wanted.size, **options), embedder, "training", progress
    )
    rejected = dict(train.rejected)
    if wanted.protected is None:
        kept, protected = split_protected(train.data, wanted.protected_share)
    else:
        held_out = draw(source_of(wanted.protected, fields).read(None), None, wanted.size, **options)
        part = _embed(held_out, embedder, "protected", progress)
        kept, protected = train.data, part.data
        rejected = {key: rejected.get(key, 0) + part.rejected.get(key, 0) for key in {*rejected, *part.rejected}}
    new = to_dataset(embedder, labelled, progress)[0] if labelled is not None and len(labelled) else None
    kept = with_labels(kept, set(protected.ids), relabels or {}, set(monitor.selection.junk), new)
    fitted = _fitted(monitor, kept)
    canaries = canary_vectors(bare) if bare.reads == "text" else np.zeros((0, kept.vectors.shape[1]), dtype=np.float32)
    shown = {
        "reference": json.loads(wanted.model_dump_json()),
        "embedder": {"kind": monitor.embedder.kind, **monitor.embedder.options},
        # SHA-256 by file, of an embedder that has weights.
        "weights": getattr(bare, "weights", {}),
    }
    version = _next_version(settings, monitor)
    return assemble(monitor.name, version, now, kept, protected, canaries, fitted, shown), rejected


def grown_reference(
    settings: Settings, monitor: MonitorSettings, parent: Reference, train: Dataset, *, now: datetime
) -> Reference:
    """A new, unsaved version with other training records than its parent, all else alike."""
    version, fitted = _next_version(settings, monitor), _fitted(monitor, train)
    return assemble(monitor.name, version, now, train, parent.protected, parent.canaries, fitted, parent.settings)


def _fitted(monitor: MonitorSettings, train: Dataset) -> dict[str, float]:
    fitted: dict[str, float] = {}
    for part in monitor.detectors:
        detector: Detector = plugins.build("detectors", part.kind, part.options)
        fitted |= detector.fit(train)
    return fitted


def _next_version(settings: Settings, monitor: MonitorSettings) -> int:
    return (open_shelf(settings).versions(monitor.name) or [0])[-1] + 1
