"""Pieces of which a fingerprint is made, so that a mismatch can say which piece differs."""

from __future__ import annotations

from collections.abc import Mapping

from numpy.typing import DTypeLike

from quantlab.core.fingerprint import fingerprint
from quantlab.core.ports import HasDefinitions
from quantlab.features.catalogue import CATALOGUE
from quantlab.features.extra import ExtraFeature
from quantlab.features.kernels.loops import WARMUP

#: Enough of a sha256 to tell two definitions apart.
_DIGITS = 16


def definitions_of(source: object) -> dict[str, str]:
    """The definitions of a feature source, empty for one that does not say."""
    return dict(source.definitions) if isinstance(source, HasDefinitions) else {}


def feature_definitions(interval_ms: int, dtype: DTypeLike, extra: tuple[ExtraFeature, ...]) -> dict[str, str]:
    """Everything that the fingerprint of these features is taken over, in column order.

    Examples
    --------
    >>> found = feature_definitions(300_000, "float32", ())
    >>> list(found)[0], found["bar interval"]
    ('ret_1', '300000 ms')
    """
    unified = {spec.name: fingerprint(spec.name, spec.version, spec.windows)[:_DIGITS] for spec in CATALOGUE}
    extra_parts = {one.name: fingerprint(one.definition())[:_DIGITS] for one in extra}
    return {
        **unified,
        **extra_parts,
        "bar interval": f"{interval_ms} ms",
        "warm-up": f"{WARMUP} bars",
        "dtype": str(dtype),
    }


def first_difference(ours: Mapping[str, str], theirs: Mapping[str, str]) -> str:
    """The first piece in which two sets of definitions differ, in words; empty if none is known to.

    Examples
    --------
    >>> first_difference({"rsi_14": "a", "bar interval": "300000 ms"}, {"rsi_14": "a", "bar interval": "60000 ms"})
    'bar interval 300000 ms against 60000 ms'
    """
    if not (ours and theirs):
        return ""
    for name in (*ours, *(name for name in theirs if name not in ours)):
        if ours.get(name) != theirs.get(name):
            return f"{name} {ours.get(name, 'absent')} against {theirs.get(name, 'absent')}"
    return ""
