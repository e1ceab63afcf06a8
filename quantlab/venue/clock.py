"""The venue's time, carried on by this machine's monotonic clock between measurements."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from quantlab.core.checks import check_range, check_whole
from quantlab.core.clock import ClockOffset, SystemClock
from quantlab.core.errors import DataError
from quantlab.core.ports import Clock

#: 2009 and 2100: a venue that shows another year shows no time.
_EARLIEST_MS, _LATEST_MS = 1_230_768_000_000, 4_102_444_800_000


@dataclass(frozen=True)
class ClockRules:
    """Settings of measurements.

    Parameters
    ----------
    samples : int
        Round trips of one measurement; the quickest one counts.
    every_ms : int
        Age of a measurement at which the next one is due.
    step_ms : int
        Step of this machine's clock, against its monotonic one, after which a measurement is due.
    """

    samples: int
    every_ms: int
    step_ms: int

    def __post_init__(self) -> None:
        check_whole("execution.venue.adapter.clock.samples", self.samples, low=1, high=100)
        check_range("execution.venue.adapter.clock.every_ms", self.every_ms, low=1_000)
        check_range("execution.venue.adapter.clock.step_ms", self.step_ms, low=1)


@dataclass
class VenueTime:
    """The venue's time.

    Parameters
    ----------
    rules : ClockRules
    machine : Clock
        Before the first measurement, and to see steps.
    monotonic : callable
        Seconds.
    """

    rules: ClockRules
    machine: Clock = field(default_factory=SystemClock)
    monotonic: Callable[[], float] = time.monotonic
    measured: int = field(default=0, init=False)  # how often
    _ahead_ms: float | None = field(default=None, init=False)  # of the monotonic clock
    _measured_at: float = field(default=0.0, init=False)  # monotonic ms
    _machine_ahead_ms: float = field(default=0.0, init=False)  # of the monotonic clock, then
    _refused: bool = field(default=False, init=False)

    def now_ms(self) -> int:
        """The venue's time as far as it is known, ms."""
        if self._ahead_ms is None:
            return self.machine.now_ms()
        return int(self._monotonic_ms() + self._ahead_ms)

    def note_refused(self) -> None:
        """Remember that the venue refused a time stamp: a measurement is due."""
        self._refused = True

    @property
    def is_wrong(self) -> bool:
        """True where a request could be refused for its time stamp: never measured, refused, or the clock stepped."""
        if self._ahead_ms is None or self._refused:
            return True
        return abs(self.machine.now_ms() - self._monotonic_ms() - self._machine_ahead_ms) > self.rules.step_ms

    @property
    def is_due(self) -> bool:
        """True where it is wrong or old."""
        return self.is_wrong or self._monotonic_ms() - self._measured_at >= self.rules.every_ms

    async def measure(self, read_ms: Callable[[], Awaitable[int]]) -> None:
        """Take the offset of the quickest of some round trips.

        Parameters
        ----------
        read_ms : callable
            Asks the venue for its time, ms.

        Raises
        ------
        DataError
            If the venue shows no time of this century; what was known stays.
        """
        ahead = await self._best(read_ms, self._monotonic_ms)
        now = self._monotonic_ms()
        self._ahead_ms, self._measured_at, self._refused = ahead.ahead_ms, now, False
        self._machine_ahead_ms = self.machine.now_ms() - now
        self.measured += 1

    async def residual(self, read_ms: Callable[[], Awaitable[int]]) -> ClockOffset:
        """The lead of the venue's clock over :meth:`now_ms`, measured anew."""
        return await self._best(read_ms, self.now_ms)

    async def _best(self, read_ms: Callable[[], Awaitable[int]], own_ms: Callable[[], float]) -> ClockOffset:
        samples = []
        for _ in range(self.rules.samples):
            sent = own_ms()
            venue_ms = await read_ms()
            received = own_ms()
            if not _EARLIEST_MS <= venue_ms < _LATEST_MS:
                raise DataError(
                    "the venue's time as ms since 1970", found=f"{venue_ms:.6g}", fix="wait, or report it to the venue"
                )
            samples.append(ClockOffset(venue_ms - (sent + received) / 2, (received - sent) / 2))
        return min(samples, key=lambda sample: sample.uncertain_ms)

    def _monotonic_ms(self) -> float:
        return self.monotonic() * 1_000.0
