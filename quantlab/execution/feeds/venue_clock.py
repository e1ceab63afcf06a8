"""The venue's clock, and how far this machine's is from it: one measurement for sessions and for the doctor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from quantlab.core.clock import ClockOffset
from quantlab.core.errors import DataError
from quantlab.core.ports import Clock

#: Readings of one measurement; the quickest answer counts.
_SAMPLES = 3
#: 2009 and 2100: a venue that shows another year shows no time (bitcoin began in 2009).
_EARLIEST_MS, _LATEST_MS = 1_230_768_000_000, 4_102_444_800_000


@dataclass
class VenueClock:
    """A :class:`~quantlab.core.ports.Clock` that follows the venue's: the machine's, set right by the last measurement.

    Parameters
    ----------
    machine : Clock
    offset_ms : int
        Lead of the venue's clock; 0 before the first measurement.
    """

    machine: Clock
    offset_ms: int = 0

    def now_ms(self) -> int:
        return self.machine.now_ms() + self.offset_ms


def measure_offset(read_venue_ms: Callable[[], int | None], machine: Clock) -> ClockOffset | None:
    """Measure the lead of the venue's clock: its time against the middle between question and answer.

    Parameters
    ----------
    read_venue_ms : callable
        Gives the venue's time in ms, None where it shows none.
    machine : Clock

    Returns
    -------
    ClockOffset or None
        Of the quickest of three answers; None where the venue shows no clock.

    Raises
    ------
    DataError
        If the time cannot be had, or is none of this century.
    """
    samples = []
    for _ in range(_SAMPLES):
        sent_ms = machine.now_ms()
        venue_ms = read_venue_ms()
        received_ms = machine.now_ms()
        if venue_ms is None:
            return None
        if not _EARLIEST_MS <= venue_ms < _LATEST_MS:
            raise DataError(
                "the venue's time as ms since 1970", found=f"{venue_ms:.6g}", fix="wait, or report it to the venue"
            )
        samples.append(ClockOffset(venue_ms - (sent_ms + received_ms) / 2, abs(received_ms - sent_ms) / 2))
    return min(samples, key=lambda sample: sample.uncertain_ms)
