"""Sentences that a reader of a sweep must see."""

from __future__ import annotations

from collections.abc import Iterator

from quantlab.data.quality.breaks import break_note, find_breaks
from quantlab.evaluation.statistics.unknown_rules import unknown_rule_notes
from quantlab.evaluation.sweep.maps import values_text, varied_names
from quantlab.evaluation.sweep.scenarios import ASSUMPTIONS
from quantlab.evaluation.sweep.scores import count_distinct, sharpe_dispersion, sharpe_quantiles
from quantlab.jobs.research.idle import idle_note
from quantlab.jobs.research.metrics import rules_unknown_to
from quantlab.jobs.research.pipeline import Setup
from quantlab.jobs.research.results import multirun_notes
from quantlab.jobs.sweep.best import Best, uncapped_deflation
from quantlab.jobs.sweep.signals import signal_values
from quantlab.jobs.sweep.simulations import PreparedSweep

#: From this many standard errors on, most of the variance between parameter sets is not chance.
_MOSTLY_REAL = 2.0


def sweep_idle_note(parts: Setup, best: Best) -> str:
    """Say why the best, and with it every parameter set of its scenario, never traded; empty where it did."""
    return idle_note(parts.signal, best.result, signal_values(best.table.values[best.row]))


def sweep_notes(prepared: PreparedSweep, best: Best) -> tuple[str, ...]:
    """Luck, likeness, costs and impossibility of what was tried, one sentence each."""
    sentences = [*multirun_notes()]
    shares, sharpe = sharpe_quantiles(best.family_sharpe), best.evidence["sharpe"]
    if shares["median"] is not None:
        sentences.append(
            f"Of the parameter sets that traded, half have a Sharpe ratio above {shares['median']:+.2f}; "
            f"{100.0 * (shares['positive_share'] or 0.0):.0f} % are above zero."
        )
    if best.luck_sharpe is not None:
        sentences.append(
            f"The best has {'none' if sharpe is None else format(sharpe, '+.2f')}; without any skill the best of "
            f"{best.family.tried:,} like these would be expected to have {best.luck_sharpe:+.2f}."
        )
    sentences += [note for note in (break_note(find_breaks(prepared.history)),) if note]
    unknown = rules_unknown_to(best.strategy, best.accounts["evidence"], prepared.bars)
    sentences += [f"{note} (account of the best parameter set)." for note in unknown_rule_notes(unknown)]
    sentences += [*_dispersion_notes(best), *_distinct_notes(best), *_scenario_notes(best)]
    sentences += [f"{count:,} parameter sets are impossible: {why}." for why, count in prepared.plan.impossible.items()]
    if prepared.maker.study.report is not None:
        sentences.append("The signal was learned once, out of sample; the choice among parameter sets was not.")
    return tuple(sentences)


def _dispersion_notes(best: Best) -> Iterator[str]:
    """Differences between parameter sets that chance cannot make are not taken for luck; when there are any, say so."""
    found, literal = sharpe_dispersion(best.family.daily_returns), uncapped_deflation(best)
    if (
        found is not None
        and best.luck_sharpe is not None
        and literal is not None
        and found[0] > _MOSTLY_REAL * found[1]
    ):
        yield (
            f"Their Sharpe ratios lie {found[0]:.1f} apart (standard deviation), though chance moves a single one by {found[1]:.1f} "
            "only: they differ mostly in what they do and pay. No more of it is taken for luck than chance can make; "
            f"with all of it luck would be expected to have {literal[0]:+.2f}, and the deflated Sharpe ratio would be {literal[1]:.3f}."
        )


def _distinct_notes(best: Best) -> Iterator[str]:
    count, simulated = count_distinct(best.family.daily_returns), len(best.family)
    if count < simulated:
        yield (
            f"Only {count:,} of {simulated:,} accounts differ; each counts as a trial all the same. "
            "Daily limit and breaker, for one, are off while sweeping."
        )


def _scenario_notes(best: Best) -> Iterator[str]:
    """Sentences on the assumed costs: the assumption that the verdict rests on, or that none could be kept apart."""
    family = best.score.scenario
    if family.assumed:
        why = "as configured" if best.as_configured else "the dearest, since the configured one was not swept"
        yield (
            f"What trading costs is assumed, not chosen: the verdict rests on {values_text(family.assumed)}, {why}, and on the "
            f"{family.tried:,} parameter sets that were tried there."
        )
    mixed = {name: best.table.values[best.row][name] for name in varied_names(best.family) if name in ASSUMPTIONS}
    if mixed:
        yield (
            f"The best was chosen among assumptions on costs too, and has {values_text(mixed)}: what trading costs is no choice. "
            "Not every choice was tried under each of them, so they cannot be judged apart; a grid can."
        )
