"""``job=retrain``: register, compare on what neither has seen, promote only what is better."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from quantlab.core.errors import ConfigError
from quantlab.jobs.config.composition import build, compose
from quantlab.jobs.promotion import retrain
from quantlab.learning.ensemble.thresholds import Thresholds
from quantlab.learning.registry import inspection as registry_module
from quantlab.learning.registry.manifest import ensemble_of
from quantlab.learning.registry.store import Registry

TREES = (
    "job=retrain", "experiment=ensemble_v2", "debug=tiny", "learning.tuning=null", "workers=1",
    "~learning.members.nhits", "~learning.members.patchtst", "job.test.min_days=3", "job.test.resamples=200",
    "learning.members.xgboost.max_rounds=5", "learning.members.lightgbm.max_rounds=5",
)  # fmt: skip
EARLIER, LATER = "history.end=2025-02-20", "history.end=2025-03-01"


@pytest.fixture
def retrained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """``job=retrain`` in this process; its exit code."""
    monkeypatch.setattr(registry_module, "prove", lambda *_: None)
    clock = "learning.registry.clock={_target_: quantlab.core.clock.FakeClock, time_ms: %d}"
    calls = []

    def call(*more: str) -> int:
        calls.append(more)
        folders = (f"cache_dir={tmp_path / '.cache'}", f"registry_root={tmp_path / 'models'}")
        stamp = clock % (1_742_126_400_000 + 60_000 * len(calls))
        try:
            retrain.run(compose(*TREES, *folders, "~learning.registry.clock", f"+{stamp}", *more))
        except SystemExit as done:
            return int(str(done.code))
        return 0

    return call


def registry_of(folder: Path) -> Registry:
    found: Registry = build(compose(f"registry_root={folder / 'models'}").learning.registry)
    return found


def log_of(folder: Path) -> list[tuple[str, str]]:
    return [(record.event, record.reason) for record in registry_of(folder).history().records]


def test_from_nothing_to_an_override_to_a_fair_comparison(
    tmp_path: Path, retrained: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert retrained(EARLIER) == retrain.EXIT_REGISTERED_ONLY
    assert "there is no active version" in capsys.readouterr().out
    registry = registry_of(tmp_path)
    assert len(registry.versions()) == 2
    assert registry.active() == {}
    assert log_of(tmp_path)[-1] == ("compare", "there is no active version")

    assert retrained(EARLIER, "job.promote=force", "job.reason=the first one") == 0
    first = registry.active()
    assert len(first) == 2
    assert log_of(tmp_path)[-1][1] == "retrain: forced (the first one); there is no active version"
    drift = registry.drift(first["xgboost"])
    assert drift is not None
    assert drift.rows > 1_000

    assert retrained(EARLIER) == retrain.EXIT_REGISTERED_ONLY
    event, reason = log_of(tmp_path)[-1]
    assert event == "compare"
    assert "improvement +0.00000" in reason, "the same members on the same rows are no better"

    code = retrained(LATER)
    event, reason = log_of(tmp_path)[-1] if code else log_of(tmp_path)[-2]
    assert event == "compare"
    assert "lower bound" in reason
    assert (registry.active() != first) == (code == 0), "promoted if and only if better"
    assert ("lower bound +" in reason) == (code == 0)
    assert retrained(LATER, "job.promote=never") == retrain.EXIT_REGISTERED_ONLY


def thresholds_of(registry: Registry, version: str) -> Thresholds:
    return ensemble_of(registry.describe(version)["ensemble"]).rules.thresholds


def test_a_candidate_has_the_gates_of_what_serves_unless_the_configured_ones_are_asked_for(
    tmp_path: Path, retrained: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    """As they were before, say by tuning: the comparison of probabilities does not touch them."""
    tuned = (
        "learning.ensemble.min_confidence=0.41",
        "learning.ensemble.min_gain_bps=7.5",
        "learning.ensemble.quorum=1",
    )
    retrained(EARLIER, "job.promote=force", "job.reason=tuned", *tuned)
    assert "as configured" in capsys.readouterr().out
    registry = registry_of(tmp_path)
    first = registry.active()["xgboost"]
    assert thresholds_of(registry, first) == Thresholds(0.41, 0.5, 1, 7.5)

    assert retrained(EARLIER, "learning.ensemble.min_consensus=0.7") == retrain.EXIT_REGISTERED_ONLY
    said = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "min_consensus 0.5 (configured: 0.7)" in said
    assert thresholds_of(registry, registry.versions()[-1]) == Thresholds(0.41, 0.5, 1, 7.5)

    assert retrained(EARLIER, "job.thresholds=configured") == retrain.EXIT_REGISTERED_ONLY
    assert thresholds_of(registry, registry.versions()[-1]) == Thresholds(0.33, 0.5, 2, 0.0)

    damaged = next((registry.folder / first).rglob("model.*"))
    damaged.write_bytes(damaged.read_bytes() + b" ")
    assert retrained(EARLIER) == retrain.EXIT_REGISTERED_ONLY
    assert thresholds_of(registry, registry.versions()[-1]) == Thresholds(0.33, 0.5, 2, 0.0)
    assert registry.active() == {}


def test_fewer_members_than_the_quorum_of_what_serves_are_refused_before_anything(
    tmp_path: Path, retrained: Callable[..., int]
) -> None:
    retrained(EARLIER, "job.promote=force", "job.reason=two")
    with pytest.raises(ConfigError, match="at least 2 members, the quorum of what serves"):
        retrained(
            EARLIER, "~learning.members.lightgbm", "learning.ensemble.quorum=1", "learning.ensemble.max_weight=1.0"
        )


def test_rows_that_the_active_ensemble_was_fitted_on_are_not_compared(
    tmp_path: Path, retrained: Callable[..., int]
) -> None:
    """The active members are newer than the candidate's whole test window."""
    retrained(LATER, "job.promote=force", "job.reason=newer")
    active = registry_of(tmp_path).active()
    assert retrained("history.end=2025-02-15") == retrain.EXIT_REGISTERED_ONLY
    assert "not compared" in log_of(tmp_path)[-1][1]
    assert "up to which the active ensemble was fitted" in log_of(tmp_path)[-1][1]
    assert retrained(LATER, "job.test.min_days=50") == retrain.EXIT_REGISTERED_ONLY
    assert "at least 50 days" in log_of(tmp_path)[-1][1]
    assert registry_of(tmp_path).active() == active


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("job.promote=force", "a reason"),
        ("job.promote=perhaps", "if_better, never, force"),
        ("job.thresholds=mine", "active, configured"),
        ("experiment=baseline", "a signal that is learned"),
    ],
)
def test_a_request_that_cannot_end_well_is_refused_before_anything(tmp_path: Path, override: str, words: str) -> None:
    overrides = (
        ("job=retrain", "experiment=ensemble_v2", override)
        if "experiment" not in override
        else ("job=retrain", override)
    )
    with pytest.raises(ConfigError, match=words):
        retrain.run(compose(*overrides, f"registry_root={tmp_path / 'models'}", f"cache_dir={tmp_path / '.cache'}"))
    assert list(tmp_path.iterdir()) == []
