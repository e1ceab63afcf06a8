"""Lists of the past, page by page to their end: trades by whole number id, payments by time and id."""

from __future__ import annotations

from quantlab.core.errors import DataError
from quantlab.core.venue.answers import Payment, VenueTrade
from quantlab.venue.dialect import Dialect, Read
from quantlab.venue.listings import Listing, Listings

#: Pages of one list; a venue that never comes to an end is no venue.
_MOST_PAGES = 10_000


async def trades_after(dialect: Dialect, read: Read, listing: Listing, after_id: int) -> list[VenueTrade]:
    """All trades whose id is larger, by id.

    Parameters
    ----------
    dialect : Dialect
    read : Read
    listing : Listing
    after_id : int

    Raises
    ------
    DataError
        If a page does not begin where the one before it ended.
    """
    found: list[VenueTrade] = []
    for _ in range(_MOST_PAGES):
        page, more = await dialect.trades_from(read, listing, after_id + 1)
        if page and int(page[0].trade_id) <= after_id:
            raise DataError(
                f"trades of {listing.symbol} after {after_id}",
                found=f"trade {page[0].trade_id}",
                fix="wait, and ask again",
            )
        found += page
        if not more:
            return found
        after_id = int(page[-1].trade_id)
    raise _endless("trades")


async def trades_since(dialect: Dialect, read: Read, listing: Listing, since_ms: int, now_ms: int) -> list[VenueTrade]:
    """All trades at or after a time, by id.

    The first window with any is made shorter until its page is not full, so that it does not matter from which end the
    venue fills a page; from its first trade on ids lead.

    Parameters
    ----------
    dialect : Dialect
    read : Read
    listing : Listing
    since_ms, now_ms : int
        Venue time.
    """
    start, length = since_ms, dialect.longest_window_ms
    for _ in range(_MOST_PAGES):
        page, full = await dialect.trades_between(read, listing, start, start + length - 1)
        if full and length > 1:
            length = max(length // 4, 1)
            continue
        if page:
            rest = await trades_after(dialect, read, listing, int(page[0].trade_id) - 1)
            return [trade for trade in rest if trade.time_ms >= since_ms]
        start += length
        if start > now_ms:
            return []
    raise _endless("trades")


async def payments_since(dialect: Dialect, read: Read, listings: Listings, since_ms: int, now_ms: int) -> list[Payment]:
    """All payments at or after a time, each once, by time and id.

    Parameters
    ----------
    dialect : Dialect
    read : Read
    listings : Listings
    since_ms, now_ms : int
        Venue time.
    """
    found: dict[tuple[str, str, str | None], Payment] = {}
    length = dialect.longest_window_ms
    for start in range(since_ms, max(now_ms, since_ms) + 1, length):
        for page in range(1, _MOST_PAGES):
            rows, full = await dialect.payments_between(read, listings, start, start + length - 1, page)
            found |= {(row.type, row.payment_id, row.symbol): row for row in rows}
            if not full:
                break
        else:
            raise _endless("payments")
    return sorted(found.values(), key=_by_time_and_id)


def _by_time_and_id(payment: Payment) -> tuple[int, str, int]:
    return payment.time_ms, payment.type, int(payment.payment_id)


def _endless(what: str) -> DataError:
    return DataError(f"a list of {what} with an end", found=f"none after {_MOST_PAGES:,} pages", fix="ask for less")
