from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from quantlab.core.errors import ConfigError, ContractError, HistoryError
from quantlab.core.market import Bars
from quantlab.learning.ensemble.ensemble import Ensemble, FittedEnsemble, bounded_weights
from quantlab.learning.ensemble.pooling import PooledForecast, decisions
from quantlab.learning.ensemble.thresholds import move_bps

RULES = Ensemble(
    min_confidence=0.36,
    min_consensus=0.5,
    quorum=2,
    liveness_bars=4,
    min_weight=0.1,
    max_weight=0.6,
    min_gain_bps=0.0,
    move_atr=2.0,
)
NAMES = ("a", "b", "c")
WEIGHTS = (0.5, 0.3, 0.2)


def _fitted(temperature: float = 1.0, **rules: Any) -> FittedEnsemble:
    return FittedEnsemble(dataclasses.replace(RULES, **rules), NAMES, WEIGHTS, temperature)


def _row(*members: tuple[float, float, float]) -> np.ndarray:
    """float32 (M, 1, 1, 3)."""
    return np.array(members, dtype=np.float32)[:, None, None, :]


def _move(members: np.ndarray) -> np.ndarray:
    """A label's move of 1 %, everywhere."""
    return np.full(members.shape[1:3], 100.0)


def _vote(members: np.ndarray, fitted: FittedEnsemble | None = None, **options: Any) -> PooledForecast:
    ensemble = fitted or _fitted()
    return ensemble.pool(members, ensemble.begin(members.shape[2]), _move(members), **options)[0]


