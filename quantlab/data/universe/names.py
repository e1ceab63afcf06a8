"""Readings of a perpetual's base currency: a coin, or a thousand of them.

Exchanges quote cheap coins by the thousand: ``1000SHIB``, ``10000LADYS``, ``1MBABYDOGE``, ``SHIB1000``,
``kPEPE``. A name alone cannot tell (``1000SATS`` is a coin's own name as well, ``KAVA`` is no thousand AVA),
so all readings are given, and whoever knows the prices chooses.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_THOUSANDS = r"1(?:000){1,2}|10000|100000"
_READINGS = (
    (re.compile(rf"({_THOUSANDS})([A-Z].*)"), (1, 2)),
    (re.compile(rf"([A-Z][A-Z0-9]*?[A-Z])({_THOUSANDS})"), (2, 1)),
    (re.compile(r"(1M)([A-Z].+)"), (1, 2)),
    (re.compile(r"([Kk])([A-Z]{2}.*)"), (1, 2)),
)
_WORDS = {"1M": 1_000_000, "K": 1_000, "k": 1_000}


class Reading(NamedTuple):
    """A coin's ticker in capitals, and how many of it one unit of the perpetual is."""

    coin: str
    multiple: int


def readings(base: str) -> tuple[Reading, ...]:
    """Every coin that `base` can stand for, the plain one first.

    Examples
    --------
    >>> readings("BTC")
    (Reading(coin='BTC', multiple=1),)
    >>> readings("kPEPE")[1], readings("1000SHIB")[1], readings("1MBABYDOGE")[1]
    (Reading(coin='PEPE', multiple=1000), Reading(coin='SHIB', multiple=1000), Reading(coin='BABYDOGE', multiple=1000000))
    >>> readings("1INCH")
    (Reading(coin='1INCH', multiple=1),)
    """
    found = [Reading(base.upper(), 1)]
    for pattern, (number, name) in _READINGS:
        match = pattern.fullmatch(base)
        if match:
            word = match.group(number)
            found.append(Reading(match.group(name).upper(), _WORDS[word] if word in _WORDS else int(word)))
    return tuple(found)
