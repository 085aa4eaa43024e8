"""Strings that must not be shown, and where they may come from: the environment or a file, never the settings file's text alone.

``${NAME}`` is replaced only inside values of type :class:`Secret` and :class:`Url`, so that a stray dollar sign elsewhere
stays what it is. ``<field>_file`` reads a :class:`Secret` or :class:`Url` from a file, such as a mounted Kubernetes secret, and
takes it literally.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

__all__ = ["Secret", "Url", "expand", "read_secret_file", "redact_url"]

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
# odbc_connect holds a whole connection string, password and all.
_PARAMETER = re.compile(
    r"(?i)((?:^|[?&;#\s])[^=?&;#\s]*(?:pass|pwd|secret|token|key|sig|auth|cred|odbc_connect)[^=?&;#\s]*=)[^&;#\s]*"
)


def expand(text: str) -> str:
    """Replace each ``${NAME}`` by the environment's value; ``ValueError`` names a variable that is not set."""

    def value(match: re.Match[str]) -> str:
        found = os.environ.get(match[1])
        if found is None:
            raise ValueError(f"environment variable {match[1]} is not set; set it or use the field's _file form")
        return found

    return _VARIABLE.sub(value, text)


def read_secret_file(path: str | Path) -> str:
    """The file's text without the line end; ``ValueError`` when it cannot be read or is empty."""
    try:
        text = Path(path).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"secret file {path} cannot be read: {type(error).__name__}") from error
    if not text:
        raise ValueError(f"secret file {path} is empty")
    return text


def redact_url(url: str) -> str:
    """The URL with its password, and any parameter that may be one, replaced by ``***``; rather too much than too little."""
    scheme, mark, rest = url.partition("://") if "://" in url else ("", "", url)
    # Up to the last @: databases accept passwords with a raw / ? or #, which to a URL parser end the authority.
    credentials, at, _ = rest.rpartition("@")
    user, colon, _ = credentials.partition(":")
    if at and colon and not re.search(r"[/?#]", user):
        rest = f"{user}:***{rest[len(credentials) :]}"
    elif scheme in ("http", "https"):  # a name alone is a token there
        rest = re.sub(r"^[^/?#]*@", "***@", rest)
    return _PARAMETER.sub(r"\1***", f"{scheme}{mark}{rest}")


class _Hidden(str):
    """A string whose ``repr`` hides it; ``str`` methods still see the text."""

    __slots__ = ()

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_wrap_validator_function(
            cls._parse,
            core_schema.str_schema(min_length=1),
            serialization=core_schema.plain_serializer_function_ser_schema(repr),
        )

    @classmethod
    def _parse(cls, value: Any, text_of: Callable[[Any], str]) -> Self:
        # What was read from a file or expanded before is taken as it is: a password may itself hold ${...}.
        if isinstance(value, cls):
            return value
        expanded = expand(text_of(value))
        if not expanded:
            raise ValueError("is empty once its environment variables are put in")
        return cls(expanded)


class Secret(_Hidden):
    """A password or token. Shown as ``***`` wherever it is printed, logged or put into a message by ``repr``."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "***"


class Url(_Hidden):
    """A database or storage URL. Shown without its password by ``repr``."""

    __slots__ = ()

    def __repr__(self) -> str:
        return redact_url(self)
