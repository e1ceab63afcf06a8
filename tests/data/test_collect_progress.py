"""What is seen of a collection: a bar for every symbol that moves, one in total, one line where nobody looks."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from quantlab.jobs.data.collect_progress import CollectProgressBars


def test_every_symbol_has_a_bar_and_all_together_one() -> None:
    steps = {f"S{k:02d}": 2 for k in range(12)}
    with CollectProgressBars(Console(file=io.StringIO(), force_terminal=True)) as progress:
        progress.plan(steps)
        total, *symbols = progress._progress.tasks
        assert (total.total, total.completed) == (24, 0)
        assert not any(task.visible for task in symbols)
        for symbol in (*steps, "S03"):
            progress.advance(symbol)
        done = {task.description: task.completed for task in symbols}
        assert done == {**dict.fromkeys(steps, 1), "S03": 2}
        assert total.completed == 13
        assert {task.description for task in symbols if task.visible} == {"S03", *(f"S{k:02d}" for k in range(5, 12))}


@pytest.mark.parametrize("fails", [False, True])
def test_without_a_terminal_one_line_says_how_it_ended(fails: bool) -> None:
    output = io.StringIO()
    try:
        with CollectProgressBars(Console(file=output)) as progress:
            progress.plan({"BTC": 1})
            progress.advance("BTC")
            if fails:
                raise KeyError
    except KeyError:
        assert fails
    assert output.getvalue().startswith(f"{'stopped' if fails else 'done'} collect: 1 steps")
    assert output.getvalue().count("\n") == 1
