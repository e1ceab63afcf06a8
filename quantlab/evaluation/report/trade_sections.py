"""Folded sections on trades: long against short, wins and losses, excursions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import plotly.graph_objects as go

from quantlab.core.market import Bars
from quantlab.evaluation.report.detail_figures import (
    MAX_DRAWN_EXCURSIONS,
    excursion_figure,
    exposure_figure,
    holding_figure,
)
from quantlab.evaluation.report.html import Html, duration, fold, number, pairs_table, percent, table, tag, usd
from quantlab.evaluation.statistics.details import AccountDetails
from quantlab.evaluation.statistics.metrics import Statistic, Undefined
from quantlab.evaluation.statistics.sides import SideRow

_SIDES = (
    "Trades, hit rate, profit factor and mean return are of closed trades; P&L also of open ones, at the last mark. After fees and "
    "slippage (costs), before funding, which the account pays as a whole. Mean: return on the notional at entry, every trade alike. "
    "Exposure: mean position value over equity."
)
_WINS = (
    "Closed trades after fees and slippage, before funding. Payoff: mean win over mean loss. Expectancy: mean of all trades, ± one standard "
    "error for independent trades; trades that are open at the same time are not. Streaks in the order of the exits."
)
_EXCURSIONS = (
    "How far a trade was behind (MAE) and ahead (MFE) at its worst and best price while it was held, in % of its entry price, beside what it "
    "made. Losses far right on the right side were gains once; wins far left on the left side had luck with their stop."
)
_NO_TRADES = "no closed trades"


def sides_fold(evidence: AccountDetails, lived: AccountDetails) -> Html:
    """Long against short, of both accounts."""
    accounts = (("Evidence", evidence), ("Lived", lived))
    rows = [_side_row(name, row) for name, details in accounts for row in details.sides]
    head = (
        "Account", "Side", "Trades", "Hit rate", "P&L, USD", "Mean, bps", "Profit factor", "Costs, USD", "Exposure",
    )  # fmt: skip
    said = [f"{row.side} {usd(row.net_pnl, '+,.0f')} USD in {row.trades:,} trades" for row in evidence.sides[:2]]
    body = table(head, rows, words=2, empty="")
    return fold("Long against short", "; ".join(said), body, note=_SIDES, anchor="sides")


def _side_row(account: str, row: SideRow) -> tuple[object, ...]:
    return (
        account,
        row.side,
        number(row.trades, ",.0f"),
        percent(row.hit_rate, ".1f"),
        usd(row.net_pnl, "+,.2f"),
        number(row.mean_return, "+.1f", scale=1e4),
        number(row.profit_factor),
        usd(row.costs),
        percent(row.exposure, ".1f"),
    )


def wins_fold(evidence: AccountDetails, lived: AccountDetails) -> Html:
    """Sizes, streaks and holding times of wins and losses."""
    rows = [
        (label, *(_shown(account.win_loss[name], form) for account in (evidence, lived)))
        for label, name, form in _WIN_ROWS
    ]
    rows.insert(_EXPECTANCY_ROW, ("Expectancy, bps", *(_expectancy(account.win_loss) for account in (evidence, lived))))
    found = evidence.win_loss
    if evidence.sides[-1].trades == 0:
        return fold("Wins and losses", _NO_TRADES, tag("p", "No closed trades.", class_="empty"), anchor="wins")
    key = (
        f"mean win {_shown(found['mean_win'], _usd)} USD, mean loss {_shown(found['mean_loss'], _usd)} USD; "
        f"a trade makes {_expectancy(found)} bps; "
        f"held {_shown(found['holding_median_days'], duration)} (median)"
    )
    body = pairs_table("Closed trades", rows)
    chart = tag("div", "", id="holding_chart", class_="chart")
    return fold("Wins and losses", key, body, tag("h3", "Holding times"), chart, note=_WINS, anchor="wins")


def excursions_fold(evidence: AccountDetails) -> Html:
    """Adverse and favourable excursions beside what the trades made."""
    count = len(evidence.trades.closed)
    if not count:
        return fold("MAE and MFE", _NO_TRADES, tag("p", "No closed trades.", class_="empty"), anchor="excursions")
    found = evidence.win_loss
    drawn = "" if count <= MAX_DRAWN_EXCURSIONS else f" The latest {MAX_DRAWN_EXCURSIONS:,} of {count:,} closed trades."
    key = (
        f"the median win was {_shown(found['mae_of_wins'], _distance)} behind at its worst; "
        f"the median loss {_shown(found['mfe_of_losses'], _distance)} ahead at its best"
    )
    chart = tag("div", "", id="excursion_chart", class_="chart")
    return fold("MAE and MFE", key, chart, note=_EXCURSIONS + drawn, anchor="excursions")


def detail_figures(details: AccountDetails, bars: Bars) -> dict[str, go.Figure]:
    """Figures of the folded sections, by element id."""
    found = {"exposure_chart": exposure_figure(details, bars.close_time_ms)}
    closed = details.trades.closed
    if len(closed):
        found["holding_chart"] = holding_figure(closed, bars.interval_ms)
        found["excursion_chart"] = excursion_figure(closed, bars)
    return found


def _shown(value: Statistic, form: Callable[[Any], str]) -> str:
    return number(None) if isinstance(value, Undefined) else form(value)


def _expectancy(found: Mapping[str, Statistic]) -> str:
    """Mean return of a trade ± its standard error, in basis points."""
    mean, error = found["expectancy_return"], found["expectancy_return_se"]
    if isinstance(mean, Undefined) or isinstance(error, Undefined):
        return _shown(mean, _bps)
    return f"{_bps(mean)} ± {number(error, '.1f', scale=1e4)}"


def _usd(value: float) -> str:
    return usd(value, "+,.2f")


def _bps(value: float) -> str:
    return number(value, "+.1f", scale=1e4)


def _percent(value: float) -> str:
    return percent(value, "+,.2f")


def _distance(value: float) -> str:
    return percent(abs(value))


def _count(value: float) -> str:
    return number(value, ",.0f")


#: Place of the expectancy in basis points among the rows below.
_EXPECTANCY_ROW = 8
_WIN_ROWS: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
    ("Wins", "wins", _count),
    ("Losses", "losses", _count),
    ("Mean win, USD", "mean_win", _usd),
    ("Mean loss, USD", "mean_loss", _usd),
    ("Mean win", "mean_win_return", _percent),
    ("Mean loss", "mean_loss_return", _percent),
    ("Payoff", "payoff", number),
    ("Expectancy, USD", "expectancy", _usd),
    ("Best trade, USD", "best_trade", _usd),
    ("Worst trade, USD", "worst_trade", _usd),
    ("Best trade", "best_trade_return", _percent),
    ("Worst trade", "worst_trade_return", _percent),
    ("Longest winning streak", "longest_winning_streak", _count),
    ("Longest losing streak", "longest_losing_streak", _count),
    ("Held, median", "holding_median_days", duration),
    ("Held, median of wins", "holding_wins_median_days", duration),
    ("Held, median of losses", "holding_losses_median_days", duration),
    ("Held, longest", "holding_longest_days", duration),
)
