"""Settings as configured, a maker of intents, and requests of each kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from omegaconf import OmegaConf

from quantlab.core.fakes.venue import listed_symbol
from quantlab.core.venue.answers import OrderState, OrderStatus
from quantlab.core.venue.requests import OrderKind, OrderRequest, OrderType
from quantlab.execution.orders.answer_rules import AnswerRules
from quantlab.execution.orders.intents import IntentMaker
from quantlab.execution.orders.settings import OrderSettings
from quantlab.jobs.config.composition import build
from quantlab.jobs.config.folder import config_folder

SYMBOLS = {
    "BTC": listed_symbol("BTC"),
    "ETH": listed_symbol("ETH", "0.01", "0.01"),
    "XRP": listed_symbol("XRP", "0.0001", "1"),
}
#: The order of each kind that the venue sees.
SHAPES: dict[OrderKind, dict[str, Any]] = {
    OrderKind.ENTRY: {"type": OrderType.IOC, "lots": 12, "price_ticks": 842_551},
    OrderKind.REDUCE: {"type": OrderType.MARKET, "lots": 12, "reduce_only": True},
    OrderKind.STOP: {"type": OrderType.STOP_MARKET, "lots": None, "trigger_ticks": 830_000, "close_position": True},
    OrderKind.TAKE: {"type": OrderType.POST_ONLY, "lots": 12, "price_ticks": 850_000, "reduce_only": True},
    OrderKind.EMERGENCY: {"type": OrderType.MARKET, "lots": 12, "reduce_only": True},
}


def request_of(kind: OrderKind, client_id: str = "a" * 27, **changes: Any) -> OrderRequest:
    side = 1 if kind is OrderKind.ENTRY else -1
    return OrderRequest(
        **{"client_id": client_id, "kind": kind, "symbol": "BTC", "side": side, **SHAPES[kind], **changes}
    )


def state_of(
    request: OrderRequest, status: OrderStatus = OrderStatus.OPEN, filled: int = 0, **changes: Any
) -> OrderState:
    """The order as a venue that took it shows it."""
    fields: dict[str, Any] = {
        "symbol": request.symbol, "client_id": request.client_id, "venue_id": "77", "book": request.book, "side": request.side,
        "status": status, "lots": request.lots, "filled_lots": filled, "price_ticks": request.price_ticks,
        "trigger_ticks": request.trigger_ticks, "reduce_only": request.reduce_only, "close_position": request.close_position,
        "updated_ms": 1_000,
    }  # fmt: skip
    return OrderState(**{**fields, **changes})


def load(option: str) -> Any:
    return build(OmegaConf.load(config_folder() / "execution" / f"{option}.yaml"))


@pytest.fixture(scope="session")
def settings() -> OrderSettings:
    return load("orders/default")


@pytest.fixture(scope="session")
def rules() -> AnswerRules:
    return load("answer_rules/binanceusdm")


@pytest.fixture
def make_maker(settings: OrderSettings) -> Callable[..., IntentMaker]:
    def make(session: str = "session", **changes: Any) -> IntentMaker:
        return IntentMaker(session, changes.pop("listed", SYMBOLS), changes.pop("settings", settings))

    return make


@pytest.fixture
def ask_for() -> Callable[..., OrderRequest]:
    return request_of


@pytest.fixture
def shown() -> Callable[..., OrderState]:
    return state_of
