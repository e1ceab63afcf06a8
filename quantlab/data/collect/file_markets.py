"""Markets that a file's folder and name speak of: one symbol has bars of several, and they never meet in one series.

``BTCUSDT-5m-2025-01-01.zip`` is the name of four different files of one public archive: klines of the perpetual and of
spot, mark-price and premium-index klines. Their folders tell them apart (``futures/um``, ``spot``,
``markPriceKlines``); other contracts have names of their own (``BTCUSD_PERP``, ``BTCUSDT_250328``).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from pathlib import Path

from quantlab.data.store.manifest import LINEAR, SPOT

INVERSE, DATED, OPTION = "inverse", "dated", "option"
MARK, INDEX, PREMIUM = "mark", "index", "premium"
#: Markets that a dataset can be of. The volume of the others is in contracts, or they are no market at all.
MARKETS = (LINEAR, SPOT)
#: Names of the markets for people.
TITLES = {
    LINEAR: "linear perpetuals",
    SPOT: "spot",
    INVERSE: "coin-margined contracts",
    DATED: "contracts that expire",
    OPTION: "options",
    MARK: "mark-price klines",
    INDEX: "index-price klines",
    PREMIUM: "premium-index klines",
}
_PRICES = {"markpriceklines": MARK, "indexpriceklines": INDEX, "premiumindexklines": PREMIUM}
_FOLDERS = {
    **_PRICES,
    **dict.fromkeys(("um", "usdm", "usdsm"), LINEAR),
    **dict.fromkeys(("cm", "coinm"), INVERSE),
    **dict.fromkeys(("option", "options"), OPTION),
    "spot": SPOT,
}
_LAYOUT = (("futures", "um"), ("futures", "cm"), ("spot", "daily"), ("spot", "monthly"), ("option", "daily"))
#: YYMMDD: the day on which a contract expires; 202412 is a month and none.
_DATE = re.compile(r".+[-_]\d{2}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])")
_OPTION = re.compile(r".+-\d{6}-\d+(?:\.\d+)?-[CP]")
_WORDS = {"spot": SPOT, "mark": MARK, "index": INDEX, "premium": PREMIUM, "premiumindex": PREMIUM, **_PRICES}


def market_fix(market: str) -> str:
    """Words on what to do with files of `market` where another one is wanted."""
    if market in MARKETS:
        return f"collect {TITLES[market]} into a dataset of its own: job.source.market={market} and another job.root"
    return (
        f"{TITLES[market]} are not supported, and no other name or folder makes them so: supported are linear "
        "perpetuals (they settle in what they are quoted in, e.g. USDT) and spot; fetch the klines of one of these"
    )


def folder_market(folder: Path, file: Path) -> str | None:
    """Market that the folders of a file name; None where they name none.

    Parameters
    ----------
    folder : Path
        That was searched. Its own name and everything below it count; above it only the layout of the public archive
        does (``futures/um``, ``spot/daily``), because a path may hold such words by chance.
    file : Path
        Inside it.

    Examples
    --------
    >>> folder_market(Path("in"), Path("in/futures/um/daily/markPriceKlines/BTCUSDT/5m/BTCUSDT-5m-2025-01-01.zip"))
    'mark'
    >>> folder_market(Path("/spot/in"), Path("/spot/in/BTCUSDT-5m-2025-01-01.zip")) is None
    True
    """
    own = (folder.name, *file.relative_to(folder).parts[:-1])
    found = [_FOLDERS[word] for word in (_plain(part) for part in own) if word in _FOLDERS]
    above = folder.resolve().parts
    pairs = [pair for pair in itertools.pairwise(above) if pair in _LAYOUT]
    found = [_FOLDERS.get(second) or _FOLDERS[first] for first, second in pairs] + found
    found += [_PRICES[_plain(part)] for part in above if _plain(part) in _PRICES]
    prices = [market for market in found if market in _PRICES.values()]
    named = prices or found
    return named[-1] if named else None


def symbol_market(symbol: str) -> str | None:
    """Market that a contract's own name speaks of; None where it does not.

    Examples
    --------
    >>> symbol_market("BTCUSD_PERP"), symbol_market("BTCUSDT_250328"), symbol_market("BTC-250328-100000-C")
    ('inverse', 'dated', 'option')
    >>> symbol_market("1000SHIBUSDT") is None
    True
    """
    if _OPTION.fullmatch(symbol):
        return OPTION
    if symbol.upper().endswith("USD_PERP"):
        return INVERSE
    return DATED if _DATE.fullmatch(symbol) else None


def word_market(stem: str) -> str | None:
    """Market that a word after the first of a free file name speaks of, or the name as a contract's.

    Examples
    --------
    >>> word_market("BTCUSDT-mark"), word_market("BTC_USD_BTC"), word_market("MARK-USDT") is None
    ('mark', 'inverse', True)
    """
    words = re.split(r"[-_. ]+", stem)
    found = [_WORDS[word.lower()] for word in words[1:] if word.lower() in _WORDS]
    pair = [word.upper() for word in words[:3]]
    # BTC_USD_BTC and BTC-USD-SWAP settle in the coin.
    if len(pair) == 3 and pair[1].startswith("USD") and (pair[2] == pair[0] or pair[1:] == ["USD", "SWAP"]):
        found.append(INVERSE)
    return found[0] if found else symbol_market(stem)


def pair_market(pair: Sequence[str]) -> str | None:
    """Market of ``(base, quote, settle)``; None where a contract settles in neither.

    Examples
    --------
    >>> pair_market(("BTC", "USDT", "USDT")), pair_market(("BTC", "USD", "BTC")), pair_market(("BTC", "USDT"))
    ('linear', 'inverse', 'spot')
    """
    if len(pair) == 2:
        return SPOT
    base, quote, settle = pair
    if settle == quote:
        return LINEAR
    return INVERSE if settle == base else None


def quoted_in(symbol: str, quotes: Sequence[str]) -> bool:
    """True if `symbol` ends with one of `quotes`, whatever the case."""
    return any(len(symbol) > len(quote) and symbol.upper().endswith(quote.upper()) for quote in quotes)


def _plain(part: str) -> str:
    return part.lower().replace("-", "").replace("_", "")
