"""Any feature beside the price, for a notebook."""

from __future__ import annotations

from html import escape

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from quantlab.core.errors import ContractError
from quantlab.core.market import Bars
from quantlab.core.types import Features

#: Most bars drawn at once: a browser stays quick.
MAX_BARS = 20_000


def feature_figure(bars: Bars, features: Features, *, symbol: str, name: str) -> go.Figure:
    """One symbol's candles above one of its features, on a shared time axis.

    Parameters
    ----------
    bars : Bars, (T, S)
        Take a part with ``bars.rows(start, stop)`` (and the same of `features`); of more than
        :data:`MAX_BARS` the last ones are drawn.
    features : Features, (T, S, F)
        Of these bars. Rows that are not ready are left blank.
    symbol, name : str

    Raises
    ------
    ContractError
        If there is no such symbol or feature, or the shapes differ.

    Examples
    --------
    ``feature_figure(bars, pipeline.transform(bars), symbol="BTC", name="rsi_14").show()``
    """
    if symbol not in bars.symbols:
        raise ContractError(f"a symbol {symbol!r}", found=", ".join(bars.symbols), fix="choose one of these")
    if features.ready.shape != bars.state.shape:
        raise ContractError(
            f"features of {bars.state.shape} bars and symbols",
            found=str(features.ready.shape),
            fix="transform these bars",
        )
    column = bars.symbols.index(symbol)
    shown = slice(max(0, bars.n_bars - MAX_BARS), bars.n_bars)
    times = bars.open_time_ms[shown].astype("datetime64[ms]")
    open_, high, low, close, _ = bars.ohlcv[shown, column].T
    values = np.where(features.ready[shown, column], features.column(name)[shown, column], np.nan)
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.6, 0.4], vertical_spacing=0.04)
    candles = go.Candlestick(x=times, open=open_, high=high, low=low, close=close, name=escape(symbol))
    figure.add_trace(candles, row=1, col=1)
    line = go.Scatter(x=times, y=values, mode="lines", name=escape(name), line={"width": 1.3}, connectgaps=False)
    figure.add_trace(line, row=2, col=1)
    figure.update_layout(height=620, hovermode="x unified", showlegend=False, title=f"{escape(symbol)}: {escape(name)}")
    figure.update_xaxes(rangeslider_visible=False)
    figure.update_yaxes(title_text="Price, USD", row=1, col=1)
    figure.update_yaxes(title_text=escape(name), row=2, col=1)
    return figure
