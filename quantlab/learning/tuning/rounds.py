"""A search in synchronous rounds, whose result depends on nothing but its inputs.

For every round of `round_size` trials:

1. a fresh sampler, seeded by (seed, name, round), proposes all of them from the finished rounds alone;
   trial 0 is the configuration itself;
2. they are evaluated together, by as many workers as there are; a trial may be given up early, compared
   with the best trial of *earlier* rounds only;
3. their results are recorded in the order of their numbers, and the round is written.

So neither the number of workers, nor which of them was first, nor a killed process can be seen in it.
TPE: Bergstra et al. 2011, "Algorithms for hyper-parameter optimization"; pruning by the signed-rank test
of Wilcoxon over the same steps of both trials; importance: PED-ANOVA, Watanabe et al. 2023.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.pruners import WilcoxonPruner
from optuna.samplers import TPESampler
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial

from quantlab.core.errors import ConfigError
from quantlab.core.fingerprint import fingerprint
from quantlab.core.ports import Stage
from quantlab.core.results import Trial, TuningStage
from quantlab.learning.tuning.space import Space
from quantlab.learning.tuning.store import RoundStore

optuna.logging.set_verbosity(optuna.logging.ERROR)

_STATES = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    # To the sampler both say: not there. Trials that failed it leaves out altogether.
    "infeasible": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}


@dataclass(frozen=True)
class Search:
    """Settings of one search.

    Parameters
    ----------
    name, objective : str
        See :class:`~quantlab.core.results.TuningStage`.
    maximise : bool
    space : Space
        At least one parameter.
    trials : int
        In all, >= 1.
    round_size : int
        Trials that are proposed together, whatever the number of workers.
    prune_below : float
        p-value below which a trial that is behind is given up; 0 = never.
    seed : int
    """

    name: str
    objective: str
    maximise: bool
    space: Space
    trials: int
    round_size: int
    prune_below: float
    seed: int


@dataclass(frozen=True)
class Outcome:
    """Result of a candidate.

    Parameters
    ----------
    value : float or None
        Finite; None if there is none.
    state : {"complete", "infeasible", "failed"}
    returns : tuple of float
    note : str
    """

    value: float | None
    state: str = "complete"
    returns: tuple[float, ...] = ()
    note: str = ""


@dataclass
class Candidate:
    """A proposed trial while it is evaluated.

    Parameters
    ----------
    number : int
    values : dict of parameter name to value
    optuna_trial : optuna.Trial
    steps : list of float
        Losses reported so far.
    pruned : bool
    """

    number: int
    values: dict[str, Any]
    optuna_trial: optuna.Trial
    steps: list[float] = field(default_factory=list)
    pruned: bool = False

    def report(self, losses: Sequence[float], *, last: bool) -> None:
        """Add losses; afterwards `pruned` says whether to give the trial up before its `last` ones."""
        for loss in losses:
            self.optuna_trial.report(loss, len(self.steps))
            self.steps.append(loss)
        self.pruned = not last and self.optuna_trial.should_prune()

    def to_trial(self, outcome: Outcome) -> Trial:
        """The trial that is kept."""
        outcome = Outcome(None, "pruned", note="behind the best of earlier rounds") if self.pruned else outcome
        return Trial(
            self.number, self.values, outcome.state, outcome.value, tuple(self.steps), outcome.returns, outcome.note
        )


Evaluate = Callable[[Sequence[Candidate]], Sequence[Outcome]]


def run_search(search: Search, evaluate: Evaluate, store: RoundStore, stage: Stage) -> TuningStage:
    """Run, or finish, a search.

    Parameters
    ----------
    search : Search
    evaluate : callable
        Gives the outcome of every candidate of a round, in order; whatever it raises ends the search.
    store : RoundStore
        Rounds that are there are not done again.
    stage : Stage
        Advanced by one per trial.

    Raises
    ------
    ConfigError
        If no trial has a value because all of them failed.
    ArtifactError
        If a stored round is damaged.
    """
    trials: tuple[Trial, ...] = ()
    for index in range(math.ceil(search.trials / search.round_size)):
        done = store.read(index)
        if done is None:
            candidates = propose(search, trials, index)
            outcomes = evaluate(candidates)
            done = tuple(one.to_trial(outcome) for one, outcome in zip(candidates, outcomes, strict=True))
            store.write(index, done)
        trials += done
        stage.set_remark(_best_value_text(search, trials))
        stage.advance(len(done))
    return TuningStage(
        name=search.name,
        objective=search.objective,
        maximise=search.maximise,
        trials=trials,
        best=best_trial(search, trials).number,
        importance=importance(search, trials),
    )


def propose(search: Search, trials: Sequence[Trial], index: int) -> list[Candidate]:
    """The candidates of round `index`: a pure function of the trials before it."""
    study = _study(search, trials, index)
    if index == 0:
        study.enqueue_trial({one.name: one.raw(one.configured) for one in search.space})
    distributions = {one.name: one.distribution for one in search.space}
    size = min(search.round_size, search.trials - len(trials))
    optuna_trial = [study.ask(distributions) for _ in range(size)]
    return [
        Candidate(one.number, {p.name: p.value(one.params[p.name]) for p in search.space}, one) for one in optuna_trial
    ]


def best_trial(search: Search, trials: Sequence[Trial]) -> Trial:
    """The complete trial with the best value, the earliest of equals; the configuration if none was eligible.

    Raises
    ------
    ConfigError
        If every trial failed.
    """
    complete = [(trial.value, trial) for trial in trials if trial.value is not None]
    if complete:
        sign = -1.0 if search.maximise else 1.0
        return min(complete, key=lambda pair: sign * pair[0])[1]
    if all(trial.state == "failed" for trial in trials):
        raise ConfigError(
            f"a trial of {search.name} that can be evaluated",
            found=f"{len(trials)} that failed, the first with: {trials[0].note}",
            fix="fix what it says, narrow learning.tuning, or set learning.tuning=null",
        )
    return trials[0]


def importance(search: Search, trials: Sequence[Trial]) -> dict[str, float]:
    """Shares of the objective's variation near its best values; empty where trials are too few or all alike."""
    values = {trial.value for trial in trials if trial.value is not None}
    if len(values) < 2 or len(search.space) < 2:
        return {}
    with _ignore_experimental_warnings():
        evaluator = PedAnovaImportanceEvaluator()
    found = get_param_importances(_study(search, trials, 0), evaluator=evaluator)
    total = sum(found.values())
    return {name: float(share) / total for name, share in found.items()} if total > 0.0 else {}


