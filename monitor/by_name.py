"""A function of the user's, found by its name."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from monitor.errors import ConfigError

__all__ = ["function_named"]


def function_named(call: str, setting: str, else_: str = "") -> Callable[..., Any]:
    """Import ``module:function``.

    Parameters
    ----------
    call : dots after the colon go into attributes
    setting : where the name was given, for messages
    else_ : what else may stand there, for messages

    Raises
    ------
    ConfigError
        when there is no such function; it never quotes what the module says of itself, which may hold a record
    """
    module, colon, name = call.partition(":")
    if not (module and colon and name):
        raise ConfigError(f"{setting} {call!r} is not of the form module:function{else_}")
    try:
        found: Any = import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"{setting} {call!r} cannot be imported: {error}; is the module installed or on PYTHONPATH?"
        ) from error
    except Exception as error:  # noqa: BLE001 - whatever the user's module raises
        raise ConfigError(
            f"{setting} {call!r} cannot be imported: its module raises {type(error).__name__}; import it by hand to see why"
        ) from None
    if not callable(found):
        raise ConfigError(f"{setting} {call!r} is a {type(found).__name__}, not a function")
    function: Callable[..., Any] = found
    return function
