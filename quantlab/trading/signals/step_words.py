"""Sentences on a table whose step is longer than the bars': what was seen, what it would do, the ways out."""

from __future__ import annotations

from dataclasses import dataclass

from quantlab.core.clock import MS_PER_DAY, iso_utc
from quantlab.core.durations import duration_text
from quantlab.trading.signals.table_step import READINGS, CoarseStep

#: Per reading, of a column and its step: all rows or changes have it; so many of so many have it.
_SEEN = dict(
    zip(
        READINGS,
        (
            ("the rows of {0} come only {1}", "{2} of {3} rows of {0} come {1}"),
            ("the rows of {0} that are not 0 come only {1}", "{2} of {3} rows of {0} that are not 0 come {1}"),
            ("the value of {0} changes only {1}", "{2} of {3} changes of {0} come {1}"),
            (
                "where it is not 0, the value of {0} changes only {1}",
                "{2} of {3} changes of {0} between values that are not 0 come {1}",
            ),
            ("the sign of {0} changes only {1}", "{2} of {3} changes of the sign of {0} come {1}"),
        ),
        strict=True,
    )
)


@dataclass(frozen=True)
class Words:
    """Names under which a refusal speaks of what the user wrote.

    Parameters
    ----------
    argument : str
        `known_after` as it is written, with ``{}`` for its value.
    quoted : bool
        A length of time is written in quotes.
    hold : str
        `hold` as it is written, switched on.
    """

    argument: str
    quoted: bool
    hold: str

    def known_after(self, value: str | int) -> str:
        """`known_after` with a value, ready to be copied."""
        return self.argument.format(f"'{value}'" if self.quoted and isinstance(value, str) else value)


#: Arguments of :func:`quantlab.research.values_of`, and options of a file.
IN_PYTHON = Words("values_of(bars, table, known_after={})", True, "hold=True")
IN_A_FILE = Words("trading.signal.known_after={}", False, "trading.signal.hold=true")


def seen(found: CoarseStep, interval_ms: int) -> str:
    """The sentence on what was seen, with the length of the bars."""
    column = found.column or "all columns together"
    every = f"every {_step(found)}"
    if found.months:
        every = (
            "on the first days of months" if found.months == 1 else f"on the first days of every {found.months} months"
        )
    all_, many = _SEEN[found.reading]
    words = (all_ if found.hits == found.moves else many).format(column, every, found.hits, found.moves)
    if found.stray_ms is not None:
        words += f" (the first other row: {iso_utc(found.stray_ms)})"
    return f"{words}, while the bars are {duration_text(interval_ms)} long"


def undeclared(found: CoarseStep, interval_ms: int, words: Words) -> tuple[str, str, str]:
    """Expected, found and fix of a table that does not say when its rows are known."""
    bars = duration_text(interval_ms)
    expected = f"a table with rows {bars} apart, as the bars, or with known_after, which says when its rows are known"
    tells = (
        f"{seen(found, interval_ms)}. If a value is stamped with the time at which its {_step(found)} begins, it would be traded "
        f"{_early(found, interval_ms)} before it is known"
    )
    fix = f"{_way_out(found, words)} if a stamp is the time at which its {_step(found)} begins; {_declarations(bars, words)}"
    return expected, tells, fix


def too_short(found: CoarseStep, known_after: str, interval_ms: int, words: Words) -> tuple[str, str, str]:
    """The same of a table whose `known_after` is shorter than a step of it."""
    expected = f"known_after of at least {duration_text(found.step_ms)}, the longest step of the table"
    tells = f"known_after {known_after}, but {seen(found, interval_ms)}"
    fix = (
        f"{_way_out(found, words)}, or place columns of different steps one by one; "
        f"{_declarations(duration_text(interval_ms), words)}"
    )
    return expected, tells, fix


def filled_before(found: CoarseStep, interval_ms: int, words: Words) -> tuple[str, str, str]:
    """The same of a filled table whose values may stand before their stamps, which no `known_after` mends."""
    expected = "a table whose values do not stand on bars before their own stamps"
    tells = (
        f"{seen(found, interval_ms)}, but not on the bar with which a {_step(found)} begins, as in a table that was filled "
        "backward (bfill) or smoothed. A value may stand on bars before its own stamp there, and known_after does not help"
    )
    fix = (
        f"give one row per {_step(found)}, not filled, and {_way_out(found, words)} with {words.hold}; "
        f"{_declarations(duration_text(interval_ms), words)}"
    )
    return expected, tells, fix


def arrays_undeclared(found: CoarseStep, interval_ms: int) -> tuple[str, str, str]:
    """The same of arrays, which have no stamps."""
    bars, step = duration_text(interval_ms), _step(found)
    expected = f"arrays that change on every {bars} bar, or on the bar that closes as a longer step ends"
    tells = (
        f"{seen(found, interval_ms)}, and not on the bar that closes as a {step} ends, where a value of that {step} is known: "
        f"it would be traded up to {_early(found, interval_ms)} before"
    )
    fix = (
        "place the table with values_of(bars, table, known_after=...) instead of by hand; write lab.using(signal=..., "
        f"known_at_close=True) if every value is known at the close of the {bars} bar on which it stands, also where you trade "
        "in this rhythm on purpose"
    )
    return expected, tells, fix


def _way_out(found: CoarseStep, words: Words) -> str:
    """`known_after` of the step; of months the line that moves the stamps to the time at which a row is known."""
    if not found.months:
        return f"write {words.known_after(duration_text(found.step_ms))}"
    frequency = "MS" if found.months == 1 else f"{found.months}MS"
    table = "the table before it was filled" if found.filled else "the table"
    shift = f'table.shift(1, freq="{frequency}")'
    return (
        f"move the stamps of {table} to the time at which its rows are known, {shift}, and write {words.known_after(0)}"
    )


def _declarations(bars: str, words: Words) -> str:
    return (
        f"write {words.known_after(bars)} if a row is known at the close of the {bars} bar of its stamp, also where you trade in "
        f"this rhythm on purpose; write {words.known_after(0)} if a stamp is the time at which its row is known"
    )


def _step(found: CoarseStep) -> str:
    if not found.months:
        return duration_text(found.step_ms)
    return "month" if found.months == 1 else f"{found.months}-month step"


def _early(found: CoarseStep, interval_ms: int) -> str:
    """Time by which it is too early: 55m, 3h 55m, 30d 23h 55m."""
    parts, rest = [], found.step_ms - interval_ms
    for name, unit_ms in (("d", MS_PER_DAY), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)):
        if rest >= unit_ms:
            parts.append(f"{rest // unit_ms}{name}")
            rest %= unit_ms
    return " ".join(parts)
