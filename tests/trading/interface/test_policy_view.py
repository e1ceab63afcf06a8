"""A policy takes the address of its view and a row: it sees that row and its account, and nothing of it goes stale."""

from __future__ import annotations

import dataclasses
import os
import secrets
import subprocess
import sys

import numba
import numpy as np
import pytest
from numba import types
from numba.core import cgutils
from numba.core.base import BaseContext
from numba.core.errors import NumbaError
from numba.core.runtime import _nrt_python, rtsys
from numba.np import arrayobj

from quantlab.backtest import scan
from quantlab.core.compiled import compiled
from quantlab.trading import FixedFraction, FromSignals, RiskPerTrade, compiled_step
from quantlab.trading.bar.function_table import function_table
from quantlab.trading.bar.stepper import Stepper
from quantlab.trading.interface.policy_view import POLICY_VIEW_TYPE
from quantlab.trading.lowlevel.layout import ENTRY, EQUITY, UNITS
from quantlab.trading.lowlevel.pointers import BUFFER, tuple_reader

CASH = 1e4

#: What the spy writes down of every bar, in the order of its memory's rows.
SEEN = ("side", "proba", "confidence", "consensus", "atr", "target", "stop_distance", "take_distance",
        "trail_distance", "break_even_distance", "close", "state", "units", "entry", "equity")  # fmt: skip


def _spy(params, memory, market, account, intents):
    row = int(memory[0, 0])
    memory[0, 0] += 1.0
    base = 1 + 15 * row
    for s in range(len(market.side)):
        memory[base, s] = market.side[s]
        memory[base + 1, s] = market.proba[s, 2]
        memory[base + 2, s] = market.confidence[s]
        memory[base + 3, s] = market.consensus[s]
        memory[base + 4, s] = market.atr[s]
        memory[base + 5, s] = market.target[s]
        memory[base + 6, s] = market.stop_distance[s]
        memory[base + 7, s] = market.take_distance[s]
        memory[base + 8, s] = market.trail_distance[s]
        memory[base + 9, s] = market.break_even_distance[s]
        memory[base + 10, s] = market.close[s]
        memory[base + 11, s] = market.state[s]
        memory[base + 12, s] = account.units[s]
        memory[base + 13, s] = account.entry[s]
        memory[base + 14, s] = account.equity
        intents.target[s] = params[0] * market.target[s]
        intents.stop_distance[s] = np.inf
        intents.take_distance[s] = np.inf


@dataclasses.dataclass(frozen=True)
class Spy:
    """Follows half the signal's targets, and keeps what it saw in its memory."""

    n_bars: int

    @property
    def step(self):
        return compiled_step(_spy)

    def params(self):
        return np.array([0.5])

    def begin(self, n_symbols):
        return np.zeros((1 + len(SEEN) * self.n_bars, n_symbols))


def full_signal(rng, bars, signal):
    shape = (bars.n_bars, bars.n_symbols)
    distances = ("stop_distance", "take_distance", "trail_distance", "break_even_distance")
    return signal(
        bars,
        side=rng.integers(-1, 2, shape),
        proba=rng.dirichlet(np.ones(3), shape),
        confidence=rng.random(shape),
        consensus=rng.random(shape),
        atr=rng.random(shape),
        target=rng.normal(0.0, 0.1, shape),
        **{name: rng.random(shape) for name in distances},
    )


def expected_of(bars, signals):
    """Everything of the market that a policy may see, row by row: (T, 12, S)."""
    named = [getattr(signals, name) for name in SEEN[:10]]
    named[1] = signals.proba[:, :, 2]
    return np.stack([*named, bars.close, bars.state], axis=1).astype(float)


def seen_in(memory, n_bars):
    """(T, 15, S): what the spy wrote."""
    assert (memory[0, 0], memory[0, 1:].any()) == (n_bars, False)
    return memory[1:].reshape(n_bars, len(SEEN), -1)


def by_scan(bars, signals, chosen, monkeypatch):
    """What the policy saw in the backtest's loop, and the result."""
    states = []
    real = scan.begin_account
    monkeypatch.setattr(scan, "begin_account", lambda *given: states.append(real(*given)) or states[0])
    result = scan.Scan(CASH).run(bars, signals, chosen)
    return seen_in(states[0].memory, bars.n_bars), result


def by_stepper(bars, signals, chosen):
    """What it saw in a session's account, driven bar by bar, and units, entries and equity after every bar."""
    account = Stepper(chosen, bars.symbols, bars.instruments, bars.interval_ms, CASH)
    after = []
    for t in range(bars.n_bars):
        account.advance(bars.rows(t, t + 1), signals.rows(t, t + 1))
        state = account.state
        after.append([*state.positions[[UNITS, ENTRY]], np.full(bars.n_symbols, state.account[EQUITY])])
    return seen_in(account.state.memory, bars.n_bars), np.array(after)


def test_every_row_and_the_account_beside_it_are_seen(random_bars, signal, strategy, monkeypatch):
    """Against the arrays that were handed in, and against the account after each bar."""
    bars = random_bars(n_bars=80, n_symbols=5)
    signals = full_signal(np.random.default_rng(1), bars, signal)
    chosen = strategy(policy=Spy(bars.n_bars))
    whole, result = by_scan(bars, signals, chosen, monkeypatch)
    stepped, after = by_stepper(bars, signals, chosen)
    for seen in (whole, stepped):
        np.testing.assert_array_equal(seen[:, :12], expected_of(bars, signals))
        np.testing.assert_array_equal(seen[:, 12:], after)
    np.testing.assert_array_equal(whole[:, 14, 0], result.equity)
    assert len(result.orders) > 200


