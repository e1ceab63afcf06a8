"""The ending of every command line of the pages: exit code, sentence, files; and the small data that it is given.

A page's commands are run in the page's order in one folder, as they are printed, with the overrides of ``more`` behind
them. A command that is in no table fails the tests: a new line of a page has to be put here.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Ending:
    """How a command ends.

    Parameters
    ----------
    says : str
        Regular expression, found in what it prints.
    code : int
        Exit code.
    leaves : str
        Pattern of a path, from the folder it was run in, that is there afterwards.
    more : tuple of str
        Overrides behind the command that make it small.
    folder : str
        Which folder of the workspace stands for ``DIR`` or ``DAILY``.
    server : str
        Local exchange that it is pointed at.
    before : tuple of str
        Commands that bring about the state that the page presumes.
    instead : str
        Why it is not run, where it is not; ``make`` targets are then printed with ``make -n``, scripts asked for
        ``--help``, tests collected.
    """

    says: str = ""
    code: int = 0
    leaves: str = ""
    more: tuple[str, ...] = ()
    folder: str = "market"
    server: str = ""
    before: tuple[str, ...] = ()
    instead: str = ""


#: Two folds of 4,500 bars of four symbols; networks of a few steps, searches of few trials.
TINY = ("debug=tiny",)
LEARNED = (
    *TINY,
    "learning.net_steps=5",
    "learning.search.tree_trials=1",
    "learning.search.net_trials=1",
    "learning.search.threshold_trials=2",
)
FEW_CHECKS = (
    *LEARNED[1:],
    "learning.tuning=null",
    "job.checks.cuts=1",
    "job.checks.many_cuts=4",
    "job.checks.reach=20",
    "job.checks.fills=2",
    "job.checks.decisions=2",
    "job.checks.learner=2",
    "job.checks.shuffle=false",
)
FEW_RESTARTS = ("job.restarts=20", "history.symbols=2", "history.bars=4500")
#: Nothing is needed of a comparison on so little data.
UNNEEDED = tuple(f"job.needed.{name}=0" for name in ("fills", "stops", "halts", "holes", "late_listings"))
VERDICT = r"verdict: \w+"
SERVES = "it serves until it is stopped: tests/jobs/test_exchange_job.py starts it"
TESTED = "it is this suite: "

_RUN = Ending(VERDICT, leaves="runs/*/*/report.html")
_LEARN = Ending(VERDICT, leaves="runs/ensemble_v2/*/report.html", more=LEARNED)
_PROMOTE = Ending("bundle: ", leaves="models/bundles/*/manifest.json")
_PAPER = Ending(r"replay from \S+Z, after the strategy's warm-up of 1,\d{3} bars", more=(*TINY, "job.bars=40"))
_COLLECT = Ending("new rows", leaves="collected/*/manifest.json", server="binance", more=("job.source.days=7",))
_IMPORT = Ending("new rows", leaves="imported/*/manifest.json")
_SWEEP = Ending("verdict on the best: ", leaves="runs/*/*/report.html", more=("history.bars=4500", "history.symbols=2"))
#: The strategy of docs/live.md.
_FIRST = (
    "experiment=baseline experiment_name=first_live trading/policy=ensemble_threshold trading.signal.fast=12"
    " trading.signal.slow=48 exits.stop_atr=2 exits.take_profit_atr=2 exits.horizon=24 data.days=7 data.n_symbols=3"
    " data.late_listings=0 trading.instrument.lot=0.001"
)
_WIDE = "{weight_1m:1000000,orders_10s:1000000,orders_1m:1000000}"
_LIVE = Ending(instead="it needs an exchange that runs: tests/execution/test_live_job.py has one")

#: Command -> how it ends on every page.
ENDINGS: dict[str, Ending] = {
    "make run": Ending(instead="its command is run as it stands in README.md"),
    "make test": Ending(instead=TESTED + "it would run itself"),
    "make slow": Ending(instead=TESTED + "it would run itself"),
    "make lint": Ending(instead="every change has to pass it"),
    "make format": Ending(instead="it would rewrite the checkout"),
    "make docs": Ending(instead="it would rewrite the checkout; tests hold both files against it"),
    "make bench": Ending(instead="it measures for half an hour"),
    "make lock": Ending(instead="it would rewrite the checkout"),
    "make hashes": Ending(instead="it asks the package index and would rewrite the checkout"),
    "make install HASHES=1": Ending(instead="it downloads every package"),
    "make honesty": Ending(instead="it takes hours; its command is run with one market"),
    "make torture KILLS=1000 BARS=25000": Ending(instead="it takes half an hour; the script is run with three kills"),
    "make quick": Ending(instead="its command is run as the Makefile has it"),
    "pip install quantstats": Ending(instead="it downloads packages"),
    "pip install jupyterlab": Ending(instead="it downloads packages"),
    "python -m pytest tests/audit -m slow": Ending(instead=TESTED + "make slow runs these"),
    "python -m pytest -m slow -s tests/data/quality/test_breaks.py": Ending(instead=TESTED + "make slow runs these"),
    "python tests/tools/write_deflation.py": Ending(instead="it takes hours and writes a record of the checkout"),
    "python tests/features/drift_windows.py DATA_ROOT": Ending(instead="it reads 100 real symbols for minutes"),
    "python tests/bench/long_replay.py --root DIR": Ending(instead="it replays months of real data for minutes"),
    "python tests/data/exchange/fuzz.py --batches 200 --seed 1": Ending(more=("--batches", "1")),
    "python tests/execution/torture.py --kills 200 --seed 1": Ending(more=("--kills", "2", "--bars", "200", "--switches", "0")),
    "python tests/live/faults.py": Ending(more=("--only", "1")),
    "python tests/tools/foreign_clients.py --environments DIR": Ending(instead="it downloads three clients"),
    # ---- looking around ----
    "python -m quantlab --help": Ending("The commonest overrides .* experiment +baseline"),
    "python -m quantlab job=doctor": Ending("OK"),
    # ---- data ----
    "python -m quantlab job=universe": Ending(
        r"members; universe/\d{4}-\d\d-\d\d\.json", leaves="universe/*.json", server="universe"
    ),
    "python -m quantlab job=collect": _COLLECT,
    "python -m quantlab job=collect 'job.source.choice.symbols=[BTCUSDT,ETHUSDT]' job.source.days=30": _COLLECT,
    "python -m quantlab job=collect job/source=okx job.root=collected/okx-5m": Ending(
        "new rows", leaves="collected/okx-5m/manifest.json", server="okx", more=("job.source.days=3",)
    ),
    "python -m quantlab job=collect job.source.choice.universe=universe": Ending(
        "new rows", leaves="members/manifest.json", server="universe", more=("job.source.days=16", "job.root=members")
    ),
    "python -m quantlab job=data data=collected": Ending("run: ", leaves="runs/checks/data/*/coverage.html"),
    "python -m quantlab job=collect job/source=archives job.source.folder=DIR": Ending(
        "new rows", leaves="imported/archives/manifest.json", folder="archives", more=("job.root=imported/archives",)
    ),
    "python -m quantlab job=collect job/source=freqtrade job.source.folder=user_data/data/binance": Ending(
        "new rows", leaves="imported/freqtrade/manifest.json", more=("job.root=imported/freqtrade",)
    ),
    "python -m quantlab job=collect job/source=csv job.source.folder=DIR job.source.unit=text job.source.zone=UTC": Ending(
        "new rows", leaves="imported/csv/manifest.json", folder="csv", more=("job.root=imported/csv",)
    ),
    "python -m quantlab job=collect job/source=csv job.source.folder=DIR job.root=collected/yahoo-1d"
    " job.source.timeframe=1d job.source.unit=text job.source.zone=UTC job.source.skip_lines=[2,3]"
    " job.source.columns='{timestamp:Price,open:Open,high:High,low:Low,close:Close,volume:Volume}'": Ending(
        "new rows", leaves="collected/yahoo-1d/manifest.json", folder="yfinance"
    ),
    "python -m quantlab job=collect job/source=csv job.source.folder=DIR job.root=collected/gemini-1h"
    " job.source.timeframe=1h 'job.source.skip_lines=[1]'"
    " job.source.columns='{timestamp:Unix,open:Open,high:High,low:Low,close:Close,volume:Volume BTC}'": Ending(
        "new rows", leaves="collected/gemini-1h/manifest.json", folder="cryptodatadownload"
    ),
    "python -m quantlab job=data data=collected data.adjustments=adjustments.csv": Ending(
        r"prices of AAAUSDT before 2025-05-02T05:10:00Z are multiplied by 0.001",
        more=("data.root=broken",),
        before=(
            "python -m quantlab job=collect job/source=csv job.source.folder=BROKEN job.source.unit=text"
            " job.source.zone=UTC job.root=broken",
        ),
    ),
    "python -m quantlab experiment=baseline data=collected": _RUN,
    "python -m quantlab experiment=baseline data=universe": Ending(VERDICT, more=("data.source.root=members",)),
    "python -m quantlab experiment=baseline data=universe data@data.source=parquet data.source.root=DIR": _RUN,
    "python -m quantlab experiment=baseline data=parquet data.root=DIR": _RUN,
    "python -m quantlab experiment=baseline data=parquet data.root=DIR data.instruments=instruments.csv": Ending(
        VERDICT, more=("data.symbols=[BTCUSDT,DOGEUSDT]",)
    ),
    "python -m quantlab job=exchange": Ending(instead=SERVES),
    f"python -m quantlab job=exchange job.mode=lockstep job.history_bars=1600 {_FIRST} 'job.limits={_WIDE}'": Ending(
        instead=SERVES
    ),
    f"python -m quantlab job=paper {_FIRST}": Ending(
        "24-hour paper: passed", leaves="runs/paper/first_live/journal.db"
    ),
    f"python -m quantlab job=live {_FIRST} job.evidence=runs/paper/first_live execution/venue=simulated"
    f" execution/feed=lockstep job.bars=60 'execution.venue.adapter.budget={_WIDE}'": _LIVE,
    "python -m quantlab job=status job.folder=runs/live/first_live": _LIVE,
    "python -m quantlab job=exchange data=parquet data.root=DIR": Ending(instead=SERVES),
    "python -m quantlab job=exchange 'job.faults=[{at: POST /fapi/v1/order, nth: 3, kind: ack_lost}]'": Ending(
        instead=SERVES
    ),
    # ---- research ----
    "python -m quantlab experiment=baseline": _RUN,
    "python -m quantlab experiment=ensemble_v2": _LEARN,
    "python -m quantlab experiment=ensemble_v2 data=parquet data.root=DIR": _LEARN,
    "python -m quantlab job=sweep sweep=moving_average": _SWEEP,
    "python -m quantlab job=sweep sweep=exits trading/policy=ensemble_threshold": _SWEEP,
    "python -m quantlab job=sweep 'sweep.space={signal.fast:[12,24,48],signal.slow:{low:96,high:384,n:4},costs.slippage_bps:[2.0,4.0]}'": _SWEEP,
    "python -m quantlab job=sweep sweep=random sweep.n=2000 trading/policy=ensemble_threshold"
    " 'sweep.space={policy.stop_atr:{low:0.5,high:4.0,log:true},policy.horizon:{low:6,high:96},limits.max_positions:[5,10]}'": Ending(
        _SWEEP.says, more=("history.bars=4500", "history.symbols=2", "sweep.n=50")
    ),
    "python -m quantlab -m job=sweep sweep=exits trading/policy=ensemble_threshold data.seed=1,2,3": _SWEEP,
    "python -m quantlab -m data.seed=1,2,3 trading.signal.slow=192,288 hydra/launcher=joblib": Ending(
        VERDICT, more=("history.bars=4500", "history.symbols=2")
    ),
    "python -m quantlab job=audit experiment=ensemble_v2": Ending(
        "no leak", more=(*TINY, *FEW_CHECKS), leaves="runs/checks/audit/*/audit.json"
    ),
    "python -m quantlab job=audit experiment=ensemble_v2 debug=tiny": Ending(
        "no leak", more=FEW_CHECKS, leaves="runs/checks/audit/*/audit.json"
    ),
    "python -m quantlab job=warmup": Ending("restarts", leaves="runs/checks/warmup/*/warmup.json", more=FEW_RESTARTS),
    # ---- pages that job=new writes: tests/jobs/new/test_new.py runs every line of theirs, as printed ----
    **{f"python -m quantlab job=new name=my_own kind={kind}": Ending("Type next:") for kind in ("strategy", "feature", "signal")},
    **{
        f"python -m pytest -q test_my_{name}.py": Ending(instead=TESTED + "tests/jobs/new runs it")
        for name in ("strategy", "features", "signal")
    },
    'python -m quantlab job=warmup features=mine "hydra.searchpath=[file://my_conf]"': Ending(
        instead=TESTED + "tests/jobs/new runs it"
    ),
    'python -m quantlab experiment=quick features=mine "hydra.searchpath=[file://my_conf]"': Ending(
        instead=TESTED + "tests/jobs/new runs it"
    ),
    'python -m quantlab trading/signal=money "hydra.searchpath=[file://my_conf]"': Ending(
        instead=TESTED + "tests/jobs/new runs it"
    ),
    'python -m quantlab job=audit trading/signal=money "hydra.searchpath=[file://my_conf]" history.bars=6000 history.symbols=4': Ending(
        instead=TESTED + "tests/jobs/new runs it"
    ),
    'python -m quantlab job=parity trading/signal=money "hydra.searchpath=[file://my_conf]" trading/policy=ensemble_threshold': Ending(
        instead=TESTED + "tests/jobs/new runs it"
    ),
    "python -m quantlab job=warmup features=finite_windows job.horizon=400": Ending("warm-up 336", more=FEW_RESTARTS),
    "python -m quantlab experiment=baseline features=short_windows features.interval_ms=86400000 data=parquet"
    " data.root=DAILY trading.signal.fast=5 trading.signal.slow=20": Ending(VERDICT, folder="daily"),
    "python -m quantlab job=backtest trading/policy=dip \"hydra.searchpath=[file://my_conf]\" history.bars=6000 history.symbols=4": Ending(VERDICT, leaves="runs/*/*/metrics.json"),
    "python -m quantlab job=backtest experiment=baseline trading/signal=file trading.signal.path=mine.parquet history.symbols=2": Ending(VERDICT, leaves="runs/*/*/metrics.json"),
    "python -m quantlab experiment=honesty job=honesty workers=2": Ending(
        "planted", leaves="honesty/honesty.json", more=("job.markets=1", "job.folder=honesty", "data.days=75")
    ),
    "python -m quantlab experiment=honesty job=honesty job.first_seed=10000 job.markets=12 job.folder=runs/honesty": Ending(
        "planted", leaves="runs/honesty/honesty.json", more=("job.markets=1", "data.days=75")
    ),
    "python -m quantlab job=new name=mine kind=strategy": Ending("Type next:", leaves="mine"),
    # ---- runs ----
    "python -m quantlab job=runs": Ending("baseline", leaves="runs/index.html"),
    "python -m quantlab job=runs job.experiment=baseline job.sort=sharpe": Ending("baseline", leaves="runs/index.html"),
    "python -m quantlab job=runs job.json=true": Ending(r'"experiment": ?"baseline"'),
    "python -m quantlab job=compare 'runs=[latest,ID]'": Ending(leaves="runs/compare/*/compare.html"),
    "python -m quantlab experiment=baseline job=backtest": Ending(VERDICT, leaves="runs/baseline/*/metrics.json"),
    "python -m quantlab experiment=baseline job=backtest experiment_name=dear trading.costs.slippage_bps=9": Ending(
        VERDICT, leaves="runs/dear/*/metrics.json"
    ),
    "python -m quantlab job=compare 'runs=[latest:baseline,latest:dear]'": Ending(
        r"slippage_bps", leaves="runs/compare/*/compare.json"
    ),
    "python -m quantlab -m experiment=baseline job=backtest trading.costs.slippage_bps=1,2,4 hydra/launcher=joblib": Ending(
        leaves="runs/sweeps/*/ranking.csv", more=("history.bars=4500", "history.symbols=2")
    ),
    # ---- from a run to a session ----
    "python -m quantlab job=promote run=latest:ensemble_v2": _PROMOTE,
    "python -m quantlab job=promote run=runs/ensemble_v2/<run>": _PROMOTE,
    "python -m quantlab job=promote run=runs/ensemble_v2/<run> job.activate=true": Ending(
        "active: ", leaves="models/bundles/promoted.json", more=("job.name=newer",)
    ),
    "python -m quantlab job=promote run=runs/ensemble_v2/<run> job.name=four": _PROMOTE,
    "python -m quantlab job=promote run=runs/ensemble_v2/<run> job.name=wide": _PROMOTE,
    "python -m quantlab job=promote run=runs/EXPERIMENT/RUN job.name=NAME": Ending(
        "bundle: ",
        leaves="models/bundles/NAME/manifest.json",
        before=("python -m quantlab experiment=baseline",),
    ),
    "python -m quantlab job=promote bundle=models/bundles/<older> job.reason=rollback": Ending(r"active: .*\(rollback\)"),
    "python -m quantlab job=paper bundle=models/bundles/NAME": _PAPER,
    "python -m quantlab job=paper bundle=models/bundles/<name> data=parquet data.root=DIR": _PAPER,
    "python -m quantlab job=paper bundle=models/bundles data=parquet data.root=DIR": _PAPER,
    "python -m quantlab job=paper bundle=models/bundles/NAME execution.feed.start=2025-02-27 job.bars=288": Ending(
        "288 bars, stopped: bars", more=TINY
    ),
    "python -m quantlab job=paper bundle=models/bundles/NAME trading.limits.breaker=off": Ending(code=2),
    "python -m quantlab job=paper bundle=DIR 'trust=[my_strategies.DipBuyer]'": Ending(
        r"40 bars, stopped: bars",
        folder="trusted",
        more=("job.bars=40",),
        before=(
            "python -m quantlab experiment=baseline trading.policy._target_=my_strategies.DipBuyer"
            " ~trading.policy.rebalance",
            "python -m quantlab job=promote run=runs/baseline/<run> job.name=dip 'trust=[my_strategies.DipBuyer]'",
        ),
    ),
    "python -m quantlab job=paper experiment=ensemble_v2 debug=tiny history.symbols=10 history.bars=6000"
    " bundle=models/bundles/four execution.feed.start=2025-03-01": Ending(
        "24-hour paper: held up by .*288 bars, stopped: the feed ended"
    ),
    "python -m quantlab job=status bundle=models/bundles/NAME": Ending("equity, USD"),
    "python -m quantlab job=status bundle=models/bundles/<name>": Ending("equity, USD"),
    "python -m quantlab job=readiness bundle=models/bundles/NAME job.stage=paper_24h": Ending(
        r"24-hour paper: held up by", code=2
    ),
    "python -m quantlab job=parity trading/policy=ensemble_threshold trading.limits.daily_loss_limit=0.005": Ending(
        "PASS: ", leaves="runs/parity/baseline/parity.json"
    ),
    "python -m quantlab job=parity experiment=baseline trading/policy=ensemble_threshold trading.limits.daily_loss_limit=0.005": Ending(
        "PASS: ", leaves="runs/parity/baseline/parity.json"
    ),
    "python -m quantlab job=parity experiment=ensemble_v2 data=parquet data.root=DIR": Ending(
        "PASS: ", more=(*LEARNED, "learning.tuning=null", *UNNEEDED, "job.bars=200")
    ),
    "python -m quantlab job=parity bundle=models/bundles/NAME data=parquet data.root=DIR": Ending(
        "PASS: ",
        more=(*TINY, *UNNEEDED, "job.bars=200"),
        before=(
            "python -m quantlab experiment=ensemble_v2 data=parquet data.root=DIR",
            "python -m quantlab job=promote run=runs/ensemble_v2/<run>",
        ),
    ),
    "python -m quantlab job=backtest experiment=ensemble_v2 data.days=24 data.n_symbols=10 data.late_listings=6"
    " data.edge=0.0 learning.tuning=null learning.net_steps=60 learning.splits.n_folds=1"
    " learning.splits.min_train_bars=2880 learning.ensemble.min_confidence=0.33 learning.ensemble.min_gain_bps=0.0"
    " exits.stop_atr=1.2 exits.take_profit_atr=2.0 exits.horizon=12 trading.limits.daily_loss_limit=0.01"
    " trading.limits.breaker=off": _RUN,
    "python -m quantlab job=parity experiment=ensemble_v2 data.days=24 data.n_symbols=10 data.late_listings=6"
    " data.edge=0.0 bundle=models/bundles/wide": Ending("PASS: "),
    "python -m quantlab job=backtest experiment=ensemble_v2 debug=tiny history.symbols=10 history.bars=6000 workers=1": Ending(
        VERDICT, more=LEARNED[1:]
    ),
    # ---- the registry ----
    "python -m quantlab job=backtest experiment=ensemble_v2": Ending(
        VERDICT, leaves="runs/ensemble_v2/*/metrics.json", more=LEARNED
    ),
    "python -m quantlab job=models": Ending("status|registry|empty|no version"),
    "python -m quantlab job=models job.action=register job.from_run=runs/ensemble_v2/RUN": Ending(
        "registered xgboost_v", leaves="models/xgboost_v*/manifest.json"
    ),
    "python -m quantlab job=models job.action=promote job.version=v20250316_120000": Ending("in service .* xgboost_v"),
    "python -m quantlab job=models job.action=rollback": Ending(
        before=(
            "python -m quantlab job=models job.action=register job.from_run=runs/ensemble_v2/RUN",
            "python -m quantlab job=models job.action=promote job.version=v20250316_120000",
        )
    ),
    "python -m quantlab job=retrain experiment=ensemble_v2": Ending(
        "there is no active version", code=3, more=LEARNED
    ),
    "python -m quantlab job=retrain experiment=ensemble_v2 data=parquet data.root=DIR": Ending(
        "registered only", code=3, more=LEARNED
    ),
    'python -m quantlab job=retrain experiment=ensemble_v2 job.promote=force job.reason="the first release"': Ending(
        r"forced \(the first release\)", more=LEARNED
    ),
}  # fmt: skip

#: Where a page presumes another state than the others: (page, command) -> how it ends there.
ON_THE_PAGE: dict[tuple[str, str], Ending] = {
    ("docs/runs.md", "python -m quantlab job=runs"): Ending(
        "baseline", leaves="runs/index.html", before=("python -m quantlab experiment=baseline",)
    ),
    ("docs/readiness.md", "python -m quantlab job=paper bundle=models/bundles/NAME execution.feed.start=2025-02-27 job.bars=288"): Ending(
        "288 bars, stopped: bars",
        more=TINY,
        before=(
            "python -m quantlab experiment=ensemble_v2",
            "python -m quantlab job=promote run=runs/ensemble_v2/<run>",
        ),
    ),
}  # fmt: skip


#: Commands that the Makefile runs or prints.
OF_MAKE = {
    "python -m quantlab --help": ENDINGS["python -m quantlab --help"],
    "python -m quantlab experiment=ensemble_v2": _LEARN,
    "python -m quantlab job=new name=mine kind=strategy": Ending("Type next:"),
    "python -m quantlab experiment=quick": Ending("verdict: edge", leaves="runs/quick/*/report.html"),
    "python -m quantlab experiment=quick data.edge=0": Ending("verdict: no evidence of an edge"),
    "python -m quantlab experiment=honesty job=honesty": ENDINGS[
        "python -m quantlab experiment=honesty job=honesty workers=2"
    ],
}


def ending_of(page: str, command: str) -> Ending | None:
    """Return the ending of a command on a page; None where nobody has said."""
    return ON_THE_PAGE.get((page, command), ENDINGS.get(command))
