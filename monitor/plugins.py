"""Every part by name: a table of built-ins, then entry points ``monitor.<kind>`` that others install.

A part is a factory; its keyword arguments are its options, so its signature is its schema. Arguments named in
:data:`GIVEN` come from the rest of the settings and are not options.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from operator import attrgetter
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from monitor.errors import PluginError
from monitor.secrets import Secret, Url, read_secret_file

__all__ = [
    "BUILT_IN",
    "GIVEN",
    "build",
    "factory",
    "from_files",
    "is_secret",
    "names",
    "options_model",
    "problems_of",
    "takes",
    "validate",
]

BUILT_IN: Mapping[str, Mapping[str, str]] = {
    "sources": {
        "files": "monitor.sources.files:FilesSource",
        "sql": "monitor.sources.sql:SqlSource",
        "python": "monitor.sources.python:PythonSource",
    },
    "embedders": {
        "sentence_transformer": "monitor.embedders.sentence_transformer:SentenceTransformerEmbedder",
        "precomputed": "monitor.embedders.precomputed:PrecomputedEmbedder",
        "hashing": "monitor.embedders.hashing:HashingEmbedder",
    },
    "detectors": {
        "mmd": "monitor.detectors.mmd:MmdDetector",
        "ks": "monitor.detectors.ks:KsDetector",
        "class_balance": "monitor.detectors.class_balance:ClassBalanceDetector",
        "label_shift": "monitor.detectors.label_shift:LabelShiftDetector",
        "confidence": "monitor.detectors.confidence:ConfidenceDetector",
        "accuracy": "monitor.detectors.accuracy:AccuracyDetector",
        "energy": "monitor.detectors.energy:EnergyDetector",
        "c2st": "monitor.detectors.c2st:C2stDetector",
        "knn": "monitor.detectors.knn:KnnDetector",
    },
    "selection": {
        "herding": "monitor.selection.herding:HerdingStrategy",
        "random": "monitor.selection.random_share:RandomStrategy",
        "margin": "monitor.selection.uncertainty:MarginStrategy",
        "least_confidence": "monitor.selection.uncertainty:LeastConfidenceStrategy",
        "entropy": "monitor.selection.uncertainty:EntropyStrategy",
        "badge": "monitor.selection.badge:BadgeStrategy",
        "drift_badge": "monitor.selection.badge:DriftBadgeStrategy",
        "prob_cover": "monitor.selection.coverage:ProbCoverStrategy",
        "k_center": "monitor.selection.coverage:KCenterStrategy",
        "typiclust": "monitor.selection.typiclust:TypiclustStrategy",
        "kernel_herding": "monitor.selection.kernel_herding:KernelHerdingStrategy",
        "drift_cover": "monitor.selection.drift_cover:DriftCoverStrategy",
        "drift_coverage": "monitor.selection.kernel_herding:DriftCoverageStrategy",
        "knn_score": "monitor.selection.nearest:KnnScoreStrategy",
        "similar": "monitor.selection.nearest:SimilarStrategy",
        "stratified": "monitor.selection.stratified:StratifiedStrategy",
        "second_model": "monitor.selection.disagreement:SecondModelStrategy",
        "ensemble": "monitor.selection.disagreement:EnsembleStrategy",
        "sequence": "monitor.selection.sequence:SequenceStrategy",
        "augmented": "monitor.selection.augmented:AugmentedStrategy",
        "helper_model": "monitor.selection.helper_model:HelperModelStrategy",
    },
    "tickets": {
        "file": "monitor.tickets.file:FileTickets",
        "email": "monitor.tickets.mail:EmailTickets",
        "webhook": "monitor.tickets.webhook:WebhookTickets",
        "github": "monitor.tickets.github:GitHubTickets",
        "gitlab": "monitor.tickets.gitlab:GitLabTickets",
        "jira": "monitor.tickets.jira:JiraTickets",
        "jira_data_center": "monitor.tickets.jira_data_center:JiraDataCenterTickets",
    },
    "notifiers": {"apprise": "monitor.notifiers.apprise:AppriseNotifier"},
    "exporters": {"files": "monitor.exporters.files:FilesExporter"},
}
"""Kind to name to ``module:attribute``, imported at first use."""

GIVEN: Mapping[str, frozenset[str]] = {"sources": frozenset({"fields"}), "selection": frozenset({"predict"})}
"""Factory arguments that the wiring gives and that are therefore not options."""

_SECRETS = (Secret, Url)


def names(kind: str) -> dict[str, str]:
    """Every installed part of this kind: name to ``module:attribute``.

    Two parts of one name are a :class:`PluginError`, whoever installed them.
    """
    found = dict(BUILT_IN[kind])
    for point in entry_points(group=f"monitor.{kind}"):
        where = f"{point.module}:{point.attr}"
        if found.setdefault(point.name, where) != where:
            raise PluginError(
                f"two {kind} are called {point.name!r}: {found[point.name]} and {where}; uninstall one of them"
            )
    return found


@cache
def factory(kind: str, name: str) -> Callable[..., Any]:
    """The factory of a part; unknown names list the known ones."""
    table = names(kind)
    if name not in table:
        raise PluginError(f"there is no {kind} part called {name!r}; installed are {', '.join(sorted(table))}")
    module, _, attribute = table[name].partition(":")
    try:
        made: Callable[..., Any] = attrgetter(attribute)(import_module(module))
    except Exception as error:
        raise PluginError(
            f"{kind} part {name!r} ({table[name]}) cannot be imported: {type(error).__name__}: {error}"
        ) from error
    return made


@cache
def options_model(kind: str, name: str) -> type[BaseModel]:
    """A pydantic model of the part's options, read off its factory's signature."""
    made = factory(kind, name)
    config = ConfigDict(
        extra="forbid", arbitrary_types_allowed=True, hide_input_in_errors=True, protected_namespaces=()
    )
    try:
        return create_model(f"{kind}.{name}", __config__=config, **_fields(made, GIVEN.get(kind, frozenset())))
    except Exception as error:
        raise PluginError(
            f"the options of {kind} part {name!r} cannot be read off its signature: {type(error).__name__}: {error}"
        ) from error


def _fields(made: Callable[..., Any], given: frozenset[str]) -> dict[str, Any]:
    hints = typing.get_type_hints(made.__init__ if inspect.isclass(made) else made, include_extras=True)
    # What **options would take has no name and no type, so it cannot be set from a file.
    return {
        p.name: (hints.get(p.name, Any), ... if p.default is p.empty else p.default)
        for p in inspect.signature(made).parameters.values()
        if p.name not in given and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    }


def _secret_kinds(annotation: Any) -> list[type[str]]:
    return [a for a in (annotation, *typing.get_args(annotation)) if a in _SECRETS]


def is_secret(annotation: Any, only: type = str) -> bool:
    """Whether an option of this type is a :class:`Secret` or :class:`Url` (optional or not), or a subclass of ``only``."""
    return any(issubclass(kind, only) for kind in _secret_kinds(annotation))


def from_files(model: type[BaseModel], options: Mapping[str, Any]) -> dict[str, Any]:
    """Options with every ``<field>_file`` of a secret field replaced by what the file holds.

    ``PluginError`` with every problem of these files.
    """
    merged, problems = _read_files(model, options)
    if problems:
        raise PluginError(problems)
    return merged


def _read_files(model: type[BaseModel], options: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    merged, problems = dict(options), []
    for name, field in model.model_fields.items():
        kinds = _secret_kinds(field.annotation)
        key = f"{name}_file"
        if key not in merged or key in model.model_fields or not kinds:
            continue
        path = merged.pop(key)
        if name in merged:
            problems.append(f"{key}: give {name} or {key}, not both")
            continue
        try:
            merged[name] = kinds[0](_content(path))
        except ValueError as error:
            problems.append(f"{key}: {error}")
            merged[name] = kinds[0]("unread")  # or the field would be reported as missing as well
    return merged, problems


def _content(path: Any) -> str:
    if not isinstance(path, str | Path) or not str(path):
        raise ValueError("wanted the path of a file")
    return read_secret_file(path)


def problems_of(error: ValidationError, prefix: str = "") -> list[str]:
    """One line per problem, ``path: what is wrong``; never the value itself, which may be secret."""
    lines: list[str] = []
    for problem in error.errors(include_input=False, include_url=False):
        path = prefix
        for step in problem["loc"]:
            path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else str(step)
        if "problems" in problem.get("ctx", {}):
            # A part checks its own options and reports all of their problems as one.
            lines += [f"{path}.{line}" if path else line for line in problem["ctx"]["problems"]]
            continue
        text = "unknown key" if problem["type"] == "extra_forbidden" else problem["msg"].removeprefix("Value error, ")
        lines.append(f"{path}: {text}" if path else text)
    return lines


def validate(kind: str, name: str, options: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """The options with their types, or a :class:`PluginError` with every problem and its path."""
    model = options_model(kind, name)
    merged, in_files = _read_files(model, options)
    problems = [f"{path}.{line}" if path else line for line in in_files]
    try:
        parsed = model.model_validate(merged)
    except ValidationError as error:
        known = ", ".join(_known(model)) or "no options"
        problems += [
            f"{line}; {name} knows {known}" if line.endswith("unknown key") else line
            for line in problems_of(error, path)
        ]
        raise PluginError(problems) from error
    if problems:
        raise PluginError(problems)
    return {key: getattr(parsed, key) for key in model.model_fields}


def _known(model: type[BaseModel]) -> list[str]:
    fields = model.model_fields.items()
    return [f"{key} (or {key}_file)" if is_secret(field.annotation) else key for key, field in fields]


def takes(kind: str, name: str, given: str) -> bool:
    """Whether the part's factory has this argument of :data:`GIVEN`."""
    return given in inspect.signature(factory(kind, name)).parameters


def build(kind: str, name: str, options: Mapping[str, Any], **given: Any) -> Any:
    """Make a part from its options; ``given`` are the arguments of :data:`GIVEN`.

    A ``ValueError`` of the factory is a wrong option: :class:`PluginError`.
    """
    made, parsed = factory(kind, name), validate(kind, name, options)
    try:
        return made(**given, **parsed)
    except ValueError as error:
        if any(isinstance(value, _SECRETS) for value in parsed.values()):
            # Its message may quote them: "port could not be cast to integer value as 'rest of the password'".
            raise PluginError(f"{kind} part {name!r} refuses its options ({type(error).__name__})") from None
        raise PluginError(f"{kind} part {name!r}: {error}") from error
