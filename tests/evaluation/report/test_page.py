"""The page: complete, offline, small, escaped."""

from __future__ import annotations

import base64
import dataclasses
import json
import re
from html.parser import HTMLParser

import numpy as np
import plotly.graph_objects as go
import pytest

from quantlab.core.errors import ContractError
from quantlab.core.results import MemberReport, SignalReport
from quantlab.evaluation.report import costs, figures, headline, heatmap
from quantlab.evaluation.report import page as tear_sheet
from quantlab.evaluation.report.downsample import MAX_POINTS
from quantlab.evaluation.report.html import Html, number, script_json, significant, table, tag, with_minus_signs
from quantlab.evaluation.report.page import render
from quantlab.evaluation.report.trade_table import trades_fold
from quantlab.evaluation.statistics.months import monthly_returns
from quantlab.evaluation.statistics.stress import Stress, StressAccount
from quantlab.evaluation.statistics.summary import summarise
from quantlab.evaluation.statistics.trade_list import trade_list
from quantlab.evaluation.statistics.trades import round_trips
from quantlab.evaluation.verdict.judge import judge

VOID = {"meta", "link", "br", "hr", "img", "input", "base"}
SIGNAL = SignalReport(
    consensus_rate=0.6,
    mean_confidence=0.37,
    buy_share=None,
    members={
        "xgboost": MemberReport(0.53, 0.004, 1.08, 0.6, 0.1),
        "silent": MemberReport(None, None, None, 0.4, None, {"auc": "no BUY or SELL rows"}),
    },
    reliability=((0.35, 0.34, 900), (0.4, 0.37, 120)),
    evaluated_rows=1_234,
    undefined={"buy_share": "no decisions"},
)


def replayed(at: float, result: float) -> StressAccount:
    """A replay with a given return."""
    numbers = {"net_pnl": 1e4 * result, "total_return": result, "sharpe": 9.0 * result, "sharpe_se": 2.0} | {
        "max_drawdown": 0.1, "exposure": 0.5, "trades": 20, "orders": 40, "cost_bps": 6.5 * at, "cut_fills": 3,
    }  # fmt: skip
    return StressAccount(at, numbers, {})


STRESS = Stress(
    tuple(replayed(at, 0.05 - 0.03 * at) for at in (0.0, 1.0, 2.0)),
    tuple(replayed(at, 0.1 / at**0.2) for at in (1e3, 1e5, 1e7)),
    0.05,
)


