"""Command lines that nobody should have to type twice, with the words that the answer must hold.

One table for every kind of slip: (line as a shell reads it, exit code, words of the answer). ``{dir}`` stands for the folder
of the test.
"""

from __future__ import annotations

from typing import NamedTuple


class BadInput(NamedTuple):
    """A command line, its exit code, and words of the answer."""

    line: str
    code: int
    words: tuple[str, ...]


def _refused(line: str, *words: str) -> BadInput:
    return BadInput(line, 2, words)


#: Words that are no options: answered before a configuration is composed.
WORDS = (
    _refused("baseline", "found baseline. Type python -m quantlab experiment=baseline."),
    _refused("backtest", "Type python -m quantlab job=backtest."),
    _refused("backtset", "found backtset. Type python -m quantlab job=backtest."),
    _refused("tiny", "Type python -m quantlab debug=tiny."),
    _refused("experiment baseline", "found experiment baseline. Type python -m quantlab experiment=baseline."),
    _refused("job backtest seed 3", "Type python -m quantlab job=backtest seed=3."),
    _refused("--experiment baseline", "Type python -m quantlab experiment=baseline."),
    _refused("--job=backtest", "found --job=backtest. Type python -m quantlab job=backtest."),
    _refused("--seed 3", "found --seed 3. Type python -m quantlab seed=3."),
    _refused("--wrokers 3 --seed=4", "Type python -m quantlab workers=3 seed=4."),
    _refused("--trading.costs.slippage_bps 4", "Type python -m quantlab trading.costs.slippage_bps=4."),
    _refused("--slippage 3", "found --slippage 3.", "--help lists the options"),
    _refused("--multirn seed=1,2", "Type python -m quantlab --multirun seed=1,2."),
    _refused("--api_key 7373737373", "[hidden]"),
    _refused("-x", "found -x.", "--help"),
    _refused("--cfg nothing", "found --cfg nothing", "--help"),
    _refused("seed = 3", "found seed = 3. Type python -m quantlab seed=3."),
    _refused("seed= 3", "Type python -m quantlab seed=3."),
    _refused("seed =3", "Type python -m quantlab seed=3."),
    _refused("seed =", "found seed ="),
    _refused("seed:3", "Type python -m quantlab seed=3."),
    _refused("frobnicate", "name=value; found frobnicate"),
    _refused("=", "found =."),
    _refused("'two words'", "found two words"),
    _refused("''", "name=value"),
    _refused("-m", "beside -m an option with several values"),
    _refused("-m job=backtest", "-m seed=1,2,3"),
    _refused("seed=1 seed=2", "expected seed once; found seed=1 and seed=2"),
    _refused("experiment=baseline experiment=honesty", "expected experiment once"),
    _refused("job=backtset --help", "Did you mean job=backtest --help?"),
)
