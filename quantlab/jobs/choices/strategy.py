"""Stage 2 of tuning, joined: the learner's search over what the compiled sweep makes of cached forecasts.

The last test period is cut off before the first trial. What is varied are the ensemble's gates
(``ensemble.*``), the policy's, the sizer's and the limits' own values; costs and labels are facts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from quantlab.backtest.sweep import sweep
from quantlab.core.errors import ConfigError, HistoryError
from quantlab.core.fingerprint import fingerprint
from quantlab.core.ports import Progress
from quantlab.core.results import Study
from quantlab.core.types import Bars, Signal
from quantlab.jobs.run.folder import sources_fingerprint
from quantlab.learning.gates import Gates, regated
from quantlab.learning.tuning.lived import Lived

GATES = Gates._fields
_PARTS = ("policy", "sizer", "limits")


@runtime_checkable
class Regatable(Protocol):
    """A learner whose study can be put behind other gates without fitting anybody again."""

    ensemble: Any

    def regate(self, study: Study, gates: Mapping[str, Any]) -> Study:
        """The same study under other gates."""
        ...


@dataclass(frozen=True)
class Chooser:
    """Everything that stage 2 needs beside a study.

    Parameters
    ----------
    tuning : Tuning
    learner : Regatable
    make_strategy : callable
        Takes ``signal=`` and gives the strategy.
    cash : float
        USD.
    threads : int
        Trials that are simulated at once; results do not depend on it.
    cache_dir : Path
    """

    tuning: Any
    learner: Regatable
    make_strategy: Callable[..., Any]
    cash: float
    threads: int
    cache_dir: Path

    def search(self) -> Any:
        """The search that is configured, None without one; refuses a space that names nothing."""
        return self.tuning.strategy_search(configured(self.learner.ensemble, self.make_strategy(signal=self.learner)))


def configured(rules: Any, strategy: Any) -> dict[str, Any]:
    """Dotted name -> value of everything that stage 2 may vary."""
    found = {f"ensemble.{name}": getattr(rules, name) for name in GATES}
    for part in _PARTS:
        owner = getattr(strategy, part)
        found |= {f"{part}.{field.name}": getattr(owner, field.name) for field in dataclasses.fields(owner)}
    return found


def choose(chooser: Chooser, study: Study, bars: Bars, progress: Progress) -> tuple[Study, Any]:
    """The study behind the chosen gates, with its record, and the strategy with the chosen values.

    Parameters
    ----------
    chooser : Chooser
    study : Study
        Of ``chooser.learner``.
    bars : Bars, (T, S)
        All that was learned on.

    Raises
    ------
    HistoryError
        If there is no test period before the last one.
    ConfigError
        If every trial failed.
    ArtifactError
        If a stored round is damaged.
    """
    search = chooser.search()
    strategy = chooser.make_strategy(signal=study.source)
    if study.last_test <= study.first_row:
        raise HistoryError(
            "a test period before the last one, to tune the strategy on",
            found="one test period",
            mend="raise learning.splits.n_folds, or set learning.tuning.strategy=null",
        )
    seen = bars.rows(study.first_row, study.last_test)
    signal = study.signal.rows(study.first_row, study.last_test)
    rules = chooser.learner.ensemble
    simulate = partial(
        simulate_all,
        bars=seen,
        signal=signal,
        rules=rules,
        strategy=strategy,
        cash=chooser.cash,
        threads=chooser.threads,
    )
    context = fingerprint(seen.fingerprint(), signal, rules, strategy.fingerprint, chooser.cash, sources_fingerprint())
    stage = chooser.tuning.tune_strategy(
        search, simulate, context=context, cache_dir=chooser.cache_dir, progress=progress
    )
    tuned = chooser.learner.regate(study, gates_of(stage.chosen))
    tuned = dataclasses.replace(tuned, tuning=(*study.tuning, stage))
    return tuned, with_values(chooser.make_strategy(signal=tuned.source), stage.chosen)


def simulate_all(
    values: Sequence[dict[str, Any]],
    *,
    bars: Bars,
    signal: Signal,
    rules: Any,
    strategy: Any,
    cash: float,
    threads: int,
) -> list[Lived]:
    """One account per set of values, limits off; a set that a part refuses has its refusal instead."""
    made = [_made(one, rules, strategy) for one in values]
    good = [one for one in made if not isinstance(one, Lived)]
    lived = iter(_simulated(good, bars, signal, cash, threads) if good else ())
    return [one if isinstance(one, Lived) else next(lived) for one in made]


def _simulated(
    good: Sequence[tuple[Any, Any]], bars: Bars, signal: Signal, cash: float, threads: int
) -> Iterator[Lived]:
    signals = _Signals(signal, tuple(gates for gates, _ in good))
    result = sweep(bars, signals, [strategy for _, strategy in good], cash, threads=threads)
    for returns, trades in zip(result.daily_returns.tolist(), result.n_trades.tolist(), strict=True):
        yield Lived(tuple(returns), trades)


def _made(values: Mapping[str, Any], rules: Any, strategy: Any) -> tuple[Any, Any] | Lived:
    try:
        return dataclasses.replace(rules, **gates_of(values)).gates, with_values(strategy, values)
    except ConfigError as error:
        return Lived(error=str(error))


@dataclass(frozen=True)
class _Signals(Sequence[Signal]):
    """One opinion behind many gates, each made when it is asked for."""

    signal: Signal
    gates: tuple[Any, ...]

    def __len__(self) -> int:
        return len(self.gates)

    def __getitem__(self, index: Any) -> Any:
        return regated(self.signal, self.gates[index])


def gates_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """The ensemble's part of stage 2's values, without the prefix."""
    return {name.removeprefix("ensemble."): v for name, v in values.items() if name.startswith("ensemble.")}


def with_values(strategy: Any, values: Mapping[str, Any]) -> Any:
    """The strategy with other values of its policy, sizer and limits."""
    changed = {part: dataclasses.replace(getattr(strategy, part), **own) for part, own in _own_values(values) if own}
    return dataclasses.replace(strategy, **changed)


def _own_values(values: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for part in _PARTS:
        prefix = f"{part}."
        yield part, {name.removeprefix(prefix): v for name, v in values.items() if name.startswith(prefix)}
