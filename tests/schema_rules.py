"""Every rule of a JSON schema, each with values that break it and nothing else; a keyword that cannot be broken here is an error."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Path = tuple[str | int, ...]

STRINGS = {
    "^([a-z0-9]([-a-z0-9]{0,50}[a-z0-9])?)?$": ("name", "Name"),
    "^([a-z]([-a-z0-9]{0,50}[a-z0-9])?)?$": ("name", "1name"),
    "^[a-z0-9.-]+(:[0-9]+)?(/[a-z0-9._-]+)*$": ("registry:5000/a/b", "a b"),
    "^([A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?$": ("1.0", "1.0@x"),
    "^(sha256:[0-9a-f]{64})?$": ("sha256:" + "0" * 64, "sha256:abc"),
    "^[a-z0-9]([-a-z0-9]{0,18}[a-z0-9])?$": ("group", "a-name-of-21-letters-x"),
    "^(@(yearly|annually|monthly|weekly|daily|midnight|hourly)|[^ @=]+( [^ =]+){4})$": (
        "5 * * * *",
        "TZ=UTC 5 * * * *",
    ),
    "^[A-Za-z]+([/_+-][A-Za-z0-9]+)*$": ("Etc/UTC", "UTC+"),
    "^[a-z0-9]([-a-z0-9.]{0,54}[a-z0-9])?$": ("name", "na_me"),
    "^([a-z0-9]([-a-z0-9.]{0,54}[a-z0-9])?)?$": ("name", "name-"),
    "^[A-Za-z0-9._-]+$": ("key", "a/key"),
    "^[0-9]+([KMGT]i?)?$": ("1Gi", "1 GB"),
    "^[0-9]+(ms|s|m|h)$": ("30s", "30"),
    "^[0-9]+(\\.[0-9]+)?m?$": ("250m", "a few"),
    "^[A-Za-z_][A-Za-z0-9_]*$": ("NAME", "1-NAME"),
    "^/": ("/models", "models"),
}
"""A text that a pattern takes, and one that it does not."""
_WRONG = {
    "object": "text",
    "array": "text",
    "string": [],
    "integer": "text",
    "number": [],
    "boolean": "yes",
    "null": {},
}
_SILENT = {
    "$ref",
    "title",
    "description",
    "default",
    "properties",
    "items",
    "anyOf",
    "format",
    "$schema",
    "$defs",
    "$comment",
}


@dataclass(frozen=True)
class Broken:
    """One rule broken: the keyword at a place of the values, and what to write there. ``GONE`` takes a key away."""

    at: Path
    keyword: str
    touches: Path
    value: Any


GONE = object()


class Rules:
    """The rules of a schema with references inside itself. ``samples`` are values for places that cannot be made up."""

    def __init__(self, schema: dict[str, Any], samples: dict[Path, Any]) -> None:
        self._schema = schema
        self._samples = samples

    def _resolved(self, schema: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in schema:
            schema = self._schema["$defs"][schema["$ref"].removeprefix("#/$defs/")]
        return schema

    def sample(self, schema: dict[str, Any], at: Path = ()) -> Any:  # noqa: PLR0911 - one for each kind of schema
        """A value that the schema takes."""
        schema = self._resolved(schema)
        if at in self._samples:
            return copy.deepcopy(self._samples[at])
        if "enum" in schema:
            return schema["enum"][0]
        if "anyOf" in schema:
            return self.sample(schema["anyOf"][0], at)
        kind = schema.get("type", "string")
        kind = kind if isinstance(kind, str) else kind[0]
        if kind == "object":
            named = schema.get("properties", {})
            wanted = schema.get("required", []) or (list(named)[:1] if schema.get("minProperties") else [])
            return {key: self.sample(named[key], (*at, key)) for key in wanted}
        if kind == "array":
            return [self.sample(schema["items"], (*at, 0))] if "items" in schema else []
        if kind == "string":
            return STRINGS.get(schema.get("pattern", ""), ("text", ""))[0]
        return {"integer": schema.get("minimum", 1), "number": 1, "boolean": True, "null": None}[kind]

    def __iter__(self) -> Iterator[Broken]:
        return self._walk(self._schema, ())

    def _walk(self, given: dict[str, Any], at: Path) -> Iterator[Broken]:
        schema = self._resolved(given)
        if "anyOf" in schema:
            yield Broken(at, "anyOf", at, 0.5)
        for keyword, rule in schema.items():
            if keyword not in _SILENT:
                yield from self._break(schema, keyword, rule, at)
        for key, one in schema.get("properties", {}).items():
            yield from self._walk(one, (*at, key))
        if isinstance(schema.get("additionalProperties"), dict):
            yield from self._walk(schema["additionalProperties"], (*at, "some"))
        if isinstance(schema.get("items"), dict):
            yield from self._walk(schema["items"], (*at, 0))

    def _break(self, schema: dict[str, Any], keyword: str, rule: Any, at: Path) -> Iterator[Broken]:
        if keyword in {"additionalProperties", "propertyNames"}:
            if rule is False:
                yield Broken(at, keyword, (*at, "typo"), 1)
            elif keyword == "propertyNames":
                # Reserved for the chart; of patterns that a name must keep to, this keeps to none.
                yield Broken(at, "not" if "not" in rule else "pattern", (*at, "helm.sh/resource-policy"), "x")
            return
        if keyword == "required":
            yield from (Broken(at, keyword, (*at, key), GONE) for key in rule)
            return
        if keyword == "type" and rule == "object" and not at:
            return  # Helm itself takes nothing else
        yield Broken(at, keyword, at, self._wrong(schema, keyword, rule, at))

    def _wrong(self, schema: dict[str, Any], keyword: str, rule: Any, at: Path) -> Any:  # noqa: PLR0911, PLR0912 - one for each keyword
        match keyword:
            case "type":
                kinds = [rule] if isinstance(rule, str) else rule
                return next(_WRONG[kind] for kind in kinds if _WRONG[kind] is not None)
            case "enum" | "const":
                return "no such value"
            case "not":
                return rule["const"]
            case "pattern":
                return STRINGS.get(rule, ("", "\n ! no text that a pattern takes"))[1]
            case "minimum":
                return rule - 1
            case "exclusiveMinimum" | "exclusiveMaximum":
                return rule
            case "maximum":
                return rule + 1
            case "minLength":
                return ""
            case "maxLength":
                return "x" * (rule + 1)
            case "minItems" | "minProperties":
                return [] if keyword == "minItems" else {}
            case "maxItems":
                one = self.sample(schema["items"], (*at, 0))
                return [one] * (rule + 1)
            case "maxProperties":
                return {f"key{number}": "x" for number in range(rule + 1)}
            case "uniqueItems":
                return [self.sample(schema["items"], (*at, 0))] * 2
        raise AssertionError(f"{at}: nothing here breaks a rule by {keyword!r}; say how, so that it has a test")

    def with_broken(self, values: dict[str, Any], broken: Broken) -> None:
        """Write into the values what breaks the rule; what must be around it is made up."""
        schema: dict[str, Any] = self._schema
        here: Any = values
        place: Path = ()
        for key in broken.touches[:-1]:
            schema = self._below(schema, key)
            place = (*place, key)
            here = here[key] if isinstance(key, int) else here.setdefault(key, self.sample(schema, place))
        last = broken.touches[-1]
        if broken.value is not GONE:
            here[last] = broken.value
        elif any(isinstance(key, int) for key in broken.touches):
            here.pop(last, None)
        else:
            here[last] = None  # null takes a default of the chart away

    def _below(self, schema: dict[str, Any], key: str | int) -> dict[str, Any]:
        schema = self._resolved(schema)
        if isinstance(key, int):
            return dict(schema["items"])
        named = schema.get("properties", {})
        return dict(named[key] if key in named else schema["additionalProperties"])


def rounds(rules: Rules) -> list[list[Broken]]:
    """The rules in few groups, in each of which none is in another's way."""
    made: list[tuple[list[Broken], set[Path], set[Path]]] = []
    for one in rules:
        over = {one.touches[:n] for n in range(1, len(one.touches))}
        free = (group for group in made if one.touches not in group[1] | group[2] and not over & group[1])
        into = next(free, None)
        if into is None:
            made.append(into := ([], set(), set()))
        into[0].append(one)
        into[1].add(one.touches)
        into[2].update(over)
    return [group for group, _, _ in made]
