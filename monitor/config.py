"""The settings file: YAML read, held against :mod:`monitor.settings`, every problem shown at once with its path."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, ValidationError

from monitor import plugins
from monitor.errors import ConfigError, PluginError
from monitor.secrets import Secret
from monitor.settings import ArtifactSettings, Settings, StoreSettings

__all__ = ["load", "parse", "schema"]


_SHORT: Mapping[str, type[BaseModel]] = {"store": StoreSettings, "artifacts": ArtifactSettings}
"""Keys that may be written as a URL alone."""


_MOST = 100_000
"""Values of a file, each counted as often as aliases repeat it."""


class _Loader(yaml.SafeLoader):
    """Refuses a key that is given twice: the first would be lost without a word; and aliases that multiply or hold themselves."""

    def get_single_node(self) -> yaml.Node | None:
        node = super().get_single_node()
        if node is not None:
            _weight(node, {})
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value != "<<":
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"key {key.value!r} is given twice", key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def _weight(node: yaml.Node, known: dict[int, int]) -> int:
    """Values in the node with all aliases written out; 0 stands for one that is still being counted."""
    if not isinstance(node, yaml.CollectionNode):
        return 1
    found = known.get(id(node))
    if found is None:
        known[id(node)] = 0
        inner = [one for pair in node.value for one in pair] if isinstance(node, yaml.MappingNode) else node.value
        found = known[id(node)] = 1 + sum(_weight(one, known) for one in inner)
    if not 0 < found <= _MOST:
        problem = f"aliases make more than {_MOST:,} values of it" if found else "an alias stands inside what it names"
        raise yaml.composer.ComposerError(None, None, problem, node.start_mark)
    return found


def _password_in(url: str) -> str:
    try:
        return urlsplit(url).password or ""
    except ValueError:
        return ""


def _literal_secrets(model: type[BaseModel], value: Any, path: str) -> Iterator[str]:
    """Secrets that stand in the file itself, as problems."""
    for key, item in (value if isinstance(value, dict) else {}).items():
        known = model.model_fields.get(key)
        if known is None or not isinstance(item, str):
            continue
        advice = f"write ${{NAME}} in its place and set that variable, or use {key}_file"
        if plugins.is_secret(known.annotation, only=Secret) and "${" not in item:
            yield f"{path}{key}: a secret stands in the file; {advice}"
        elif plugins.is_secret(known.annotation) and "${" not in (_password_in(item) or "${"):
            yield f"{path}{key}: a password stands in the URL; {advice}"


def _walk_secrets(settings: Settings, raw: Mapping[str, Any]) -> Iterator[str]:
    yield from _literal_secrets(StoreSettings, raw.get("store"), "store.")
    yield from _literal_secrets(ArtifactSettings, raw.get("artifacts"), "artifacts.")
    for n, monitor in enumerate(settings.monitors):
        parts = [("source", "sources", monitor.source), ("reference.train", "sources", monitor.reference.train)]
        if monitor.reference.protected:
            parts.append(("reference.protected", "sources", monitor.reference.protected))
        parts += [(f"tickets[{k}]", "tickets", part) for k, part in enumerate(monitor.tickets)]
        parts += [(f"exports[{k}]", "exporters", part) for k, part in enumerate(monitor.exports)]
        for where, kind, part in parts:
            yield from _literal_secrets(
                plugins.options_model(kind, part.kind), dict(part.options), f"monitors[{n}].{where}."
            )


def parse(raw: Any) -> Settings:
    """Settings from a mapping; ``ConfigError`` lists every problem with its path."""
    if not isinstance(raw, dict):
        raise ConfigError(
            "the settings file must be a mapping with the key monitors; drift-monitor init writes a starter"
        )
    written = {key: {"url": value} if key in _SHORT and isinstance(value, str) else value for key, value in raw.items()}
    raw = dict(written)
    for key, model in _SHORT.items():
        if isinstance(raw.get(key), dict):
            try:
                raw[key] = plugins.from_files(model, raw[key])
            except PluginError as error:
                raise ConfigError([f"{key}.{line}" for line in error.problems]) from error
    try:
        settings = Settings.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(plugins.problems_of(error)) from error
    problems = list(_walk_secrets(settings, written))
    if problems:
        raise ConfigError(problems)
    return settings


def load(path: str | Path) -> Settings:
    """Settings from a YAML file."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigError(
            f"{path}: there is no such file; drift-monitor init writes a starter, --config names another"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as UTF-8 text ({type(error).__name__})") from error
    try:
        raw = yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader that also refuses repeated keys
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise ConfigError(f"{path} line {line}: {error.problem}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: is not YAML ({type(error).__name__})") from error
    except RecursionError as error:
        raise ConfigError(f"{path}: lists and mappings are nested too deeply; is it a settings file?") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        # The parser's own, on a value that is not what it looks like, such as 2026-02-30.
        raise ConfigError(
            f"{path}: holds a date or a number that there is not; put it in quotes if it is text"
        ) from error
    try:
        return parse(raw)
    except ConfigError as error:
        raise ConfigError([f"{path}: {problem}" for problem in error.problems]) from error


def schema() -> dict[str, Any]:
    """JSON Schema of the file, for editors."""
    made = Settings.model_json_schema()
    for key, model in _SHORT.items():
        made["$defs"][model.__name__]["properties"] |= {
            f"{name}_file": {"type": "string", "description": f"file that holds {name}"}
            for name, field in model.model_fields.items()
            if plugins.is_secret(field.annotation)
        }
        made["properties"][key] = {"anyOf": [{"type": "string"}, made["properties"][key]]}
    made["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    made["title"] = "drift-monitor.yaml"
    return made
