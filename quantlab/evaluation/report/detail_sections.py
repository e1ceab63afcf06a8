"""Folded sections on the path of an account: drawdowns, exposure, tails, and the market beside it."""

from __future__ import annotations

from collections.abc import Mapping

from quantlab.evaluation.report.html import (
    Html,
    duration,
    fold,
    join,
    number,
    pairs_table,
    percent,
    table,
    tag,
    undefined_reasons,
    utc_cell,
)
from quantlab.evaluation.statistics.details import AccountDetails
from quantlab.evaluation.statistics.metrics import Statistic, Undefined
from quantlab.evaluation.statistics.tails import LEVELS
from quantlab.evaluation.statistics.worst_drawdowns import Drawdown

_DRAWDOWNS = (
    "Evidence run, on every bar's mark. A drawdown ends where the equity is back at its peak; they do not overlap. "
    "The deepest are shaded in the figure of the equity, the fall darker than the way back."
)
_EXPOSURE = "Position values over equity at the closes. Net: long less short. Maintenance margin: below it the account is liquidated."
_TAILS = (
    "Daily net returns, historical, no model. VaR 95 %: a loss that one day in twenty is worse than; CVaR: the mean of those days. Both "
    "need three days beyond them. Skewness and excess kurtosis are 0 for a normal; ± is the error that they have for one."
)
#: Depth that is shown as 0.01 %.
_LEAST_SHOWN = 0.00005
_NAMES = {
    "var_95": "VaR 95 %",
    "cvar_95": "CVaR 95 %",
    "var_99": "VaR 99 %",
    "cvar_99": "CVaR 99 %",
    "alpha_daily": "alpha",
}
_MARKET = (
    "Least squares of the daily net returns on those of the market, ± one standard error for independent days. Alpha is what is left "
    "per day. The correlation of a strategy with few trades says little about its next ones."
)


def drawdowns_fold(details: AccountDetails) -> Html:
    """The deepest drawdowns, in a table."""
    rows = [
        (
            str(rank),
            utc_cell(fall.start_ms),
            utc_cell(fall.trough_ms),
            _recovered(fall),
            percent(-fall.depth),
            duration(fall.days),
            number(None) if fall.recovery_days is None else duration(fall.recovery_days),
        )
        for rank, fall in enumerate(details.drawdowns, start=1)
        if fall.depth >= _LEAST_SHOWN
    ]
    head = ("", "Peak, UTC", "Trough, UTC", "Back at the peak", "Depth", "Length", "From trough to peak")
    body = table(head, rows, words=4, empty="The equity never fell below an earlier peak.")
    return fold(
        "Worst drawdowns",
        _drawdowns_key(details.drawdowns),
        body,
        note=_DRAWDOWNS,
        anchor="drawdowns",
    )


def _recovered(fall: Drawdown) -> Html:
    return tag("span", "not yet", class_="open") if fall.recovery_ms is None else utc_cell(fall.recovery_ms)


def _drawdowns_key(falls: tuple[Drawdown, ...]) -> str:
    if not falls:
        return "none"
    said = [
        f"{percent(-fall.depth)} over {duration(fall.days)}{'' if fall.recovery_ms else ', not yet recovered'}"
        for fall in falls[:3]
    ]
    return "; ".join(said)


def exposure_fold(evidence: AccountDetails, lived: AccountDetails) -> Html:
    """Long, short and net over time, and their means and extremes."""
    forms = (
        ("Gross, mean", "gross_mean"),
        ("Gross, largest", "gross_max"),
        ("Net, mean", "net_mean"),
        ("Net, lowest", "net_min"),
        ("Net, highest", "net_max"),
        ("Long, mean", "long_mean"),
        ("Short, mean", "short_mean"),
        ("Maintenance margin, largest", "maintenance_max"),
    )
    rows = [
        (
            label,
            *(
                _percent(account.exposure[name], "+,.2f" if label.startswith("Net") else ",.2f")
                for account in (evidence, lived)
            ),
        )
        for label, name in forms
    ]
    found = evidence.exposure
    key = (
        f"gross {_percent(found['gross_mean'], '.1f')} of equity on average, {_percent(found['gross_max'], '.1f')} at most; "
        f"net {_percent(found['net_mean'], '+.1f')} on average"
    )
    chart = tag("div", "", id="exposure_chart", class_="chart")
    body = pairs_table("Share of equity", rows)
    return fold("Exposure over time", key, chart, body, note=_EXPOSURE, anchor="exposure")


