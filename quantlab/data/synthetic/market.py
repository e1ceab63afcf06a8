"""The synthetic market, in order of cause and effect.

1. Shocks: every random number of a day comes from a generator seeded by (seed, day), so that a longer
   market begins with exactly the bars of a shorter one, and nothing can reach back in time.
2. Volatility of a bar: known before it opens. Slow and fast mean-reverting parts, a calm and a
   stressed regime shared by all symbols, the time of day.
3. Order flow: a hidden mean-reverting state of each symbol, half driven by its own returns. It *shows*
   in the volume, which is larger on rising bars while flow is positive and on falling bars while it
   is negative (what obv_20, cmf_20, mfi_14 and bvc_imbalance_48 measure) and a little in past returns.
4. Return of the next bar: volatility x (shock of market, sector and symbol + `drift` x flow). With
   ``drift = 0`` every price is a martingale, whatever can be seen in the volume: that is the market
   without an edge, with the same features.
5. Path inside the bar: open, close, and the exact extremes of a Brownian bridge between them. Jumps
   come between two bars, so that no simulated stop fills at a price that was jumped over.
6. Print: half a spread up or down on open and close, rounded to the tick.

The numbers below are stylised facts of 5-minute perpetuals. Volatility and volume are rescaled to other
intervals; memories count bars. They are constants, so that a seed, a size and an edge name one market.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from quantlab.core.arrays import Float64Array
from quantlab.data.synthetic.volatility import Volatility, decay, make_volatility, mean_revert

#: Bars over which order flow decays to 1/e.
FLOW_MEMORY = 24.0
#: Correlation of a bar's flow shock with its return shock.
FLOW_IN_RETURNS = 0.5
#: Log-volume added on rising bars (taken off falling ones) per standard deviation of flow.
FLOW_IN_VOLUME = 0.6

_LOADINGS = np.array([0.65, 0.30])  # of the market and the sector; the symbol's own part makes it 1
_SECTORS = 2
_JUMP_RATE, _JUMP_SIZE = 4e-4, 0.012  # per bar and symbol, standard deviation of the log-price
_VOLUME_NOISE, _VOLUME_MEMORY, _VOLUME_PERSISTENT = 0.5, 48.0, 0.4


@dataclass(frozen=True)
class Traits:
    """Traits that distinguish the symbols; float64 (S,) each.

    Parameters
    ----------
    price, tick, lot : float64 (S,)
        First price in USD, price step, volume step.
    volatility : float64 (S,)
        Standard deviation of one bar's log-return in quiet times.
    half_spread : float64 (S,)
        Fraction of the price; a round trip of it costs far less than fees do.
    notional : float64 (S,)
        Usual USD per bar; falls steeply with the symbol's rank.
    """

    price: Float64Array
    tick: Float64Array
    lot: Float64Array
    volatility: Float64Array
    half_spread: Float64Array
    notional: Float64Array


@dataclass(frozen=True)
class Paths:
    """A synthetic market without holes.

    Parameters
    ----------
    ohlcv : float64 (T, S, 5)
    flow : float64 (T, S)
        Hidden order flow at each close, unit variance.
    volatility : Volatility
        Its state at each close.
    """

    ohlcv: Float64Array
    flow: Float64Array
    volatility: Volatility


def make_traits(seed: int, n_symbols: int, bars_per_day: int) -> Traits:
    """Draw the symbols: prices from about 1e-5 to 1e5 USD, quiet volatilities of 40 to 80 % a year."""
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0,)))
    rank = np.arange(n_symbols) / max(n_symbols - 1, 1)
    price = 10.0 ** np.round(rng.uniform(-5.0, 5.0, n_symbols), 4)
    yearly = rng.uniform(0.4, 0.8, n_symbols)
    notional = 8e6 * 300.0**-rank * 288 / bars_per_day
    return Traits(
        price=price,
        tick=10.0 ** (np.floor(np.log10(price)) - 4),
        lot=10.0 ** np.floor(np.log10(1.0 / price)),
        volatility=yearly / np.sqrt(365.0 * bars_per_day),
        half_spread=rng.uniform(0.2e-4, 0.8e-4, n_symbols),
        notional=notional,
    )


@dataclass(frozen=True)
class _Shocks:
    """All randomness of the prices, (T, ...) each; normal unless stated otherwise."""

    market: Float64Array  # (T, 1)
    sector: Float64Array  # (T, sectors)
    symbol: Float64Array  # (T, S), as are the following
    flow: Float64Array
    slow: Float64Array  # (T, 1)
    fast: Float64Array
    volume: Float64Array
    volume_persistent: Float64Array
    jump: Float64Array
    jump_chance: Float64Array  # uniform, as are the following
    regime: Float64Array  # (T, 1)
    high: Float64Array
    low: Float64Array
    open_side: Float64Array
    close_side: Float64Array


def _shocks_of_day(seed: int, day: int, bars: int, n_symbols: int) -> list[Float64Array]:
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1, day)))
    wide, narrow = (bars, n_symbols), (bars, 1)
    normal = [narrow, (bars, _SECTORS), wide, wide, narrow, wide, wide, wide, wide]
    uniform = [wide, narrow, wide, wide, wide, wide]
    return [rng.standard_normal(shape) for shape in normal] + [1.0 - rng.random(shape) for shape in uniform]


def _draw(seed: int, days: int, bars_per_day: int, n_symbols: int) -> _Shocks:
    parts = [_shocks_of_day(seed, day, bars_per_day, n_symbols) for day in range(days)]
    return _Shocks(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _returns_shock(shocks: _Shocks) -> Float64Array:
    symbol_loading = np.sqrt(1.0 - (_LOADINGS**2).sum())
    sector = shocks.sector[:, np.arange(shocks.symbol.shape[1]) % _SECTORS]
    mixed: Float64Array = _LOADINGS[0] * shocks.market + _LOADINGS[1] * sector + symbol_loading * shocks.symbol
    return mixed


def _shift_bar(first: float | Float64Array, values: Float64Array) -> Float64Array:
    """`values` moved one bar later, so that row t holds what was known at the close of t - 1."""
    return np.concatenate([np.broadcast_to(first, (1, values.shape[1])), values[:-1]])


def make_paths(seed: int, days: int, bars_per_day: int, traits: Traits, drift: float) -> Paths:
    """Simulate every symbol from the first bar of the first day; see the module's steps.

    Parameters
    ----------
    seed : int
    days, bars_per_day : int
    traits : Traits
    drift : float
        Expected return of the next bar per unit of flow, in standard deviations of that bar.
    """
    shocks = _draw(seed, days, bars_per_day, len(traits.price))
    state = make_volatility(traits.volatility, shocks.slow, shocks.fast, shocks.regime, bars_per_day)
    volatility = state.of_bars()

    shock = _returns_shock(shocks)
    flow_shock = FLOW_IN_RETURNS * shock + np.sqrt(1.0 - FLOW_IN_RETURNS**2) * shocks.flow
    flow = mean_revert(flow_shock, decay(FLOW_MEMORY))

    move = volatility * (shock + drift * _shift_bar(0.0, flow)) - 0.5 * volatility**2
    prices = _print_prices(shocks, traits, volatility, move)
    volume = _print_volume(shocks, traits, prices[:, :, 3], volatility, shock, flow)
    return Paths(np.concatenate([prices, volume[:, :, None]], axis=2), flow, state)


def _print_prices(shocks: _Shocks, traits: Traits, volatility: Float64Array, move: Float64Array) -> Float64Array:
    """(T, S, 4): open, high, low, close on the tick."""
    jump = (shocks.jump_chance <= _JUMP_RATE) * (_JUMP_SIZE * shocks.jump - 0.5 * _JUMP_SIZE**2)
    log_close = np.log(traits.price) + np.cumsum(jump + move, axis=0)
    opens = np.exp(log_close - move)
    reach_up, reach_down = (np.sqrt(move**2 - 2.0 * volatility**2 * np.log(u)) for u in (shocks.high, shocks.low))
    open_side, close_side = (np.where(u > 0.5, 1.0, -1.0) for u in (shocks.open_side, shocks.close_side))
    printed_open = opens * (1.0 + traits.half_spread * open_side)
    printed_close = np.exp(log_close) * (1.0 + traits.half_spread * close_side)
    high = np.maximum(np.maximum(printed_open, printed_close), opens * np.exp(0.5 * (move + reach_up)))
    low = np.minimum(np.minimum(printed_open, printed_close), opens * np.exp(0.5 * (move - reach_down)))
    prices = np.stack([printed_open, high, low, printed_close], axis=-1)
    tick = traits.tick[:, None]
    on_tick: Float64Array = np.maximum(np.rint(prices / tick), 1.0) * tick
    return on_tick


def _print_volume(
    shocks: _Shocks,
    traits: Traits,
    close: Float64Array,
    volatility: Float64Array,
    shock: Float64Array,
    flow: Float64Array,
) -> Float64Array:
    """(T, S) base units, at least one lot: tied to volatility, to the size of the move and to flow."""
    direction = np.sign(close - _shift_bar(traits.price, close))
    log_notional = (
        np.log(traits.notional)
        + 1.2 * np.log(volatility / traits.volatility)
        + 0.4 * (np.abs(shock) - 0.8)
        + FLOW_IN_VOLUME * direction * flow
        + _VOLUME_NOISE * shocks.volume
        + _VOLUME_PERSISTENT * mean_revert(shocks.volume_persistent, decay(_VOLUME_MEMORY))
    )
    units: Float64Array = np.maximum(np.rint(np.exp(log_notional) / close / traits.lot), 1.0) * traits.lot
    return units
