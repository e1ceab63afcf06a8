"""The sweep's page: whole, escaped, and readable where there is little room."""

from __future__ import annotations

import base64
import dataclasses
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from quantlab.core.market import Bars
from quantlab.evaluation.report.content import Report
from quantlab.evaluation.sweep.content import SweepReport
from quantlab.evaluation.sweep.maps import MAX_MAPS
from quantlab.evaluation.sweep.page import distribution, render_sweep
from quantlab.evaluation.sweep.parameter_line import parameter_line
from quantlab.evaluation.sweep.ranking_table import MAX_CELLS, ranking_table
from quantlab.evaluation.sweep.scenario_scores import score_scenarios
from quantlab.evaluation.sweep.scenario_section import scenario_section
from quantlab.evaluation.sweep.scenarios import scenarios_of
from quantlab.evaluation.sweep.scores import SweepTable, annualised, daily_sharpes

CASH = 10_000.0
EVIL = "</script><img src=x onerror=alert(1)>\"'&"


def a_sweep(report: Report, names: tuple[str, ...] = ("policy.stop_atr", "policy.horizon"), n: int = 24) -> SweepReport:
    """Random results of `n` parameter sets, on the accounts of `report`."""
    rng = np.random.default_rng(1)
    returns = rng.normal(0.0, 0.01, (n, 40))
    values = tuple({name: int(rng.integers(1, 4)) for name in names} for _ in range(n))
    columns = {name: rng.uniform(1.0, 2.0, n) for name in ("final_equity", "max_drawdown", "costs")}
    table = SweepTable(names, values, returns, columns | {"trades": np.full(n, 200)}, n + 3)
    sharpe = annualised(daily_sharpes(returns))
    sharpe[5] = np.nan  # one that never traded
    return SweepReport(
        experiment="fabricated",
        data_label="a random walk",
        synthetic=True,
        bars=report.bars,
        evidence=report.evidence,
        lived=report.lived,
        table=table,
        sharpe=sharpe,
        scenarios=score_scenarios(table, sharpe, scenarios_of(values, values[:3]), 100),
        judged=0,
        top=5,
        listed=1_000,
        verdict=report.verdict,
        notes=("The best has -1.50.",),
        stamps={"run": "20250614T000000Z"},
        config_text="seed: 1\n",
        benchmarks=report.benchmarks,
        files={"sweep.csv": "every parameter set"},
    )


@pytest.fixture(scope="module")
def report(report_of: Callable[..., Report], random_bars: Callable[..., Bars]) -> Report:
    return report_of(random_bars(1, n_bars=3_000, n_symbols=3))


