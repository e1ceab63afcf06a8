"""Tuning in two stages, each of which looks only at what it may.

1. **Members** (``members``): hyper-parameters by inner-fold log loss, on rows before the first test window.
2. **Thresholds** (``thresholds``): the ensemble's thresholds by the after-cost Sharpe ratio on the cached out-of-sample
   forecasts; for every test window anew, on the tested rows before it. No member is fitted or asked again.

So every tested row is judged under values that were chosen on rows before it. How a search runs, and why its
result depends on neither workers nor crashes, stands in ``rounds``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from quantlab.core.checks import check_range, check_whole
from quantlab.core.errors import ConfigError
from quantlab.core.fingerprint import fingerprint
from quantlab.core.ports import Model, Progress, Stage
from quantlab.core.results import TuningStage
from quantlab.core.types import Dataset
from quantlab.learning.artifacts.code_versions import library_versions
from quantlab.learning.parallel.workers import Workers
from quantlab.learning.samples.splits import Fold
from quantlab.learning.tuning.members import OBJECTIVE, TuningRows, inner_folds, rows_before, tune_members
from quantlab.learning.tuning.rounds import Search, run_search
from quantlab.learning.tuning.simulated_trial import Simulate
from quantlab.learning.tuning.space import parse_space
from quantlab.learning.tuning.store import RoundStore
from quantlab.learning.tuning.thresholds import ThresholdTuning


@dataclass(frozen=True)
class MemberTuning:
    """Stage 1.

    Parameters
    ----------
    folds : int
        Inner folds, >= 1.
    test_share : float
        Share of the first training part, its newest rows, that the inner folds test on, in (0, 1).
    early_stopping_fraction : float
        Share of what lies before an inner fold's test, its newest rows, in (0, 1).
    prune_below : float
        p-value of the signed-rank test below which a trial is given up; 0 = never.
    searches : dict of member name to ``{trials, space}``
        Trials in all, >= 1, of which the first is the configuration itself, and a space for
        :func:`quantlab.learning.tuning.space.parse_space`. A member that is not named keeps its values.

    Raises
    ------
    ConfigError
        If a value is out of range.
    """

    folds: int
    test_share: float
    early_stopping_fraction: float
    prune_below: float
    searches: dict[str, dict[str, Any]]

    def __post_init__(self) -> None:
        check_whole("learning.tuning.members.folds", self.folds, low=1)
        for name in ("test_share", "early_stopping_fraction"):
            check_range(f"learning.tuning.members.{name}", getattr(self, name), low=0.01, high=0.99)
        check_range("learning.tuning.members.prune_below", self.prune_below, low=0.0, high=0.5)
        for name, node in self.searches.items():
            where = f"learning.tuning.members.searches.{name}"
            if set(node) != {"trials", "space"}:
                raise ConfigError(f"{where} with trials and space", found=", ".join(node), fix="write it so")
            check_whole(f"{where}.trials", node["trials"], low=1)


@dataclass(frozen=True)
class Tuning:
    """Both stages; either may be None.

    Parameters
    ----------
    round_size : int
        Trials that are proposed together, whatever the number of workers.
    seed : int
    members : MemberTuning or None
    thresholds : ThresholdTuning or None

    Raises
    ------
    ConfigError
        If a value is out of range.
    """

    round_size: int
    seed: int
    members: MemberTuning | None
    thresholds: ThresholdTuning | None

    def __post_init__(self) -> None:
        check_whole("learning.tuning.round_size", self.round_size, low=1)
        check_whole("learning.tuning.seed", self.seed, low=0)

    def member_searches(self, members: Mapping[str, Model]) -> dict[str, Search]:
        """Stage 1's searches, in the members' order.

        Raises
        ------
        ConfigError
            If a space names no member, or a parameter that its member has not.
        """
        rules = self.members
        if rules is None:
            return {}
        for name in rules.searches:
            if name not in members:
                raise ConfigError(
                    f"learning.tuning.members.searches of members ({', '.join(members)})",
                    found=name,
                    fix=f"add the member, or drop its search: ~learning.tuning.members.searches.{name}",
                )
        searches = {}
        for name, node in ((name, rules.searches[name]) for name in members if name in rules.searches):
            dimensions = parse_space(
                f"learning.tuning.members.searches.{name}.space", node["space"], _field_values(members[name])
            )
            if dimensions:
                searches[name] = self._search(name, OBJECTIVE, False, dimensions, node["trials"], rules.prune_below)
        return searches

    def tune_members(
        self,
        members: Mapping[str, Model],
        dataset: Dataset,
        first: Fold,
        *,
        context: str,
        cache_dir: Path,
        workers: Workers,
        progress: Progress,
    ) -> tuple[dict[str, Model], tuple[TuningStage, ...]]:
        """Copies of the members with the values that stage 1 chose, and its record.

        Parameters
        ----------
        members : dict of name to Model
        dataset : Dataset, (T, S)
        first : Fold
            The first of the walk: nothing from its test on is looked at.
        context : str
            sha256 over bars, features and labels.

        Raises
        ------
        HistoryError
            If the first training part is too short for the inner folds.
        ConfigError, ArtifactError, InstallationError
            See :func:`quantlab.learning.tuning.members.tune_members`.
        """
        rules, searches = self.members, self.member_searches(members)
        if rules is None or not searches:
            return dict(members), ()
        folds = inner_folds(first, rules.folds, rules.test_share, rules.early_stopping_fraction)
        tuning_rows = TuningRows(rows_before(dataset, first.test[0]), folds, context)
        stages = tune_members(searches, members, tuning_rows, cache_dir / "tuning", workers, progress)
        chosen = {stage.name: stage.chosen for stage in stages}
        return {name: _with_values(member, chosen.get(name, {})) for name, member in members.items()}, stages

    def threshold_search(self, configured: Mapping[str, Any], window: int) -> Search | None:
        """Stage 2's search for one test window; None if it is off.

        Parameters
        ----------
        configured : dict of dotted name to value
            Every threshold, as it is configured.
        window : int
            Counted from 1; the first has nothing before it to choose on.

        Raises
        ------
        ConfigError
            If the space names something else.
        """
        rules = self.thresholds
        if rules is None or not rules.space:
            return None
        dimensions = rules.dimensions(configured)
        # This name is a key of published files and the seed of the sampler: another one would change every search.
        return self._search(f"gates {window}", rules.objective, True, dimensions, rules.trials, 0.0)

    def tune_thresholds(
        self, search: Search, simulate: Simulate, *, context: str, cache_dir: Path, stage: Stage
    ) -> TuningStage:
        """Search the thresholds of one test window.

        Parameters
        ----------
        search : Search
            From :meth:`threshold_search`.
        simulate : callable
            On cached forecasts, and on no bar of the window or after it.
        context : str
            sha256 over everything that `simulate` depends on.
        stage : Stage
            Advanced by one per trial.

        Raises
        ------
        ConfigError
            If every trial failed.
        ArtifactError
            If a stored round is damaged.
        """
        rules = self.thresholds
        assert rules is not None  # noqa: S101 - there is a search
        key = fingerprint("thresholds", search, rules.min_trades, context, library_versions(), version("optuna"))
        evaluate = partial(rules.evaluate, simulate=simulate)
        return run_search(search, evaluate, RoundStore(cache_dir / "tuning" / key), stage)

    def _search(self, name: str, objective: str, maximise: bool, dimensions: Any, trials: int, prune: float) -> Search:
        return Search(name, objective, maximise, dimensions, trials, self.round_size, prune, self.seed)


def _field_values(member: Any) -> dict[str, Any]:
    return {field.name: getattr(member, field.name) for field in dataclasses.fields(member)}


def _with_values(member: Any, values: dict[str, Any]) -> Model:
    changed: Model = dataclasses.replace(member, **values)
    return changed
