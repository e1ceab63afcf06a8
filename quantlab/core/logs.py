"""The package's log: handlers attached for as long as something runs, and lines of JSON with nothing secret in them."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

from quantlab.core.clock import iso_utc
from quantlab.core.redaction import redact


class RedactedJson(logging.Formatter):
    """One strict JSON object a record; ``extra={"facts": {...}}`` becomes keys of its own."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        entry: dict[str, Any] = {
            "time": iso_utc(int(record.created * 1000)),
            "level": record.levelname,
            "logger": record.name,
            "message": redact(record.getMessage()),
        }
        facts = getattr(record, "facts", None)
        if facts:
            entry["facts"] = redact(facts)
        if record.exc_info:
            entry["error"] = redact(self.formatException(record.exc_info))
        return json.dumps(entry, ensure_ascii=False, default=str)


@contextmanager
def attach_handler(handler: logging.Handler) -> Iterator[None]:
    """Send the package's records of level INFO and above to `handler`; close it in the end."""
    logger = logging.getLogger("quantlab")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        handler.close()


@contextmanager
def json_log(path: Path, *, most_bytes: int = 16_000_000, files: int = 4) -> Iterator[None]:
    """Write every record of the package to `path`, redacted, in at most `files` + 1 files of `most_bytes`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = RotatingFileHandler(path, maxBytes=most_bytes, backupCount=files, encoding="utf-8")
    handler.setFormatter(RedactedJson())
    with attach_handler(handler):
        yield
