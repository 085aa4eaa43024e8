"""Log lines: one event, one line, whatever the values hold."""

from __future__ import annotations

import json
import logging

import pytest

from monitor.logs import _Json, _Text, fields

HOSTILE = [
    "a\n12:00:00 info    run monitor=forged",
    "a\r\nb",
    "a\u2028b\x85c",
    "\x1b[2Jcleared\x07",
    'a" level="error',
    "x=1",
    "a\0b",
    "\u202eevil",
    "",
    " ",
]


def line_of(formatter: logging.Formatter, value: object) -> str:
    record = logging.LogRecord("monitor.run", logging.INFO, "x", 1, "run", (), None)
    record.__dict__.update(fields(monitor=value, counts={"label": value}))
    return formatter.format(record)


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("formatter", [_Text(), _Json()])
def test_a_value_makes_no_second_line_and_moves_no_terminal(formatter, value):
    line = line_of(formatter, value)
    assert len(line.splitlines()) == 1 or isinstance(formatter, _Json)
    assert "\n" not in line
    assert "\r" not in line
    assert not {"\x1b", "\x07", "\0"} & set(line)


def test_json_gives_every_value_back():
    for value in HOSTILE:
        assert json.loads(line_of(_Json(), value))["monitor"] == value


def test_plain_values_stay_plain():
    assert line_of(_Text(), "support-v2").endswith("info    run monitor=support-v2 counts=label:support-v2")
    assert line_of(_Text(), "größe 2").endswith('monitor="größe 2" counts=label:"größe 2"')
