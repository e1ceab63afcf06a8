"""Sets of half-open time spans: which stretches of the past have been asked for and answered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

#: ``[start, end)`` in epoch milliseconds.
Span = tuple[int, int]
#: Disjoint, in time order, no two touching.
Spans = tuple[Span, ...]


def union(spans: Iterable[Span]) -> Spans:
    """The same instants as disjoint spans in time order; empty spans vanish.

    Examples
    --------
    >>> union([(5, 8), (0, 3), (3, 4), (9, 9)])
    ((0, 4), (5, 8))
    """
    merged: list[Span] = []
    for start, end in sorted(span for span in spans if span[0] < span[1]):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return tuple(merged)


def difference(wanted: Iterable[Span], known: Iterable[Span]) -> Spans:
    """The part of `wanted` that lies outside `known`.

    Examples
    --------
    >>> difference([(0, 10)], [(2, 4), (6, 20)])
    ((0, 2), (4, 6))
    """
    left = list(union(wanted))
    for start, end in union(known):
        cut = [((a, min(b, start)), (max(a, end), b)) for a, b in left]
        left = [span for pair in cut for span in pair if span[0] < span[1]]
    return tuple(left)


def windows(spans: Iterable[Span], length: int) -> Iterator[Span]:
    """`spans` cut at the multiples of `length`, in time order.

    Examples
    --------
    >>> list(windows([(3, 12)], 5))
    [(3, 5), (5, 10), (10, 12)]
    """
    for start, end in union(spans):
        while start < end:
            stop = min(end, (start // length + 1) * length)
            yield start, stop
            start = stop