class Page(HTMLParser):
    """Checks nesting, collects text, attributes and scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[str] = []
        self.scripts: list[str] = []
        self.tags: list[str] = []
        self.feed(page)
        self.close()
        assert self.stack == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.stack.append(tag)

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag

    def handle_data(self, data):
        target = self.scripts if self.stack and self.stack[-1] == "script" else self.words
        if not self.stack or self.stack[-1] != "style":
            target.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.words)

    @property
    def figures(self) -> dict:
        return json.loads(self.scripts[0])


@pytest.fixture(scope="module")
def bars(random_bars):
    return random_bars(1, n_bars=6_000, n_symbols=4)


@pytest.fixture(scope="module")
def page(report_of, bars) -> Page:
    return Page(render(report_of(bars, signal=SIGNAL, stress=STRESS)))


def test_a_page_of_weekly_bars_is_whole(report_of, random_bars):
    bars = random_bars(1, n_bars=900, n_symbols=2, interval_ms=7 * 86_400_000, start_ms=1_167_609_600_000)
    page = Page(render(report_of(bars)))
    assert "of 6300 days gained" in page.text
    assert page.figures["fixed"]["rolling"]


def test_every_part_is_there(page):
    for words in (
        "fabricated",
        "Synthetic data",
        "not enough data",
        "Deflated Sharpe ratio",
        "Equity, drawdown, exposure",
        "In short",
        "How sure?",
        "not passed",
        "Regimes",
        "hindsight",
        "Capacity",
        "At other costs",
        "Closed trades",
        "take-profit",
        "Trades on the price",
        "Beside the benchmarks",
        "Buy and hold",
        "xgboost",
        "silent",
        "no BUY or SELL rows",
        "daily limit",
        "breaker",
        "most positions at once",
        "halted by the circuit breaker",
        "S03",
        "20250614T000000Z-abcdef01",
        "A note.",
        "seed: 1",
    ):
        assert words in page.text
    identifiers = {value for _, name, value in page.attributes if name == "id"}
    assert {"equity", "price", "symbol", "reliability", "theme", "figures"} <= identifiers
    assert set(page.figures["fixed"]) == {
        "equity", "cost_stress", "capacity_chart", "distribution", "regimes_chart", "symbols_chart", "reliability",
        "exposure_chart", "holding_chart", "excursion_chart",
    }  # fmt: skip
    assert set(page.figures["fixed"]) <= identifiers
    named = [value for _, name, value in page.attributes if name == "id"]
    assert len(named) == len(identifiers)  # a chart drawn into another element's place would displace it


def test_every_figure_has_its_place_and_every_trace_a_tone(page, report_of, random_bars):
    css = tear_sheet.page_asset("report/page.css")
    for chart in (*page.figures["fixed"].values(), *page.figures["price"]):
        assert all(f"--{trace['meta']['tone']}:" in css for trace in chart["data"])
    long = Page(render(report_of(random_bars(2, n_bars=24 * 60, n_symbols=2, interval_ms=3_600_000))))
    assert "rolling" in long.figures["fixed"]
    assert "rolling" in {value for _, name, value in long.attributes if name == "id"}
    assert "capacity_chart" not in long.figures["fixed"]  # nothing was replayed: no figure, no link to one
    assert "#capacity" not in {value for _, name, value in long.attributes if name == "href"}


def test_nothing_is_loaded_from_elsewhere(page):
    assert not {"link", "img", "iframe", "base"} & set(page.tags)
    loads = [
        value for _, name, value in page.attributes if name in {"src", "href", "srcset", "action", "data", "poster"}
    ]
    identifiers = {value for _, name, value in page.attributes if name == "id"}
    assert all(value.startswith("#") and value[1:] in identifiers for value in loads)  # within the page
    policy = next(value for _, name, value in page.attributes if name == "content" and "default-src" in value)
    assert "default-src 'none'" in policy
    assert "http" not in policy
    assert "showSendToCloud: false" in page.scripts[-1]


def test_plotly_is_there_once(page):
    assert sum("plotly.js v" in script for script in page.scripts) == 1


def traces(specification: dict) -> list[tuple[np.ndarray, np.ndarray]]:
    def array(value):
        return (
            np.frombuffer(base64.b64decode(value["bdata"]), value["dtype"])
            if isinstance(value, dict)
            else np.array(value, float)
        )

    return [(array(trace["x"]), array(trace["y"])) for trace in specification["data"]]


def test_lines_are_short_and_keep_their_extremes(page, report_of, bars):
    report = report_of(bars, signal=SIGNAL)
    assert bars.n_bars > 2 * MAX_POINTS
    charts = [*page.figures["fixed"].values(), *page.figures["price"]]
    for chart in charts:
        go.Figure(chart)  # plotly validates
        for x, y in traces(chart):
            assert len(x) == len(y) <= MAX_POINTS
    lived, evidence = traces(page.figures["fixed"]["equity"])[1:3]
    for (x, y), run in ((lived, report.lived), (evidence, report.evidence)):
        equity = run.simulation.equity
        assert (y.max(), y.min(), y[-1]) == (equity.max(), equity.min(), equity[-1])
        assert x[np.argmax(y)] == bars.close_time_ms[np.argmax(equity)]


def test_price_charts_show_the_trades(report_of, bars):
    trades = round_trips(report_of(bars).evidence.simulation, bars).records
    column = int(trades["symbol"][~trades["closed"]][0])  # one with an open trade, which has no exit
    chart = figures.specification(figures.price_figure(bars, column, trades))
    mine = trades[trades["symbol"] == column]
    drawn: dict[str, list[float]] = {}
    for trace, (_, y) in zip(chart["data"], traces(chart), strict=True):
        drawn.setdefault(trace["name"], []).extend(y.tolist())
    assert list(drawn) == ["Close", "Gain", "Loss", "Long", "Short", "Exit"]
    assert sorted(drawn["Long"] + drawn["Short"]) == sorted(mine["entry_price"])
    assert sorted(drawn["Exit"]) == sorted(mine["exit_price"][mine["closed"]])
    assert len(drawn["Exit"]) == len(mine) - 1


def test_an_exit_and_an_entry_in_one_bar_stand_side_by_side(booked, bars_of):
    bars = bars_of(np.full((40, 1), 100.0))
    fills = [
        (5, 0, 1.0, 100.0, 0.0, 0),
        (20, 0, -1.0, 100.0, 0.0, 0),
        (20, 0, -1.0, 100.0, 0.0, 0),
        (30, 0, 1.0, 99.0, 0.0, 0),
        (33, 0, 1.0, 99.0, 0.0, 0),
        (36, 0, -1.0, 90.0, 0.0, 0),
    ]
    figure = figures.price_figure(bars, 0, round_trips(booked(bars, fills), bars).records)
    moved = {trace.name: trace.marker for trace in figure.data if trace.marker.standoff}
    assert {name: (marker.angle, marker.symbol) for name, marker in moved.items()} == {
        "Short": (-90, "triangle-left"),  # to the right; turned, it points down
        "Exit": (90, "circle-open"),  # to the left
    }
    named = [trace.name for trace in figure.data if trace.showlegend is not False and len(trace.x)]
    assert sorted(named) == ["Close", "Exit", "Gain", "Long", "Loss", "Short"]
    plain = figures.price_figure(
        bars, 0, round_trips(booked(bars, [*fills[:2], (25, 0, -1.0, 100.0, 0.0, 0)]), bars).records
    )
    assert not any(trace.marker.standoff for trace in plain.data)


def test_the_checks_say_what_the_rule_says(report_of, random_bars):
    report = report_of(random_bars(1, n_bars=300, n_symbols=2))
    good = {"trades": 200, "days": 60.0, "dsr": 0.97, "mean_daily_return_lower": 0.001, "pbo": 0.2, "trials": 9}
    bad = {"trades": 99, "days": 29.0, "dsr": 0.94, "mean_daily_return_lower": 0.0, "pbo": 0.5}

    def outcomes(numbers):
        verdict = dataclasses.replace(report.verdict, numbers=report.verdict.numbers | numbers)
        words = Page(headline.verdict_section(dataclasses.replace(report, verdict=verdict))).words
        return [word for word in words if word in {"passed", "not passed", "not asked"}]

    assert outcomes(good) == ["passed"] * 5
    for i, name in enumerate(bad):
        expected = ["passed"] * 5
        expected[i] = "not passed"
        assert outcomes(good | {name: bad[name]}) == expected
    assert outcomes(good | {"trials": 1, "pbo": None}) == ["passed"] * 4 + ["not asked"]


def test_a_check_without_a_number_says_why(report_of, random_bars):
    report = report_of(random_bars(1, n_bars=300, n_symbols=2))
    numbers = report.verdict.numbers | {"pbo": None, "trials": 9}
    undefined = {"pbo": "10 days are too few for 16 blocks"}
    several = dataclasses.replace(report.verdict, numbers=numbers, undefined=undefined)
    alone = dataclasses.replace(several, numbers=numbers | {"trials": 1})
    said = [headline.verdict_section(dataclasses.replace(report, verdict=verdict)) for verdict in (several, alone)]
    assert ["too few for 16 blocks" in page for page in said] == [True, False]


EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&"


def test_every_string_is_escaped(report_of, random_bars):
    bars = random_bars(1, n_bars=600, n_symbols=2)
    bars = dataclasses.replace(bars, symbols=(EVIL, EVIL + "2"))
    member = MemberReport(None, None, None, None, None, {EVIL: EVIL})
    report = report_of(
        bars,
        experiment=EVIL,
        data_label=EVIL,
        stamps={EVIL: EVIL},
        fingerprints={EVIL: EVIL},
        notes=(EVIL,),
        config_text=EVIL,
        benchmarks={EVIL: np.full(bars.n_bars, 1.0)},
        signal=dataclasses.replace(SIGNAL, members={EVIL: member}, undefined={EVIL: EVIL}),
    )
    evil_cuts = dataclasses.replace(report.evidence.simulation, cuts={EVIL: 3})
    page = render(dataclasses.replace(report, evidence=dataclasses.replace(report.evidence, simulation=evil_cuts)))
    parsed = Page(page)
    assert "img" not in parsed.tags
    assert parsed.tags.count("script") == 3
    assert "alert(2)>" not in page.replace("alert(2)&gt;", "")
    assert EVIL in parsed.text


FOLDED = ("drawdowns", "exposure", "tails", "market", "sides", "wins", "excursions", "trade_list")


def test_new_parts_are_folded_to_one_line_with_their_numbers(page):
    folded = [value for tag, name, value in page.attributes if tag == "details" and name == "id"]
    assert tuple(folded) == FOLDED
    assert ("details", "open", "") not in page.attributes
    for said in (
        "Worst drawdowns", "Exposure over time", "Tails of daily returns", "Beside the market", "Long against short", "Wins and losses",
        "MAE and MFE", "List of trades", "also in trades.parquet", "VaR 95 %, CVaR 95 %: 21 of the 60 days that 95 % needs",
    ):  # fmt: skip
        assert said in page.text


def test_the_contents_lead_to_every_part_that_is_there(page, report_of, random_bars):
    links = [value for tag, name, value in page.attributes if tag == "a" and name == "href"]
    contents = links[links.index("#verdict", links.index("#verdict") + 1) :]
    assert {f"#{name}" for name in FOLDED} < set(contents)
    assert "#tuning" not in contents  # nothing was tuned
    assert len(contents) == len(set(contents))


def test_the_list_says_how_much_of_it_is_shown(report_of, random_bars):
    report = report_of(random_bars(3, n_bars=3_000, n_symbols=3))
    simulation, bars = report.evidence.simulation, report.bars
    count = len(round_trips(simulation, bars).records)
    whole, some, none = (trades_fold(simulation, bars, room, "t.csv") for room in (10**7, 30_000, 0))
    assert whole.count("<tr>") == count + 1
    assert f"{count} trades, also in trades.parquet" in whole
    assert len(some.encode()) <= 30_000
    listed = some.count("<tr>") - 1
    assert 20 < listed < count
    assert f"the latest {listed} of {count} trades; all of them are in trades.parquet" in some
    newest = trade_list(simulation, bars).iloc[-1]
    assert some.index(f"{newest['entry_time']:%Y-%m-%d %H:%M}") < some.index("</tr>", some.index("<tbody>"))
    assert f'data-sort="{float(newest["pnl"])!r}"' in some  # in full precision
    assert "no room left" in none


def test_quiet_runs_render(report_of, booked, random_bars, rule_of):
    bars = random_bars(1, n_bars=50, n_symbols=1)
    nothing = booked(bars, [])
    summary = summarise(nothing, bars)
    report = report_of(bars)
    run = dataclasses.replace(report.evidence, simulation=nothing, summary=summary)
    quiet = dataclasses.replace(
        report,
        evidence=run,
        lived=run,
        verdict=judge(rule_of(), nothing, summary),
        benchmarks={},
        synthetic=False,
        notes=(),
    )
    page = Page(render(quiet))
    assert "No funding data" in page.text
    assert "Nothing was traded." in page.text
    assert "Synthetic data" not in page.text
    assert "No position was open at the end." in page.text
    assert "not learned" in page.text
    assert not re.search(r"\b(nan|None|inf)\b", page.text)


def test_a_ruined_account_renders(report_of, booked, bars_of, rule_of):
    bars = bars_of(np.concatenate([np.full(50, 100.0), np.full(50, 20.0)])[:, None])
    ruined = booked(bars, [(1, 0, 1_000.0, 100.0, 0.0, 0), (60, 0, -1_000.0, 20.0, 0.0, 1)])
    summary = summarise(ruined, bars)
    base = report_of(bars)
    run = dataclasses.replace(base.evidence, simulation=ruined, summary=summary)
    page = Page(render(dataclasses.replace(base, evidence=run, lived=run, verdict=judge(rule_of(), ruined, summary))))
    assert "not yet recovered" in page.text
    assert not re.search(r"\b(nan|None|inf)\b", page.text)


def test_open_positions_are_listed_with_stale_marks(report_of, booked, bars_of):
    close = np.full((60, 2), 100.0)
    close[40:, 1] = np.nan
    bars = bars_of(close)
    held = booked(bars, [(2, 0, 2.0, 100.0, 0.0, 0), (3, 1, -1.0, 101.0, 0.0, 0)])
    base = report_of(bars)
    run = dataclasses.replace(base.evidence, simulation=held, summary=summarise(held, bars))
    page = Page(render(dataclasses.replace(base, evidence=run)))
    assert "stale" in page.text
    assert "current" in page.text


def test_runs_and_benchmarks_must_belong_to_the_bars(report_of, random_bars):
    bars = random_bars(1, n_bars=300, n_symbols=2)
    with pytest.raises(ContractError, match="benchmark 'short'"):
        report_of(bars, benchmarks={"short": np.ones(3)})
    with pytest.raises(ContractError, match="were simulated"):
        dataclasses.replace(report_of(bars), bars=bars.rows(0, 200))


def test_the_largest_page_stays_under_seven_megabytes(report_of, random_bars):
    bars = random_bars(4, n_bars=26_208, n_symbols=14)
    report = report_of(
        bars, signal=SIGNAL, benchmarks={f"b{i}": np.random.default_rng(i).normal(1e4, 9, 26_208) for i in range(3)}
    )
    assert len(round_trips(report.evidence.simulation, bars).records) > 14 * figures.MAX_DRAWN_TRADES
    page = render(report)
    assert len(page.encode()) <= 7_000_000
    listed = re.search(r"the latest ([\d,]+) of ([\d,]+) trades; all of them are in trades.parquet", page)
    assert listed is not None
    assert int(listed[1].replace(",", "")) >= 300


def test_a_calendar_by_day(bars_of):
    days = np.arange(20_163, 20_203)  # from 2025-03-16 on
    made = heatmap.day_calendar(days, np.append(0.0, np.full(39, 0.01)))
    assert made.count('class="cell gain"') == 39
    assert made.count('class="cell flat"') == 1
    assert "2025-03-17: +1.00 %" in made
    assert re.findall(r"grid-area:1/(\d+)\">(\w+)<", made) == [("2", "Mar"), ("5", "Apr")]
    begun = heatmap.day_calendar(days + 15, np.full(40, 0.01))  # on 31 March, a Monday
    assert re.findall(r"grid-area:1/(\d+)\">(\w+)<", begun) == [("2", "Apr"), ("6", "May")]
    assert heatmap.day_calendar(np.arange(401), np.zeros(401)) == ""


@pytest.mark.parametrize(
    ("first", "count", "names"),
    [
        (20_150, 20, ["Mar"]),
        (20_163, 91, ["Mar", "Apr", "May", "Jun"]),
        (20_060, 60, list(heatmap._MONTHS)),
        (18_000, 2_200, list(heatmap._MONTHS)),
    ],
)
def test_months_have_numbers_at_any_length(first, count, names):
    days = np.arange(first, first + count)
    rows = monthly_returns(days, np.random.default_rng(count).normal(0.0, 0.01, count))
    made = heatmap.month_table(rows)
    assert re.findall(r'scope="col"[^>]*>(\w+)<', made) == ["Year", *names, "Year"]
    shown = re.findall(r'<td class="num cell[^>]*>([^<]+)<', made)
    assert shown == [number(m, "+,.2f", scale=100.0) for row in rows for m in row.months if m is not None]
    totals = re.findall(r'<td class="num total">([^<]+)<', made)
    assert totals == [number(row.total, "+,.2f", scale=100.0) for row in rows]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (51_585_876.4, "51,585,876"),
        (1_090.23, "1,090.23"),
        (212.441, "212.441"),
        (0.98936712, "0.989367"),
        (2.0929e-05, "0.000020929"),
        (-0.00027309, "\N{MINUS SIGN}0.00027309"),
        (100.0, "100"),
        (0.0, "0"),
    ],
)
def test_prices_of_any_size_are_read_without_powers_of_ten(value, shown):
    assert significant(value) == shown


def test_a_price_axis_has_no_micro_dollars(report_of, bars):
    trades = round_trips(report_of(bars).evidence.simulation, bars).records
    assert figures.price_figure(bars, 0, trades).layout.yaxis.exponentformat == "none"


def test_growth_of_a_short_run_says_that_it_is_extrapolated(page, report_of, bars_of):
    assert "CAGR, extrapolated from" in page.text
    days = bars_of(100.0 + np.sin(np.arange(400.0))[:, None], interval_ms=86_400_000)
    assert "extrapolated" not in Page(render(report_of(days))).text


def test_unmended_prices_are_the_first_thing_that_is_said(report_of, bars, page):
    said = Page(render(report_of(bars, unmended="Prices look unmended: the price of S01 steps."))).text
    assert "In short" in said
    assert (
        said.index("In short") < said.index("Prices look unmended: the price of S01 steps.") < said.index("How sure?")
    )
    assert "In one unit?" not in page.text


def test_why_nothing_was_traded_is_the_first_statement(report_of, bars):
    said = headline.statements(report_of(bars, synthetic=True, idle="Over 9 days nothing was worth its cost: so it is"))
    assert said.startswith('<ul class="statements"><li>Over 9 days nothing was worth its cost: so it is.</li><li>')
    assert "nothing was" not in headline.statements(report_of(bars))


def test_fees_and_slippage_and_all_costs_are_two_words_that_add_up(report_of, bars):
    report = report_of(bars)
    rows = dict(re.findall(r"<tr><td[^>]*>([^<]*)</td><td[^>]*>([^<]*)</td>", costs.costs_section(report)))
    paid = {name: float(text.replace(",", "").replace("\N{MINUS SIGN}", "-")) for name, text in rows.items() if text}
    summary = report.evidence.summary
    assert paid["Fees and slippage"] == pytest.approx(paid["Fees"] + paid["Slippage"], abs=0.011)
    assert paid["All costs"] == pytest.approx(summary["costs"], abs=0.01)
    bps = re.search("Fees and slippage</td>.*?</td><td[^>]*>([^<]*)</td>", costs.costs_section(report))
    assert bps[1] == f"{summary['cost_bps']:.2f}", "as the command line says it"


def test_every_statement_is_a_whole_sentence(report_of, bars):
    said = headline.statements(report_of(bars, notes=("With a stop.", "Without one, -3 % in all")))
    assert "<li>With a stop.</li><li>Without one, \N{MINUS SIGN}3 % in all.</li>" in said


def test_markup():
    assert tag("td", "<b>", class_='"') == '<td class="&quot;">&lt;b&gt;</td>'
    assert tag("td", Html("<b>")) == "<td><b></td>"
    assert number(-1_234.5) == "−1,234.50"
    assert number(None) == "–"
    assert with_minus_signs("-0.2 % to +0.1 % on 2025-05-18, x-1 (-3)") == "−0.2 % to +0.1 % on 2025-05-18, x-1 (−3)"
    assert "</" not in script_json({"a": "</script>"})
    assert json.loads(script_json({"a": "</script>&"})) == {"a": "</script>&"}
    with pytest.raises(ValueError, match="not JSON compliant"):
        script_json([float("nan")])
    assert table(("a",), [], empty="None <here>.") == '<p class="empty">None &lt;here&gt;.</p>'
