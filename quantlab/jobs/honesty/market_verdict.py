"""Verdicts on synthetic markets with known truth: one market through the whole pipeline.

Everything of a market is drawn anew from its seed: the market, the members' own randomness, the tuner's proposals
and the verdict's bootstrap. The two kinds of market share their shocks: with a seed, the one without an edge is the
one with it, its drift taken out.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from typing import Any, Literal

from omegaconf import DictConfig, OmegaConf

from quantlab.core.errors import ConfigError
from quantlab.core.progress import SilentProgress
from quantlab.jobs.research.metrics import Judgement, judge
from quantlab.jobs.research.pipeline import Backtest, backtest, setup

Kind = Literal["no_edge", "planted"]
KINDS: tuple[Kind, ...] = ("no_edge", "planted")

#: Sections of the configuration that a market's verdict is a function of, beside its seed and its kind.
MEASURED_SECTIONS = (
    "data", "history", "barriers", "features", "learning", "signal", "trading", "strategy", "backtest", "cash",
    "evaluation",
)  # fmt: skip
_VERDICT_NUMBERS = (
    "trades", "days", "trials", "sharpe", "sharpe_se", "luck_sharpe", "psr", "dsr", "pbo", "mean_daily_return_lower",
)  # fmt: skip
_ORACLE_NUMBERS = ("auc", "label_auc", "sharpe")


@dataclass(frozen=True)
class SyntheticMarket:
    """A synthetic market: the kind that is planted, and the seed of everything in it."""

    kind: Kind
    seed: int


def markets(first_seed: int, count: int) -> list[SyntheticMarket]:
    """`count` markets of each kind, in turn, so that whoever stops early has as many of one as of the other."""
    return [SyntheticMarket(kind, seed) for seed in range(first_seed, first_seed + count) for kind in KINDS]


def market_config(cfg: DictConfig, market: SyntheticMarket, cache_dir: str) -> DictConfig:
    """The configuration of one market, alone in its process and with a cache of its own."""
    edge = 0.0 if market.kind == "no_edge" else float(cfg.job.edge)
    own = {"seed": market.seed, "workers": 1, "cache_dir": cache_dir, "data": {"seed": market.seed, "edge": edge}}
    merged = OmegaConf.merge(cfg, own)
    assert isinstance(merged, DictConfig)  # noqa: S101 - narrows the type
    return merged


def measured_config(cfg: DictConfig) -> dict[str, Any]:
    """Return the measured configuration, every interpolation resolved, without values that differ between markets or hosts."""
    resolved: Any = OmegaConf.to_container(market_config(cfg, SyntheticMarket("planted", 0), "cache"), resolve=True)
    checked: dict[str, Any] = resolved
    del checked["learning"]["registry"]  # folders, and nothing that a market's verdict could depend on
    return {name: checked[name] for name in MEASURED_SECTIONS}


def check_measurable(cfg: DictConfig) -> None:
    """Refuse a market whose truth nobody knows, and a planted edge of none.

    Raises
    ------
    ConfigError
    """
    if not {"seed", "edge"} <= {str(key) for key in cfg.data}:
        raise ConfigError("a market with a seed and a planted edge", found=str(cfg.data._target_), fix="data=synthetic")
    if not float(cfg.job.edge) > 0.0:
        raise ConfigError("job.edge above 0", found=repr(cfg.job.edge), fix="1 is the reference strength")


def judge_market(call: tuple[dict[str, Any], SyntheticMarket]) -> dict[str, Any]:
    """Run the pipeline on one market, from bars to verdict.

    Parameters
    ----------
    call : (configuration as plain values, Market)
        One argument that travels between processes.

    Returns
    -------
    dict
        Strict JSON: the verdict and the numbers that it rests on, a function of the configuration and the market
        alone, and ``cpu_s``, the processor time that it took.

    Raises
    ------
    QuantlabError
        If the pipeline refuses the market: a market that has no verdict must not be left out.
    """
    plain, market = call
    started = time.process_time()
    with tempfile.TemporaryDirectory(prefix="quantlab-market-") as cache:
        cfg = market_config(OmegaConf.create(plain), market, cache)
        parts = setup(cfg)
        result = backtest(parts, parts.cut.load(parts.source), SilentProgress())
        judgement = judge(cfg, parts, result)
    spent = round(time.process_time() - started, 1)
    return {"kind": market.kind, "seed": market.seed, **_numbers(result, judgement), "cpu_s": spent}


def _numbers(result: Backtest, judgement: Judgement) -> dict[str, Any]:
    verdict, evidence, oracle = judgement.verdict, judgement.evidence, judgement.oracle or {}
    report = result.study.report
    return {
        "verdict": verdict.verdict,
        **{name: verdict.numbers[name] for name in _VERDICT_NUMBERS},
        "cost_bps": evidence["cost_bps"],
        "break_even_cost_bps": evidence["break_even_cost_bps"],
        "members_auc": {} if report is None else {name: m.auc for name, m in report.members.items()},
        "oracle": {name: oracle.get(name) for name in _ORACLE_NUMBERS},
        "tuned": {stage.name: stage.chosen for stage in result.study.tuning},
    }