def tails_fold(evidence: AccountDetails, lived: AccountDetails) -> Html:
    """Tails and shape of the daily returns of both accounts."""
    rows: list[tuple[str, ...]] = [("Days", *(f"{account.days:,}" for account in (evidence, lived)))]
    for label, name in (("Best day", "best_day"), ("Worst day", "worst_day")):
        rows.append((label, *(_percent(account.tails[name], "+,.2f") for account in (evidence, lived))))
    for level in LEVELS:
        for label, name in (("VaR", "var"), ("CVaR", "cvar")):
            cells = (_percent(account.tails[f"{name}_{level * 100:.0f}"]) for account in (evidence, lived))
            rows.append((f"{label} {percent(level, 'g')}", *cells))
    for label, name in (("Skewness", "skew"), ("Excess kurtosis", "excess_kurtosis")):
        rows.append((label, *(_with_error(account.tails, name) for account in (evidence, lived))))
    found = evidence.tails
    beyond = found["cvar_95"]
    shortfall = f"; CVaR 95 %: {_percent(beyond)}" if not isinstance(beyond, Undefined) else f"; VaR: {beyond.reason}"
    key = f"worst day {_percent(found['worst_day'], '+,.2f')}, best {_percent(found['best_day'], '+,.2f')}{shortfall}"
    body = pairs_table("Daily returns", rows)
    return fold("Tails of daily returns", key, body, _reasons(evidence.tails), note=_TAILS, anchor="tails")


def market_fold(evidence: AccountDetails, lived: AccountDetails) -> Html:
    """Beta, alpha and correlation to every holding that stands beside the accounts."""
    rows = [
        (
            market,
            account,
            _with_error(found, "beta"),
            _with_error(found, "correlation"),
            _with_error(found, "alpha_daily", scale=1e4, form="+.1f"),
        )
        for market in evidence.market
        for account, found in (("Evidence", evidence.market[market]), ("Lived", lived.market[market]))
    ]
    head = ("Market", "Account", "Beta", "Correlation", "Alpha, bps a day")
    missing = [_reasons(found) for found in list(evidence.market.values())[:1]]
    key = "; ".join(_market_key(name, found) for name, found in evidence.market.items()) or "no holding to compare with"
    body = table(head, rows, words=2, empty="No holding stands beside this run.")
    return fold("Beside the market", key, body, *missing, note=_MARKET, anchor="market")


def _market_key(name: str, found: Mapping[str, Statistic]) -> str:
    beta = found["beta"]
    return f"{name}: " + (beta.reason if isinstance(beta, Undefined) else f"beta {_with_error(found, 'beta')}")


def _percent(value: Statistic, form: str = ",.2f") -> str:
    return percent(None if isinstance(value, Undefined) else value, form)


def _with_error(found: Mapping[str, Statistic], name: str, *, scale: float = 1.0, form: str = "+.2f") -> str:
    """A number ± its standard error, a dash where it is undefined."""
    value, error = found[name], found[f"{name}_se"]
    if isinstance(value, Undefined) or isinstance(error, Undefined):
        return number(None)
    return f"{number(value, form, scale=scale)} ± {number(error, form.replace('+', ''), scale=scale)}"


def _reasons(found: Mapping[str, Statistic]) -> Html:
    """Reasons of undefined numbers, errors left out: they are missing with their numbers."""
    missing = {
        _NAMES.get(name, name): value.reason
        for name, value in found.items()
        if isinstance(value, Undefined) and not name.endswith("_se")
    }
    return undefined_reasons(missing) if missing else join(())
