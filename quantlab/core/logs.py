"""Attaching a handler to the package's log for as long as something runs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def attached(handler: logging.Handler) -> Iterator[None]:
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
