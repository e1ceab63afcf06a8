"""The ensemble: members' forecasts pooled with weights, one temperature, and the thresholds."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from quantlab.core.arrays import BoolArray, Float32Array, Float64Array, Int8Array
from quantlab.core.checks import check_range, check_whole
from quantlab.core.errors import ConfigError, ContractError, HistoryError
from quantlab.core.types import Votes
from quantlab.learning.ensemble.calibration import fit_temperature, log_losses
from quantlab.learning.ensemble.pooling import Liveness, PooledForecast, alive_members, has_forecast, pool
from quantlab.learning.ensemble.thresholds import Thresholds, apply_thresholds, gain_bps


@dataclass(frozen=True)
class Ensemble:
    """Rules by which members are pooled, and the thresholds of a decision.

    Parameters
    ----------
    min_confidence : float
        Smallest pooled probability of the decision that makes a BUY or SELL, in 0 .. 1.
    min_consensus : float
        Smallest weight share of the live members that must agree, in 0 .. 1.
    quorum : int
        Fewest live members, >= 1.
    liveness_bars : int
        A member whose output did not move over this many bars is dead, >= 2.
    min_gain_bps : float
        Smallest gain, in basis points of price and before costs, that a decision must be expected to bring, >= 0.
    move_atr : float
        What a BUY or SELL label is worth, in multiples of ATR: the labels' take-profit, > 0.
    min_weight, max_weight : float
        Bounds of every member's weight: none can be silenced by one bad month, none can rule alone.

    Raises
    ------
    ConfigError
        If a value is outside its range.
    """

    min_confidence: float
    min_consensus: float
    quorum: int
    liveness_bars: int
    min_weight: float
    max_weight: float
    min_gain_bps: float
    move_atr: float

    def __post_init__(self) -> None:
        check_range("learning.ensemble.min_gain_bps", self.min_gain_bps, low=0.0)
        check_range("learning.ensemble.move_atr", self.move_atr, low=1e-6)
        for name in ("min_confidence", "min_consensus", "min_weight"):
            check_range(f"learning.ensemble.{name}", getattr(self, name), low=0.0, high=1.0)
        check_range("learning.ensemble.max_weight", self.max_weight, low=self.min_weight, high=1.0)
        for name, low in (("quorum", 1), ("liveness_bars", 2)):
            check_whole(f"learning.ensemble.{name}", getattr(self, name), low=low)

    @property
    def thresholds(self) -> Thresholds:
        """The four thresholds, as :func:`quantlab.learning.ensemble.thresholds.apply_thresholds` takes them."""
        return Thresholds(self.min_confidence, self.min_consensus, self.quorum, self.min_gain_bps)

    def check(self, n_members: int) -> None:
        """Check that `n_members` can vote under these rules.

        Raises
        ------
        ConfigError
            If the quorum can never be met, or no weights within the bounds sum to 1.
        """
        if n_members < self.quorum:
            raise ConfigError(
                f"at least {self.quorum} members, the quorum",
                found=f"{n_members} in learning.members",
                fix="add members or lower learning.ensemble.quorum",
            )
        if not self.min_weight * n_members <= 1.0 <= self.max_weight * n_members:
            raise ConfigError(
                f"weight bounds within which the weights of {n_members} members can sum to 1",
                found=f"min_weight {self.min_weight:g}, max_weight {self.max_weight:g}",
                fix=f"set min_weight <= {1 / n_members:g} <= max_weight",
            )

    def fit(
        self, names: tuple[str, ...], members: Float32Array, label: Int8Array, weight: Float32Array, rows: BoolArray
    ) -> FittedEnsemble:
        """Weights from each member's log loss on the inner fold, then one temperature after pooling.

        Parameters
        ----------
        names : tuple of str, length M
        members : float32 (M, T, S, 3)
            Their probabilities over the bars of the inner fold.
        label : int8 (T, S)
            Class indices; looked at in `rows` only.
        weight : float32 (T, S)
            Average uniqueness of the labels.
        rows : bool (T, S)
            Calibration rows: no member was fitted or stopped on them, and all their labels were known
            before the first bar that the ensemble will forecast.

        Raises
        ------
        ConfigError
            See :meth:`check`.
        HistoryError
            If there are no calibration rows, or a member has forecasts for none of them.
        """
        self.check(len(names))
        skill = [_skill(name, m, label, weight, rows) for name, m in zip(names, members, strict=True)]
        weights = bounded_weights(np.array(skill), self.min_weight, self.max_weight)
        plain = FittedEnsemble(rules=self, names=names, weights=tuple(weights.tolist()), temperature=1.0)
        pooled, _ = plain.pool_forecasts(members, plain.begin(members.shape[2]))
        scored = rows & has_forecast(pooled.proba)
        temperature = fit_temperature(pooled.proba[scored], label[scored], weight[scored])
        return dataclasses.replace(plain, temperature=temperature)


@dataclass(frozen=True)
class FittedEnsemble:
    """An ensemble that can vote.

    Parameters
    ----------
    rules : Ensemble
    names : tuple of str, length M
        Members, in the order of every array's first axis.
    weights : tuple of float, length M
        Within the rules' bounds, summing to 1.
    temperature : float
        Applied after pooling; above 1 softens.
    """

    rules: Ensemble
    names: tuple[str, ...]
    weights: tuple[float, ...]
    temperature: float

    def begin(self, n_symbols: int) -> Liveness:
        """The state before the first bar."""
        return Liveness.begin(len(self.names), n_symbols)

    def pool(
        self, members: Float32Array, state: Liveness, move: Float64Array, *, without: str | None = None
    ) -> tuple[PooledForecast, Liveness]:
        """Vote over one or more bars, through the thresholds.

        Parameters
        ----------
        members : float32 (M, T, S, 3)
            Bars that follow the ones that `state` has seen.
        state : Liveness
            Left as it is.
        move : float64 (T, S)
            The labels' move in basis points, see :func:`quantlab.learning.ensemble.thresholds.move_bps`.
        without : str, optional
            A member to leave out; the others' weights are renormalised.

        Returns
        -------
        PooledForecast, Liveness
            The vote, and the state after the last bar.

        Raises
        ------
        ContractError
            If `members` is not one array per member.
        """
        pooled, after = self.pool_forecasts(members, state, without=without)
        pooled = dataclasses.replace(pooled, gain_bps=gain_bps(pooled.proba, move))
        return dataclasses.replace(pooled, side=apply_thresholds(pooled, self.rules.thresholds)), after

    def pool_forecasts(
        self, members: Float32Array, state: Liveness, *, without: str | None = None
    ) -> tuple[PooledForecast, Liveness]:
        """Vote as :meth:`pool` does, before expected gains and thresholds: every side is HOLD."""
        if members.ndim != 4 or members.shape[0] != len(self.names) or members.shape[3] != 3:
            raise ContractError(
                f"probabilities of shape ({len(self.names)}, T, S, 3)",
                found=str(members.shape),
                fix=f"give one array for each of {', '.join(self.names)}",
            )
        weights = np.array([0.0 if name == without else w for name, w in zip(self.names, self.weights, strict=True)])
        pooled = PooledForecast.empty(members.shape[1], members.shape[2])
        after = Liveness(state.last.copy(), state.forecast_bars.copy(), state.unmoved_bars.copy())
        pool(
            np.ascontiguousarray(members, dtype=np.float32),
            weights,
            float(self.temperature),
            self.rules.liveness_bars,
            after.last,
            after.forecast_bars,
            after.unmoved_bars,
            pooled.proba,
            pooled.confidence,
            pooled.consensus,
            pooled.live_members,
        )
        return pooled, after

    def votes(self, members: Float32Array, state: Liveness) -> Votes:
        """Return what each member said at the last of some bars.

        Parameters
        ----------
        members : float32 (M, T, S, 3)
            As they were pooled.
        state : Liveness
            After the last bar.
        """
        alive = alive_members(state.forecast_bars, state.unmoved_bars, self.rules.liveness_bars)
        return Votes(self.names, self.weights, tuple(alive.tolist()), members[:, -1])


def _skill(name: str, proba: Float32Array, label: Int8Array, weight: Float32Array, rows: BoolArray) -> float:
    """Nats by which a member's weighted log loss beats the calibration rows' own class shares."""
    scored = rows & has_forecast(proba)
    classes, weights = label[scored], weight[scored].astype(np.float64)
    if not weights.sum() > 0.0:
        raise HistoryError(
            f"labelled calibration rows for which member {name} has forecasts",
            found="none",
            fix="use a longer history or a larger learning.splits.calibration_fraction",
        )
    share = np.bincount(classes, weights=weights, minlength=3) / weights.sum()
    present = share[share > 0.0]
    entropy = float(-(present * np.log(present)).sum())
    return entropy - float(np.average(log_losses(proba[scored], classes), weights=weights))


def bounded_weights(skill: Float64Array, low: float, high: float) -> Float64Array:
    """Weights in proportion to positive skill, moved as little as possible into the bounds.

    The shares ``max(skill, 0) / sum`` (equal shares if nobody has skill) are projected onto
    ``{w: sum w = 1, low <= w <= high}``, whose nearest point is ``clip(share + shift, low, high)`` for
    one common shift (Wang and Lu 2015, "Projection onto the capped simplex").

    Parameters
    ----------
    skill : float64 (M,)
        Nats by which a member beats the class shares; at or below 0 it knows nothing.
    low, high : float
        ``low * M <= 1 <= high * M``, see :meth:`Ensemble.check`.
    """
    gain = np.maximum(skill, 0.0)
    share = gain / gain.sum() if gain.sum() > 0.0 else np.full(len(skill), 1.0 / len(skill))

    def excess(shift: float) -> float:
        return float(np.clip(share + shift, low, high).sum() - 1.0)

    # At either end all weights sit on one bound; where that sums to 1 there is nothing left to choose.
    if excess(-1.0) >= 0.0 or excess(1.0) <= 0.0:
        return np.full(len(skill), 1.0 / len(skill))
    bounded = np.clip(share + brentq(excess, -1.0, 1.0, xtol=1e-15, rtol=1e-14), low, high)
    weights: Float64Array = bounded / bounded.sum()
    return weights
