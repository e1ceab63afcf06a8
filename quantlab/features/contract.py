"""What was agreed on about features, checked before anything is predicted from them.

Tree libraries accept reordered or renamed columns silently. So every artifact stores the ordered names
and the fingerprint of the features it was fitted on, and refuses any others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from quantlab.core.compiled import compiled
from quantlab.core.errors import ConfigError, ContractError
from quantlab.core.fingerprint import fingerprint
from quantlab.core.types import Features
from quantlab.features.catalogue import CATALOGUE
from quantlab.features.kernels.loops import WARMUP


def output_dtype(dtype: DTypeLike) -> np.dtype[Any]:
    """The two output types: float32 and float64.

    Raises
    ------
    ConfigError
        For any other.
    """
    chosen = np.dtype(dtype)
    if chosen not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise ConfigError("dtype float32 or float64", found=chosen.name, mend="use float32, which models are fed")
    return chosen


def positive_interval(interval_ms: int) -> int:
    """`interval_ms` if it is a whole number of milliseconds >= 1, else ConfigError."""
    if isinstance(interval_ms, bool) or not isinstance(interval_ms, (int, np.integer)) or interval_ms < 1:
        raise ConfigError(
            "an interval in whole milliseconds >= 1", found=repr(interval_ms), mend="five minutes are 300000"
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
    fingerprint : str
    """

    names: tuple[str, ...]
    fingerprint: str

    def check(self, features: Features) -> None:
        """Return if `features` are the agreed ones and finite in every ready row.

        Raises
        ------
        ContractError
            Naming both sides and the first difference.
        """
        self._check_names(features.names)
        if features.fingerprint != self.fingerprint:
            raise ContractError(
                f"features with fingerprint {self.fingerprint}",
                found=f"{features.fingerprint}, under the same {len(self.names)} names",
                mend="use the same feature definitions and bar interval, or fit again on these",
            )
        bad = int(_first_not_finite(features.values, features.ready))
        if bad >= 0:
            t, s, f = np.unravel_index(bad, features.values.shape)
            raise ContractError(
                "finite values in every ready row",
                found=f"{features.values[t, s, f]} in {self.names[f]!r} at row {t}, symbol {s}",
                mend="mark the row as not ready or repair the feature",
            )

    def _check_names(self, found: tuple[str, ...]) -> None:
        if found == self.names:
            return
        padded = max(len(found), len(self.names))
        ours = (*self.names, *[None] * (padded - len(self.names)))
        theirs = (*found, *[None] * (padded - len(found)))
        first = next(i for i in range(padded) if ours[i] != theirs[i])
        raise ContractError(
            f"{len(self.names)} features with {_quoted(ours[first])} in column {first}",
            found=f"{len(found)} features with {_quoted(theirs[first])} there, the first difference",
            mend="hand over the features in the order they were fitted in",
        )


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
