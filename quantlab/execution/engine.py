"""The part of a session that knows neither time nor disk: state and one raw bar in, facts and a decision out.

Being a function of its state and the bar alone, it can be done again: a restart repeats the journalled
bars through it and must get the journalled facts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from quantlab.core.events import Decision, RawBar
from quantlab.core.fingerprint import fingerprint
from quantlab.core.ports import Broker, SignalStream
from quantlab.core.types import Bars, Instrument, check_has, check_range
from quantlab.data.quality import QualityGate
from quantlab.execution.facts import Day, bar_facts, day_of
from quantlab.execution.intake import Intake, gate_state_after
from quantlab.execution.paper import decision_of
from quantlab.execution.snapshot import restore_snapshot, take_snapshot
from quantlab.trading.layout import FEED_HALT
from quantlab.trading.risk import reset_breaker
from quantlab.trading.stepper import Stepper
from quantlab.trading.strategy import Strategy


@dataclass(frozen=True)
class Market:
    """What is traded.

    Parameters
    ----------
    symbols : tuple of str, length S
    instruments : tuple of Instrument, length S
    interval_ms : int
    """

    symbols: tuple[str, ...]
    instruments: tuple[Instrument, ...]
    interval_ms: int

    @classmethod
    def of(cls, bars: Bars) -> Market:
        """The market of a history."""
        return cls(bars.symbols, bars.instruments, bars.interval_ms)


class Engine:
    """Gate, signal stream, broker and decision of one account.

    Parameters
    ----------
    strategy : Strategy
    market : Market
    make_broker : callable
        Takes the account (:class:`~quantlab.trading.stepper.Stepper`) that it settles; gives a Broker.
    initial_cash : float
        USD.
    limits_on : bool
        False drops the daily limit and the breaker.

    Raises
    ------
    ConfigError
        If the cash is not positive, or the signal's stream cannot be saved and restored.
    """

    def __init__(
        self,
        strategy: Strategy,
        market: Market,
        make_broker: Callable[[Stepper], Broker],
        initial_cash: float,
        *,
        limits_on: bool,
    ) -> None:
        check_range("initial_cash", initial_cash, low=1e-6)
        self.strategy, self.market = strategy, market
        self._cash, self._limits_on = float(initial_cash), limits_on
        self.account = Stepper(
            strategy, market.symbols, market.instruments, market.interval_ms, initial_cash, limits_on=limits_on
        )
        self.broker = make_broker(self.account)
        gate = QualityGate(market.symbols, market.instruments, market.interval_ms)
        self.intake = Intake(gate, gate.begin())
        self._stream: SignalStream = strategy.signal.stream(market.symbols, market.interval_ms)
        check_has("the signal's stream", self._stream, "update", "state", "restore")
        self._day: Day | None = None

    @property
    def last_ms(self) -> int | None:
        """Open of the last bar that the gate passed, warm-up included; None before any."""
        return self.intake.state.open_time_ms

    def identity(self) -> dict[str, Any]:
        """What must be the same when a session goes on; strict JSON."""
        return {
            "strategy": self.strategy.fingerprint,
            "signal": self.strategy.signal.fingerprint,
            "symbols": list(self.market.symbols),
            "instruments": fingerprint(self.market.instruments),
            "interval_ms": self.market.interval_ms,
            "initial_cash": self._cash,
            "limits_on": self._limits_on,
        }

    def warm_up(self, history: Bars) -> None:
        """Let the signal see what lies before the first bar, without an account."""
        for t in range(history.n_bars):
            self._stream.update(history.rows(t, t + 1))
        self.intake.state = gate_state_after(history)

    def work(self, raw: RawBar, *, stale: bool) -> tuple[dict[str, Any], Decision]:
        """One bar that continues the grid: gate, signal, settle, decide.

        Parameters
        ----------
        raw : RawBar
        stale : bool
            Whether it came too late to enter on.

        Returns
        -------
        facts : dict
            See :func:`~quantlab.execution.facts.bar_facts`.
        decision : Decision

        Raises
        ------
        ContractError
            If features or a member break their promises; the state is then half mutated, discard it.
        """
        bar = self.intake.take(raw)
        signal = self._stream.update(bar)
        state = self.account.state
        cuts = state.cuts.copy()
        state.account[FEED_HALT] = float(stale)
        self.broker.sync(bar)
        self._day = day_of(self.account, self._day, bar)
        self.account.decide(signal)
        decision = decision_of(self.account, raw.open_time_ms)
        return bar_facts(self.account, bar, signal, decision, self._day, cuts), decision

    def reset_breaker(self) -> None:
        """Release the circuit breaker."""
        reset_breaker(self.account.state)

    def snapshot(self) -> bytes:
        """Everything that the next bar depends on."""
        return take_snapshot(self.intake.state, self._stream, self.account, self._day)

    def restore(self, blob: bytes) -> None:
        """Continue from what :meth:`snapshot` returned; ArtifactError or ContractError if it does not fit."""
        self.intake.state, self._day = restore_snapshot(blob, self._stream, self.account)
