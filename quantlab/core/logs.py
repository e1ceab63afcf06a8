"""The package's log: handlers attached for as long as something runs, and lines of JSON with nothing secret in them."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

from quantlab.core.clock import iso_utc

HIDDEN = "[hidden]"

#: Keys whose values are never written, whatever they hold.
_SECRET_KEY = re.compile(
    r"secret|passw|passphrase|token|api_?key|private_?key|mnemonic|seed_phrase|authorization|signature|cookie|credential",
    re.IGNORECASE,
)
#: ``key=value``, ``key: value`` and ``"key": "value"`` inside a text.
_SECRET_PAIR = re.compile(
    r"(?i)(['\"]?[\w-]*(?:secret|passw\w*|passphrase|token|api[_-]?key|private[_-]?key|mnemonic|authorization|signature"
    r"|credential)[\w-]*['\"]?\s*[=:]\s*)(?:(?:bearer|basic|hmac)\s+)?(['\"]?)[^\s'\",;&}]+(['\"]?)"
)
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}")
_URL_LOGIN = re.compile(r"(?i)(\b[a-z][a-z0-9+.-]*://)[^/\s:@]+:[^/\s@]+@")
#: What keys and signatures look like wherever they stand: long runs of hex or of base64.
_LONG_HEX = re.compile(r"\b(?:0x)?[0-9a-fA-F]{32,}\b")
_LONG_MIXED = re.compile(
    r"\b(?=[A-Za-z0-9+/_-]*[0-9])(?=[A-Za-z0-9+/_-]*[a-z])(?=[A-Za-z0-9+/_-]*[A-Z])[A-Za-z0-9+/_-]{32,}={0,2}"
)


def redact(value: Any) -> Any:
    """The same value without what looks like a key, a secret, a token or a signature.

    Examples
    --------
    >>> redact({"apiKey": "abc", "note": "secret=xyz and price 5"})
    {'apiKey': '[hidden]', 'note': 'secret=[hidden] and price 5'}
    """
    match value:
        case str():
            return _redact_text(value)
        case dict():
            return {_redact_text(str(k)): HIDDEN if _SECRET_KEY.search(str(k)) else redact(v) for k, v in value.items()}
        case list() | tuple():
            return [redact(item) for item in value]
        case None | bool() | int() | float():
            return value
        case _:
            return _redact_text(str(value))


def _redact_text(text: str) -> str:
    text = _SECRET_PAIR.sub(rf"\1\2{HIDDEN}\3", text)
    text = _BEARER.sub(rf"\1 {HIDDEN}", text)
    text = _URL_LOGIN.sub(rf"\1{HIDDEN}@", text)
    text = _LONG_HEX.sub(HIDDEN, text)
    return _LONG_MIXED.sub(HIDDEN, text)


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
