"""What a buffer of records held, bar after bar, kept as bytes until arrays of it are asked for.

Copying, joining and even slicing arrays of records costs microseconds for each of them, more than the bar
that wrote them; the same memory seen as bytes costs next to nothing.
"""

from __future__ import annotations

import numpy as np

from quantlab.trading.lowlevel.layout import Records


class RecordLog:
    """Everything that was kept so far.

    Parameters
    ----------
    buffers : Records
        Where every bar writes anew.
    """

    def __init__(self, buffers: Records) -> None:
        self._types = tuple(part.dtype for part in buffers)
        self._kept = tuple(bytearray() for _ in buffers)
        written = (memoryview(part.view(np.uint8)) for part in buffers)
        parts = tuple(zip(self._kept, written, (dtype.itemsize for dtype in self._types), strict=True))
        self._of_orders, self._of_events = parts[:-1], parts[-1:]

    def keep(self, n_orders: int, n_events: int) -> None:
        """Keep the first records of the buffers."""
        if n_orders:
            _extend(self._of_orders, n_orders)
        if n_events:
            _extend(self._of_events, n_events)

    def records(self) -> Records:
        """All that was kept, in its order; read-only arrays."""
        return Records(
            *(np.frombuffer(bytes(kept), dtype) for kept, dtype in zip(self._kept, self._types, strict=True))
        )


def _extend(parts: tuple[tuple[bytearray, memoryview, int], ...], n: int) -> None:
    for kept, written, size in parts:
        kept += written[: n * size]