def _random_members(seed: int, bars: int, symbols: int, members: int = 3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    proba = rng.dirichlet((3.0, 3.0, 3.0), (members, bars, symbols)).astype(np.float32)
    proba[rng.random((members, bars, symbols)) < 0.15] = np.nan
    return proba


def test_a_vote_by_hand() -> None:
    pooled = _vote(_row((0.2, 0.3, 0.5), (0.5, 0.3, 0.2), (0.1, 0.3, 0.6)))
    np.testing.assert_allclose(pooled.proba[0, 0], [0.27, 0.30, 0.43], rtol=1e-6)
    assert pooled.confidence[0, 0] == pytest.approx(0.43, rel=1e-6)
    assert pooled.consensus[0, 0] == pytest.approx(0.7, rel=1e-12)  # a and c say BUY: 0.5 + 0.2
    assert pooled.live_members[0, 0] == 3
    assert pooled.side[0, 0] == 1


@pytest.mark.parametrize(("move", "side"), [(99.0, 0), (100.0, 1), (np.nan, 0)])
def test_a_decision_must_be_worth_its_costs(move: float, side: int) -> None:
    """A BUY at .6 against a SELL at .2 gains .4 of the labels' move: 40 bps of 100."""
    said = np.array([[(0.2, 0.2, 0.6)]], dtype=np.float32).repeat(3, axis=0)[:, :, None, :]
    ensemble = _fitted(min_gain_bps=40.0 - 1e-5)
    pooled, _ = ensemble.pool(said, ensemble.begin(1), np.full((1, 1), move))
    np.testing.assert_allclose(pooled.gain_bps, 0.4 * np.full((1, 1), move), rtol=1e-6)
    assert pooled.side[0, 0] == side


def test_the_labels_move_in_basis_points(random_bars: Callable[..., Bars]) -> None:
    bars = random_bars(n_bars=50)
    np.testing.assert_allclose(move_bps(bars, 0.01 * bars.close, 2.0), np.full((50, bars.n_symbols), 200.0), rtol=1e-12)


def test_a_silent_member_leaves_and_weights_are_renormalised() -> None:
    pooled = _vote(_row((np.nan, np.nan, np.nan), (0.6, 0.3, 0.1), (0.1, 0.3, 0.6)))
    np.testing.assert_allclose(pooled.proba[0, 0], [0.40, 0.30, 0.30], rtol=1e-6)  # weights 0.6 and 0.4
    assert pooled.consensus[0, 0] == pytest.approx(0.6)
    assert pooled.live_members[0, 0] == 2
    assert pooled.side[0, 0] == -1


def test_temperature_by_hand() -> None:
    members = _row(*[(0.2, 0.3, 0.5)] * 3)
    expected = np.sqrt([0.2, 0.3, 0.5]) / np.sqrt([0.2, 0.3, 0.5]).sum()
    np.testing.assert_allclose(_vote(members, _fitted(2.0)).proba[0, 0], expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("members", "threshold"),
    [
        (_row(*[(0.33, 0.32, 0.35)] * 3), "min_confidence"),
        (_row((0.10, 0.45, 0.45), (0.2, 0.2, 0.6), (0.4, 0.4, 0.2)), "min_consensus"),
        (_row((0.2, 0.2, 0.6), (np.nan,) * 3, (np.nan,) * 3), "quorum"),
    ],
)
def test_each_threshold_alone_makes_hold_and_lifts_nothing(members: np.ndarray, threshold: str) -> None:
    closed = _vote(members)
    opened = _vote(members, _fitted(**{threshold: 1 if threshold == "quorum" else 0.0}))
    assert closed.side[0, 0] == 0
    assert opened.side[0, 0] == decisions(opened.proba)[0, 0] == 1
    for name in ("proba", "confidence", "consensus", "live_members"):
        np.testing.assert_array_equal(getattr(closed, name), getattr(opened, name))


def test_a_value_on_the_threshold_passes() -> None:
    members = _row(*[(0.25, 0.25, 0.5)] * 3)
    assert _vote(members, _fitted(min_confidence=0.5, min_consensus=1.0, quorum=3)).side[0, 0] == 1


@pytest.mark.parametrize("tied", [(0.4, 0.2, 0.4), (0.4, 0.4, 0.2), (0.2, 0.4, 0.4), (1 / 3, 1 / 3, 1 / 3)])
def test_a_tie_is_hold(tied: tuple[float, float, float]) -> None:
    pooled = _vote(_row(tied, tied, tied), _fitted(min_confidence=0.0, min_consensus=0.0))
    assert pooled.side[0, 0] == 0
    assert pooled.consensus[0, 0] == 1.0  # each member's own tie is HOLD as well
    assert pooled.confidence[0, 0] == pooled.proba[0, 0, 1]


def test_nobody_speaks() -> None:
    pooled = _vote(np.full((3, 2, 2, 3), np.nan, dtype=np.float32))
    assert np.isnan(pooled.proba).all()
    assert np.isnan(pooled.confidence).all()
    assert np.isnan(pooled.consensus).all()
    assert not pooled.side.any()
    assert not pooled.live_members.any()


# --- liveness --------------------------------------------------------------------------------------


def _constant_a(bars: int, symbols: int = 2) -> np.ndarray:
    members = np.random.default_rng(0).dirichlet((3.0, 3.0, 3.0), (3, bars, symbols)).astype(np.float32)
    members[0] = np.array([[0.2, 0.2, 0.6], [0.5, 0.2, 0.3]], dtype=np.float32)[:symbols]
    return members


def test_a_constant_voter_dies_after_exactly_liveness_bars() -> None:
    """Constant over time is dead, even with another constant for each symbol; unknown is alive."""
    pooled = _vote(_constant_a(10))
    np.testing.assert_array_equal(pooled.live_members[:, 0], [3, 3, 3, 2, 2, 2, 2, 2, 2, 2])
    alone = _vote(_constant_a(10)[1:], FittedEnsemble(RULES, NAMES[1:], (0.6, 0.4), 1.0))
    np.testing.assert_allclose(pooled.proba[3:], alone.proba[3:], rtol=1e-12)


def test_one_moving_symbol_keeps_a_member_alive() -> None:
    members = _constant_a(10)
    members[0, :, 1] = members[1, :, 1]
    assert (_vote(members).live_members == 3).all()


def test_it_comes_back_when_it_moves_and_dies_again() -> None:
    members = _constant_a(14)
    members[0, 6:, 1] = [0.4, 0.3, 0.3]
    np.testing.assert_array_equal(_vote(members).live_members[:, 0], [3, 3, 3, 2, 2, 2, 3, 3, 3, 2, 2, 2, 2, 2])


def test_a_move_below_the_numeric_noise_is_no_move() -> None:
    members = _constant_a(10)
    members[0, ::2] += np.float32(3e-7)
    assert (_vote(members).live_members[3:] == 2).all()


def test_a_pause_makes_it_unknown_again() -> None:
    members = _constant_a(12)
    members[0, 5] = np.nan
    np.testing.assert_array_equal(_vote(members).live_members[:, 0], [3, 3, 3, 2, 2, 2, 3, 3, 3, 2, 2, 2])


def test_a_symbol_that_starts_to_speak_has_not_moved() -> None:
    members = _constant_a(10)
    members[0, :6, 1] = np.nan
    np.testing.assert_array_equal(_vote(members).live_members[:, 0], [3, 3, 3, 2, 2, 2, 2, 2, 2, 2])


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31), cut=st.integers(0, 30), start=st.integers(0, 20))
def test_stream_equals_batch_and_needs_only_the_liveness_window(seed: int, cut: int, start: int) -> None:
    members = _random_members(seed, 30, 2)
    rng = np.random.default_rng(seed)
    for m in range(3):  # stretches in which a member stands still
        first = int(rng.integers(0, 25))
        members[m, first : first + 9] = members[m, first]
    ensemble = _fitted(1.3)
    whole, end = ensemble.pool(members, ensemble.begin(2), _move(members))
    before, state = ensemble.pool(members[:, :cut], ensemble.begin(2), _move(members[:, :cut]))
    after, split_end = ensemble.pool(members[:, cut:], state, _move(members[:, cut:]))
    for field in dataclasses.fields(PooledForecast):
        joined = np.concatenate([getattr(before, field.name), getattr(after, field.name)])
        np.testing.assert_array_equal(joined, getattr(whole, field.name))
    for field in dataclasses.fields(end):
        np.testing.assert_array_equal(getattr(split_end, field.name), getattr(end, field.name))
    late, _ = ensemble.pool(members[:, start:], ensemble.begin(2), _move(members[:, start:]))
    known = start + RULES.liveness_bars - 1 if start else 0
    for field in dataclasses.fields(PooledForecast):
        np.testing.assert_array_equal(getattr(late, field.name)[known - start :], getattr(whole, field.name)[known:])


