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

#: Options that no configuration can be composed of, or no job can run with: refused before a job is loaded.
OPTIONS = (
    _refused("histroy.bars=3", "found histroy.bars. Did you mean history.bars?"),
    _refused("data.smybols=[A]", "Did you mean data.symbols? It belongs to data=collected and data=parquet."),
    _refused("trading.costs.slipage_bps=1", "Did you mean trading.costs.slippage_bps?"),
    _refused("slippage_bps=1", "Did you mean trading.costs.slippage_bps?"),
    _refused("key=", "a known key; found key", "seed, signal, strategy"),
    _refused("job=sweep +job.topp=1", "Did you mean job.top?"),
    _refused("job.top=5", "found job.top. It belongs to job=sweep"),
    _refused("trading/polcy=x", "Did you mean trading/policy?"),
    _refused("job/source=csv", "Add job=collect, which it belongs to"),
    _refused("job=backtset", "Did you mean job=backtest?"),
    _refused("experiment=ensmble_v2", "Did you mean experiment=ensemble_v2?"),
    _refused("debug=null", "found debug=null", "instead of null: tiny"),
    _refused("+data=parquet", "Write it without a sign before it, data=parquet"),
    _refused("~seed", "Leave ~seed out"),
    _refused("~history.bars", "Write history.bars=null"),
    _refused("history=null", "history as a section"),
    _refused("trading.costs=5", "trading/costs=NAME"),
    _refused("seed=1,2", "Write -m seed=1,2 for a run of each."),
    _refused("data=parquet data.symbols=BTC,ETH", "or data.symbols=[BTC,ETH] for a list"),
    _refused("experiment=baseline,honesty", "Write -m experiment=baseline,honesty for a run of each."),
    _refused("'data.root=/a (1)'", "in quotes of their own, \"data.root='/a (1)'\""),
    _refused("seed=${nothing}", "a reference to 'nothing', which is not there"),
    _refused("seed=true", "found True"),
    _refused("cash=nan", "found nan. Set it, e.g. cash=10000."),
    _refused("cash=-1", "found -1"),
    _refused("history.start=2025-13-01", "ISO 8601"),
    _refused("history.start=2025-04-01 history.end=2025-03-01", "history.start before history.end"),
    _refused("history.symbols=0", "history.symbols as a whole number >= 1"),
    _refused("barriers.horizon=0", "barriers.horizon as a whole number >= 1"),
    _refused("trading.costs.slippage_bps=abc", "trading.costs.slippage_bps as a number"),
    _refused("job=paper job.bars=0", "job.bars as a whole number >= 1"),
    _refused("job=paper job.reset_breaker=maybe", "as true or false; found 'maybe'"),
    _refused("trust=5", "trust as a list of classes"),
    _refused("job.entry=nowhere.at.all", "job.entry as the name of a function"),
    _refused("run=nowhere", "leave it out"),
)
#: More of them: the slow tests' part.
MORE_OPTIONS = (
    _refused("history.barz=3", "Did you mean history.bars?"),
    _refused("+history.barz=1", "Did you mean history.bars?"),
    _refused("data=parquet data.root=x data.smybols=[A]", "Did you mean data.symbols?"),
    _refused("horizon=5", "Did you mean barriers.horizon or exits.horizon"),
    _refused("+foo=1", "a known key; found foo"),
    _refused("seed.x=3", "seed is a single value"),
    _refused("+learning.net_stepz=3", "Did you mean learning.net_steps?"),
    _refused("trading/policy=dip", "Known are buy_and_hold, ensemble_threshold, from_signals"),
    _refused("job=collect job/source=csvv", "Did you mean job/source=csv?"),
    _refused("~data", "data as an option of its group"),
    _refused("--config-name=foo", "Leave --config-name out"),
    _refused("'cash=10 000 USD'", "found '10 000 USD'. Set it, e.g. cash=10000."),
    _refused("–seed=3", "options as name=value that can be read"),
    _refused("seed=1e3", "seed as a whole number >= 0; found 1000.0"),
    _refused("seed=-1", "found -1"),
    _refused("seed=null", "found None"),
    _refused("cash=", "cash as a number of USD above 0; found ''"),
    _refused("cash=[1]", "found [1]"),
    _refused("workers=0", "workers as a whole number >= 1"),
    _refused("workers=two", "found 'two'"),
    _refused("history.start=xyz", "Write it like history.start=2025-03-16."),
    _refused("history.bars=[5]", "found [5]"),
    _refused("barriers.stop_atr=3 barriers.take_profit_atr=1", "barriers.take_profit_atr"),
    _refused("exits.horizon=abc", "exits.horizon as a whole number"),
    _refused("job=sweep job.top=many", "job.top as a number"),
    _refused("experiment_name=a/b", "experiment_name"),
    _refused("experiment_name=''", "experiment_name"),
    _refused("runs_dir=''", "runs_dir as a text"),
)
