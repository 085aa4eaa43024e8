"""One monitor: its parts, its fields, its policy."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, model_validator

from monitor.settings.exports import ExportTerms
from monitor.settings.labels import LabelSettings
from monitor.settings.limits import LimitSettings
from monitor.settings.model import Model
from monitor.settings.parts import Part, PartOf
from monitor.settings.policy import PolicySettings
from monitor.settings.refresh import RefreshSettings
from monitor.settings.running import RunSettings
from monitor.settings.schedule import Duration, Schedule

__all__ = ["FieldSettings", "MonitorSettings"]


class FieldSettings(Model):
    """Which of the user's columns holds what."""

    id: str = "id"
    text: str | None = "text"
    timestamp: str | None = Field("timestamp", description="null for training data without dates")
    timezone: str | None = Field(
        None, description="zone of times written without one, for example UTC; without it they are refused"
    )
    predicted: str | None = None
    confidence: str | None = None
    probabilities: str | dict[str, str] | None = Field(
        None, description="a list, map or JSON column, or one column per class"
    )
    classes: list[str] | None = Field(None, description="order of the classes when probabilities is a list column")
    label: str | None = Field(None, description="true label")
    segments: list[str] | dict[str, str] = Field(default_factory=list, description="columns to slice by")
    vector: str | None = Field(None, description="a list column of already-computed embeddings")
    block: str | None = Field(
        None, description="session, user or conversation of a record: records of one are not taken for independent"
    )


class SampleSettings(Model):
    """How many records are drawn from a window."""

    size: int = Field(2_000, ge=1)
    stratify: str | None = Field(None, description="predicted, label or a segment name")
    minimum: int = Field(0, ge=0, description="at least this many records of each stratum, where there are as many")
    max_characters: int = Field(20_000, ge=1, description="longer texts are cut and counted")


class ReferenceSettings(Model):
    """The training data, and the held-out set the model must keep serving well."""

    train: Annotated[Part, PartOf("sources")]
    protected: Annotated[Part | None, PartOf("sources")] = None
    protected_share: float = Field(
        0.3, gt=0, lt=1, description="split off the training data when no protected source is given"
    )
    size: int = Field(10_000, ge=1, description="at most this many records are kept, drawn as from a window")
    fields: FieldSettings | None = Field(
        None, description="columns of the training data, when they differ from production's"
    )


class SelectionSettings(Model):
    """What to propose for labelling when drift is real."""

    budget: int = Field(50, ge=1, description="candidates a ticket lists at most")
    strategies: list[Annotated[Part, PartOf("selection", shared=True)]] = Field(
        [Part("drift_cover")], min_length=1, description="what fills the batch, each its share"
    )
    after_labels: list[Annotated[Part, PartOf("selection", shared=True)]] = Field(
        [Part("drift_cover")], min_length=1, description="what fills it once labels of the same drift have come in"
    )
    random_share: float = Field(0.1, ge=0, le=1, description="part of the batch that is drawn at random")
    audit: int = Field(
        0,
        ge=0,
        description="records of each window without a ticket that are drawn at random to be labelled, so that accuracy on production is known in calm times too",
    )
    near_duplicate: float = Field(0.97, gt=0, le=1, description="records with this cosine or more count as one")
    bandwidth: float = Field(0.1, gt=0, description="how near traffic counts as the same, in units of cosine")
    junk: list[str] = Field(["junk"], description="labels that mean: none of the model's business; never trained on")
    predict: str | None = Field(
        None,
        description="your model, for strategies that ask it: module:function, or command: and a program that reads and writes a line each",
    )
    negative_flips: float = Field(
        0.01, gt=0, lt=1, description="share of what the model has right that a refresh may break"
    )


class ReportSettings(Model):
    """What a run keeps for its report."""

    excerpts: Literal["none", "candidates", "all"] = Field(
        "candidates",
        description="whose texts are kept, redacted and cut: those of candidates and of examples of groups, nobody's, or every drawn record's",
    )


class MonitorSettings(Model):
    """One model's monitor."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")
    owner: str = Field(
        "nobody", pattern=r"^[^\x00-\x1f]{1,63}$", description="who looks after it: a team or a person; alerts go by it"
    )
    source: Annotated[Part, PartOf("sources")]
    fields: FieldSettings = FieldSettings()
    schedule: Schedule = Schedule()
    run: RunSettings = RunSettings()
    sample: SampleSettings = SampleSettings()
    embedder: Annotated[Part, PartOf("embedders")] = Part("sentence_transformer")
    reference: ReferenceSettings
    detectors: list[Annotated[Part, PartOf("detectors")]] = Field(
        [Part("mmd"), Part("ks"), Part("class_balance")], min_length=1
    )
    policy: PolicySettings = PolicySettings()
    selection: SelectionSettings = SelectionSettings()
    tickets: list[Annotated[Part, PartOf("tickets", texts="redacted")]] = Field([])
    exports: list[Annotated[Part, PartOf("exporters", texts="whole", terms=ExportTerms)]] = Field([])
    notify: list[Annotated[Part, PartOf("notifiers", texts="redacted")]] = Field(
        [], description="who is told directly when the state changes, for those without Prometheus"
    )
    notify_pause: Duration = Field(
        timedelta(hours=1), description="no second message on the same event of this monitor within this time"
    )
    labels: LabelSettings = LabelSettings()
    report: ReportSettings = ReportSettings()
    refresh: RefreshSettings = RefreshSettings()
    limits: LimitSettings = LimitSettings()

    @model_validator(mode="after")
    def _names_fit(self) -> MonitorSettings:
        named = {
            "detectors": self.detectors,
            "tickets": self.tickets,
            "exports": self.exports,
            "notify": self.notify,
            "selection.strategies": self.selection.strategies,
            "selection.after_labels": self.selection.after_labels,
            "refresh.predictions": self.refresh.predictions,
        }
        for what, parts in named.items():
            names = [part.name for part in parts]
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"{what}: {', '.join(twice)} is listed twice; give one of them another name")
        folders = [part.options["folder"] for part in self.exports if "folder" in part.options]
        if len(set(map(str, folders))) < len(folders):
            raise ValueError(
                "exports: two go to one folder, and each would remove the other's; give one another folder"
            )
        if self.policy.run_length(self.schedule) < 2:
            raise ValueError(
                f"policy.false_alarms: {self.policy.false_alarms} with a look every {self.schedule.every} leaves no calm "
                "look between two; allow fewer, or look more often"
            )
        season = self.policy.season
        if season is not None and (not season or season % self.schedule.mean_length):
            raise ValueError(f"policy.season is no whole number of windows of {self.schedule.every}")
        known = ("predicted", "label", *self.fields.segments)
        if self.sample.stratify not in (None, *known):
            raise ValueError(f"sample.stratify: {self.sample.stratify!r} is none of {', '.join(known)}")
        return self

    def fingerprint(self) -> str:
        """SHA-256 of these settings as written, with every default filled in."""
        return hashlib.sha256(json.dumps(_plain(self), sort_keys=True, default=str).encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return {name: _plain(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, Part):
        terms = _plain(value.terms) if value.terms else {}
        texts = {} if value.texts is None else {"texts": value.texts}
        return {"kind": value.kind, "name": value.given_name, "share": value.share, **texts, **terms, **value.options}
    return [_plain(item) for item in value] if isinstance(value, list) else value
