"""What can be set: the settings file as typed, frozen models, and the parts it names."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from monitor import plugins
from monitor.errors import ConfigError, PluginError
from monitor.secrets import Secret, Url
from monitor.windows import Tiling

__all__ = [
    "ArtifactSettings",
    "FieldSettings",
    "MonitorSettings",
    "Part",
    "Schedule",
    "Settings",
    "StoreSettings",
]

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_RESERVED = {"kind", "name"}


@dataclass(frozen=True, slots=True)
class Part:
    """A part by kind, with the options of its factory. ``name`` tells two tickets or exports of one kind apart."""

    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)
    given_name: str | None = None

    @property
    def name(self) -> str:
        """The given name, else the kind."""
        return self.given_name or self.kind


class _PartOf:
    """Reads ``mmd`` or ``{kind: mmd, permutations: 999}`` and holds the options against the factory's signature."""

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def _parse(self, value: Any) -> Part:
        raw = {"kind": value} if isinstance(value, str) else value
        if isinstance(raw, Part):
            return raw
        if not isinstance(raw, dict) or not isinstance(raw.get("kind"), str):
            known = ", ".join(sorted(plugins.names(self._kind)))
            raise PydanticCustomError(
                "part", "wanted a name or a mapping with a kind; kinds are {known}", {"known": known}
            )
        try:
            # A part with an option called name keeps it: no list tells two of its kind apart.
            taken = {"kind"} | (_RESERVED - plugins.options_model(self._kind, raw["kind"]).model_fields.keys())
        except PluginError as error:
            raise PydanticCustomError("part", "{first}", {"first": str(error)}) from error
        options = {key: option for key, option in raw.items() if key not in taken}
        try:
            plugins.validate(self._kind, raw["kind"], options)
        except PluginError as error:
            raise PydanticCustomError(
                "part", "{first}", {"first": error.problems[0], "problems": list(error.problems)}
            ) from error
        return Part(raw["kind"], options, raw.get("name") if "name" in taken else None)

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._parse)

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: Any) -> JsonSchemaValue:
        names = sorted(plugins.BUILT_IN[self._kind])
        return {
            "anyOf": [
                {"enum": names},
                *(self._options_schema(name) for name in names),
                {"$comment": "an installed part", **_other(names)},
            ]
        }

    def _options_schema(self, name: str) -> JsonSchemaValue:
        options = plugins.options_model(self._kind, name).model_json_schema()
        properties = dict(options.get("properties", {}))
        for key, model_field in plugins.options_model(self._kind, name).model_fields.items():
            if plugins.is_secret(model_field.annotation):
                properties[f"{key}_file"] = {"type": "string"}
        secret = {key.removesuffix("_file") for key in properties if key.endswith("_file")}
        return {
            "type": "object",
            "properties": {"kind": {"const": name}, "name": {"type": "string"}, **properties},
            "required": ["kind", *(key for key in options.get("required", []) if key not in secret)],
            "additionalProperties": False,
        }


def _other(names: list[str]) -> JsonSchemaValue:
    return {"type": "object", "required": ["kind"], "properties": {"kind": {"type": "string", "not": {"enum": names}}}}


def _duration(value: Any) -> Any:
    """``90s``, ``15m``, ``6h``, ``1d`` or ``1w``."""
    if isinstance(value, timedelta):
        return value
    match = re.fullmatch(r"(\d+)([smhdw])", str(value).strip())
    if not match:
        raise ValueError("wanted a number and a unit of s, m, h, d or w, for example 1h or 7d")
    return timedelta(seconds=int(match[1]) * _UNITS[match[2]])


