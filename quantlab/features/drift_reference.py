"""Distribution of the features in training, in a few kilobytes: quantile bins and their counts.

Kept with an artifact as JSON. Bins are closed on the right, ``(edge[i-1], edge[i]]``, the outermost ones
open-ended, so that a value always falls into exactly one. A feature with few values (a pattern) has few bins.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np

from quantlab.core.arrays import BoolArray, Float32Array, Float64Array, Int64Array
from quantlab.core.compiled import compiled
from quantlab.core.errors import ArtifactError, HistoryError
from quantlab.core.types import Features
from quantlab.features.contract import FeatureContract


@dataclass(frozen=True)
class DriftReference:
    """Binned distribution of every feature over the training rows.

    Parameters
    ----------
    names : tuple of str, length F
    fingerprint : str
        Of the features.
    edges : F tuples of float
        Inner edges of each feature's bins, strictly increasing.
    counts : F tuples of int
        Training rows per bin, one more than edges.
    """

    names: tuple[str, ...]
    fingerprint: str
    edges: tuple[tuple[float, ...], ...]
    counts: tuple[tuple[int, ...], ...]

    @property
    def rows(self) -> int:
        """Training rows that were counted."""
        return sum(self.counts[0])

    @cached_property
    def contract(self) -> FeatureContract:
        """Contract of the features that may be compared with it."""
        return FeatureContract(self.names, self.fingerprint)

    @cached_property
    def edge_table(self) -> Float64Array:
        """float64 (F, E): the edges, padded with +inf, which no value exceeds."""
        table = np.full((len(self.edges), max(map(len, self.edges), default=0)), np.inf)
        for row, edges in zip(table, self.edges, strict=True):
            row[: len(edges)] = edges
        return table

    @cached_property
    def count_table(self) -> Int64Array:
        """int64 (F, E + 1): the counts, padded with 0."""
        table = np.zeros((len(self.counts), self.edge_table.shape[1] + 1), dtype=np.int64)
        for row, counts in zip(table, self.counts, strict=True):
            row[: len(counts)] = counts
        return table

    def to_dict(self) -> dict[str, Any]:
        """Strict JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """Read what :meth:`to_dict` gave, through JSON or not.

        Raises
        ------
        ArtifactError
            If it is none of ours.
        """
        try:
            reference = cls(
                names=tuple(map(str, content["names"])),
                fingerprint=str(content["fingerprint"]),
                edges=tuple(tuple(map(float, edges)) for edges in content["edges"]),
                counts=tuple(tuple(map(int, counts)) for counts in content["counts"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise _no_reference(f"{type(error).__name__}: {error}") from error
        reference._check()
        return reference

    def _check(self) -> None:
        if not len(self.names) == len(self.edges) == len(self.counts) > 0:
            raise _no_reference(f"{len(self.names)} names, {len(self.edges)} edges, {len(self.counts)} counts")
        for name, edges, counts in zip(self.names, self.edges, self.counts, strict=True):
            rising = np.isfinite(edges).all() and (np.diff(edges) > 0).all()
            if not rising or len(counts) != len(edges) + 1 or min(counts) < 0 or sum(counts) != self.rows > 0:
                raise _no_reference(f"bins of {name} that do not add up")


def _no_reference(found: str) -> ArtifactError:
    return ArtifactError("a drift reference", found=found, fix="make it again from the training features")


def read_reference(path: Path) -> DriftReference:
    """The reference in a JSON file whose hash was compared.

    Raises
    ------
    ArtifactError
        If it is none of ours.
    """
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise _no_reference(f"{path} that cannot be read ({type(error).__name__})") from error
    return DriftReference.from_dict(content)


def make_reference(features: Features, chosen: BoolArray, *, bins: int, edge_rows: int) -> DriftReference:
    """Bin the training rows by their own quantiles.

    Parameters
    ----------
    features : Features, (T, S, F)
    chosen : bool (T, S)
        The training rows; only ready ones are taken.
    bins : int
        At most so many per feature, >= 2.
    edge_rows : int
        Quantiles are taken of at most so many rows, spread evenly in time order; all rows are counted.

    Raises
    ------
    HistoryError
        If no chosen row is ready.
    ContractError
        If a ready row is not finite.
    """
    FeatureContract(features.names, features.fingerprint).check(features)
    mask = features.ready & chosen
    rows = np.flatnonzero(mask)
    if len(rows) == 0:
        raise HistoryError("training rows that are ready", found="none", fix="load a longer history")
    spread = rows[np.linspace(0, len(rows) - 1, min(edge_rows, len(rows))).astype(np.int64)]
    sample = features.values.reshape(-1, len(features.names))[spread]
    edges = tuple(_inner_edges(sample[:, column], bins) for column in range(len(features.names)))
    empty = DriftReference(features.names, features.fingerprint, edges, tuple((0,) * (len(e) + 1) for e in edges))
    table = count_rows(features.values, mask, empty.edge_table)
    counts = tuple(tuple(map(int, row[: len(e) + 1])) for row, e in zip(table, edges, strict=True))
    return DriftReference(features.names, features.fingerprint, edges, counts)


def _inner_edges(sample: Float32Array, bins: int) -> tuple[float, ...]:
    # Observed values as edges: an atom (a pattern's 0) then fills one bin, instead of straddling two.
    found = np.quantile(sample, np.arange(1, bins) / bins, method="inverted_cdf")
    return tuple(float(edge) for edge in np.unique(found) if edge < sample.max())


@compiled
def _count(values: Any, mask: Any, edges: Any, out: Any) -> None:
    rows, symbols, features = values.shape
    for t in range(rows):
        for s in range(symbols):
            if mask[t, s]:
                for f in range(features):
                    low, high = 0, edges.shape[1]  # the first edge that is not below the value
                    while low < high:
                        middle = (low + high) // 2
                        if edges[f, middle] < values[t, s, f]:
                            low = middle + 1
                        else:
                            high = middle
                    out[f, low] += 1


def count_into(values: Float32Array, mask: BoolArray, edges: Float64Array, counts: Int64Array) -> None:
    """Add to `counts` (F, E + 1) how many masked rows of ``values`` (T, S, F) fall into each bin of `edges` (F, E)."""
    _count(values, mask, edges, counts)


def count_rows(values: Float32Array, mask: BoolArray, edges: Float64Array) -> Int64Array:
    """int64 (F, E + 1): how many masked rows of ``values`` (T, S, F) fall into each bin of ``edges`` (F, E)."""
    counts = np.zeros((edges.shape[0], edges.shape[1] + 1), dtype=np.int64)
    count_into(values, mask, edges, counts)
    return counts
