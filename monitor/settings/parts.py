"""A part by kind, its options held against the signature of its factory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, get_args

from pydantic import ValidationError
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from monitor import plugins
from monitor.errors import PluginError
from monitor.redaction import Texts
from monitor.settings.model import Model

__all__ = ["Part", "PartOf"]

_RESERVED = {"kind", "name"}
_SHARE = "share"
_TEXTS = "texts"


@dataclass(frozen=True, slots=True)
class Part:
    """A part by kind, with the options of its factory.

    ``name`` tells two tickets or exports of one kind apart; ``share`` is how much of a whole the part fills, beside others;
    ``terms`` are what the settings say of a part beside its options.
    ``texts`` how texts go to a destination, ``None`` for parts that are none.
    """

    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)
    given_name: str | None = None
    share: float = 1.0
    terms: Model | None = None
    texts: Texts | None = None

    @property
    def name(self) -> str:
        """The given name, else the kind."""
        return self.given_name or self.kind


class PartOf:
    """Reads ``mmd`` or ``{kind: mmd, permutations: 999}`` and holds the options against the factory's signature.

    With ``shared`` a part may say its share: ``{kind: herding, share: 0.7}``; with ``terms``, the fields of that model. With
    ``texts``, the usual, it may say how texts go there: ``{kind: file, texts: ids}``.
    """

    def __init__(
        self, kind: str, *, shared: bool = False, terms: type[Model] | None = None, texts: Texts | None = None
    ) -> None:
        self._kind, self._shared, self._terms, self._texts = kind, shared, terms, texts

    def _parse(self, value: Any) -> Part:
        raw = {"kind": value} if isinstance(value, str) else value
        if isinstance(raw, Part):
            return raw if raw.texts or not self._texts else replace(raw, texts=self._texts)
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
        share: Any = 1.0
        if self._shared:
            taken = taken | {_SHARE}
            share = raw.get(_SHARE, 1.0)
            if isinstance(share, bool) or not isinstance(share, int | float) or not share > 0:
                raise PydanticCustomError("part", "share: {given} is no number above 0", {"given": repr(share)[:40]})
        about = self._term_names - plugins.options_model(self._kind, raw["kind"]).model_fields.keys()
        terms = self._terms_of({key: raw[key] for key in about & raw.keys()})
        texts = self._texts
        if texts and _TEXTS not in plugins.options_model(self._kind, raw["kind"]).model_fields:
            taken = taken | {_TEXTS}
            texts = raw.get(_TEXTS, texts)
            if texts not in get_args(Texts):
                known = ", ".join(get_args(Texts))
                raise PydanticCustomError("part", "texts: wanted one of {known}", {"known": known})
        options = {key: option for key, option in raw.items() if key not in taken | about}
        try:
            plugins.validate(self._kind, raw["kind"], options)
        except PluginError as error:
            raise PydanticCustomError(
                "part", "{first}", {"first": error.problems[0], "problems": list(error.problems)}
            ) from error
        return Part(raw["kind"], options, raw.get("name") if "name" in taken else None, float(share), terms, texts)

    @property
    def _term_names(self) -> set[str]:
        return set(self._terms.model_fields) if self._terms else set()

    def _terms_of(self, given: Mapping[str, Any]) -> Model | None:
        if self._terms is None:
            return None
        try:
            return self._terms.model_validate(given)
        except ValidationError as error:
            problems = plugins.problems_of(error)
            raise PydanticCustomError("part", "{first}", {"first": problems[0], "problems": problems}) from error

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
        options = _in_place(options, options.get("$defs", {}))
        properties = dict(options.get("properties", {}))
        for key, model_field in plugins.options_model(self._kind, name).model_fields.items():
            if plugins.is_secret(model_field.annotation):
                properties[f"{key}_file"] = {"type": "string"}
        secret = {key.removesuffix("_file") for key in properties if key.endswith("_file")}
        if self._terms:
            properties |= self._terms.model_json_schema()["properties"]
        if self._shared:
            properties[_SHARE] = {"type": "number", "exclusiveMinimum": 0, "default": 1.0}
        if self._texts:
            properties[_TEXTS] = {"enum": list(get_args(Texts)), "default": self._texts}
        return {
            "type": "object",
            "properties": {"kind": {"const": name}, "name": {"type": "string"}, **properties},
            "required": ["kind", *(key for key in options.get("required", []) if key not in secret)],
            "additionalProperties": False,
        }


def _other(names: list[str]) -> JsonSchemaValue:
    return {"type": "object", "required": ["kind"], "properties": {"kind": {"type": "string", "not": {"enum": names}}}}


def _in_place(schema: Any, named: Mapping[str, Any]) -> Any:
    """The schema with every reference to what is named inside it replaced by that, so that it can stand in another."""
    if isinstance(schema, list):
        return [_in_place(one, named) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if str(schema.get("$ref", "")).startswith("#/$defs/"):
        return _in_place(named[schema["$ref"].removeprefix("#/$defs/")], named)
    return {key: _in_place(value, named) for key, value in schema.items()}
