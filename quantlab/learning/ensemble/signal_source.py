"""Fitted members and their ensemble as a source of signals: history at once, or one bar at a time."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from quantlab.core.arrays import Float32Array, Float64Array
from quantlab.core.blobs import pack_arrays, unpack_arrays
from quantlab.core.errors import ConfigError, ContractError
from quantlab.core.fingerprint import fingerprint
from quantlab.core.indicators import average_true_range
from quantlab.core.market import Bars
from quantlab.core.ports import FeatureSource, FeatureStream, FittedModel
from quantlab.core.types import Features, Signal, Votes
from quantlab.learning.ensemble.ensemble import FittedEnsemble
from quantlab.learning.ensemble.members import lookback, predict_rows
from quantlab.learning.ensemble.pooling import Liveness, PooledForecast
from quantlab.learning.ensemble.thresholds import move_bps

_MARK = b"quantlab ensemble 1\n"


@dataclass(frozen=True, eq=False)
class Member:
    """A fitted model with its name in the configuration and the sha256 of its stored files.

    `origin` says where these are: the key of a cached forecast, or a version of the registry.
    """

    name: str
    model: FittedModel
    digest: str
    origin: str = ""


@dataclass(frozen=True, eq=False)
class EnsembleSignal:
    """Signal of the last fold's members, weights and temperature: the object that was tested is the one that is promoted.

    Parameters
    ----------
    features : FeatureSource
    members : tuple of Member
        In the ensemble's order.
    ensemble : FittedEnsemble

    Raises
    ------
    ConfigError
        If the members are not the ones that the ensemble was fitted for.
    """

    features: FeatureSource
    members: tuple[Member, ...]
    ensemble: FittedEnsemble

    def __post_init__(self) -> None:
        names = tuple(member.name for member in self.members)
        if names != self.ensemble.names:
            raise ConfigError(
                f"members {', '.join(self.ensemble.names)}, in this order", found=", ".join(names), fix="load them all"
            )

    @property
    def fingerprint(self) -> str:
        """sha256 over features, stored members, weights, temperature and rules."""
        digests = {member.name: member.digest for member in self.members}
        return fingerprint("EnsembleSignal", self.features.fingerprint, digests, self.ensemble)

    def models(self) -> dict[str, Any]:
        """Strict JSON: every member's origin and sha256, and the ensemble that was fitted over them."""
        stored = {member.name: {"origin": member.origin, "sha256": member.digest} for member in self.members}
        return {"members": stored, "ensemble": dataclasses.asdict(self.ensemble)}

    @property
    def lookback(self) -> int:
        """Rows of features that the most demanding member reads."""
        return max(lookback(member.model) for member in self.members)

    @property
    def warmup(self) -> int:
        """Bars after which a row does not depend on where the history began."""
        return self.features.warmup + self.lookback + self.ensemble.rules.liveness_bars

    def signal(self, bars: Bars) -> Signal:
        """Signals of a whole history; row t reads bars <= t.

        Raises
        ------
        ContractError
            If a member refuses the features or breaks its promises.
        """
        features = self.features.transform(bars)
        # Members first: they refuse features that are not theirs, by name, before anything is read of them.
        members = self._member_forecasts(features, 0)
        atr = average_true_range(bars, features)
        pooled, _ = self._vote(members, self.ensemble.begin(bars.n_symbols), bars, atr)
        return to_signal(pooled, atr)

    def stream(self, symbols: tuple[str, ...], interval_ms: int) -> EnsembleStream:
        """The same, one bar at a time, from before the first bar."""
        return EnsembleStream(
            source=self,
            symbols=symbols,
            features=self.features.stream(symbols, interval_ms),
            liveness=self.ensemble.begin(len(symbols)),
        )

    def _vote(
        self, members: Float32Array, state: Liveness, bars: Bars, atr: Float64Array
    ) -> tuple[PooledForecast, Liveness]:
        return self.ensemble.pool(members, state, move_bps(bars, atr, self.ensemble.rules.move_atr))

    def _member_forecasts(self, features: Features, start: int) -> Float32Array:
        """float32 (M, T - start, S, 3): every member on the rows from `start` on."""
        stop = len(features.ready)
        return np.stack([predict_rows(m.name, m.model, features, start, stop) for m in self.members])


