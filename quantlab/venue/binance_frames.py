"""Frames of Binance's user stream: which symbols each of them names, and nothing else of it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from quantlab.core.errors import DataError
from quantlab.core.venue.answers import Hint
from quantlab.data.exchange.answers import UnsoundAnswer, read_json
from quantlab.venue.dialect import Frame
from quantlab.venue.rows import Row, rows_of

_LAST = "listenKeyExpired"
#: Event -> field of the object that names a symbol, and the hint's word.
_ONE_SYMBOL = MappingProxyType(
    {
        "ORDER_TRADE_UPDATE": ("o", "order"),
        "ALGO_UPDATE": ("o", "order"),
        "CONDITIONAL_ORDER_TRIGGER_REJECT": ("or", "trigger refused"),
    }
)


def read_frame(text: str, names: Mapping[str, str]) -> Frame:
    """Hints of one frame.

    Parameters
    ----------
    text : str
    names : mapping
        The venue's symbols -> the session's.

    Raises
    ------
    DataError
        If it is no JSON object, or lacks the field that names its symbol.
    """
    try:
        row = Row(read_json(text), "a frame of the stream")
    except UnsoundAnswer as error:
        raise DataError("a frame of JSON", found=str(error)[:80], fix="nothing: the account is read instead") from None
    if "stream" in row.sent and "data" in row.sent:
        row = Row(row.sent["data"], "a frame of the stream")
    event = row.text("e")
    if event == _LAST:
        return Frame((Hint(None, "stream expired"),), is_last=True)
    if event in _ONE_SYMBOL:
        name, what = _ONE_SYMBOL[event]
        return Frame((_hint(Row(row.sent.get(name), event), names, what),))
    if event == "TRADE_LITE":
        return Frame((_hint(row, names, "order"),))
    if event == "ACCOUNT_UPDATE":
        account = Row(row.sent.get("a"), event)
        return Frame(_hints(account.sent.get("P"), names, "account") or (Hint(None, "account"),))
    if event == "MARGIN_CALL":
        return Frame(_hints(row.sent.get("p"), names, "margin call") or (Hint(None, "margin call"),))
    # Settings, and events that are not known: everything is looked at.
    return Frame((Hint(None, event[:40]),))


def _hints(sent: Any, names: Mapping[str, str], what: str) -> tuple[Hint, ...]:
    return tuple(_hint(row, names, what) for row in rows_of(sent, "a position of a frame"))


def _hint(row: Row, names: Mapping[str, str], what: str) -> Hint:
    symbol = row.text("s")
    return Hint(names.get(symbol, symbol), what)
