"""Hints for slips of typing."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

#: Share of letters that a word has in common with its slip, at least; "ensmble" and "ensemble_v2" have 0.78.
_NEAR = 0.6
#: Names that a sentence lists at most.
_LISTED = 30


def nearest(word: str, known: Iterable[str], share: float = _NEAR) -> str | None:
    """The known word that `word` is most probably a slip of, None if there is none.

    Parameters
    ----------
    word : str
    known : iterable of str
    share : float
        Of letters in common, 0 to 1, at least.

    Examples
    --------
    >>> nearest("backtset", ["audit", "backtest"]), nearest("xyz", ["audit", "backtest"])
    ('backtest', None)
    """
    folded = {name.casefold(): name for name in sorted(known, reverse=True)}
    close = difflib.get_close_matches(word.casefold(), folded, n=1, cutoff=share)
    return folded[close[0]] if close else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A question for the nearest known word; empty if none is near.

    Parameters
    ----------
    word : str
    known : iterable of str

    Examples
    --------
    >>> did_you_mean("ensmble_v2", ["baseline", "ensemble_v2"])
    'did you mean ensemble_v2?'
    """
    close = nearest(word, known)
    return "" if close is None else f"did you mean {close}?"


def hint(word: str, known: Iterable[str], prefix: str = "", rest: str = "") -> str:
    """The advice of an error on an unknown name: the nearest name, or else those that are known.

    Parameters
    ----------
    word : str
    known : iterable of str
    prefix, rest : str
        Stand before and after the nearest name, e.g. ``history.``.

    Examples
    --------
    >>> hint("barz", ["bars", "end"], "history."), hint("q", ["bars", "end"])
    ('did you mean history.bars?', 'known are bars, end')
    """
    names = sorted(known)
    close = nearest(word, names)
    if close is not None:
        return f"did you mean {prefix}{close}{rest}?"
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"known are {', '.join(names[:_LISTED])}{more}" if names else "leave it out"
