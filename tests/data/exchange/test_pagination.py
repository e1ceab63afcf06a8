"""Pages of exchanges that say nothing, repeat themselves or give a row at a time: every loop ends, and goes forward."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from binance_server import DAY_MS, EPOCH_MS, HOUR_MS, CountingProgress, FakeBinance, Listing, kline

from quantlab.core.errors import DataError
from quantlab.core.types import CollectOutcome
from quantlab.data.collect.from_exchange import ExchangeSource
from quantlab.data.collect.market_choice import MarketChoice
from quantlab.data.exchange.pagination import MOST_ANSWERS, fetch_span
from quantlab.data.store.manifest import read_manifest
from quantlab.data.store.store import open_store

Start = Callable[..., FakeBinance]
Make = Callable[..., ExchangeSource]
BAR = np.array([100.0, 101.0, 99.0, 100.0, 5.0])
ONE = MarketChoice(["BTCUSDT"], ["USDT"], None)


class Echo(FakeBinance):
    """Invents a row for the start of every request, whatever was asked for."""

    def answer(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
        status, sent = super().answer(path, query)
        start = int(query.get("startTime", 0))
        if path.endswith("klines"):
            return 200, [kline(start, BAR, closed=True)]
        if path.endswith("fundingRate"):
            return 200, [{"symbol": query["symbol"], "fundingTime": start, "fundingRate": "0.0001", "markPrice": "1.0"}]
        return status, sent


def collect(root: Path, source: ExchangeSource) -> CollectOutcome:
    with open_store(root, source.exchange, source.interval_ms) as store:
        outcome = source.fill(store, CountingProgress())
        store.finish()
    return outcome


def questions(server: FakeBinance, path: str) -> int:
    return Counter(asked for asked, _ in server.requests)[f"/fapi/v1/{path}"]


@pytest.mark.parametrize("pages", [{"bars_per_request": 288}, {"bars_per_request": 1000, "rates_per_request": 1000}])
def test_an_exchange_that_echoes_the_start_is_given_up(
    binance: Start, exchange_source: Make, tmp_path: Path, pages: dict[str, int]
) -> None:
    """One row for each request: a thousand rows would be a thousand requests, and every one of them invented."""
    server = binance({"BTCUSDT": Listing(1), "ETHUSDT": Listing(2)})
    server.__class__ = Echo
    outcome = collect(tmp_path, exchange_source(server, **pages))
    assert set(outcome.refused) == {"BTCUSDT", "ETHUSDT"}
    assert f"in at most {MOST_ANSWERS} answers" in str(outcome.refused["BTCUSDT"])
    assert questions(server, "klines") == 2 * MOST_ANSWERS
    assert questions(server, "fundingRate") == 0  # nothing more of a symbol that is refused


def test_years_without_a_row_cost_one_request_a_page(binance: Start, exchange_source: Make, tmp_path: Path) -> None:
    """A start long before the listing: 120 empty pages of bars, 14 of rates, each asked for once, all of them known."""
    server = binance({"BTCUSDT": Listing(1)})
    start = np.datetime64(EPOCH_MS - 117 * DAY_MS, "ms")
    pages = {"bars_per_request": 288, "rates_per_request": 240}
    source = exchange_source(server, choice=ONE, start=str(start), **pages)
    outcome = collect(tmp_path, source)
    assert outcome.refused == {}
    assert outcome.rows == len(server.ohlcv("BTCUSDT")[0]) + len(server.rates("BTCUSDT")[0])
    assert questions(server, "klines") == 117 + 4
    assert questions(server, "fundingRate") <= 121 / 10 + 3
    covered = read_manifest(tmp_path).symbols["BTCUSDT"].covered["bars"]
    assert covered[0][0] == EPOCH_MS - 117 * DAY_MS
    asked = len(server.requests)
    assert collect(tmp_path, source).rows == 0
    assert len(server.requests) <= asked + 4


def run(answer: Callable[[int, int, int], np.ndarray], span: tuple[int, int], most: int) -> tuple[np.ndarray, int]:
    """Stamps that come of a hand-made exchange, and how often it was asked."""
    calls = 0

    async def fetch_page(start: int, end: int, limit: int) -> tuple[np.ndarray, np.ndarray]:
        nonlocal calls
        calls += 1
        stamps = np.asarray(answer(start, end, limit), dtype=np.int64)
        return stamps, np.zeros((len(stamps), 1))

    stamps, _ = asyncio.run(fetch_span(fetch_page, span, (HOUR_MS, most, 8 * HOUR_MS)))
    return stamps, calls


ROWS = HOUR_MS * np.arange(400, dtype=np.int64)


@pytest.mark.parametrize(("name", "answer", "rows"), [
    ("nothing", lambda start, end, limit: [], 0),
    ("what was before", lambda start, end, limit: ROWS[start > ROWS][-5:], 0),
    ("the same rows always", lambda start, end, limit: ROWS[:50], 50),
    ("the oldest three", lambda start, end, limit: ROWS[(start <= ROWS) & (end > ROWS)][:3], 400),
    ("the newest three", lambda start, end, limit: ROWS[(start <= ROWS) & (end > ROWS)][-3:], 400),
    ("every row, some early", lambda start, end, limit: (ROWS - 10)[(start <= ROWS - 10) & (end > ROWS - 10)], 399),
])  # fmt: skip
def test_every_kind_of_answer_ends(name: str, answer: Any, rows: int) -> None:
    stamps, calls = run(answer, (0, 400 * HOUR_MS), 100)
    assert len(np.unique(stamps)) == rows, name
    assert calls <= 4 * 40, name


@pytest.mark.parametrize("answer", [
    lambda start, end, limit: [start],
    lambda start, end, limit: [end - 1],
    lambda start, end, limit: [(start + end) // 2],
    lambda start, end, limit: [start, start + 1],
])  # fmt: skip
def test_made_up_rows_do_not_keep_a_loop_going(answer: Any) -> None:
    with pytest.raises(DataError, match=f"at most {MOST_ANSWERS} answers"):
        run(answer, (0, 40_000 * HOUR_MS), 5_000)