def _aware(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("has no time zone; add one, for example 2026-01-05T00:00:00Z")
    return value.astimezone(UTC)


class _Pattern:
    """A string in the JSON Schema, whatever the value becomes."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: Any) -> JsonSchemaValue:
        return {"type": "string", "pattern": self._pattern}


Duration = Annotated[timedelta, BeforeValidator(_duration), _Pattern(r"^\d+[smhdw]$")]
AwareTime = Annotated[datetime, AfterValidator(_aware)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class FieldSettings(_Model):
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


_EVERY = re.compile(r"(\d+)(mo|[smhdw])")


def _every(value: Any) -> str:
    """A duration, or calendar months as ``1mo``."""
    match = _EVERY.fullmatch(str(value).strip())
    if not match or not int(match[1]):
        raise ValueError("wanted a number above 0 and a unit of s, m, h, d, w or mo, for example 1h, 7d or 1mo")
    return match[0]


class Schedule(_Model):
    """Windows tile time: each is ``every`` long and starts a whole number of them after ``start``."""

    every: Annotated[str, BeforeValidator(_every), _Pattern(r"^[1-9]\d*(mo|[smhdw])$")] = Field(
        "1d", description="1h, 1d, 1w, 1mo, ..."
    )
    delay: Duration = Field(timedelta(0), description="how long to wait for late records after a window has ended")
    start: AwareTime = Field(
        datetime(1970, 1, 5, tzinfo=UTC),
        description="any window start; default a Monday, 00:00 UTC; months start on the first",
    )
    catch_up: int = Field(
        7, ge=1, description="how many missed windows are caught up at most; older ones are skipped and said so"
    )

    @property
    def tiling(self) -> Tiling:
        """The windows of this schedule."""
        number, unit = re.findall(r"\d+|\D+", self.every)
        if unit == "mo":
            return Tiling(int(number) * timedelta(days=30), self.start, months=int(number))
        return Tiling(timedelta(seconds=int(number) * _UNITS[unit]), self.start)

    @property
    def mean_length(self) -> timedelta:
        """How long a window is; a month is a twelfth of a year."""
        number, unit = re.findall(r"\d+|\D+", self.every)
        return int(number) * (_YEAR / 12 if unit == "mo" else timedelta(seconds=_UNITS[unit]))


class SampleSettings(_Model):
    """How many records are drawn from a window."""

    size: int = Field(2_000, ge=1)
    stratify: str | None = Field(None, description="predicted, label or a segment name")
    minimum: int = Field(0, ge=0, description="at least this many records of each stratum, where there are as many")
    max_characters: int = Field(20_000, ge=1, description="longer texts are cut and counted")


class ReferenceSettings(_Model):
    """The training data, and the held-out set the model must keep serving well."""

    train: Annotated[Part, _PartOf("sources")]
    protected: Annotated[Part | None, _PartOf("sources")] = None
    protected_share: float = Field(
        0.3, gt=0, lt=1, description="split off the training data when no protected source is given"
    )
    size: int = Field(10_000, ge=1, description="at most this many records are kept, drawn as from a window")
    fields: FieldSettings | None = Field(
        None, description="columns of the training data, when they differ from production's"
    )


_BUDGET = re.compile(r"(\d+(?:\.\d+)?) per (?:(\d+) )?(day|week|month|quarter|year)s?")
_YEAR = timedelta(days=365.25)
_PERIODS = {
    "day": timedelta(days=1),
    "week": timedelta(weeks=1),
    "month": _YEAR / 12,
    "quarter": _YEAR / 4,
    "year": _YEAR,
}


def _budget(value: Any) -> str:
    """A rate of false alarms."""
    match = _BUDGET.fullmatch(str(value).strip())
    if not match or not float(match[1]) or match[2] == "0":
        raise ValueError(
            "wanted a number of alarms and a period, for example 1 per year, 2 per quarter or 1 per 5 years"
        )
    return match[0]


class PolicySettings(_Model):
    """When a difference is drift: how often the monitor may be wrong, and how much change is no news."""

    false_alarms: Annotated[str, BeforeValidator(_budget)] = Field(
        "1 per year", description="how many false alarms are bearable, on average at most"
    )
    tolerance: float = Field(0.02, ge=0, lt=1, description="share of traffic that may change without a ticket")
    minimum_sample: int = Field(50, ge=1, description="with fewer records there is no verdict")
    calm: int = Field(3, ge=1, description="looks in a row without a difference before drift counts as over")
    season: Duration | None = Field(
        None,
        description="compare only with windows of the same place in this period: 1w for hours of the week, 1d, ...",
    )
    keep: int = Field(1_000, ge=64, description="windows whose block sums are kept to compare with")

    def run_length(self, schedule: Schedule) -> float:
        """Looks between two false alarms that the budget allows."""
        number, count, unit = _BUDGET.findall(self.false_alarms)[0]
        return int(count or 1) * _PERIODS[unit] / schedule.mean_length / float(number)


class SelectionSettings(_Model):
    """What to propose for labelling when drift is real."""

    strategy: Annotated[Part, _PartOf("selection")] = Part("herding")
    budget: int = Field(50, ge=1, description="candidates a ticket lists at most")


class MonitorSettings(_Model):
    """One model's monitor."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")
    source: Annotated[Part, _PartOf("sources")]
    fields: FieldSettings = FieldSettings()
    schedule: Schedule = Schedule()
    sample: SampleSettings = SampleSettings()
    embedder: Annotated[Part, _PartOf("embedders")] = Part("sentence_transformer")
    reference: ReferenceSettings
    detectors: list[Annotated[Part, _PartOf("detectors")]] = Field(
        [Part("mmd"), Part("ks"), Part("class_balance")], min_length=1
    )
    policy: PolicySettings = PolicySettings()
    selection: SelectionSettings = SelectionSettings()
    tickets: list[Annotated[Part, _PartOf("tickets")]] = []
    exports: list[Annotated[Part, _PartOf("exporters")]] = []

    @model_validator(mode="after")
    def _names_fit(self) -> MonitorSettings:
        for what, parts in (("detectors", self.detectors), ("tickets", self.tickets), ("exports", self.exports)):
            names = [part.name for part in parts]
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"{what}: {', '.join(twice)} is listed twice; give one of them another name")
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


