"""Log lines: one canonical line per run, ``key=value`` on a terminal, JSON elsewhere. Record text never gets here."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Any, Literal

__all__ = ["fields", "set_up", "unforeseen"]

_FIELDS = "monitor_fields"
_CHATTY = (
    "apscheduler",
    "alembic",
    "httpx",
    "sentence_transformers",
    "uvicorn.access",
    "aiobotocore",
    "botocore",
    "s3fs",
)


def fields(**values: Any) -> dict[str, Any]:
    """The ``extra`` of a log call: named values that both formats write."""
    return {_FIELDS: {key: value for key, value in values.items() if value is not None}}


def unforeseen(error: BaseException, log: logging.Logger) -> str:
    """Log where a foreign exception arose and say it in a line; its message may quote a record and is not kept."""
    log.error("a part failed\n%s", "".join(traceback.format_tb(error.__traceback__)).rstrip())
    last = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{last.name} ({last.filename.rpartition('/')[2]} line {last.lineno})"
    return f"{type(error).__name__} in {place}; the log has the traceback"


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        pairs = " ".join(f"{key}={_short(value)}" for key, value in getattr(record, _FIELDS, {}).items())
        moment = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S")
        line = f"{moment} {record.levelname.lower():7} {record.getMessage()} {pairs}".rstrip()
        return line if not record.exc_info else f"{line}\n{self.formatException(record.exc_info)}"


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        said: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, _FIELDS, {}),
        }
        if record.exc_info:
            said["traceback"] = self.formatException(record.exc_info)
        return json.dumps(said, default=str, ensure_ascii=False)


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return ",".join(f"{key}:{_short(item)}" for key, item in value.items()) or "-"
    text = str(value)
    plain = text.isprintable() and not set(' "=').intersection(text)
    # A line end, or what a terminal obeys, would pass for a line of its own.
    return text if plain and text else json.dumps(text, ensure_ascii=not text.isprintable())


def set_up(style: Literal["auto", "text", "json"] = "auto", level: int = logging.INFO) -> None:
    """Send the log to stderr; ``auto`` is text on a terminal and JSON otherwise.

    ``level`` is that of our own lines. Libraries are never heard below INFO, where some would log rows and requests.
    """
    text = style == "text" or (style == "auto" and sys.stderr.isatty())
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Text() if text else _Json())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(level, logging.INFO))
    logging.getLogger("monitor").setLevel(level)
    for chatty in _CHATTY:
        logging.getLogger(chatty).setLevel(max(level, logging.WARNING))