def _study(search: Search, trials: Sequence[Trial], index: int) -> optuna.Study:
    """A study in memory that knows exactly `trials`."""
    with _ignore_experimental_warnings():
        pruner = WilcoxonPruner(p_threshold=search.prune_below)
    study = optuna.create_study(
        direction=StudyDirection.MAXIMIZE if search.maximise else StudyDirection.MINIMIZE,
        sampler=TPESampler(seed=int(fingerprint(search.seed, search.name, index)[:8], 16), n_startup_trials=1),
        pruner=pruner,
    )
    study.add_trials([_frozen(search, trial) for trial in trials])
    return study


@contextmanager
def _ignore_experimental_warnings() -> Iterator[None]:
    """Optuna says of what the lock file pins that it may change."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield


def _frozen(search: Search, trial: Trial) -> optuna.trial.FrozenTrial:
    return create_trial(
        state=_STATES[trial.state],
        value=trial.value,
        params={one.name: one.raw(trial.values[one.name]) for one in search.space},
        distributions={one.name: one.distribution for one in search.space},
        intermediate_values=dict(enumerate(trial.steps)),
    )


def _best_value_text(search: Search, trials: Sequence[Trial]) -> str:
    values = [trial.value for trial in trials if trial.value is not None]
    if not values:
        return "no value yet"
    return f"best so far {max(values) if search.maximise else min(values):.5g}"
