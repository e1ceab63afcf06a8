"""The collected dataset on disk: one folder, one file per UTC day and kind, one manifest.

A file is a function of the rows it holds, its name of its bytes, and the manifest names the files that
count. So

1. the dataset does not depend on how its rows came: in one run, in ten, or after ten kills;
2. a later day is another file, and no old one is touched;
3. a commit is one rename. Files are written first, then the manifest; what a killed process wrote and
   never committed is swept by the next writer, and no reader ever saw it.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from quantlab.core.clock import MS_PER_DAY
from quantlab.core.durations import duration_text
from quantlab.core.errors import ArtifactError, ConfigError
from quantlab.core.files import remove_abandoned, write_bytes
from quantlab.data.series.alignment import Series
from quantlab.data.series.spans import Spans, difference, union
from quantlab.data.store.day_files import (
    COLUMNS,
    describe_file,
    encode_day,
    merge_rows,
    read_day,
    split_by_day,
)
from quantlab.data.store.gaps import count_gaps
from quantlab.data.store.manifest import LINEAR, NAME, Manifest, Part, StoredFile, SymbolFacts, read_manifest


@dataclass(frozen=True)
class Batch:
    """Rows of one kind to be added.

    Parameters
    ----------
    kind : {"bars", "funding"}
    series : dict of symbol to (time_ms int64 (N,), values float64 (N, K))
        Strictly increasing stamps, checked values.
    covered : dict of symbol to Spans
        Which time these rows are all there is of.
    facts : dict of symbol to SymbolFacts
        Market names and trading rules; their `covered` is not read.
    """

    kind: str
    series: Mapping[str, Series]
    covered: Mapping[str, Spans]
    facts: Mapping[str, SymbolFacts]


class Store:
    """A dataset opened for writing, by one process at a time; see :func:`open_store`."""

    def __init__(self, root: Path, manifest: Manifest) -> None:
        self.root = root
        self.manifest = manifest

    def covered(self, symbol: str, kind: str) -> Spans:
        """Spans of time of `symbol` that are known already."""
        facts = self.manifest.symbols.get(symbol)
        return () if facts is None else facts.covered.get(kind, ())

    def add(self, batch: Batch) -> int:
        """Add rows and coverage in one commit; the result is how many rows were there already.

        Raises
        ------
        DataError
            If a row contradicts one that is stored; nothing is changed then.
        ArtifactError
            If a stored file that has to grow is damaged.
        """
        if not (self.root / NAME).exists():
            self.manifest.write(self.root)  # so that files without a manifest always mean a lost manifest
        files = dict(self.manifest.files)
        known = 0
        for day, series in split_by_day(batch.series).items():
            part = Part(batch.kind, day)
            stored, repeated = self._grow(part, series)
            files[part] = stored
            known += repeated
        self._commit(files, self._symbols(batch))
        return known

    def damaged_parts(self) -> tuple[Part, ...]:
        """The parts whose file is missing or is not the one that was written."""
        return tuple(
            part for part, stored in sorted(self.manifest.files.items()) if not _is_undamaged(self.root, part, stored)
        )

    def forget(self, parts: Iterable[Part]) -> None:
        """Take files out of the dataset, and their days out of the coverage, to be collected again."""
        gone = set(parts)
        if not gone:
            return
        symbols = {
            name: replace(facts, covered={kind: _without(kind, spans, gone) for kind, spans in facts.covered.items()})
            for name, facts in self.manifest.symbols.items()
        }
        self._commit({part: stored for part, stored in self.manifest.files.items() if part not in gone}, symbols)

    def finish(self) -> None:
        """Count the gaps of what is there now and write them into the manifest."""
        if self.manifest.gaps is None:
            self._write(replace(self.manifest, gaps=count_gaps(self.root, self.manifest)))

    def _grow(self, part: Part, series: dict[str, Series]) -> tuple[StoredFile, int]:
        known = self.manifest.files.get(part)
        merged, repeated = series, 0
        if known is not None:
            merged = read_day(self.root, part, known).series()
            for symbol, rows in series.items():
                merged[symbol], twice = merge_rows(merged.get(symbol), rows, f"{symbol} on {part.day}")
                repeated += twice
        data = encode_day(part.kind, merged)
        stored = describe_file(data, sum(len(time_ms) for time_ms, _ in merged.values()))
        if stored != known:
            write_bytes(stored.path(self.root, part), data)
        return stored, repeated

    def _symbols(self, batch: Batch) -> dict[str, SymbolFacts]:
        symbols = dict(self.manifest.symbols)
        for name in sorted({*batch.covered, *batch.facts}):
            old, new = symbols.get(name, SymbolFacts()), batch.facts.get(name, SymbolFacts())
            spans = union([*old.covered.get(batch.kind, ()), *batch.covered.get(name, ())])
            covered = {**old.covered, batch.kind: spans} if spans else old.covered
            symbols[name] = SymbolFacts(new.market or old.market, {**old.rules, **new.rules}, covered)
        return symbols

    def _commit(self, files: dict[Part, StoredFile], symbols: dict[str, SymbolFacts]) -> None:
        manifest = replace(self.manifest, files=files, symbols=symbols)
        if manifest != self.manifest:
            self._write(replace(manifest, gaps=None))

    def _write(self, manifest: Manifest) -> None:
        replaced = self.manifest.files.items() - manifest.files.items()
        manifest.write(self.root)
        self.manifest = manifest
        for part, stored in replaced:
            stored.path(self.root, part).unlink(missing_ok=True)


@contextmanager
def open_store(root: Path, exchange: str, interval_ms: int, market: str = LINEAR) -> Iterator[Store]:
    """Open the dataset in `root` for writing, a new one if there is none; others are kept out meanwhile.

    Raises
    ------
    ConfigError
        If the dataset is of another exchange, interval or market, or another process is writing to it.
    ArtifactError
        If its manifest is damaged.
    """
    root.mkdir(parents=True, exist_ok=True)
    handle = os.open(root, os.O_RDONLY)
    try:
        _lock(handle, root)
        fresh = not (root / NAME).exists()
        manifest = Manifest(exchange, interval_ms, market=market) if fresh else read_manifest(root)
        if (manifest.exchange, manifest.interval_ms, manifest.market) != (exchange, interval_ms, market):
            raise ConfigError(
                f"bars of {exchange} every {duration_text(interval_ms)} ({market}) for the dataset in {root}",
                found=f"a dataset of {manifest.exchange} every {duration_text(manifest.interval_ms)} ({manifest.market})",
                fix="set job.root to another folder: a dataset holds one exchange, one market and one interval",
            )
        if fresh and any(root.glob("*/*.parquet")):
            raise ArtifactError(
                f"a manifest beside the data in {root}",
                found="parquet files and none",
                fix="set job.root to another folder, or restore the manifest",
            )
        _sweep(root, manifest)
        yield Store(root, manifest)
    finally:
        if not any(root.iterdir()):
            root.rmdir()
        os.close(handle)  # also unlocks; so does the death of the process


def _lock(handle: int, root: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise ConfigError(
            f"nobody else writing to {root}", found="another process that does", fix="wait for it to end"
        ) from error


def _sweep(root: Path, manifest: Manifest) -> None:
    """Remove what a killed writer left: half-written files, and whole ones that were never committed."""
    remove_abandoned(root)
    named = {stored.path(root, part) for part, stored in manifest.files.items()}
    for kind in COLUMNS:
        for path in (root / kind).glob("*.parquet"):
            if path not in named:
                path.unlink()


def _is_undamaged(root: Path, part: Part, stored: StoredFile) -> bool:
    try:
        read_day(root, part, stored)
    except ArtifactError:
        return False
    return True


def _without(kind: str, spans: Spans, gone: set[Part]) -> Spans:
    days = [np.datetime64(part.day, "ms").astype(np.int64).item() for part in gone if part.kind == kind]
    return difference(spans, [(day, day + MS_PER_DAY) for day in days])