def test_the_state_given_is_left_alone() -> None:
    ensemble = _fitted()
    state = ensemble.begin(2)
    ensemble.pool(_constant_a(5), state, np.full((5, 2), 100.0))
    assert np.isnan(state.last).all()
    assert not state.forecast_bars.any()
    assert not state.unmoved_bars.any()


# --- properties against a plain reference ----------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), temperature=st.floats(0.3, 4.0))
def test_against_plain_python(seed: int, temperature: float) -> None:
    members = _random_members(seed, 3, 2)
    pooled = _vote(members, _fitted(temperature))
    for t, s in itertools.product(range(3), range(2)):
        live = [m for m in range(3) if np.isfinite(members[m, t, s]).all()]
        assert pooled.live_members[t, s] == len(live)
        if not live:
            assert np.isnan(pooled.proba[t, s]).all()
            continue
        w = np.array([WEIGHTS[m] for m in live]) / sum(WEIGHTS[m] for m in live)
        mean = (w[:, None] * members[live, t, s].astype(float)).sum(axis=0)
        expected = mean ** (1 / temperature) / (mean ** (1 / temperature)).sum()
        np.testing.assert_allclose(pooled.proba[t, s], expected, rtol=1e-9)
        decided = int(np.argmax(expected))
        agree = sum(w[i] for i, m in enumerate(live) if np.argmax(members[m, t, s]) == decided)
        assert pooled.confidence[t, s] == pytest.approx(expected[decided])
        assert pooled.consensus[t, s] == pytest.approx(agree)
        passes = expected[decided] >= 0.36 and agree >= 0.5 - 1e-12 and len(live) >= 2
        assert pooled.side[t, s] == (decided - 1 if passes else 0)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_the_order_of_members_changes_nothing(order: tuple[int, ...]) -> None:
    members = _random_members(5, 40, 3)
    permuted = FittedEnsemble(RULES, tuple(NAMES[i] for i in order), tuple(WEIGHTS[i] for i in order), 1.2)
    one, other = _vote(members, _fitted(1.2)), _vote(members[list(order)], permuted)
    np.testing.assert_allclose(other.proba, one.proba, rtol=1e-12)
    np.testing.assert_array_equal(other.side, one.side)


def test_without_a_member_is_as_if_it_were_not_there() -> None:
    members = _random_members(6, 40, 3)
    one = _vote(members, without="a")
    other = _vote(members[1:], FittedEnsemble(RULES, NAMES[1:], (0.6, 0.4), 1.0))
    np.testing.assert_allclose(one.proba, other.proba, rtol=1e-12)
    np.testing.assert_array_equal(one.live_members, other.live_members)


def test_wrong_members_are_refused() -> None:
    with pytest.raises(ContractError, match=r"\(3, T, S, 3\)"):
        _vote(_random_members(0, 5, 2)[:2])


