"""The log of records: what their buffers held, bar after bar, kept as bytes until arrays are asked for.

Copying, joining and even slicing arrays of records costs microseconds for each of them, more than the bar
that wrote them; the same memory seen as bytes costs next to nothing.
"""

from __future__ import annotations

import numpy as np

from quantlab.trading.lowlevel.layout import Records


class RecordLog:
    """All records so far.

    Parameters
    ----------
    buffers : Records
        Where every bar writes anew.
    """

    def __init__(self, buffers: Records) -> None:
        self._types = tuple(part.dtype for part in buffers)
        self._logs = tuple(bytearray() for _ in buffers)
        views = (memoryview(part.view(np.uint8)) for part in buffers)
        parts = tuple(zip(self._logs, views, (dtype.itemsize for dtype in self._types), strict=True))
        self._of_orders, self._of_events = parts[:-1], parts[-1:]

    def append(self, n_orders: int, n_events: int) -> None:
        """Append the first records of the buffers."""
        if n_orders:
            _extend(self._of_orders, n_orders)
        if n_events:
            _extend(self._of_events, n_events)

    def records(self) -> Records:
        """Return all records in their order; read-only arrays."""
        return Records(*(np.frombuffer(bytes(log), dtype) for log, dtype in zip(self._logs, self._types, strict=True)))


def _extend(parts: tuple[tuple[bytearray, memoryview, int], ...], n: int) -> None:
    for log, buffer, size in parts:
        log += buffer[: n * size]