@dataclass
class EnsembleStream:
    """A running :class:`EnsembleSignal`; everything that it remembers is a field.

    Parameters
    ----------
    source : EnsembleSignal
    symbols : tuple of str
    features : FeatureStream
    liveness : Liveness
    window : Features or None
        The last ``source.lookback`` rows of features, None before the first bar.
    newest_votes : Votes or None
        Of the members at the newest bar; None before the first, and after a restart until the next: nothing depends on it.
    """

    source: EnsembleSignal
    symbols: tuple[str, ...]
    features: FeatureStream
    liveness: Liveness
    window: Features | None = None
    newest_votes: Votes | None = None

    @property
    def newest_features(self) -> Features | None:
        """Features (1, S, F) of the newest bar; None before the first."""
        return None if self.window is None else self.window.rows(len(self.window.ready) - 1, len(self.window.ready))

    def update(self, bar: Bars) -> Signal:
        """One bar in, one row of signal out: the same features, members and vote as in history.

        Raises
        ------
        ContractError
            If `bar` is not one bar of the stream's symbols, or a member refuses the features.
        """
        if bar.n_bars != 1 or bar.symbols != self.symbols:
            raise ContractError(
                f"one bar of {len(self.symbols)} symbols in the stream's order",
                found=f"{bar.n_bars} bars of {', '.join(bar.symbols)}",
                fix="open a stream for these symbols",
            )
        row = self.features.update(bar)
        self.window = _append_row(self.window, row, self.source.lookback)
        members = self.source._member_forecasts(self.window, len(self.window.ready) - 1)
        atr = average_true_range(bar, row)
        pooled, self.liveness = self.source._vote(members, self.liveness, bar, atr)
        self.newest_votes = self.source.ensemble.votes(members, self.liveness)
        return to_signal(pooled, atr)

    def state(self) -> bytes:
        """Features, the window of past rows and the members' liveness."""
        features = np.frombuffer(self.features.state(), dtype=np.uint8)
        arrays: dict[str, Any] = {
            "features": features,
            "last": self.liveness.last,
            "forecast_bars": self.liveness.forecast_bars,
            "unmoved_bars": self.liveness.unmoved_bars,
        }
        if self.window is not None:
            arrays |= {"values": self.window.values, "ready": self.window.ready}
        return pack_arrays(_MARK, {"fingerprint": self.source.fingerprint, "symbols": list(self.symbols)}, arrays)

    def restore(self, state: bytes) -> None:
        """Continue from what :meth:`state` returned, here or in another process.

        Raises
        ------
        ArtifactError
            If `state` is damaged.
        ContractError
            If it belongs to other members, features or symbols.
        """
        header, arrays = unpack_arrays(_MARK, state, "ensemble state")
        ours = {"fingerprint": self.source.fingerprint, "symbols": list(self.symbols)}
        for key, value in ours.items():
            if header.get(key) != value:
                raise ContractError(
                    f"an ensemble state with {key} {value!r}",
                    found=repr(header.get(key)),
                    fix="restore it into the stream it was taken from, or warm up again",
                )
        self.features.restore(arrays["features"].tobytes())
        self.liveness = Liveness(arrays["last"], arrays["forecast_bars"], arrays["unmoved_bars"])
        self.window = self.newest_votes = None
        if "values" in arrays:
            features = self.source.features
            self.window = Features(arrays["values"], arrays["ready"], features.names, features.fingerprint)


def _append_row(window: Features | None, row: Features, keep: int) -> Features:
    if window is None or keep == 1:
        return row
    before = window.rows(max(0, len(window.ready) - keep + 1), len(window.ready))
    return dataclasses.replace(
        row,
        values=np.concatenate([before.values, row.values]),
        ready=np.concatenate([before.ready, row.ready]),
    )


def to_signal(pooled: PooledForecast, atr: Float64Array) -> Signal:
    """A vote with the one ATR beside it."""
    return Signal(
        side=pooled.side,
        proba=pooled.proba,
        confidence=pooled.confidence,
        consensus=pooled.consensus,
        live_members=pooled.live_members,
        atr=atr,
        gain_bps=pooled.gain_bps,
    )
