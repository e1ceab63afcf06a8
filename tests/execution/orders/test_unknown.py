"""The inquiry: its times, and the answers that count."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from quantlab.core.errors import ConfigError
from quantlab.execution.orders.settings import UnknownSettings
from quantlab.execution.orders.unknown import asked_again, begin_inquiry, proves_absence, repeat_wait_ms

USUAL = UnknownSettings(1_000, 250, 250, 4_000, 60_000, 259_200_000)


def times(count: int, settings: UnknownSettings = USUAL, valid_for_ms: int = 5_000) -> list[int]:
    """Times after the start at which questions leave that are answered at once."""
    inquiry, asked = begin_inquiry(0, valid_for_ms, 0, settings), []
    for _ in range(count):
        asked.append(inquiry.next_ms)
        inquiry = asked_again(inquiry, inquiry.next_ms, settings)
    return asked


def test_questions_double_one_follows_the_deadline_and_the_rest_come_evenly() -> None:
    assert times(9) == [250, 500, 1_000, 2_000, 4_000, 6_251, 10_251, 14_251, 18_251]


@given(st.integers(0, 3_000), st.integers(0, 500), st.integers(1, 2_000), st.integers(1, 8_000), st.integers(1, 10_000))
@hypothesis_settings(max_examples=200, deadline=None)
def test_questions_never_stop_and_one_soon_proves_absence(
    lag: int, clock: int, first: int, longest: int, valid: int
) -> None:
    settings = UnknownSettings(lag, clock, first, longest, 60_000, 1)
    inquiry = begin_inquiry(0, valid, 0, settings)
    now, gaps = 0, []
    while not proves_absence(inquiry, now):
        gaps.append(inquiry.next_ms - now)
        now = inquiry.next_ms
        inquiry = asked_again(inquiry, now, settings)
        assert len(gaps) < 30_000
    assert now > valid + lag + clock
    assert now <= max(valid + lag + clock + 1, first)
    assert min(gaps) > 0


def test_a_question_counts_by_when_it_left() -> None:
    inquiry = begin_inquiry(10_000, 5_000, 12_000, USUAL)
    assert not proves_absence(inquiry, 16_250)
    assert proves_absence(inquiry, 16_251)


def test_refused_orders_go_again_at_twice_the_time_each() -> None:
    assert [repeat_wait_ms(k, USUAL) for k in range(6)] == [250, 500, 1_000, 2_000, 4_000, 4_000]
    assert repeat_wait_ms(10_000, USUAL) == 4_000


@pytest.mark.parametrize(
    "wrong", [(-1, 250, 250, 1, 1, 1), (0, 0, 0, 1, 1, 1), (0, 0, 1, 1, 0, 1), (0, 0.5, 1, 1, 1, 1)]
)
def test_settings_out_of_range_are_refused(wrong: tuple) -> None:
    with pytest.raises(ConfigError, match=r"execution\.orders\.unknown"):
        UnknownSettings(*wrong)
