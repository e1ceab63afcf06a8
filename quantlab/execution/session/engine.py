"""The part of a session that knows neither time nor disk: state and one raw bar in, facts and a decision out.

Being a function of its state, the bar, its inputs and the facts that the broker took, it can be done again: a
restart repeats the journalled bars through it and must get the journalled facts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

from quantlab.core.arrays import Float64Array
from quantlab.core.checks import check_has, check_range
from quantlab.core.errors import ContractError
from quantlab.core.events import BarInputs, Decision, RawBar
from quantlab.core.fingerprint import fingerprint
from quantlab.core.market import Bars, Instrument, RuleChange, rules_at
from quantlab.core.ports import Broker, FeatureReader, HasWarmup, Progress, SignalStream, VoteReader
from quantlab.core.types import Signal, Votes
from quantlab.data.quality.gate import QualityGate
from quantlab.execution.session.bar_gate import BarGate
from quantlab.execution.session.bar_record import Before, Day, bar_facts, day_of
from quantlab.execution.session.decisions import decision_of
from quantlab.execution.session.drift_watch import DriftReading, DriftWatch
from quantlab.execution.session.inputs import apply_inputs
from quantlab.execution.session.snapshot import copy_account, restore_snapshot, take_snapshot
from quantlab.trading.account.latches import reset_breaker
from quantlab.trading.bar.stepper import Stepper
from quantlab.trading.strategy.strategy import Strategy


@dataclass(frozen=True)
class Market:
    """The market that is traded.

    Parameters
    ----------
    symbols : tuple of str, length S
    instruments : tuple of Instrument, length S
        Trading rules before any change.
    interval_ms : int
    rule_changes : tuple of RuleChange
        By time.
    """

    symbols: tuple[str, ...]
    instruments: tuple[Instrument, ...]
    interval_ms: int
    rule_changes: tuple[RuleChange, ...] = ()

    @classmethod
    def of(cls, bars: Bars) -> Market:
        """The market of a history."""
        return cls(bars.symbols, bars.instruments, bars.interval_ms, bars.rule_changes)

    def rules_fingerprint(self, open_ms: int | None) -> str:
        """sha256 over the trading rules of the bar that opens at `open_ms`; None: before any change."""
        rules = self.instruments
        return fingerprint(rules if open_ms is None else rules_at(self.symbols, rules, self.rule_changes, open_ms))


class Reading(NamedTuple):
    """One bar as the account will see it."""

    bar: Bars  #: of length 1
    signal: Signal  #: its row
    closes: Float64Array  #: float64 (S,), of the bar before; NaN where it has none


class Engine:
    """Gate, signal stream, broker and decision of one account.

    Parameters
    ----------
    strategy : Strategy
    market : Market
    make_broker : callable
        Takes the account (:class:`~quantlab.trading.bar.stepper.Stepper`) that it settles; gives a Broker.
    initial_cash : float
        USD.
    limits_on : bool
        False drops the daily limit and the breaker.
    largest_funding_rate : float
        Largest size of a sound funding rate, fraction of notional.
    drift : DriftWatch, optional
        Counts the features that the signal reads; nothing depends on it.

    Raises
    ------
    ConfigError
        If the cash is not positive, the signal's stream cannot be saved and restored, or it shows no
        features to watch.
    """

    def __init__(
        self,
        strategy: Strategy,
        market: Market,
        make_broker: Callable[[Stepper], Broker],
        initial_cash: float,
        *,
        limits_on: bool,
        largest_funding_rate: float,
        drift: DriftWatch | None = None,
    ) -> None:
        check_range("initial_cash", initial_cash, low=1e-6)
        self.strategy, self.market = strategy, market
        self._cash, self._limits_on = float(initial_cash), limits_on
        self._make_broker = make_broker
        self.account = Stepper(
            strategy, market.symbols, market.instruments, market.interval_ms, initial_cash, limits_on=limits_on
        )
        self.broker = make_broker(self.account)
        gate = QualityGate(market.symbols, market.instruments, market.interval_ms, market.rule_changes)
        self.gate = BarGate(gate, gate.begin(), largest_funding_rate)
        self._stream: SignalStream = strategy.signal.stream(market.symbols, market.interval_ms)
        check_has("the signal's stream", self._stream, "update", "state", "restore")
        if drift is not None:
            check_has("the stream of a signal whose drift is watched", self._stream, "newest_features")
        self.drift = drift
        self._day: Day | None = None

    @property
    def last_ms(self) -> int | None:
        """Open of the last bar that the gate passed, warm-up included; None before any."""
        return self.gate.state.open_time_ms

    def identity(self, at_ms: int | None) -> dict[str, Any]:
        """Return what must be the same when a session goes on, with the trading rules of the bar at `at_ms`; strict JSON."""
        return {
            "strategy": self.strategy.fingerprint,
            "signal": self.strategy.signal.fingerprint,
            "symbols": list(self.market.symbols),
            "instruments": self.market.rules_fingerprint(at_ms),
            "interval_ms": self.market.interval_ms,
            "initial_cash": self._cash,
            "limits_on": self._limits_on,
        }

    def warm_up(self, history: Bars, progress: Progress) -> int:
        """Let the signal see what lies before the first bar, without an account; returns how many bars it saw.

        A source that names its ``warmup`` sees no more than that: what it says after it does not depend on where
        the history began, to the last bit.

        Parameters
        ----------
        history : Bars
            Up to the first bar that is traded.
        progress : Progress
            One step for each bar.
        """
        signal = self.strategy.signal
        first = max(0, history.n_bars - signal.warmup) if isinstance(signal, HasWarmup) else 0
        with progress.stage("warming up, bars", history.n_bars - first) as stage:
            for t in range(first, history.n_bars):
                self._stream.update(history.rows(t, t + 1))
                stage.advance()
        self.gate.begin_after(history)
        return history.n_bars - first

    def process(self, raw: RawBar, inputs: BarInputs) -> tuple[dict[str, Any], Decision]:
        """One bar that continues the grid: gate, signal, settle, decide.

        Parameters
        ----------
        raw : RawBar
        inputs : BarInputs
            What else it depends on.

        Returns
        -------
        facts : dict
            See :func:`~quantlab.execution.session.bar_record.bar_facts`.
        decision : Decision

        Raises
        ------
        ContractError
            See :meth:`read` and :meth:`decide`.
        """
        return self.decide(self.read(raw), inputs)

    def read(self, raw: RawBar) -> Reading:
        """The first half of :meth:`process`: gate and signal, which know no account.

        Raises
        ------
        ContractError
            If features or a member break their promises; the state is then half mutated, discard it.
        """
        closes = self.gate.newest_closes()
        bar = self.gate.update(raw)
        signal = self._stream.update(bar)
        if self.drift is not None:
            self.drift.update(cast(FeatureReader, self._stream))
        return Reading(bar, signal, closes)

    def decide(self, reading: Reading, inputs: BarInputs) -> tuple[dict[str, Any], Decision]:
        """The second half of :meth:`process`: the broker settles, the strategy decides.

        Raises
        ------
        ContractError
            If the broker's facts or the signal do not fit the account; the state is then half mutated, discard it.
        """
        bar, signal, closes = reading
        state = self.account.state
        before = Before(state.cuts.copy(), closes)
        apply_inputs(state, inputs)
        self.broker.sync(bar)
        self._day = day_of(self.account, self._day, bar)
        self.account.decide(signal)
        decision = decision_of(self.account, int(bar.open_time_ms[0]))
        return bar_facts(self.account, bar, signal, decision, self._day, before, inputs), decision

    @property
    def votes(self) -> Votes | None:
        """Votes of the signal's members at the bar just processed; None where it has none or does not show them."""
        return self._stream.newest_votes if isinstance(self._stream, VoteReader) else None

    def last_decision(self) -> Decision | None:
        """Return the decision of the last bar, as it was sent; None before the first."""
        last_ms = self.account.last_ms
        return None if last_ms is None else decision_of(self.account, last_ms)

    def successor(self, strategy: Strategy, seen: Iterable[Bars], drift: DriftWatch | None = None) -> Engine:
        """The same account and gate under another strategy; this engine is left as it is.

        A broker that remembers more than the account holds must give its successor, which is made of the same
        function, the same memory.

        Parameters
        ----------
        strategy : Strategy
        seen : iterable of Bars, each of length 1
            The newest bars up to now, which the strategy's signal warms up on.
        drift : DriftWatch, optional
            Of the strategy's own training.

        Raises
        ------
        ConfigError
            If the signal's stream cannot be saved and restored.
        ContractError
            If the policy is of another kind, whose memory would mean something else, or the signal refuses a bar.
        """
        ours, theirs = type(self.strategy.policy), type(strategy.policy)
        if ours is not theirs:
            raise ContractError(
                f"a strategy whose policy is {ours.__name__}, as long as the session holds its memory",
                found=theirs.__name__,
                fix="begin a session in a new folder for it",
            )
        successor = Engine(
            strategy,
            self.market,
            self._make_broker,
            self._cash,
            limits_on=self._limits_on,
            largest_funding_rate=self.gate.largest_funding_rate,
            drift=drift,
        )
        for bar in seen:
            successor._stream.update(bar)
        copy_account(self.account, successor.account)
        successor.gate, successor._day = self.gate, self._day
        return successor

    def reset_breaker(self) -> None:
        """Release the circuit breaker."""
        reset_breaker(self.account.state)

    def drift_reading(self) -> DriftReading | None:
        """Return how far the features have drifted, where a reading is due at the bar just processed."""
        return None if self.drift is None or self.last_ms is None else self.drift.reading(self.last_ms)

    def snapshot(self) -> bytes:
        """Everything that the next bar depends on, the broker's memory too, and what drift has counted."""
        counted = None if self.drift is None else self.drift.state()
        return take_snapshot(self.gate.state, self._stream, self.account, self._day, self.broker.state(), counted)

    def restore(self, blob: bytes) -> bool:
        """Continue from what :meth:`snapshot` returned; whether drift could, too, if it is watched.

        Raises
        ------
        ArtifactError, ContractError
            If it does not fit.
        """
        restored = restore_snapshot(blob, self._stream, self.account)
        self.gate.state, self._day = restored.gate, restored.day
        self.broker.restore(restored.broker)
        return self.drift is None or self.drift.restore(restored.drift)
