"""The user's own model, asked for its classes of texts: a Python function by name, or a command."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from monitor.by_name import function_named
from monitor.errors import ConfigError, UserModelError

__all__ = ["Predict", "predictor"]

Predict = Callable[[list[str]], Sequence[str | Mapping[str, float] | None]]

_PATIENCE = 300.0


def predictor(call: str) -> Predict:
    """What gives the classes of texts.

    Parameters
    ----------
    call : ``module:function``, which takes a list of texts and gives one class, or one mapping of class to chance, for each; or
        ``command: ...``, a program that reads one JSON string a line on standard input and writes one JSON answer a line

    Raises
    ------
    ConfigError
        when there is no such function, or no command
    """
    kind, _, rest = call.partition(":")
    if kind == "command":
        words = shlex.split(rest)
        if not words:
            raise ConfigError("selection.predict: no command follows 'command:'")
        return _Command(words)
    return _checked(function_named(call, "selection.predict", " or command: and a program"), call)


def _checked(function: Callable[[list[str]], Any], name: str) -> Predict:
    def predict(texts: list[str]) -> Sequence[str | Mapping[str, float] | None]:
        answers = list(function(texts))
        if len(answers) != len(texts):
            raise UserModelError(f"{name} gave {len(answers)} answers for {len(texts)} texts")
        return answers

    return predict


class _Command:
    """Runs the program once for each batch; its texts go through a pipe, never through the command line."""

    def __init__(self, words: Sequence[str]) -> None:
        self._words = list(words)

    def __call__(self, texts: list[str]) -> Sequence[str | Mapping[str, float] | None]:
        lines = "".join(json.dumps(text) + "\n" for text in texts)
        try:
            done = subprocess.run(  # noqa: S603 - the program that the owner names
                self._words, input=lines, capture_output=True, text=True, timeout=_PATIENCE, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise UserModelError(f"selection.predict: {self._words[0]} did not run ({type(error).__name__})") from None
        if done.returncode:
            raise UserModelError(f"selection.predict: {self._words[0]} ended with {done.returncode}")
        try:
            answers = [json.loads(line) for line in done.stdout.splitlines()]
        except ValueError:
            raise UserModelError(f"selection.predict: {self._words[0]} wrote a line that is no JSON") from None
        if len(answers) != len(texts):
            raise UserModelError(
                f"selection.predict: {self._words[0]} gave {len(answers)} answers for {len(texts)} texts"
            )
        return answers
