"""Log lines that a program reads, and that nobody else can write."""

from __future__ import annotations

import json
import logging
import sys

import pytest

from app.logs import JsonLines, TextLines, request_id


def record(message: str, **about: object) -> logging.LogRecord:
    made = logging.LogRecord("app.x", logging.INFO, "x.py", 1, message, (), None)
    made.about = about
    return made


def failed() -> logging.LogRecord:
    made = record("it failed")
    try:
        raise KeyError("inside")
    except KeyError:
        made.exc_info = sys.exc_info()
    return made


@pytest.mark.parametrize("evil", ["a\n2026 app.x INFO forged", "a\x1b[31mred", "a\u2028b\r\nc", 'a"} {"level": "x'])
def test_what_others_write_stays_in_its_line(evil: str):
    line = TextLines().format(record(evil, path=evil))
    assert len(line.splitlines()) == 1 and "\x1b" not in line
    assert json.loads(JsonLines().format(record(evil, path=evil)))["message"] == evil
    assert len(JsonLines().format(record(evil)).splitlines()) == 1


def test_lines_carry_the_request_and_what_they_are_about():
    token = request_id.set("4711")
    try:
        values = json.loads(JsonLines().format(record("job accepted", job="a", steps=3)))
        assert (values["request"], values["job"], values["steps"], values["level"]) == ("4711", "a", 3, "info")
        assert "[4711] job accepted job=a steps=3" in TextLines().format(record("job accepted", job="a", steps=3))
    finally:
        request_id.reset(token)
    assert "request" not in json.loads(JsonLines().format(record("later")))


def test_a_traceback_belongs_to_its_record():
    assert "KeyError: 'inside'" in json.loads(JsonLines().format(failed()))["exception"]
    assert TextLines().format(failed()).splitlines()[1].startswith("Traceback")
