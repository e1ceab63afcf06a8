"""Waiting times before an exchange is asked again."""

from __future__ import annotations

import email.utils
import random
from dataclasses import dataclass

from quantlab.core.checks import check_range, check_whole

#: Mark of log records that the terminal shows too: somebody waits for the next attempt.
SHOWN = {"shown": True}


@dataclass(frozen=True)
class Retry:
    """Exponential backoff with jitter, and what the exchange itself asks for.

    Parameters
    ----------
    attempts : int
        How often one request is made before the run gives up, >= 1.
    first_seconds, longest_seconds : float
        The wait doubles from the first to the longest.
    jitter : float
        Fraction of a wait that is left to chance, 0 to 1, so that many clients do not return at once.
    longest_ban_seconds : float
        A longer ``Retry-After`` than this ends the run with an error instead of waiting.
    unreached_attempts : int
        The same before the server has answered at all: a machine without a network is told so after seconds.

    Raises
    ------
    ConfigError
        If a value is outside its range.
    """

    attempts: int
    first_seconds: float
    longest_seconds: float
    jitter: float
    longest_ban_seconds: float
    unreached_attempts: int = 3

    def __post_init__(self) -> None:
        check_whole("retry.attempts", self.attempts, low=1)
        check_whole("retry.unreached_attempts", self.unreached_attempts, low=1)
        check_range("retry.first_seconds", self.first_seconds, low=0.0)
        check_range("retry.longest_seconds", self.longest_seconds, low=self.first_seconds)
        check_range("retry.jitter", self.jitter, low=0.0, high=1.0)
        check_range("retry.longest_ban_seconds", self.longest_ban_seconds, low=0.0)

    def most(self, *, reached: bool) -> int:
        """Attempts for one request; `reached` says whether the server has answered before."""
        return self.attempts if reached else min(self.attempts, self.unreached_attempts)

    def backoff(self, failures: int, chance: random.Random) -> float:
        """Seconds to wait after the `failures`-th failure in a row, counted from 1.

        Examples
        --------
        >>> Retry(5, 1.0, 60.0, 0.0, 900.0).backoff(3, random.Random(0))
        4.0
        """
        whole = min(self.longest_seconds, self.first_seconds * 2.0 ** (failures - 1))
        return whole * (1.0 - self.jitter * chance.random())


def retry_after(headers: dict[str, str], now_seconds: float) -> float:
    """Seconds that a ``Retry-After`` header asks for (RFC 9110, 10.2.3: seconds or a date); 0 if there is none.

    Examples
    --------
    >>> retry_after({"retry-after": "30"}, 0.0)
    30.0
    >>> retry_after({"Retry-After": "Thu, 01 Jan 1970 00:01:00 GMT"}, 15.0)
    45.0
    """
    text = next((value for name, value in headers.items() if name.lower() == "retry-after"), "").strip()
    if text.isdecimal():
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - now_seconds)
    except (ValueError, OverflowError):  # no date, or one of no year
        return 0.0
