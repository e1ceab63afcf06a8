"""The gates: each reads recorded facts and finds PASS, FAIL or UNKNOWN, with its evidence in words.

UNKNOWN is found where the facts are missing or too few to tell. No gate rescales a value to reach its limit: on
honest data a mean confidence above 0.6 is not to be expected, and the gate then finds FAIL.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from quantlab.core.checks import check_range, check_whole
from quantlab.core.clock import iso_utc
from quantlab.evaluation.statistics.blind_entries import blind_stop_share
from quantlab.execution.readiness.window import Window
from quantlab.execution.session.handover import PAPER_VENUE

PASS, FAIL, UNKNOWN = "PASS", "FAIL", "UNKNOWN"

#: Rest of a position, as a share of it, that sums of its fills may leave when it is flat.
_FLAT = 1e-9


@dataclass(frozen=True)
class GateLimits:
    """Limits that the gates compare with.

    Parameters
    ----------
    consensus_rate : float
        Share of decisions with a consensus of 0.7 that must be exceeded.
    mean_confidence : float
        Mean confidence over decisions that must be exceeded.
    buy_share : tuple of two float
        Smallest and largest share of BUYs in BUYs and SELLs.
    min_signals : int
        BUYs and SELLs below which their balance says nothing.
    stop_standard_errors : float
        By how many standard errors the share of stopped exits may exceed that of blind entries.
    min_exits : int
        Closed positions below which that share says nothing.
    daily_drawdown : float
        Fraction of a UTC day's peak that no day's fall may reach.
    pnl : float
        Return over the stage, as a fraction, that must be reached.

    Raises
    ------
    ConfigError
        If a value is out of its range.
    """

    consensus_rate: float
    mean_confidence: float
    buy_share: tuple[float, float]
    min_signals: int
    stop_standard_errors: float
    min_exits: int
    daily_drawdown: float
    pnl: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "buy_share", tuple(self.buy_share))
        low, high = self.buy_share
        shares = {"consensus_rate": self.consensus_rate, "mean_confidence": self.mean_confidence}
        shares |= {"buy_share[0]": low, "buy_share[1]": high, "daily_drawdown": self.daily_drawdown}
        for name, value in shares.items():
            check_range(f"execution.gates.limits.{name}", value, low=0.0, high=1.0)
        check_range("execution.gates.limits.buy_share[1]", high, low=low, high=1.0)
        check_range("execution.gates.limits.stop_standard_errors", self.stop_standard_errors, low=0.0)
        check_range("execution.gates.limits.pnl", self.pnl, low=-1.0)
        for name in ("min_signals", "min_exits"):
            check_whole(f"execution.gates.limits.{name}", getattr(self, name), low=1)


@dataclass(frozen=True)
class Finding:
    """The finding of a gate.

    Parameters
    ----------
    status : {"PASS", "FAIL", "UNKNOWN"}
    evidence : str
        In words, with its numbers.
    value : float or None
        What was compared with the limit; None where there is none.
    """

    status: str
    evidence: str
    value: float | None = None


Gate = Callable[[Window, GateLimits], Finding]


def _finding(passes: bool, evidence: str, value: float) -> Finding:
    return Finding(PASS if passes else FAIL, evidence, value)


def feature_mismatches(window: Window, _limits: GateLimits) -> Finding:
    """Require 0 in the whole session."""
    return _require_none(window, "feature_mismatch", "feature mismatches")


def model_load_failures(window: Window, _limits: GateLimits) -> Finding:
    """Require 0 in the whole session."""
    return _require_none(window, "model_load_failure", "model load failures")


def _require_none(window: Window, kind: str, words: str) -> Finding:
    count = window.counters.get(f"event.{kind}", 0)
    if count == 0 and not window.facts:
        return Finding(UNKNOWN, "no bar is recorded")
    bars = window.counters.get("event.bar", 0)
    return _finding(count == 0, f"{count:,} {words} in {bars:,} bars of the session", float(count))


def predictions(window: Window, _limits: GateLimits) -> Finding:
    """Require some in every bar, in time to act on, and no bar missing."""
    total = _total(window, "predictions")
    if not total:
        return Finding(UNKNOWN, "no prediction is recorded")
    without = sum(bar["signal"]["predictions"] == 0 for bar in window.facts)
    late = sum("feed" in bar["halts"] for bar in window.facts)
    missing = sum(observed["bar_gate"].get("missing", 0) for observed in window.observed)
    minutes = len(window.facts) * _interval_ms(window) / 60_000
    gaps = f"bars without one: {without}, too late to enter on: {late}, that did not arrive: {missing}"
    evidence = f"{total / minutes:,.2f} a minute over {minutes:,.0f} minutes; {gaps}"
    return _finding(without + late + missing == 0, evidence, total / minutes)


def consensus_rate(window: Window, limits: GateLimits) -> Finding:
    """Share of decisions, before any threshold, that most members agree on."""
    return _mean_over_decisions(window, "agreed", limits.consensus_rate, "share with a consensus of 0.7")


def mean_confidence(window: Window, limits: GateLimits) -> Finding:
    """Mean pooled probability of the decision."""
    return _mean_over_decisions(window, "confidence_sum", limits.mean_confidence, "mean confidence")


def _mean_over_decisions(window: Window, what: str, limit: float, words: str) -> Finding:
    decisions = _total(window, "decisions")
    if not decisions:
        return Finding(UNKNOWN, "no decision is recorded")
    value = math.fsum(bar["signal"][what] for bar in window.facts) / decisions
    return _finding(value > limit, f"{words} {value:.3f} over {decisions:,} decisions, must exceed {limit:g}", value)


def balance(window: Window, limits: GateLimits) -> Finding:
    """BUYs against SELLs after the thresholds of the ensemble."""
    buys, sells = _total(window, "buy"), _total(window, "sell")
    if buys + sells < limits.min_signals:
        return Finding(UNKNOWN, f"{buys} BUY and {sells} SELL; {limits.min_signals} signals are needed to tell")
    share, (low, high) = buys / (buys + sells), limits.buy_share
    evidence = f"{buys:,} BUY and {sells:,} SELL: {share:.1%} BUY, must lie in {low:.0%} .. {high:.0%}"
    return _finding(low <= share <= high, evidence, share)


def stop_hits(window: Window, limits: GateLimits) -> Finding:
    """Share of closed positions that were stopped, beside that of blind entries on the same bars."""
    stopped, exits = _count_exits(window)
    if exits < limits.min_exits:
        return Finding(UNKNOWN, f"{stopped} of {exits} exits were stops; {limits.min_exits} exits are needed to tell")
    blind = _blind_stop_share(window)
    if blind is None:
        return Finding(UNKNOWN, f"{stopped} of {exits} exits were stops; nothing recorded says how blind entries fared")
    share = stopped / exits
    most = blind + limits.stop_standard_errors * math.sqrt(blind * (1.0 - blind) / exits)
    evidence = f"{stopped} of {exits} exits were stops ({share:.1%}); of blind entries {blind:.1%}, at most {most:.1%}"
    return _finding(share <= most, evidence, share)


def feature_drift(window: Window, _limits: GateLimits) -> Finding:
    """Require no feature on alert in the newest reading; the thresholds are the reading's own."""
    reading = window.drift
    if reading is None:
        if window.learned is False:
            return Finding(PASS, "nothing was learned from features: there is no training distribution to leave")
        return Finding(UNKNOWN, "no reading of the features' drift is recorded")
    if reading["rows"] < reading["min_rows"]:
        evidence = (
            f"{reading['rows']:,} rows of {reading['bars']:,} bars so far, {reading['min_rows']:,} are needed to tell"
        )
        more = (
            f": some {math.ceil(reading['min_rows'] * reading['bars'] / reading['rows']):,} bars"
            if reading["rows"]
            else ""
        )
        return Finding(UNKNOWN, evidence + more)
    names, count = reading["alerts"], len(reading["features"])
    worst = f": {', '.join(names[:3])}{' ...' if len(names) > 3 else ''}" if names else ""
    over = f"over {reading['rows']:,} rows of {reading['bars']:,} bars"
    evidence = f"{len(names)} of {count} features have left their training distribution {over}{worst}"
    return _finding(not names, evidence, float(len(names)))


