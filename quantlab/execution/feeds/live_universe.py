"""Membership of the universe while a session runs: the last snapshot known at each bar's open.

``job=universe`` adds a file a day beside the session; it is read when it appears.
"""

from __future__ import annotations

import dataclasses
import logging
from contextlib import suppress
from pathlib import Path

import numpy as np

from quantlab.core.errors import QuantlabError
from quantlab.core.events import RawBar
from quantlab.data.universe.membership import Membership
from quantlab.data.universe.snapshot import read_snapshots

_log = logging.getLogger(__name__)


class LiveUniverse:
    """The membership of some symbols, kept up to date.

    Parameters
    ----------
    root : Path
        Folder of snapshots.
    symbols : tuple of str

    Raises
    ------
    DataError
        If there is no snapshot.
    ArtifactError
        If one is damaged.
    """

    def __init__(self, root: Path, symbols: tuple[str, ...]) -> None:
        self._root, self._symbols = root, symbols
        self._files = self._list_files()
        self._membership: Membership | None = Membership.of(read_snapshots(root), symbols)

    def mark(self, raw: RawBar) -> RawBar:
        """The bar with whoever was no member at its open; everybody, where a snapshot cannot be read."""
        self._refresh()
        opens = np.array([raw.open_time_ms], dtype=np.int64)
        outside = np.ones(len(self._symbols), dtype=bool)
        if self._membership is not None:
            outside = ~self._membership.at(opens)[0]
        return dataclasses.replace(raw, outside=outside if outside.any() else None)

    def _refresh(self) -> None:
        files = self._list_files()
        if files == self._files:
            return
        self._files = files
        try:
            self._membership = Membership.of(read_snapshots(self._root), self._symbols)
        except QuantlabError as error:
            # Stops and closes must go on; to open something on an unknown universe would be a guess.
            self._membership = None
            _log.warning("nothing is opened until the universe can be read again: %s", error)

    def _list_files(self) -> tuple[tuple[str, int, int], ...]:
        found = []
        for path in sorted(self._root.glob("*.json")):
            with suppress(FileNotFoundError):  # taken away in between
                stat = path.stat()
                found.append((path.name, stat.st_mtime_ns, stat.st_size))
        return tuple(found)
