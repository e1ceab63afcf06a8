"""Sentences that a reader of a sweep must see."""

from __future__ import annotations

from collections.abc import Iterator

from quantlab.evaluation.sweep_maps import label, moving
from quantlab.evaluation.sweep_scores import different, scatter, spread
from quantlab.jobs.run.outcome import sweep_notes
from quantlab.jobs.sweeps.best import Best
from quantlab.jobs.sweeps.work import Sweep

#: From this many standard errors on, most of the variance between parameter sets is not chance.
_MOSTLY_REAL = 2.0


def notes(what: Sweep, best: Best) -> tuple[str, ...]:
    """Luck, likeness, costs and impossibility of what was tried, one sentence each."""
    said = [*sweep_notes()]
    shares, sharpe = spread(best.sharpe), best.evidence["sharpe"]
    if shares["median"] is not None:
        said.append(
            f"Of the parameter sets that traded, half have a Sharpe ratio above {shares['median']:+.2f}; "
            f"{100.0 * (shares['positive_share'] or 0.0):.0f} % are above zero."
        )
    if best.luck is not None:
        said.append(
            f"The best has {'none' if sharpe is None else format(sharpe, '+.2f')}; without any skill the best of "
            f"{best.table.tried:,} as different as these would be expected to have {best.luck:+.2f}."
        )
    said += [*_severe(best), *_alike(best), *_costs(best)]
    said += [f"{count:,} parameter sets are impossible: {why}." for why, count in what.plan.impossible.items()]
    if what.maker.study.report is not None:
        said.append("The signal was learned once, out of sample; the choice among parameter sets was not.")
    return tuple(said)


def _severe(best: Best) -> Iterator[str]:
    """The deflation takes every difference between parameter sets for luck; when most of it is none, say so."""
    found = scatter(best.table.daily_returns)
    if found is not None and found[0] > _MOSTLY_REAL * found[1]:
        yield (
            f"Their Sharpe ratios lie {found[0]:.1f} apart (standard deviation), though chance moves a single one by {found[1]:.1f} "
            "only: they differ mostly in what they do and pay. The deflation takes all of it for luck; it is severe here, which "
            "is the side to err on."
        )


def _alike(best: Best) -> Iterator[str]:
    count, simulated = different(best.table.daily_returns), len(best.table)
    if count < simulated:
        yield (
            f"Only {count:,} of {simulated:,} accounts differ; each counts as a trial all the same. "
            "Daily limit and breaker, for one, are off while sweeping."
        )


def _costs(best: Best) -> Iterator[str]:
    assumed = {name: best.table.values[best.row][name] for name in moving(best.table) if name.startswith("costs.")}
    if assumed:
        values = ", ".join(f"{name} = {label(value)}" for name, value in assumed.items())
        yield f"The best was chosen among assumptions on costs too, and has {values}: what trading costs is no choice."
