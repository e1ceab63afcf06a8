"""Contract of features: names and fingerprint, checked before anything is predicted from them.

Tree libraries accept reordered or renamed columns silently. So every artifact stores the ordered names
and the fingerprint of the features it was fitted on, and refuses any others. Refusals are counted, so that
an operator sees one that a restart or a retry has swallowed.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cache
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from quantlab.core.compiled import compiled
from quantlab.core.errors import ConfigError, ContractError
from quantlab.core.fingerprint import fingerprint
from quantlab.core.types import Features
from quantlab.features.catalogue import CATALOGUE, NAMES
from quantlab.features.kernels.loops import WARMUP

#: Bar lengths that a refused fingerprint is compared with, to say in words what it stands for: 1 min .. 1 d.
_USUAL_INTERVALS_MS = tuple(60_000 * minutes for minutes in (1, 3, 5, 15, 30, 60, 120, 240, 1440, 10080))

#: Names that pipelines of this process have declared for a fingerprint.
_declared: dict[str, tuple[str, ...]] = {}
_refusals: Counter[str] = Counter()
_refusals_lock = Lock()


def feature_mismatch_total() -> int:
    """Number of times that this process has refused features since it started.

    Counts every :class:`~quantlab.core.errors.ContractError` of :class:`FeatureContract`, whichever entry
    (fit, predict, signal) it came through. It only rises, over all threads; other processes count their own.
    """
    return _refusals["total"]


def _count_refusal() -> None:
    with _refusals_lock:
        _refusals["total"] += 1


def declare(fingerprint: str, names: tuple[str, ...]) -> None:
    """Say which names stand under a pipeline's fingerprint: from then on no others are taken under it.

    So a feature set that lost or gained columns on its way from the pipeline is refused even where both sides
    of a comparison, such as training and validation rows, have lost or gained the same.
    """
    _declared[fingerprint] = names


def output_dtype(dtype: DTypeLike) -> np.dtype[Any]:
    """The two output types: float32 and float64.

    Raises
    ------
    ConfigError
        For any other.
    """
    chosen = np.dtype(dtype)
    if chosen not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise ConfigError("dtype float32 or float64", found=chosen.name, fix="use float32, which models are fed")
    return chosen


def positive_interval(interval_ms: int) -> int:
    """`interval_ms` if it is a whole number of milliseconds >= 1, else ConfigError."""
    if isinstance(interval_ms, bool) or not isinstance(interval_ms, (int, np.integer)) or interval_ms < 1:
        raise ConfigError(
            "an interval in whole milliseconds >= 1", found=repr(interval_ms), fix="five minutes are 300000"
        )
    return int(interval_ms)


def features_fingerprint(interval_ms: int, dtype: DTypeLike) -> str:
    """sha256 (hex) over names, order, versions and windows of the definitions, warm-up, dtype and bar interval."""
    definitions = [(spec.name, spec.version, spec.windows) for spec in CATALOGUE]
    return fingerprint(definitions, WARMUP, output_dtype(dtype).name, positive_interval(interval_ms))


@dataclass(frozen=True)
class FeatureContract:
    """Ordered names and fingerprint of the features that something was fitted on.

    Parameters
    ----------
    names : tuple of str, length F
        Each once.
    fingerprint : str

    Raises
    ------
    ContractError
        If a name is there twice.
    """

    names: tuple[str, ...]
    fingerprint: str

    def __post_init__(self) -> None:
        repeated = [name for name, count in Counter(self.names).items() if count > 1]
        if repeated:
            _count_refusal()
            raise ContractError(
                f"{len(self.names)} features with different names",
                found=f"{repeated[0]!r} {self.names.count(repeated[0])} times, first in column {self.names.index(repeated[0])}",
                fix="drop or rename the repeated column",
            )

    def check(self, features: Features) -> None:
        """Return if `features` are the agreed ones and finite in every ready row.

        Raises
        ------
        ContractError
            Naming both sides and the first difference; counted in :func:`feature_mismatch_total`.
        """
        try:
            self._require(features)
        except ContractError:
            _count_refusal()
            raise

    def require(self, names: tuple[str, ...], fingerprint: str, difference: str = "") -> None:
        """Return if features of these names and fingerprint are the agreed ones.

        Parameters
        ----------
        names : tuple of str
        fingerprint : str
        difference : str
            The first difference of the definitions behind the two fingerprints, where it is known.

        Raises
        ------
        ContractError
            As :meth:`check`.
        """
        try:
            self._require_agreed(names, fingerprint, difference)
        except ContractError:
            _count_refusal()
            raise

    def _require(self, features: Features) -> None:
        self._require_agreed(features.names, features.fingerprint)
        bad = int(_first_not_finite(features.values, features.ready))
        if bad >= 0:
            t, s, f = np.unravel_index(bad, features.values.shape)
            raise ContractError(
                "finite values in every ready row",
                found=f"{features.values[t, s, f]} in {self.names[f]!r} at row {t}, symbol {s}",
                fix="mark the row as not ready or repair the feature",
            )

    def _require_agreed(self, names: tuple[str, ...], fingerprint: str, difference: str = "") -> None:
        _require_names(self.names, names, "hand over the features in the order they were fitted in")
        if fingerprint != self.fingerprint:
            first = f"; the first difference: {difference}" if difference else ""
            raise ContractError(
                f"{_meaning(self.fingerprint)} with fingerprint {self.fingerprint}",
                found=f"{_meaning(fingerprint)}, {fingerprint}, under the same {len(self.names)} names{first}",
                fix="use the same feature definitions and bar interval, or fit again on these",
            )
        _require_names(_names_under(fingerprint) or names, names, "hand over every column as the pipeline makes it")


def _require_names(ours: tuple[str, ...], theirs: tuple[str, ...], fix: str) -> None:
    if ours == theirs:
        return
    padded = max(len(ours), len(theirs))
    one, other = ((*names, *[None] * (padded - len(names))) for names in (ours, theirs))
    first = next(i for i in range(padded) if one[i] != other[i])
    raise ContractError(
        f"{len(ours)} features with {_quoted(one[first])} in column {first}",
        found=f"{len(theirs)} features with {_quoted(other[first])} there, the first difference",
        fix=fix,
    )


def _names_under(fingerprint: str) -> tuple[str, ...] | None:
    """The names that a fingerprint stands for; None for one that no pipeline of this process has."""
    unified = NAMES if fingerprint in _known_fingerprints() else None
    return _declared.get(fingerprint, unified)


def _meaning(found: str) -> str:
    """Meaning of a fingerprint, as far as today's definitions reach."""
    return _known_fingerprints().get(found, "features of another set, version, extension or interval")


@cache
def _known_fingerprints() -> dict[str, str]:
    return {
        features_fingerprint(interval_ms, dtype): f"features of {interval_ms} ms bars as {dtype}"
        for interval_ms in _USUAL_INTERVALS_MS
        for dtype in ("float32", "float64")
    }


def _quoted(name: str | None) -> str:
    return "nothing" if name is None else repr(name)


@compiled
def _first_not_finite(values: Any, ready: Any) -> Any:
    """Flat index of the first NaN or infinity of a ready row in ``values`` (T, S, F), or -1."""
    rows, symbols, count = values.shape
    for t in range(rows):
        for s in range(symbols):
            if ready[t, s]:
                for f in range(count):
                    if not np.isfinite(values[t, s, f]):
                        return (t * symbols + s) * count + f
    return -1