@pytest.fixture
def counted():
    """numba's counts of what compiled code allocates and frees."""
    _nrt_python.memsys_enable_stats()
    yield rtsys.get_allocation_stats
    _nrt_python.memsys_disable_stats()


def test_what_a_policy_allocates_is_given_back_and_what_it_is_lent_stays(random_bars, signal, strategy, counted):
    bars = random_bars(n_bars=2_000, n_symbols=4)
    rng = np.random.default_rng(2)
    signals = signal(bars, confidence=rng.random((2_000, 4)))
    scan.Scan(CASH).run(bars, signals, strategy(policy=Hoarder()))
    before = counted()
    for _ in range(3):
        scan.Scan(CASH).run(bars, signals, strategy(policy=Hoarder()))
    after = counted()
    assert after.alloc - before.alloc >= 3 * 2_000
    assert after.alloc - before.alloc == after.free - before.free


def _hoarder(params, memory, market, account, intents):
    work = np.zeros(len(market.side))
    for s in range(len(work)):
        work[s] = market.confidence[s]
    row, most = memory[0], np.argmax(work)
    row[most] += 1.0
    intents.strength[most] = 1.0
    intents.stop_distance[:] = np.inf
    intents.take_distance[:] = np.inf


@dataclasses.dataclass(frozen=True)
class Hoarder:
    """Makes an array on every bar, and a view of what it was lent."""

    @property
    def step(self):
        return compiled_step(_hoarder)

    def params(self):
        return np.zeros(0)

    def begin(self, n_symbols):
        return np.zeros((1, n_symbols))


POLICY = """
from dataclasses import dataclass

import numpy as np

from quantlab.trading import compiled_step

WANTED = 0.25


def _hold(params, memory, market, account, intents):
    for s in range(len(market.side)):
        intents.target[s] = WANTED
        intents.stop_distance[s] = intents.take_distance[s] = np.inf


@dataclass(frozen=True)
class Hold:
    step = property(lambda self: compiled_step(_hold))

    def params(self):
        return np.zeros(0)

    def begin(self, n_symbols):
        return np.zeros((0, n_symbols))
"""

PLAY = """
import mine, numpy as np
from quantlab.core.market import Bars, BarState, Instrument
from quantlab.core.types import Signal
from quantlab.backtest.scan import Scan
from quantlab.trading import Costs, FixedFraction, Limits, Strategy

free = Instrument(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
ohlcv = np.tile([100.0, 100.0, 100.0, 100.0, 1e6], (5, 1, 1))
bars = Bars(ohlcv, np.arange(5) * 300_000, 300_000, np.full((5, 1), BarState.TRADED, np.uint8), ("A",), (free,))
none = np.zeros((5, 1), np.int8)
said = Signal(none, np.zeros((5, 1, 3)), np.ones((5, 1)), np.ones((5, 1)), none, np.ones((5, 1)))
limits = Limits(None, False, None, None, None, None, 1.0)
chosen = Strategy(lambda: None, mine.Hold(), FixedFraction(1.0), limits, Costs(0.0, None, 0.0))
result = Scan(1e4).run(bars, said, chosen)
stats = mine.Hold().step.stats
print(result.units[0], sum(stats.cache_hits.values()), sum(stats.cache_misses.values()))
"""


def test_a_step_is_compiled_once_and_never_stale(tmp_path):
    """Three processes: the second reads what the first compiled, the third finds another constant beside the step."""

    def play():
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path]),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        done = subprocess.run(
            [sys.executable, "-c", PLAY], env=environment, capture_output=True, text=True, check=True, cwd=tmp_path
        )
        units, hits, misses = done.stdout.split()
        return float(units), int(hits), int(misses)

    module, policy = tmp_path / "mine.py", f"{POLICY}# {secrets.token_hex()}\n"  # no earlier run compiled this text
    module.write_text(policy)
    assert play() == (25.0, 0, 1)
    assert play() == (25.0, 1, 0)
    module.write_text(policy.replace("0.25", "0.75"))
    assert play() == (75.0, 0, 1)


def test_a_tuple_in_memory_is_not_read_where_references_are_counted():
    """It would be freed under the feet of its owner, which shows as a crash or not at all."""
    read = tuple_reader(POLICY_VIEW_TYPE)

    def look(buffer):
        return read(buffer).account[EQUITY]

    compiled(signature=types.float64(BUFFER), cache=False, _nrt=False)(look)
    with pytest.raises(NumbaError, match="PolicyView is read in code compiled with _nrt=False only"):
        compiled(signature=types.float64(BUFFER), cache=False)(look)


def test_functions_are_looked_up_once_for_each_pair(strategy):
    one = strategy(policy=FromSignals(False), sizer=FixedFraction(0.1))
    same = strategy(policy=FromSignals(True), sizer=FixedFraction(0.3))
    other = strategy(policy=FromSignals(False), sizer=RiskPerTrade(0.01, 0.3))
    assert function_table(one) is function_table(same)
    assert function_table(one) is not function_table(other)


@pytest.mark.parametrize(
    ("owner", "name"),
    [(cgutils, "alloca_once"), (cgutils, "get_item_pointer"), (cgutils, "unpack_tuple"),
     (BaseContext, "pack_value"), (BaseContext, "unpack_value"), (BaseContext, "get_data_type"),
     (BaseContext, "get_abi_sizeof"), (BaseContext, "get_dummy_value"), (arrayobj, "make_array")],
)  # fmt: skip
def test_numba_still_has_what_pointers_and_prefetch_lean_on(owner, name):
    """Fails by name where another numba has it no more: see docs/performance.md."""
    assert callable(getattr(owner, name, None)), f"numba {numba.__version__} has no {name}"
