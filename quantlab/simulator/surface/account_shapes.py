"""Balances, positions, income and an account's settings, in the JSON shapes of the venue's documentation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from quantlab.simulator.engine.values import MARGIN_ASSET, Income, PositionView, WalletView
from quantlab.simulator.surface.order_shapes import ONE_WAY
from quantlab.simulator.surface.scale import Scale, money, plain

#: Largest position value that the venue allows at any leverage; nothing here has brackets.
LARGEST_NOTIONAL = "100000000"


def balance_rows(wallet: WalletView) -> list[dict[str, Any]]:
    """``balance`` v2 and v3."""
    return [
        {
            "accountAlias": "simulated",
            "asset": MARGIN_ASSET,
            "balance": money(wallet.wallet),
            "crossWalletBalance": money(wallet.wallet),
            "crossUnPnl": money(wallet.unrealised),
            "availableBalance": money(wallet.available),
            "maxWithdrawAmount": money(wallet.withdrawable),
            "marginAvailable": True,
            "updateTime": wallet.updated_ms,
        }
    ]


def account_totals(wallet: WalletView) -> dict[str, Any]:
    """The sums and the one asset of ``account`` v2 and v3."""
    initial = money(wallet.position_margin + wallet.order_margin)
    asset = {
        "asset": MARGIN_ASSET,
        "walletBalance": money(wallet.wallet),
        "unrealizedProfit": money(wallet.unrealised),
        "marginBalance": money(wallet.margin_balance),
        "maintMargin": money(wallet.maintenance_margin),
        "initialMargin": initial,
        "positionInitialMargin": money(wallet.position_margin),
        "openOrderInitialMargin": money(wallet.order_margin),
        "crossWalletBalance": money(wallet.wallet),
        "crossUnPnl": money(wallet.unrealised),
        "availableBalance": money(wallet.available),
        "maxWithdrawAmount": money(wallet.withdrawable),
        "marginAvailable": True,
        "updateTime": wallet.updated_ms,
    }
    return {
        "totalInitialMargin": initial,
        "totalMaintMargin": money(wallet.maintenance_margin),
        "totalWalletBalance": money(wallet.wallet),
        "totalUnrealizedProfit": money(wallet.unrealised),
        "totalMarginBalance": money(wallet.margin_balance),
        "totalPositionInitialMargin": money(wallet.position_margin),
        "totalOpenOrderInitialMargin": money(wallet.order_margin),
        "totalCrossWalletBalance": money(wallet.wallet),
        "totalCrossUnPnl": money(wallet.unrealised),
        "availableBalance": money(wallet.available),
        "maxWithdrawAmount": money(wallet.withdrawable),
        "assets": [asset],
    }


def account_position(position: PositionView, scale: Scale) -> dict[str, Any]:
    """A position inside ``account`` v2 and v3."""
    return {
        "symbol": position.symbol,
        "initialMargin": money(position.initial_margin + position.order_margin),
        "maintMargin": money(position.maintenance_margin),
        "unrealizedProfit": money(position.unrealised),
        "positionInitialMargin": money(position.initial_margin),
        "openOrderInitialMargin": money(position.order_margin),
        "leverage": str(position.leverage),
        "isolated": False,
        "isolatedMargin": "0",
        "isolatedWallet": "0",
        "entryPrice": plain(position.entry_price),
        "maxNotional": LARGEST_NOTIONAL,
        "bidNotional": "0",
        "askNotional": "0",
        "positionSide": ONE_WAY,
        "positionAmt": scale.size(position.lots),
        "notional": money(position.notional),
        "updateTime": position.updated_ms,
    }


def position_row(position: PositionView, adl: int, scale: Scale) -> dict[str, Any]:
    """A row of ``positionRisk`` v2 and v3, with the fields of both."""
    return {
        "symbol": position.symbol,
        "positionSide": ONE_WAY,
        "positionAmt": scale.size(position.lots),
        "entryPrice": plain(position.entry_price),
        "breakEvenPrice": plain(position.entry_price),
        "markPrice": plain(position.mark_price),
        "unRealizedProfit": money(position.unrealised),
        "liquidationPrice": plain(position.liquidation_price),
        "leverage": str(position.leverage),
        "maxNotionalValue": LARGEST_NOTIONAL,
        "marginType": "cross",
        "isAutoAddMargin": "false",
        "isolatedMargin": "0",
        "isolatedWallet": "0",
        "notional": money(position.notional),
        "marginAsset": MARGIN_ASSET,
        "initialMargin": money(position.initial_margin + position.order_margin),
        "maintMargin": money(position.maintenance_margin),
        "positionInitialMargin": money(position.initial_margin),
        "openOrderInitialMargin": money(position.order_margin),
        "adl": adl,
        "bidNotional": "0",
        "askNotional": "0",
        "updateTime": position.updated_ms,
    }


def income_row(income: Income) -> dict[str, Any]:
    """A row of ``income``."""
    return {
        "symbol": income.symbol,
        "incomeType": income.type.value,
        "income": money(income.amount),
        "asset": MARGIN_ASSET,
        "info": str(income.trade_id) if income.trade_id else income.type.value,
        "time": income.time_ms,
        "tranId": income.tran_id,
        "tradeId": str(income.trade_id) if income.trade_id else "",
    }


def symbol_config(symbol: str, leverage: int) -> dict[str, Any]:
    """A row of ``symbolConfig``."""
    return {
        "symbol": symbol,
        "marginType": "CROSSED",
        "isAutoAddMargin": False,
        "leverage": leverage,
        "maxNotionalValue": LARGEST_NOTIONAL,
    }


def adl_quantiles(positions: Sequence[PositionView]) -> list[dict[str, Any]]:
    """``adlQuantile``: 0 (last in the queue) for everybody, since nobody else trades here."""
    return [
        {"symbol": p.symbol, "adlQuantile": {"LONG": 0, "SHORT": 0, "HEDGE": 0, "BOTH": 0}} for p in positions if p.lots
    ]
