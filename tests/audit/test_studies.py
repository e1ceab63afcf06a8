"""What a learner says of tested rows under another future: each of its parts in turn, and the border of each look."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from quantlab.audit.counterfactuals import another_future, shuffled_future
from quantlab.audit.findings import AuditLog
from quantlab.audit.plain_signals import check_plain_signal
from quantlab.audit.studies import FIELDS, check_studies, half_delisted_future
from quantlab.core.arrays import Float32Array
from quantlab.core.errors import HistoryError
from quantlab.core.market import Bars
from quantlab.core.results import Study, Trial, TuningStage
from quantlab.core.types import Signal
from quantlab.learning.samples.splits import Fold

MakeBars = Callable[..., Bars]
FIRST, ROW, LAST = 200, 300, 400
FOLDS = (
    Fold(0, (0, 100), (100, 150), (150, 200), (200, 280), 1),
    Fold(1, (0, 140), (140, 220), (220, 280), (280, 340), 1),
    Fold(2, (0, 200), (200, 280), (280, 340), (340, 400), 1),
)


@dataclass(frozen=True)
class Pool:
    rules: Any
    names: tuple[str, ...] = ("one", "two")
    weights: tuple[float, ...] = (0.5, 0.5)
    temperature: float = 1.0


@dataclass(frozen=True)
class Rules:
    min_confidence: float = 0.36
    quorum: int = 2


@dataclass(frozen=True, eq=False)
class Voted:
    fold: Fold
    ensemble: Pool
    forecasts: Float32Array


def signal_of(bars: Bars) -> Signal:
    """Every field of a signal, made of the close alone."""
    side = np.where(np.arange(bars.n_bars)[:, None] % 2, 1, -1).astype(np.int8) * np.ones(bars.state.shape, np.int8)
    close = bars.close.copy()
    names = [name for name in FIELDS if name not in ("side", "proba", "live_members")]
    live = np.full(side.shape, 2, np.int8)
    return Signal(side=side, proba=np.eye(3)[side + 1], live_members=live, **{name: close.copy() for name in names})


def searched(loss: float = 0.5, depth: int = 3) -> TuningStage:
    trials = (Trial(0, {"depth": depth, "rate": 0.1}, "complete", loss),)
    return TuningStage("xgboost", "log loss", False, trials, 0, {})


def study_of(bars: Bars) -> Study:
    votes = [
        Voted(fold, Pool(Rules()), np.zeros((2, fold.test[1] - fold.calibration[0], bars.n_symbols, 3), np.float32))
        for fold in FOLDS
    ]
    return Study(
        signal_of(bars), FIRST, LAST, None, None, tuning=(searched(),), votes=("the dataset stands here", *votes)
    )


def pooled_otherwise(study: Study, fold: int, **changes: Any) -> Study:
    dataset, *votes = study.votes
    votes[fold] = dataclasses.replace(votes[fold], ensemble=dataclasses.replace(votes[fold].ensemble, **changes))
    return dataclasses.replace(study, votes=(dataset, *votes))


def with_other_forecast(study: Study, fold: int, row: int) -> Study:
    dataset, *votes = study.votes
    forecasts = votes[fold].forecasts.copy()
    forecasts[1, row - FOLDS[fold].calibration[0], 0, 0] = 0.25
    votes[fold] = dataclasses.replace(votes[fold], forecasts=forecasts)
    return dataclasses.replace(study, votes=(dataset, *votes))


def said_otherwise(study: Study, name: str, row: int) -> Study:
    changed = getattr(study.signal, name).copy()
    changed[row, 0] = -1 if changed.dtype == np.int8 and changed[row, 0] != -1 else 1
    return dataclasses.replace(study, signal=dataclasses.replace(study.signal, **{name: changed}))


def found_in(bars: Bars, change: Callable[[Study], Study]) -> list[tuple[str, str]]:
    """What is found where the learner says `change` of what it said, under another future from ROW on."""
    log, study = AuditLog(), study_of(bars)
    check_studies(log, lambda _: change(study), bars, study, [ROW], 0, learned=True)
    assert [check.compared for check in log.checks] == [ROW - FIRST]
    assert [check.stage for check in log.checks] == [one.stage for one in log.findings or [log.checks[0]]]
    return [(one.stage, one.column) for one in log.findings]


def tuned(stage: TuningStage) -> Callable[[Study], Study]:
    return lambda study: dataclasses.replace(study, tuning=(stage,))


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (tuned(searched()), []),
        (tuned(searched(depth=4)), [("tuning", "depth")]),
        (tuned(searched(loss=0.6)), [("tuning", "trials")]),
        (lambda study: pooled_otherwise(study, 1, rules=Rules(0.4)), [("tuning", "min_confidence")]),
        (lambda study: pooled_otherwise(study, 1, weights=(0.4, 0.6)), [("weights", "ensemble.weights")]),
        (lambda study: pooled_otherwise(study, 1, temperature=1.1), [("calibrator", "ensemble.temperature")]),
        (lambda study: pooled_otherwise(study, 2, temperature=1.1, rules=Rules(0.4), weights=(0.4, 0.6)), []),
        (lambda study: with_other_forecast(study, 1, ROW - 1), [("tuning", "two")]),
        (lambda study: with_other_forecast(study, 1, ROW), []),
        (lambda study: with_other_forecast(study, 2, ROW - 1), []),
        (lambda study: with_other_forecast(study, 0, FIRST), [("tuning", "two")]),
    ],
)
def test_every_part_of_the_learner_is_traced(
    random_bars: MakeBars, change: Callable[[Study], Study], found: list[tuple[str, str]]
) -> None:
    """A fold whose tests begin after the future did may be another one, and so may rows from there on."""
    assert found_in(random_bars(n_bars=LAST), change) == found


@pytest.mark.parametrize(("name", "stage"), FIELDS.items())
def test_every_field_of_the_signal_is_compared_up_to_the_row_before(
    random_bars: MakeBars, name: str, stage: str
) -> None:
    bars = random_bars(n_bars=LAST)
    assert found_in(bars, lambda study: said_otherwise(study, name, ROW - 1)) == [(stage, f"signal.{name}")]
    assert found_in(bars, lambda study: said_otherwise(study, name, FIRST)) == [(stage, f"signal.{name}")]
    assert found_in(bars, lambda study: said_otherwise(study, name, ROW)) == []
    assert found_in(bars, lambda study: said_otherwise(study, name, FIRST - 1)) == [], "nobody tests on it"


def test_fields_of_a_signal_are_all_looked_at() -> None:
    assert {field.name for field in dataclasses.fields(Signal)} == set(FIELDS)


def test_futures_are_without_a_cause_first_and_then_mirrored_and_a_leak_ends_the_audit(random_bars: MakeBars) -> None:
    bars, lived = random_bars(n_bars=LAST), []
    study = study_of(bars)

    def learn(world: Bars) -> Study:
        lived.append(world)
        return study

    check_studies(AuditLog(), learn, bars, study, [ROW, ROW + 20], 3, learned=True)
    expected = shuffled_future(bars, ROW, 3), half_delisted_future(bars, ROW + 20, 3)
    assert [np.array_equal(a.ohlcv, b.ohlcv, equal_nan=True) for a, b in zip(lived, expected, strict=True)] == [
        True,
        True,
    ]
    asked: list[Bars] = []
    other = pooled_otherwise(study, 1, temperature=1.1)
    log = AuditLog()
    check_studies(log, lambda world: asked.append(world) or other, bars, study, [ROW, ROW + 20], 3, learned=True)  # type: ignore[func-returns-value]
    assert (len(asked), len(log.findings)) == (1, 1)


@pytest.mark.parametrize(
    ("name", "stage"), [("side", "feature"), ("proba", "feature"), ("target", "sizing"), ("atr", "feature")]
)
def test_a_plain_signal_is_one_computed_column(random_bars: MakeBars, name: str, stage: str) -> None:
    bars = random_bars(n_bars=LAST)

    @dataclass(frozen=True)
    class Plain:
        def signal(self, world: Bars) -> Signal:
            said = signal_of(world)
            changed = getattr(said, name).copy()
            changed[5] = changed[5] * (2 if world.close[-1, 0] > bars.close[ROW - 1, 0] else -1)
            side = np.sign(world.close - bars.close[ROW - 1]).astype(np.int8) if name != "side" else changed
            return dataclasses.replace(said, **{"side": side, name: changed})

    log = AuditLog()
    check_plain_signal(log, Plain(), bars, Plain().signal(bars), [ROW], 0)
    assert [(one.stage, one.column) for one in log.findings] == [(stage, f"signal.{name}")]
    assert (log.notes == []) == (name != "side"), "sides that follow the bars are not played back"


@pytest.mark.parametrize(
    ("changes", "column"),
    [
        ({"first_row": FIRST + 50}, "first_row"),
        ({"first_row": ROW + 50}, "first_row"),
        ({"last_row": ROW - 1}, "last_row"),
        ({"last_row": ROW}, None),
        ({}, None),
    ],
)
def test_where_the_account_begins_and_ends_may_not_follow_what_comes_later(
    random_bars: MakeBars, changes: dict[str, int], column: str | None
) -> None:
    """A stop rule may end the tests in another future; before it nobody knows."""
    found = found_in(random_bars(n_bars=LAST), lambda study: dataclasses.replace(study, **changes))
    assert found == ([] if column is None else [("split", column)])


def test_a_learner_that_refuses_a_dying_market_is_asked_about_a_mirrored_one(random_bars: MakeBars) -> None:
    bars, log, lived = random_bars(n_bars=LAST), AuditLog(), []
    study = study_of(bars)

    def learn(world: Bars) -> Study:
        lived.append(world)
        if np.isnan(world.close[-1]).any():
            raise HistoryError("symbols that trade", found="dead ones", fix="end the history earlier")
        return study

    check_studies(log, learn, bars, study, [ROW, ROW + 20], 0, learned=True)
    assert np.array_equal(lived[-1].ohlcv, another_future(bars, ROW + 20, 0).ohlcv)
    assert (len(lived), log.findings, ["dead ones" in note for note in log.notes]) == (3, [], [True])
    with pytest.raises(HistoryError):
        check_studies(log, lambda _: learn(half_delisted_future(bars, ROW, 0)), bars, study, [ROW], 0, learned=True)
