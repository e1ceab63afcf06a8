"""Warm-up and recovery show their bars: as many steps as there are bars, each before the next bar is done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from quantlab.execution.feeds.replay import ReplayFeed


@dataclass
class Recorded:
    """Stages with their totals and the steps that they came to."""

    stages: list[tuple[str, float]] = field(default_factory=list)
    steps: list[float] = field(default_factory=list)

    @contextmanager
    def stage(self, name: str, total: float) -> Iterator[Recorded]:
        self.stages.append((name, total))
        self.steps.append(0.0)
        yield self

    def advance(self, steps: float = 1.0) -> None:
        self.steps[-1] += steps

    def set_remark(self, text: str) -> None:
        """Show nothing."""


def test_every_bar_of_the_warm_up_is_a_step(session_parts):
    place = session_parts(3)
    feed = ReplayFeed(place.bars.rows(40, 60), start=None, pace=None)
    shown = Recorded()
    with place.journal() as journal:
        assert place.session(journal, feed, history=place.bars.rows(0, 40)).start(shown) == 0
    assert shown.stages == [("warming up, bars", 40)]
    assert shown.steps == [40.0]


def test_every_bar_that_is_repeated_is_a_step(session_parts):
    place = session_parts(3, snapshot_every=23)
    with place.journal() as journal:
        session = place.session(journal)
        session.start()
        session.run(most_bars=45)  # no snapshot at the end: the process dies
    shown = Recorded()
    with place.journal() as journal:
        assert place.session(journal).start(shown) == 45 - 23
    assert shown.stages == [("repeating journalled bars", 45 - 23)]
    assert shown.steps == [22.0]


@pytest.mark.parametrize("seen", [0, 40])
def test_a_new_session_that_died_at_once_repeats_its_bars_from_the_first(session_parts, seen):
    """The snapshot of the beginning has seen no bar, or only those of the warm-up."""
    place = session_parts(3)
    given = {"history": place.bars.rows(0, seen)} if seen else {}
    traded = place.bars.rows(seen, place.bars.n_bars)
    with place.journal() as journal:
        session = place.session(journal, ReplayFeed(traded, start=None, pace=None), **given)
        session.start()
        session.run(most_bars=5)
    shown = Recorded()
    with place.journal() as journal:
        feed = ReplayFeed(traded, start=None, pace=None)
        assert place.session(journal, feed, **given).start(shown) == 5
    assert (shown.stages, shown.steps) == ([("repeating journalled bars", 5)], [5.0])