# --- weights and fitting ---------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(skill=st.lists(st.floats(-0.1, 0.1), min_size=2, max_size=6))
def test_weights_sum_to_one_within_bounds_in_the_order_of_skill(skill: list[float]) -> None:
    values = np.array(skill)
    weights = bounded_weights(values, 0.1, 0.6)
    assert weights.sum() == pytest.approx(1.0, abs=1e-12)
    assert (weights >= 0.1 - 1e-12).all()
    assert (weights <= 0.6 + 1e-12).all()
    gains = np.maximum(values, 0.0)
    assert (np.diff(weights[np.argsort(gains)]) >= -1e-12).all()


def test_weights_by_hand() -> None:
    np.testing.assert_allclose(bounded_weights(np.array([0.03, 0.01]), 0.1, 0.8), [0.75, 0.25])
    np.testing.assert_allclose(bounded_weights(np.array([0.03, -0.01]), 0.1, 0.6), [0.6, 0.4])
    np.testing.assert_allclose(bounded_weights(np.array([-1.0, -2.0, 0.0, -3.0]), 0.1, 0.6), [0.25] * 4)
    np.testing.assert_allclose(bounded_weights(np.array([0.3, 0.1]), 0.5, 0.6), [0.5, 0.5])
    np.testing.assert_allclose(bounded_weights(np.array([0.3]), 0.1, 1.0), [1.0])


def test_weights_are_the_nearest_point_within_the_bounds() -> None:
    skill = np.array([0.05, 0.02, 0.0, 0.001])
    oracle = minimize(
        lambda w: ((w - skill / skill.sum()) ** 2).sum(),
        np.full(4, 0.25),
        bounds=[(0.1, 0.5)] * 4,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        options={"ftol": 1e-14},
    )
    np.testing.assert_allclose(bounded_weights(skill, 0.1, 0.5), oracle.x, atol=1e-6)


def _informed(seed: int, knowledge: float, label: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0.0, 0.8, (*label.shape, 3))
    logits = noise + knowledge * np.eye(3)[label]
    proba = np.exp(logits)
    return (proba / proba.sum(axis=-1, keepdims=True)).astype(np.float32)


def test_fit_gives_weight_to_knowledge_and_a_calibrated_pool() -> None:
    rng = np.random.default_rng(0)
    label = rng.integers(0, 3, (2_000, 4)).astype(np.int8)
    members = np.stack([_informed(i, k, label) for i, k in enumerate((0.8, 0.4, 0.0))])
    weight, rows = np.ones(label.shape, dtype=np.float32), rng.random(label.shape) < 0.5
    fitted = RULES.fit(NAMES, members, label, weight, rows)
    assert fitted.weights[0] > fitted.weights[1] > fitted.weights[2] >= 0.1
    assert sum(fitted.weights) == pytest.approx(1.0)
    pooled = _vote(members, fitted)
    right = (decisions(pooled.proba) + 1 == label)[~rows]
    assert pooled.confidence[~rows].mean() == pytest.approx(right.mean(), abs=0.03)
    # Only the calibration rows count: other labels elsewhere fit the same ensemble.
    scrambled = np.where(rows, label, 2 - label).astype(np.int8)
    assert RULES.fit(NAMES, members, scrambled, weight, rows) == fitted


def test_fit_refuses_an_empty_inner_fold_and_a_mute_member() -> None:
    label, weight = np.zeros((20, 2), dtype=np.int8), np.ones((20, 2), dtype=np.float32)
    members = _random_members(1, 20, 2)
    with pytest.raises(HistoryError, match="member a has forecasts"):
        RULES.fit(NAMES, members, label, weight, np.zeros((20, 2), dtype=bool))
    members[1] = np.nan
    with pytest.raises(HistoryError, match="member b has forecasts"):
        RULES.fit(NAMES, members, label, weight, np.ones((20, 2), dtype=bool))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"min_confidence": 1.5}, "min_confidence"),
        ({"min_consensus": -0.1}, "min_consensus"),
        ({"quorum": 0}, "quorum"),
        ({"liveness_bars": 1}, "liveness_bars"),
        ({"min_weight": 0.7}, "max_weight"),
    ],
)
def test_impossible_rules_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        dataclasses.replace(RULES, **change)


@pytest.mark.parametrize(
    ("change", "members", "message"),
    [
        ({"quorum": 3}, 2, "quorum"),
        ({"min_weight": 0.4}, 3, "weight bounds"),
        ({"max_weight": 0.3}, 3, "weight bounds"),
    ],
)
def test_rules_that_the_members_cannot_meet_are_refused(change: dict[str, Any], members: int, message: str) -> None:
    rules = dataclasses.replace(RULES, **change)
    with pytest.raises(ConfigError, match=message):
        rules.check(members)
