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
_SUPPORTED = (
    "linear perpetuals (they settle in what they are quoted in, e.g. USDT) and spot are supported; coin-margined contracts, "
    "contracts that expire, options and mark, index or premium prices are not, whatever their names and folders: fetch "
    "the klines of a linear perpetual"
)
_PRICES = {"markpriceklines": MARK, "indexpriceklines": INDEX, "premiumindexklines": PREMIUM}
#: Words of folders and free names, without spaces and hyphens: "Coin-M", "mark price" and "markPrice" are looked up so.
_WORDS = {
    **_PRICES,
    **dict.fromkeys(("mark", "markprice", "markprices"), MARK),
    **dict.fromkeys(("index", "indexprice", "indexprices"), INDEX),
    **dict.fromkeys(("premium", "premiumindex"), PREMIUM),
    **dict.fromkeys(("option", "options"), OPTION),
    **dict.fromkeys(("delivery", "dated", "expiring", "expiries"), DATED),
    **dict.fromkeys(("cm", "coinm", "coinmargined", "inverse", "dmcbl"), INVERSE),
    **dict.fromkeys(("um", "usdm", "usdsm", "usdtm", "linear", "perp", "perps", "perpetual", "perpetuals"), LINEAR),
    **dict.fromkeys(("spot", "spbl"), SPOT),
}
#: Words that a free name may have for other reasons: they count in folders only.
_FOLDERS_ONLY = {LINEAR}
#: Of several words of one name the rarest market is meant: "inverse perpetuals", "spot index".
_RAREST = (PREMIUM, INDEX, MARK, OPTION, DATED, INVERSE)
_LAYOUT = (("futures", "um"), ("futures", "cm"), ("spot", "daily"), ("spot", "monthly"), ("option", "daily"))
_SPLIT = re.compile(r"[^\w]+|_+|(?<=[a-z])(?=[A-Z])")
#: Days on which a contract expires: YYMMDD, YYYYMMDD and 27JUN25. 202412 is a month and none.
_DAY = re.compile(
    r"(20)?\d{2}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])|\d{1,2}(JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC)\d{2,4}"
)
#: BTCUSDH25: the month's letter and the year of a future; BTC_CW and BTC_NQ: this week's and the next quarter's.
_MONTH = re.compile(r"[A-Z]{3,}[FGHJKMNQUVXZ](2[1-9]|202\d)")
_RELATIVE = {"CW", "NW", "CQ", "NQ", "BQ"}
_KRAKEN = re.compile(r"PI_[A-Z]{3,}USD")
_STRIKE = re.compile(r"\d+(?:[.D]\d+)?")


def market_fix(market: str) -> str:
    """Words on what to do with files of `market` where another one is wanted."""
    if market in MARKETS:
        return f"collect {TITLES[market]} into a dataset of its own: job.source.market={market} and another job.root"
    return _SUPPORTED


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
    spoken = [_spoken_market(_words(part)) for part in own]
    above = folder.resolve().parts
    pairs = [pair for pair in itertools.pairwise(above) if pair in _LAYOUT]
    found = [*(_WORDS.get(second) or _WORDS[first] for first, second in pairs), *spoken]
    found += [_PRICES.get("".join(_words(part)).lower()) for part in above]
    prices = [market for market in found if market in _PRICES.values()]
    named = prices or [market for market in found if market is not None]
    return named[-1] if named else None


def symbol_market(symbol: str) -> str | None:
    """Market that a contract's own name speaks of; None where it does not.

    Examples
    --------
    >>> symbol_market("BTCUSD_PERP"), symbol_market("BTCUSDT_250328"), symbol_market("BTC-250328-100000-C")
    ('inverse', 'dated', 'option')
    >>> symbol_market("BTC-27JUN25"), symbol_market("BTCUSDH25"), symbol_market("BTC-PERPETUAL")
    ('dated', 'dated', 'inverse')
    >>> symbol_market("1000SHIBUSDT") is None
    True
    """
    words = re.split(r"[-_ :]+", symbol.upper())
    for place, word in enumerate(words[1:], start=1):
        if _DAY.fullmatch(word):
            strike, side = (*words[place + 1 : place + 3], "", "")[:2]
            return OPTION if _STRIKE.fullmatch(strike) and side in ("C", "P") else DATED
    # Deribit's BTC-PERPETUAL and Kraken's PI_XBTUSD settle in the coin.
    if symbol.upper().endswith("USD_PERP") or words[1:] == ["PERPETUAL"] or _KRAKEN.fullmatch(symbol):
        return INVERSE
    return DATED if (words[-1] in _RELATIVE and len(words) > 1) or _MONTH.fullmatch("".join(words)) else None


def word_market(stem: str) -> str | None:
    """Market that a word after the first of a free file name speaks of, or the name as a contract's.

    Examples
    --------
    >>> word_market("BTCUSDT-mark"), word_market("BTC_USD_BTC"), word_market("MARK-USDT") is None
    ('mark', 'inverse', True)
    """
    words = _words(stem)
    spoken = _spoken_market(words[1:])
    if spoken is not None and spoken not in _FOLDERS_ONLY:
        return spoken
    pair = [word.upper() for word in words[:3]]
    # BTC_USD_BTC and BTC-USD-SWAP settle in the coin.
    if len(pair) == 3 and pair[1].startswith("USD") and (pair[2] == pair[0] or pair[1:] == ["USD", "SWAP"]):
        return INVERSE
    return symbol_market(stem)


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


def _words(name: str) -> list[str]:
    return [word for word in _SPLIT.split(name) if word]


def _spoken_market(words: Sequence[str]) -> str | None:
    """The market that one, two or three neighbouring words name; None where they name none, or spot and perpetuals."""
    plain = [word.lower() for word in words]
    joined = ["".join(plain[first:last]) for first in range(len(plain)) for last in range(first + 1, first + 4)]
    found = {_WORDS[word] for word in joined if word in _WORDS}
    rare = [market for market in _RAREST if market in found]
    if rare:
        return rare[0]
    return found.pop() if len(found) == 1 else None