class Nested(HTMLParser):
    """Fails where tags are not nested; keeps the words and the identifiers."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []
        self.identifiers: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.identifiers += [value or "" for name, value in attrs if name == "id"]
        assert tag not in {"img", "link", "iframe"}
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in {"style", "script"}:
            self.words.append(data)


def drawn(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="figures">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    figures: dict[str, Any] = json.loads(found[1])["fixed"]
    return figures


def test_everything_a_reader_needs_is_on_the_page(report: Report) -> None:
    page = render_sweep(a_sweep(report))
    parsed = Nested(page)
    said = " ".join(parsed.words)
    for words in (
        "fabricated: sweep",
        "Synthetic data",
        "not that a strategy earns",
        report.verdict.verdict,
        "Deflated Sharpe ratio",
        "not passed",
        "Sharpe ratios of all 24 parameter sets",
        "All 24 parameter sets, the best first",
        "(every parameter set)",
        "Beside the benchmarks",
        "stop atr",
        "rarely as good",
        "Max drawdown",
        "policy.stop_atr \N{DOWNWARDS ARROW} policy.horizon",
        "Stopped out, blind entries",
        "The best has \N{MINUS SIGN}1.50.",
        "halted by the circuit breaker",
        "20250614T000000Z",
    ):
        assert words in said, words
    figures = drawn(page)
    assert set(figures) == {"equity", "distribution"} <= set(parsed.identifiers)
    assert len(parsed.identifiers) == len(set(parsed.identifiers))
    assert not re.search(r"\b(nan|None|inf)\b", said)
    assert len(page.encode()) < 7_000_000


def test_the_best_lead_with_their_sharpe_ratio(report: Report) -> None:
    swept = a_sweep(report)
    rows = re.findall("<tr>(.*?)</tr>", ranking_table(swept))
    cells = [re.sub("<.*?>", "", cell) for cell in re.findall("<td.*?</td>", rows[1])]
    best = swept.score.row
    assert cells[:2] == ["1", f"{np.nanmax(swept.sharpe):+.2f}"]
    assert cells[2:4] == [str(swept.table.values[best][name]) for name in swept.table.names]
    head = re.findall("<th.*?>(.*?)</th>", rows[0])
    assert cells[
        head.index("Return")
    ] == f"{100 * (swept.table.numbers['final_equity'][best] / CASH - 1):+,.2f} %".replace("-", "\N{MINUS SIGN}")
    assert cells[head.index("Deflated")] == f"{swept.score.dsr:.3f}", "as the scenario's own best"
    assert "Exposure" not in head, "this table does not know it"
    assert len(rows) == 1 + 24


def test_the_page_holds_many_rows_shows_few_and_stays_small(report: Report) -> None:
    swept = a_sweep(report, n=2_000)
    table = ranking_table(swept)
    assert table.count("<tr>") == 1 + 1_000
    assert 'data-first="5"' in table
    assert ranking_table(dataclasses.replace(swept, listed=7)).count("<tr>") == 1 + 7
    wide = a_sweep(report, tuple(f"policy.p{i}" for i in range(12)), n=2_000)
    assert 0 < ranking_table(wide).count("<td") <= MAX_CELLS
    page = render_sweep(wide)
    assert len(page.encode()) < 7_000_000
    assert re.search(r"The best \d{3} of 2,000 parameter sets", page)


def test_a_limit_that_is_off_is_no_number_to_sort_by(report: Report) -> None:
    swept = a_sweep(report, ("limits.breaker",), n=6)
    values = ({"limits.breaker": None}, {"limits.breaker": 0.2}, {"limits.breaker": 0.05}) * 2
    table = ranking_table(dataclasses.replace(swept, table=dataclasses.replace(swept.table, values=values)))
    assert {'data-sort="">off', 'data-sort="0.2">0.2', 'data-sort="0.05">0.05'} <= set(
        re.findall('data-sort="[^"]*">[^<]*', table)
    )


def test_one_parameter_is_drawn_as_a_line(report: Report) -> None:
    swept = a_sweep(report, ("policy.stop_atr",))
    line, best, luck = parameter_line(swept).data
    for value, median in zip(line.x, line.y, strict=True):
        mine = [s for s, v in zip(swept.sharpe, swept.table.values, strict=True) if v["policy.stop_atr"] == value]
        assert median == np.nanmedian(mine)
    assert list(line.x) == [1, 2, 3]
    assert (best.x[0], best.y[0]) == (swept.table.values[swept.score.row]["policy.stop_atr"], np.nanmax(swept.sharpe))
    assert set(luck.y) == {swept.score.luck_sharpe}
    page = render_sweep(swept)
    assert "Along the parameter" in page
    assert "line" in drawn(page)
    assert parameter_line(a_sweep(report)) is None
    same = dataclasses.replace(swept.table, values=({"policy.stop_atr": 1},) * 24)
    assert "No parameter was varied." in render_sweep(dataclasses.replace(swept, table=same))


def test_pairs_that_are_left_out_are_counted(report: Report) -> None:
    many = render_sweep(a_sweep(report, tuple(f"policy.p{i}" for i in range(7))))
    assert many.count('class="map"') == MAX_MAPS
    assert f"Shown are the first {MAX_MAPS} of 21 pairs." in many
    assert "Shown are the first" not in render_sweep(a_sweep(report))


def test_the_distribution_holds_every_known_ratio(report: Report) -> None:
    swept = a_sweep(report, n=500)
    bars, best, lucky = distribution(swept.sharpe, float(swept.sharpe[swept.score.row]), swept.score.luck_sharpe).data
    assert np.sum(bars.y) == 499
    assert 5 <= len(bars.y) <= 60
    assert best.x[0] == np.nanmax(swept.sharpe)
    assert lucky.x[0] == swept.score.luck_sharpe
    (empty,) = distribution(np.full(3, np.nan), float("nan"), None).data
    assert np.sum(empty.y) == 0


def with_costs(report: Report, levels: int) -> SweepReport:
    """Four choices under so many slippages, the middle one judged."""
    rng = np.random.default_rng(3)
    values = tuple({"policy.a": a, "costs.slippage_bps": float(c)} for c in range(levels) for a in range(4))
    returns = rng.normal(0.0, 0.01, (len(values), 40))
    columns = {name: rng.uniform(1.0, 2.0, len(values)) for name in ("final_equity", "max_drawdown", "costs")}
    table = SweepTable(tuple(values[0]), values, returns, columns | {"trades": np.full(len(values), 200)}, len(values))
    sharpe = annualised(daily_sharpes(returns))
    scores = score_scenarios(table, sharpe, scenarios_of(values), 100)
    changes: dict[str, Any] = {"table": table, "sharpe": sharpe, "scenarios": scores, "judged": levels // 2}
    return dataclasses.replace(a_sweep(report), **changes)


def test_every_scenario_shows_its_best_and_how_it_does_in_the_others(report: Report) -> None:
    swept = with_costs(report, 3)
    part = scenario_section(swept)
    rows = [re.sub("<.*?>", " ", row).split() for row in re.findall("<tr>(.*?)</tr>", part)]
    for k, one in enumerate(swept.scenarios):
        mark = ["judged"] if k == 1 else []
        shown = [f"{one.dsr:.3f}", f"{swept.sharpe[one.row]:+.2f}", f"{one.luck_sharpe:+.2f}", str(one.row % 4)]
        assert rows[1 + k] == [text.replace("-", "\N{MINUS SIGN}") for text in (*mark, str(k), *shown)]
        there = [swept.sharpe[4 * other + one.row % 4] for other in range(3)]
        assert rows[5 + k] == [str(k), *(f"{value:+.2f}".replace("-", "\N{MINUS SIGN}") for value in there)]
    page = render_sweep(swept)
    said = " ".join(Nested(page).words)
    assert "Sharpe ratios of all 4 parameter sets with costs.slippage_bps = 1" in said
    heights = drawn(page)["distribution"]["data"][0]["y"]["bdata"]
    assert np.sum(np.frombuffer(base64.b64decode(heights))) == 4
    assert {row[1] for row in cells_of(ranking_table(swept))} <= {f"{value:+.2f}" for value in swept.sharpe[4:8]}
    assert "What was assumed" not in render_sweep(a_sweep(report))


def cells_of(table: str) -> list[list[str]]:
    rows = re.findall("<tr>(.*?)</tr>", table)[1:]
    found = [[re.sub("<.*?>", "", cell) for cell in re.findall("<td.*?</td>", row)] for row in rows]
    return [[cell.replace("\N{MINUS SIGN}", "-") for cell in row] for row in found]


def test_of_many_scenarios_some_are_shown_the_judged_one_always(report: Report) -> None:
    for judged in (0, 7, 33, 39):
        part = scenario_section(dataclasses.replace(with_costs(report, 40), judged=judged))
        assert part.count("judged</span>") == 1
        assert re.search(r"Shown are 1[12] of 40 scenarios\.", part)


def test_every_string_is_escaped(report: Report) -> None:
    evil = dataclasses.replace(
        a_sweep(report, (EVIL, f"{EVIL}2")),
        experiment=EVIL,
        data_label=EVIL,
        notes=(EVIL,),
        stamps={EVIL: EVIL},
        config_text=EVIL,
    )
    assert "onerror" in " ".join(Nested(render_sweep(evil)).words)
