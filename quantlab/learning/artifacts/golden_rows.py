"""Golden rows: a few real rows with a member's forecasts, which a stored member has to repeat.

Hashes say that a file is the one that was written; golden rows say that it still means the same, on this
machine and with these libraries.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from quantlab.core.arrays import Float32Array
from quantlab.core.errors import ArtifactError
from quantlab.core.ports import FittedModel
from quantlab.core.types import Features
from quantlab.learning.ensemble.members import lookback, predict_rows
from quantlab.learning.ensemble.pooling import has_forecast

#: float32 networks add up in another order on another host; a wrong file is wrong by far more.
TOLERANCE = 1e-5
#: Bars that are forecast, and symbols: enough to reach most branches of a tree, small in a file.
_BARS, _SYMBOLS = 16, 4


@dataclass(frozen=True, eq=False)
class Golden:
    """Inputs and outputs at the time of saving.

    Parameters
    ----------
    features : Features, (G, S, F)
        Sixteen bars, and before them what the member reads to forecast the first.
    outputs : float32 (G, S, 3)
        NaN where the member made no forecast.
    """

    features: Features
    outputs: Float32Array

    @classmethod
    def of(cls, name: str, model: FittedModel, features: Features, stop: int) -> Self:
        """The bars before row `stop`, for the symbols that are ready most often there.

        Raises
        ------
        ArtifactError
            If the member makes no forecast for them.
        """
        window = features.rows(max(0, stop - _BARS - lookback(model) + 1), stop)
        symbols = np.sort(np.argsort(-window.ready.sum(axis=0), kind="stable")[:_SYMBOLS])
        chosen = Features(
            np.ascontiguousarray(window.values[:, symbols]),
            np.ascontiguousarray(window.ready[:, symbols]),
            window.names,
            window.fingerprint,
        )
        outputs = predict_rows(name, model, chosen, 0, len(chosen.ready))
        if not has_forecast(outputs).any():
            raise ArtifactError(
                f"a row that {name} forecasts among the last {len(chosen.ready)} bars",
                found="none",
                fix="end the history where symbols are ready",
            )
        return cls(chosen, outputs)

    def require(self, name: str, model: FittedModel) -> None:
        """Return if `model` repeats the outputs.

        Raises
        ------
        ArtifactError
            If it is silent elsewhere, or off by more than :data:`TOLERANCE`.
        ContractError
            If it refuses the features or breaks its promises.
        """
        proba = predict_rows(name, model, self.features, 0, len(self.features.ready))
        present = has_forecast(self.outputs)
        off = np.abs(proba[present].astype(np.float64) - self.outputs[present]).max(initial=0.0)
        if not (np.array_equal(has_forecast(proba), present) and off <= TOLERANCE):
            raise ArtifactError(
                f"{name} to repeat its golden predictions to {TOLERANCE:g}",
                found=f"{off:g} off" if off > TOLERANCE else "forecasts for other rows",
                fix="use the library versions of its manifest, or fit it again",
            )

    def save(self, folder: Path) -> None:
        """Write ``golden_*.npy`` into an existing folder."""
        for name, array in zip(FILES, (self.features.values, self.features.ready, self.outputs), strict=True):
            np.save(folder / name, array)

    @classmethod
    def load(cls, folder: Path, names: tuple[str, ...], fingerprint: str) -> Self:
        """Read what :meth:`save` wrote; the caller has verified hashes before.

        Raises
        ------
        ArtifactError
            If a file is missing or not such an array.
        """
        try:
            values, ready, outputs = (np.load(folder / name, allow_pickle=False) for name in FILES)
        except (OSError, ValueError, EOFError) as error:
            raise ArtifactError(f"golden rows in {folder}", found=str(error), fix="fit the member again") from error
        return cls(Features(values, ready, names, fingerprint), outputs)


#: What a folder with golden rows holds.
FILES = ("golden_values.npy", "golden_ready.npy", "golden_outputs.npy")