def daily_drawdown(window: Window, limits: GateLimits) -> Finding:
    """Largest fall from a UTC day's own peak."""
    days = {bar["day"]["utc"]: bar["day"]["drawdown"] for bar in window.facts}
    if not days or None in days.values():
        return Finding(UNKNOWN, "no day with a finite equity is recorded")
    day = max(days, key=days.__getitem__)
    evidence = f"largest fall {days[day]:.2%} on {day}, must stay below {limits.daily_drawdown:.2%}"
    return _finding(days[day] < limits.daily_drawdown, evidence, days[day])


def pnl(window: Window, limits: GateLimits) -> Finding:
    """Return over the stage."""
    marks = [bar["account"]["equity"] for bar in window.facts]
    if not marks or None in marks or marks[0] <= 0.0:
        return Finding(UNKNOWN, "no finite equity is recorded")
    gain = marks[-1] / marks[0] - 1.0
    evidence = f"equity {marks[0]:,.2f} -> {marks[-1]:,.2f} USD, {gain:+.2%}, must reach {limits.pnl:+.2%}"
    return _finding(gain >= limits.pnl, evidence, gain)


def rollout(window: Window, _limits: GateLimits) -> Finding:
    """Require that some share of every target was asked for, on a venue that is not simulated."""
    if not window.rollouts:
        return Finding(UNKNOWN, "no step of the rollout is recorded")
    newest = window.rollouts[-1]
    steps = " -> ".join(f"{step['fraction']:.0%}" for step in window.rollouts)
    evidence = f"{steps} of every target, the last step on {iso_utc(newest['at_ms'])}, venue {newest['venue']}"
    simulated = newest["venue"] == PAPER_VENUE
    full_evidence = f"{evidence}: fills were simulated, production needs a venue" if simulated else evidence
    return _finding(not simulated and newest["fraction"] > 0.0, full_evidence, newest["fraction"])


