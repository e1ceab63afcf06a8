"""One signal for every parameter set of a sweep, made when it is needed and dropped soon after."""

from __future__ import annotations

import dataclasses
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast, overload

from quantlab.backtest.sweep_space import Values
from quantlab.backtest.sweep_strategies import replace_fields, split_name
from quantlab.core.errors import ConfigError
from quantlab.core.market import Bars
from quantlab.core.ports import FeatureSource, FeatureStream, Learner, SignalSource
from quantlab.core.results import Study
from quantlab.core.types import Features, Signal
from quantlab.learning.ensemble.thresholds import with_thresholds

#: Part of a parameter's name that asks for another signal.
SIGNAL = "signal"


def signal_values(values: Values) -> Values:
    """The fields of the signal that a parameter set names."""
    named = (split_name(name, (SIGNAL,)) for name in values if name.startswith(f"{SIGNAL}."))
    return {name: values[f"{SIGNAL}.{name}"] for _, name in named}


@dataclass(frozen=True)
class SignalMaker:
    """Other signals of the same history, without learning again.

    Parameters
    ----------
    source : Learner or SignalSource
        What the configuration names. A learner's *thresholds* can be swept: its forecasts are not pooled
        again. Of a plain source every field can.
    study : Study
        Its signal as configured.
    bars : Bars
        The whole history.
    """

    source: Learner | SignalSource
    study: Study
    bars: Bars

    def check(self, names: Sequence[str]) -> None:
        """Raise ConfigError unless the signal has all these fields."""
        owner = self._owner()
        replace_fields(owner, SIGNAL, {name: getattr(owner, name, None) for name in names} if names else {})

    def make(self, values: Values) -> Signal:
        """The signal with other values, on the study's out-of-sample rows.

        Raises
        ------
        ConfigError
            If the signal has no such field, or refuses a value.
        """
        signal = self.study.signal
        if values:
            owner = replace_fields(self._owner(), SIGNAL, values)
            learned = isinstance(self.source, Learner)
            signal = with_thresholds(signal, owner.thresholds) if learned else owner.signal(self.bars)
        return signal.rows(self.study.first_row, self.study.last_row)

    def accepts(self, values: Values) -> None:
        """Raise ConfigError unless the values are possible; makes no signal."""
        replace_fields(self._owner(), SIGNAL, values)

    def _owner(self) -> Any:
        if not isinstance(self.source, Learner):
            return self.source
        ensemble = getattr(self.source, "ensemble", None)
        if not hasattr(ensemble, "thresholds"):
            raise ConfigError(
                "a learner with an ensemble, whose thresholds can be swept",
                found=type(self.source).__name__,
                fix="leave signal.* out of sweep.space",
            )
        return ensemble


def with_cached_features(source: Learner | SignalSource) -> Learner | SignalSource:
    """The same plain source, with features that are computed once for all the signals made of it."""
    if isinstance(source, Learner) or "features" not in {f.name for f in dataclasses.fields(cast(Any, source))}:
        return source
    once = CachedFeatures(cast(Any, source).features)
    return cast(SignalSource, dataclasses.replace(cast(Any, source), features=once))


@dataclass(frozen=True)
class CachedFeatures:
    """A :class:`~quantlab.core.ports.FeatureSource` that keeps the features of the last history it saw."""

    features: FeatureSource
    _cached: list[tuple[Bars, Features]] = field(default_factory=list, init=False, repr=False, compare=False)
    _lock: Any = field(default_factory=threading.Lock, init=False, repr=False, compare=False)

    @property
    def names(self) -> tuple[str, ...]:
        return self.features.names

    @property
    def fingerprint(self) -> str:
        return self.features.fingerprint

    @property
    def warmup(self) -> int:
        return self.features.warmup

    def transform(self, bars: Bars) -> Features:
        with self._lock:
            if not (self._cached and self._cached[0][0] is bars):
                self._cached[:] = [(bars, self.features.transform(bars))]
            return self._cached[0][1]

    def stream(self, symbols: tuple[str, ...], interval_ms: int) -> FeatureStream:
        return self.features.stream(symbols, interval_ms)


@dataclass
class _Slot:
    lock: threading.Lock = field(default_factory=threading.Lock)
    signal: Signal | None = None


class LazySignals(Sequence[Signal]):
    """A signal per parameter set, of which only the last few are kept.

    Parameters
    ----------
    make : callable
        Makes the signal of some values; called once for equal neighbours, from the thread that asks first.
    wanted : sequence of dict
        Values of each parameter set; equal ones next to each other.
    keep : int
        Signals that are kept, at least the number of threads.
    """

    def __init__(self, make: Callable[[Values], Signal], wanted: Sequence[Values], keep: int) -> None:
        self._make, self._wanted, self._keep = make, wanted, keep
        self._lock = threading.Lock()
        self._slots: OrderedDict[str, _Slot] = OrderedDict()

    def __len__(self) -> int:
        return len(self._wanted)

    @overload
    def __getitem__(self, i: int) -> Signal: ...

    @overload
    def __getitem__(self, i: slice) -> Sequence[Signal]: ...

    def __getitem__(self, i: int | slice) -> Signal | Sequence[Signal]:
        if isinstance(i, slice):
            return LazySignals(self._make, self._wanted[i], self._keep)
        with self._lock:
            slot = self._slots.setdefault(repr(sorted(self._wanted[i].items())), _Slot())
            while len(self._slots) > self._keep:
                self._slots.popitem(last=False)
        with slot.lock:
            if slot.signal is None:
                slot.signal = self._make(self._wanted[i])
            return slot.signal
