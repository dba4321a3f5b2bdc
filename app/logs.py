"""Log lines as text or JSON, with the id of the request they belong to; of prompts, queries and keys nothing."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")  # but tab and newline
request_id: ContextVar[str] = ContextVar("request_id", default="")


@contextmanager
def request_context(number: str) -> Iterator[None]:
    """Lines that belong to the request of this id, though another thread writes them."""
    token = request_id.set(number)
    try:
        yield
    finally:
        request_id.reset(token)


class TextLines(logging.Formatter):
    """time logger level [request] message key=value …; what others have written cannot begin a line."""

    def format(self, record: logging.LogRecord) -> str:
        """One record; a traceback follows on lines of its own."""
        about = "".join(f" {name}={value}" for name, value in getattr(record, "about", {}).items())
        said = CONTROL.sub("?", f"{record.getMessage()}{about}").replace("\n", "\\n")
        number = f" [{request}]" if (request := request_id.get()) else ""
        line = f"{self.formatTime(record)} {record.name} {record.levelname}{number} {said}"
        return f"{line}\n{CONTROL.sub('?', self.formatException(record.exc_info))}" if record.exc_info else line


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, message, request, and what the record is about."""

    def format(self, record: logging.LogRecord) -> str:
        """One record, its traceback included."""
        values = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "request": request_id.get() or None,
            **getattr(record, "about", {}),
        }
        if record.exc_info:
            values["exception"] = self.formatException(record.exc_info)
        return json.dumps({name: value for name, value in values.items() if value is not None}, default=str)


def configure(kind: str) -> None:
    """Log to stderr as text or json, from level INFO on."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if kind == "json" else TextLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.captureWarnings(True)


def reason(error: Exception) -> str:
    """What went wrong in a few words, without a file's name: a picture's has words of its prompt."""
    return getattr(error, "strerror", None) or type(error).__name__
