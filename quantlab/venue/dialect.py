"""Form of a venue's own language: whatever ccxt does not unify, one subclass a venue.

Nothing of one venue stands outside its subclass: calls and answers of orders, its lists, its facts, its stream.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar

from quantlab.core.venue.answers import Hint, OrderState, Payment, PositionState, VenueTrade
from quantlab.core.venue.facts import VenueFacts
from quantlab.core.venue.grid import Grid
from quantlab.core.venue.requests import Book, OrderRef, OrderRequest
from quantlab.venue.budget import Usage
from quantlab.venue.listings import Listing, Listings

#: Asks one of ccxt's raw endpoints, e.g. ``fapiPrivateGetIncome``, with parameters and its weight; gives the JSON.
Read = Callable[[str, Mapping[str, Any], int], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class OrderCall:
    """Arguments of ccxt's ``create_order``, sizes and prices as decimal text.

    Parameters
    ----------
    type, side : str
    amount, price : str or None
    params : dict
    """

    type: str
    side: str
    amount: str | None
    price: str | None
    params: dict[str, Any]


@dataclass(frozen=True, slots=True)
class OrderReply:
    """Content of the answer to a request about one order.

    Parameters
    ----------
    order : OrderState or None
    acknowledged : bool
        The venue took the request and shows no order: it must be asked for it.
    """

    order: OrderState | None
    acknowledged: bool = False


@dataclass(frozen=True, slots=True)
class Frame:
    """Content of one frame of the account's stream.

    Parameters
    ----------
    hints : tuple of Hint
    is_last : bool
        The venue says that nothing comes after it.
    """

    hints: tuple[Hint, ...]
    is_last: bool = False


class Dialect(ABC):
    """Language of one venue.

    Parameters
    ----------
    exchange : str
        ccxt's name of it.
    asset : str
        Margin asset.
    options : mapping
        ccxt's options that the calls below rely on.
    """

    exchange: ClassVar[str]
    options: ClassVar[Mapping[str, Any]]
    asset: str

    @abstractmethod
    def point(self, client: Any, rest: str | None) -> str:
        """Lead every url of a client to one address (None: the venue's own), and return the host."""

    @abstractmethod
    def grid_of(self, row: Mapping[str, Any]) -> Grid:
        """Steps of a symbol, from the venue's own row of it."""

    @abstractmethod
    def call_of(self, order: OrderRequest, grid: Grid) -> OrderCall:
        """Call that sends an order."""

    @abstractmethod
    def params_of(self, ref: OrderRef) -> dict[str, Any]:
        """Parameters of ccxt's ``fetch_order`` and ``cancel_order`` that name an order by its client id."""

    @abstractmethod
    def read_order(self, sent: Any, book: Book, listings: Listings) -> OrderReply:
        """Read the answer to an order that was sent, cancelled or asked for.

        Raises
        ------
        DataError
            If a field is missing, or a size or price lies off the grid.
        """

    @abstractmethod
    def read_refusal(self, sent: Any) -> tuple[int | None, str]:
        """Code and words of an answer; (None, "") where it has none."""

    @abstractmethod
    def is_clock_refusal(self, code: int | None) -> bool:
        """Tell whether a code says that the time stamp was refused."""

    @abstractmethod
    def can_ask_again(self, status: int | None, code: int | None) -> bool:
        """Tell whether a question that was refused so can succeed later."""

    @abstractmethod
    def is_not_found(self, code: int | None) -> bool:
        """Tell whether a code says that there is no such order."""

    @abstractmethod
    def usage_of(self, headers: Mapping[str, str]) -> Usage:
        """Counts in an answer's headers, whose names are in lower case."""

    @abstractmethod
    def wait_ms(self, headers: Mapping[str, str], sent: Any, now_ms: int) -> int | None:
        """Wait that a refused request is asked to keep; None where none is named."""

    @abstractmethod
    async def positions(self, read: Read, listings: Listings) -> tuple[PositionState, ...]:
        """All positions that are not flat."""

    @abstractmethod
    async def open_orders(self, read: Read, listings: Listings) -> tuple[OrderState, ...]:
        """All open orders of both books, of everybody."""

    @abstractmethod
    async def wallet(self, read: Read) -> Decimal:
        """Balance of the margin asset without the gain of open positions."""

    @abstractmethod
    async def trades_from(self, read: Read, listing: Listing, from_id: int) -> tuple[list[VenueTrade], bool]:
        """A page of trades whose ids are at least `from_id`, and True where more may follow."""

    @abstractmethod
    async def trades_between(
        self, read: Read, listing: Listing, start_ms: int, end_ms: int
    ) -> tuple[list[VenueTrade], bool]:
        """Trades with ``start_ms <= time <= end_ms``, and True where the page was full."""

    @abstractmethod
    async def payments_between(
        self, read: Read, listings: Listings, start_ms: int, end_ms: int, page: int
    ) -> tuple[list[Payment], bool]:
        """A page (from 1) of payments with ``start_ms <= time <= end_ms``, and True where the page was full."""

    @abstractmethod
    async def market_ms(self, read: Read, listing: Listing) -> int:
        """Time stamp of the market's latest price, ms: a simulated venue may replay another year."""

    @abstractmethod
    async def client_id_of(self, read: Read, listing: Listing, venue_id: str) -> str:
        """Client id of a plain order by its number."""

    @abstractmethod
    async def facts(self, read: Read, listings: Listings, fees: Mapping[str, tuple[Decimal, Decimal]]) -> VenueFacts:
        """Facts but host and clock, which the caller knows."""

    @abstractmethod
    async def fees_of(self, read: Read, listing: Listing) -> tuple[Decimal, Decimal]:
        """Maker's and taker's share of notional."""

    @abstractmethod
    async def open_stream(self, read: Read) -> str:
        """A key of the account's stream."""

    @abstractmethod
    async def keep_stream(self, read: Read, key: str) -> None:
        """Keep a key of the stream alive."""

    @abstractmethod
    def stream_url(self, base: str | None, key: str) -> str:
        """Address of the account's stream at a base (None: the venue's own)."""

    @abstractmethod
    def read_frame(self, text: str, names: Mapping[str, str]) -> Frame:
        """Hints of one frame; `names` leads from the venue's symbols to the session's.

        Raises
        ------
        DataError
            If it is no frame that the venue documents.
        """

    @property
    @abstractmethod
    def longest_window_ms(self) -> int:
        """Longest span of time that a list of the past is asked for."""