#: Every gate by its name, in the order of a report.
GATES: dict[str, Gate] = {
    gate.__name__: gate
    for gate in (
        feature_mismatches,
        model_load_failures,
        predictions,
        consensus_rate,
        mean_confidence,
        balance,
        stop_hits,
        feature_drift,
        daily_drawdown,
        pnl,
        rollout,
    )
}


def _total(window: Window, what: str) -> int:
    return sum(bar["signal"][what] for bar in window.facts)


def _interval_ms(window: Window) -> int:
    assert window.bars is not None  # noqa: S101 - narrows the type: there are facts, so there are bars
    return window.bars.interval_ms


def _count_exits(window: Window) -> tuple[int, int]:
    """Count closed positions that were stopped, and all of them, after the window's first bar."""
    units: dict[str, float] = {row[0]: row[1] for row in window.facts[0]["positions"]} if window.facts else {}
    stopped = exits = 0
    for bar in window.facts[1:]:
        for fill in bar["fills"]:
            held = units.get(fill["symbol"], 0.0)
            now = held + fill["side"] * fill["units"]
            if held != 0.0 and held * now <= _FLAT * held * held:
                exits += 1
                stopped += fill["reason"] == "STOP"
            units[fill["symbol"]] = now
        units = {row[0]: row[1] for row in bar["positions"]}  # without the rounding of the sums above
    return stopped, exits


def _blind_stop_share(window: Window) -> float | None:
    terms: dict[str, Any] | None = window.barriers
    if terms is None or window.bars is None:
        return None
    return blind_stop_share(
        window.bars,
        window.atr,
        take_profit_atr=float(terms["take_profit_atr"]),
        stop_atr=float(terms["stop_atr"]),
        horizon=int(terms["horizon"]),
    )