class StoreSettings(_Model):
    """The database: SQLite by default, PostgreSQL for several replicas."""

    url: Url = Url("sqlite:///drift-monitor.db")
    password: Secret | None = None


class ArtifactSettings(_Model):
    """Where references are kept: a local folder or an object store."""

    url: Url = Url("artifacts")
    storage: dict[str, Any] = Field(
        default_factory=dict, description="options of the object store, as fsspec knows them"
    )


class ServeSettings(_Model):
    """The service. It listens on loopback unless told otherwise."""

    host: str = "127.0.0.1"
    port: int = Field(9464, ge=0, le=65535)
    poll: Duration = Field(timedelta(seconds=30), description="how often to look for windows that are due")
    lease: Duration = Field(timedelta(minutes=15), description="after this long without a sign a run counts as dead")
    log_format: Literal["auto", "text", "json"] = "auto"


class Settings(_Model):
    """The whole file."""

    store: StoreSettings = StoreSettings()
    artifacts: ArtifactSettings = ArtifactSettings()
    cache: str | None = Field(".drift-monitor/embeddings.db", description="file of the embedding cache; null for none")
    serve: ServeSettings = ServeSettings()
    monitors: list[MonitorSettings] = Field(min_length=1)

    @model_validator(mode="after")
    def _monitors_once(self) -> Settings:
        names = [monitor.name for monitor in self.monitors]
        if len(set(names)) < len(names):
            raise ValueError(f"monitors: a name is used twice in {names}")
        return self

    def monitor(self, name: str | None) -> MonitorSettings:
        """The monitor of this name; the only one when no name is given."""
        known = {monitor.name: monitor for monitor in self.monitors}
        if name is None and len(known) == 1:
            return self.monitors[0]
        if name not in known:
            raise ConfigError(f"--monitor {name or ''}: there are {', '.join(known)}; name one of them")
        return known[name]


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return {name: _plain(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, Part):
        return {"kind": value.kind, "name": value.given_name, **value.options}
    return [_plain(item) for item in value] if isinstance(value, list) else value
