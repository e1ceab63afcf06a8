"""A simulation as a vectorbt portfolio: orders, trades, drawdowns, plots."""

from __future__ import annotations

import numpy as np
import pandas as pd
import vectorbt as vbt
from vectorbt.portfolio.enums import log_dt

from quantlab.core.errors import ContractError
from quantlab.core.last_marks import last_marks
from quantlab.core.market import Bars
from quantlab.core.results import Simulation


def to_portfolio(simulation: Simulation, bars: Bars) -> vbt.Portfolio:
    """One account with shared cash over all symbols, built on the simulation's own order records.

    vectorbt simulates nothing here. Funding and liquidation fees are not in order records, so the
    portfolio's value differs from the simulation's equity by exactly what was paid of them; the
    exact series are the simulation's.

    Parameters
    ----------
    simulation : Simulation
    bars : Bars
        The bars that it ran over. Closes are carried forward where a bar is absent, as the marks are. The last
        row is the account's marks, which are worse than the closes where a suspicion stands.

    Raises
    ------
    ContractError
        If `bars` are not the ones of the simulation.
    """
    if bars.symbols != simulation.symbols or not np.array_equal(bars.open_time_ms, simulation.open_time_ms):
        raise ContractError(
            f"the {len(simulation.open_time_ms)} bars of the simulation",
            found=f"{bars.n_bars} bars of {bars.n_symbols} symbols",
            fix="pass the bars that were given to run()",
        )
    index = pd.to_datetime(bars.open_time_ms, unit="ms", utc=True)
    close = pd.DataFrame(bars.close, index=index, columns=list(bars.symbols)).ffill()
    close.iloc[-1] = last_marks(bars, simulation.units)
    # vectorbt keeps records column by column, and in order of time within each.
    records = simulation.orders[np.lexsort((simulation.orders["id"], simulation.orders["col"]))]
    wrapper = vbt.ArrayWrapper.from_obj(close, freq=pd.Timedelta(bars.interval_ms, "ms"), group_by=True)
    return vbt.Portfolio(
        wrapper, close, records, np.empty(0, log_dt), np.array([simulation.initial_cash]), cash_sharing=True
    )
