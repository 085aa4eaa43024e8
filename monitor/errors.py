"""The error tree. Every message says what was wrong, where, the value (never record text or secrets) and the next step.

MonitorError
├── ConfigError      wrong settings; all problems of the file are collected     exit 2
├── PluginError      unknown part, duplicate name, wrong options                exit 2
├── SourceError      production or training data cannot be read                 exit 1
├── EmbedError       model missing, wrong dimension, non-finite vectors         exit 1
│   └── CanaryError  the embedder no longer gives the vectors of the reference  exit 1
├── ComparisonError  too few rows, or vectors that cannot be compared            exit 1
├── ArtifactError    a stored reference is missing, incomplete or damaged       exit 1
├── UserModelError   the user's own model failed, or answered out of turn       exit 1
├── StoreError       database unreachable, wrong schema version                 exit 1
│   ├── ClaimLost         another process took this window over                 exit 1
│   ├── LeaseLost         another process took this sending over                exit 1
│   └── StoreUnavailable  the database is away; trying again can help           exit 1
└── PublishError     ticket or export could not be written; ``permanent`` says
                     whether trying again can help                              exit 1
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = [
    "ArtifactError",
    "CanaryError",
    "ClaimLost",
    "ComparisonError",
    "ConfigError",
    "EmbedError",
    "LeaseLost",
    "MonitorError",
    "PluginError",
    "PublishError",
    "SourceError",
    "StoreError",
    "StoreUnavailable",
    "UserModelError",
]


class MonitorError(Exception):
    """Any failure that drift-monitor foresees; catching it catches all of them."""

    exit_code = 1


class ConfigError(MonitorError):
    """Wrong settings, each problem with its path in the file."""

    exit_code = 2

    def __init__(self, problems: Iterable[str] | str) -> None:
        self.problems: tuple[str, ...] = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(self.problems))


class PluginError(MonitorError):
    """An unknown part, a name given twice, or options its factory does not take."""

    exit_code = 2

    def __init__(self, problems: Iterable[str] | str) -> None:
        self.problems: tuple[str, ...] = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(self.problems))


class SourceError(MonitorError):
    """Production or training data cannot be read at all (one bad record is counted instead)."""


class EmbedError(MonitorError):
    """The model cannot be loaded, or its vectors cannot be used."""


class CanaryError(EmbedError):
    """The embedder no longer gives the vectors that are stored with the reference."""


class ComparisonError(MonitorError, ValueError):
    """Reference and window cannot be compared: too few rows, other embedders or dimensions, vectors not finite."""


class ArtifactError(MonitorError):
    """A stored reference is missing, incomplete or damaged."""


class UserModelError(MonitorError):
    """The user's model failed, or answered with something else than one class for each text."""


class StoreError(MonitorError):
    """The database cannot be reached, or its schema is not the one this version needs."""


class ClaimLost(StoreError):
    """Another process took this window over; what this one computed is thrown away."""


class LeaseLost(StoreError):
    """Another process took over what this one was sending; what becomes of it is the other's to say."""


class StoreUnavailable(StoreError):
    """The database is away, starting, or was in the way of itself; the same again can succeed.

    ``in_doubt`` when the connection broke while a change was made final, so that it may have been made.
    """

    def __init__(self, message: str, *, in_doubt: bool = False) -> None:
        self.in_doubt = in_doubt
        super().__init__(message)


class PublishError(MonitorError):
    """A ticket or an export could not be written.

    ``permanent`` is true when trying again cannot help (wrong credential, refused content); ``retry_after`` is in how many
    seconds the service asks to be tried again, ``None`` when it does not say; ``unanswered`` is true when there was no answer at
    all, so that whatever else goes to the same address may wait as well.
    """

    def __init__(
        self, message: str, *, permanent: bool = False, retry_after: float | None = None, unanswered: bool = False
    ) -> None:
        self.permanent = permanent
        self.retry_after = retry_after
        self.unanswered = unanswered
        super().__init__(message)
