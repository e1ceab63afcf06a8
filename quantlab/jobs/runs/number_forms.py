"""Numbers of a comparison as a person reads them."""

from __future__ import annotations

from quantlab.core.errors import ContractError

#: Number -> label, format and factor.
_FORMS = {
    "dsr": ("deflated Sharpe ratio (probability)", ".3f", 1.0),
    "trials": ("trials", ",.0f", 1.0),
    "sharpe": ("Sharpe (annual)", ".2f", 1.0),
    "sharpe_se": ("its standard error", ".2f", 1.0),
    "sortino": ("Sortino (annual)", ".2f", 1.0),
    "total_return": ("return, %", ".2f", 100.0),
    "cagr": ("annual growth, %", ".2f", 100.0),
    "volatility": ("volatility (annual), %", ".2f", 100.0),
    "max_drawdown": ("max drawdown, %", ".2f", 100.0),
    "max_drawdown_days": ("longest drawdown, days", ",.1f", 1.0),
    "trades": ("trades", ",.0f", 1.0),
    "hit_rate": ("winning trades, %", ".1f", 100.0),
    "profit_factor": ("profit factor", ".3f", 1.0),
    "average_trade": ("average trade, USD", ",.2f", 1.0),
    "stop_hit_share": ("stopped out, %", ".1f", 100.0),
    "turnover": ("turnover, equity a day", ".2f", 1.0),
    "exposure": ("mean exposure, %", ".1f", 100.0),
    "costs": ("all costs, USD", ",.2f", 1.0),
    "fees": ("  fees", ",.2f", 1.0),
    "slippage": ("  slippage", ",.2f", 1.0),
    "funding": ("  funding", ",.2f", 1.0),
    "cost_bps": ("fees and slippage, bps of notional", ".2f", 1.0),
    "break_even_cost_bps": ("fees and slippage it could bear, bps", ".2f", 1.0),
    "final_equity": ("final equity, USD", ",.2f", 1.0),
}
_NONE = "-"


def label(name: str) -> str:
    """Name a number in words: ``evidence sharpe`` -> ``Sharpe (annual)``; of the lived account it says so."""
    part, _, number = name.rpartition(" ")
    if number not in _FORMS:
        raise ContractError("a number that is compared", found=name, fix=f"use one of {', '.join(_FORMS)}")
    return _FORMS[number][0] + (" (lived)" if part == "lived" else "")


def value_text(name: str, value: float | None) -> str:
    """A number, or a dash where it is undefined."""
    _, form, factor = _FORMS[name.rpartition(" ")[2]]
    return _NONE if value is None else format(value * factor, form)


def difference_text(name: str, value: float | None) -> str:
    """A difference with its sign; `=` where there is none at all."""
    if value == 0.0:
        return "="
    _, form, factor = _FORMS[name.rpartition(" ")[2]]
    return _NONE if value is None else format(value * factor, f"+{form}")
