"""Levels until a bar is settled are those of the opening order, and equal to the account's own."""

from __future__ import annotations

import dataclasses
from decimal import Decimal

import pytest

from quantlab.core.events import Leg
from quantlab.core.venue.grid import Grid
from quantlab.execution.live.venue_facts import Fill
from quantlab.execution.live.wanted_levels import FLAT, SettledPosition, wanted_levels
from quantlab.execution.protection.levels import Levels

GRID = Grid(Decimal("0.1"), Decimal("0.001"))
LEG = Leg("1-BTC-increase", "BTC", 1, 0.003, False, "SIGNAL", 5.0, 10.0)
SHORT = dataclasses.replace(LEG, side=-1)


def fill(ticks: int, *, lots: int = 3, side: int = 1, reason: str = "SIGNAL", client_id: str | None = "a") -> Fill:
    return Fill("BTC", "1", "v", client_id, side, lots, ticks, Decimal(0), "USDT", False, 5, reason)


@pytest.mark.parametrize(
    ("settled", "fills", "leg", "expected"),
    [
        (SettledPosition(3, 95.0, 110.0), [], LEG, Levels(950, 1_100)),  # the account's own
        (SettledPosition(3, 95.0, float("inf")), [fill(1_020)], LEG, Levels(950, None)),  # what is added to keeps them
        (FLAT, [fill(1_000)], LEG, Levels(950, 1_100)),
        (FLAT, [fill(1_000, lots=1), fill(1_003, lots=2)], LEG, Levels(952, 1_102)),  # 100.2, the mean
        (FLAT, [fill(1_000, side=-1)], SHORT, Levels(1_050, 900)),
        (SettledPosition(3, 95.0, 110.0), [fill(900, side=-1, reason="STOP", client_id="s")], LEG, Levels(950, 1_100)),
        # closed and opened again in one bar: a flip
        (
            SettledPosition(-2, 105.0, 90.0),
            [fill(1_000, lots=2, reason="SIGNAL", client_id="r"), fill(1_000)],
            LEG,
            Levels(950, 1_100),
        ),
        (FLAT, [fill(1_000, reason="EXTERNAL", client_id=None)], LEG, Levels(None, None)),
        (FLAT, [fill(1_000, client_id="another")], LEG, Levels(None, None)),
    ],
)
def test_levels_of_what_is_held_now(settled, fills, leg, expected) -> None:
    assert wanted_levels(settled, fills, {"a": leg}, GRID, 1.0) == expected
