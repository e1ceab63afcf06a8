"""Another policy, sizer or parameter is a value, never a compilation."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys

import numpy as np
import pytest
from numba.core import event

from quantlab.backtest.scan import Scan, scan_loop
from quantlab.trading import (
    BuyAndHold,
    ConfidenceFraction,
    EnsembleThreshold,
    FixedFraction,
    FromSignals,
    KellyFraction,
    RiskPerTrade,
    VolatilityTarget,
    replay,
)
from quantlab.trading.interface.policy import STEP
from quantlab.trading.interface.sizer import SIZE

POLICIES = [
    EnsembleThreshold(1.2, 2.0, 12, False),
    EnsembleThreshold(None, 1.0, None, True, trail_atr=3.0, break_even_atr=0.5),
    FromSignals(True),
    FromSignals(False),
    BuyAndHold(),
]
SIZERS = [
    FixedFraction(0.1),
    FixedFraction(0.3),
    ConfidenceFraction(0.2),
    RiskPerTrade(0.01, 0.3),
    VolatilityTarget(0.001, 0.3),
    KellyFraction(0.5, 0.3),
]
LIMITS = [
    {},
    {"daily_loss_limit": 0.01, "breaker": 0.1, "max_positions": 1, "loss_streak": 2},
    {"max_stops": 3, "stop_window_minutes": 30.0, "rollout": 0.3},
]
COSTS = [{}, {"slippage_bps": 5.0, "participation": 0.05}]


@pytest.fixture
def compilations():
    """What numba compiles while a test runs; the warm-up before it is not counted."""
    listener = event.RecordingListener()
    event.register("numba:compile", listener)
    yield listener.buffer
    event.unregister("numba:compile", listener)


def test_every_policy_sizer_limit_and_cost_runs_through_one_loop(
    random_bars, signal, strategy, compilations, monkeypatch
):
    bars = random_bars(n_bars=50)
    rng = np.random.default_rng(0)
    signals = signal(bars, side=rng.integers(-1, 2, (50, 3)), confidence=0.7, atr=0.5)
    bring = signal(bars, target=rng.normal(0.0, 0.2, (50, 3)), trail_distance=1.0, break_even_distance=2.0)
    for policy, sizer in zip(POLICIES * 2, itertools.cycle(SIZERS)):
        Scan(1e4).run(bars, signals, strategy(policy=policy, sizer=sizer))
        replay([(bars.rows(0, 1), signals.rows(0, 1))], strategy(policy=policy, sizer=sizer), 1e4)
    for policy in POLICIES:
        assert list(policy.step.overloads) == [STEP.args]
    for sizer in SIZERS:
        assert list(sizer.size.overloads) == [SIZE.args]
    assert len(scan_loop().overloads) == 1

    compilations.clear()
    results = set()
    for policy, sizer, limits, costs in itertools.product(POLICIES, SIZERS, LIMITS, COSTS):
        chosen = strategy(policy=policy, sizer=sizer, limits=limits, costs=costs)
        results.add(Scan(1e4).run(bars, signals, chosen).equity.tobytes())
        Scan(2e4).run(bars, bring, chosen, limits_on=False)
    assert compilations == []
    assert len(scan_loop().overloads) == 1
    assert len(results) > 60  # the parameters did something


SIZE_ENTRIES = """
import sys
import numpy as np
from numba import types
from quantlab.core.compiled import compiled
from quantlab.trading import FixedFraction, RiskPerTrade
from quantlab.trading.interface.sizer import SIZE, Entry

def call(size, params, entry):
    return size(params, entry)

call = compiled(signature=types.float64(types.FunctionType(SIZE), *SIZE.args), cache=False)(call)
sizers = [{"fixed": FixedFraction(0.1), "risk": RiskPerTrade(0.01, 0.9)}[name] for name in sys.argv[1:]]
made = [sizer.size for sizer in sizers]
for sizer in sizers:
    params = sizer.params()
    params.flags.writeable = False
    print(call(sizer.size, params, Entry(1.0, 0.7, 2.0, 100.0, 1e4, 5.0, 9.0)))
"""


def test_what_other_processes_compiled_is_told_apart(tmp_path):
    """Each sizer alone is the first of its process; a third process loads both before it uses either."""

    def run(*names: str) -> list[float]:
        done = subprocess.run(
            [sys.executable, "-c", SIZE_ENTRIES, *names],
            env={**os.environ, "QUANTLAB_CACHE_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        )
        return [float(line) for line in done.stdout.split()]

    assert run("fixed") == pytest.approx([0.1])
    assert run("risk") == pytest.approx([0.2])  # 1 % of the equity over a stop 5 % away
    assert run("fixed", "risk") == pytest.approx([0.1, 0.2])
    assert run("risk", "fixed") == pytest.approx([0.2, 0.1])
