"""The honesty bench: what it measures, that it can be stopped at any time, and that a market is its seed's alone."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf
from scipy.special import betaincinv

from quantlab.core.errors import ArtifactError, ConfigError
from quantlab.evaluation.verdict.rule import EDGE, NO_EDGE
from quantlab.jobs.config.composition import build, compose
from quantlab.jobs.honesty import honesty
from quantlab.jobs.honesty.honesty import run
from quantlab.jobs.honesty.market_verdict import SyntheticMarket, market_config, markets, measured_config
from quantlab.jobs.honesty.record import open_record, read_markets, shares
from quantlab.jobs.research.pipeline import setup

#: Markets of minutes of market and seconds of work, in which a verdict is possible and the edge is enormous.
TINY = (
    "experiment=honesty", "job=honesty", "debug=tiny", "data.days=17", "data.n_symbols=4", "data.late_listings=0",
    "job.edge=8", "job.markets=2", "job.first_seed=10500", "evaluation.min_days=5", "evaluation.min_trades=20",
    "evaluation.pbo_blocks=4", "evaluation.max_pbo=0.9", "workers=1",
)  # fmt: skip


def measure(folder: Path, *overrides: str) -> dict[str, Any]:
    """Run the job in this process; what ``honesty.json`` says then."""
    run(compose(*TINY, f"job.folder={folder}", *overrides))
    found: dict[str, Any] = json.loads((folder / "honesty.json").read_bytes())
    return found


def lines(folder: Path) -> list[dict[str, Any]]:
    """The finished markets without the time that they took."""
    return [{key: v for key, v in one.items() if key != "cpu_s"} for one in read_markets(folder / "worlds.jsonl")]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Two markets of each kind, measured in one go."""
    folder = tmp_path_factory.mktemp("sample") / "honesty"
    return folder, measure(folder)


def test_the_sample_finds_the_planted_edge_and_no_other(sample: tuple[Path, dict[str, Any]]) -> None:
    folder, found = sample
    assert {path.name for path in folder.iterdir()} == {"worlds.jsonl", "honesty.json", "config.yaml", "code.json"}
    assert found == {"no_edge": {"worlds": 2, "edge": 0}, "planted": {"worlds": 2, "edge": 2}}
    said = lines(folder)
    assert [(one["seed"], one["kind"]) for one in said] == [
        (10500, "no_edge"), (10500, "planted"), (10501, "no_edge"), (10501, "planted"),
    ]  # fmt: skip
    for one in said:
        assert (one["verdict"] == EDGE) == (one["kind"] == "planted")
        assert one["trials"] == 1
        assert set(one["members_auc"]) == {"lightgbm", "linear"}
        # The oracle of a market without an edge knows nothing and trades nothing.
        assert (one["oracle"]["sharpe"] > 0.0) == (one["kind"] == "planted")
    assert {one["oracle"]["auc"] for one in said if one["kind"] == "no_edge"} == {0.5}


def test_a_stopped_bench_goes_on_and_comes_to_the_same_record(
    sample: tuple[Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is finished is not measured again; what is measured again comes out the same."""
    folder, found = sample
    again = tmp_path / "honesty"
    again.mkdir()
    whole = (folder / "worlds.jsonl").read_text().splitlines(keepends=True)
    (again / "worlds.jsonl").write_text("".join(whole[:1] + whole[2:]))
    for name in ("config.yaml", "code.json"):
        (again / name).write_bytes((folder / name).read_bytes())
    asked = []

    def watched(call: tuple[dict[str, Any], SyntheticMarket]) -> dict[str, Any]:
        asked.append(call[1])
        return real(call)

    real = honesty.judge_market
    monkeypatch.setattr(honesty, "judge_market", watched)
    assert measure(again) == found
    assert asked == [SyntheticMarket("planted", 10500)]
    assert lines(again) == lines(folder)


@pytest.mark.slow
def test_two_processes_give_the_same_markets_as_one(sample: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, _ = sample
    measure(tmp_path / "honesty", "workers=2", "job.markets=1")
    assert lines(tmp_path / "honesty") == lines(folder)[:2]


def test_any_prefix_is_balanced_and_every_market_has_seeds_of_its_own() -> None:
    order = markets(7, 3)
    assert [(one.seed, one.kind) for one in order[:4]] == [
        (7, "no_edge"), (7, "planted"), (8, "no_edge"), (8, "planted"),
    ]  # fmt: skip
    cfg = compose(*TINY)
    none, planted = (market_config(cfg, one, "cache") for one in order[:2])
    assert (none.data.edge, planted.data.edge) == (0.0, 8.0)
    for one in (none, planted):
        seeds = {one.data.seed, one.evaluation.seed, one.learning.study.seed, one.learning.members.lightgbm.seed}
        assert seeds == {7}
    assert (build(none.data).history().ohlcv[0] == build(planted.data).history().ohlcv[0]).all()


def test_the_experiment_is_judged_like_ensemble_v2() -> None:
    """What is forecast, held, judged, paid and allowed is what ``ensemble_v2`` says; nothing was made easier."""
    ours, theirs = (compose(f"experiment={name}") for name in ("honesty", "ensemble_v2"))
    for node in (
        "barriers",
        "learning.labels",
        "learning.ensemble",
        "evaluation",
        "trading.policy",
        "trading.costs",
        "trading.limits",
        "trading.instrument",
        "cash",
    ):
        assert OmegaConf.select(ours, node) == OmegaConf.select(theirs, node), node
    assert {name: v for name, v in ours.data.items() if name != "days"} == {
        name: v for name, v in theirs.data.items() if name != "days"
    }
    assert setup(ours).thresholds is None  # one trial
    assert ours.data.days * 288 - ours.learning.splits.min_train_bars == 60 * 288
    assert ours.data.n_symbols == 10


def test_intervals_are_those_of_the_papers() -> None:
    """Wilson's by its formula, Clopper and Pearson's by the beta distribution's quantiles."""
    records = [{"kind": "planted", "verdict": EDGE if i < 33 else NO_EDGE} for i in range(40)]
    none, planted = shares(records, 0.95)
    assert (none.markets, none.edge, none.wilson, none.exact) == (0, 0, (0.0, 1.0), (0.0, 1.0))
    n, k, z = 40, 33, 1.959963984540054
    middle, half = (k / n + z * z / (2 * n)), z * (k / n * (1 - k / n) / n + z * z / (4 * n * n)) ** 0.5
    wilson = [(middle + sign * half) / (1 + z * z / n) for sign in (-1, 1)]
    assert planted.wilson == pytest.approx(wilson, abs=1e-12)
    exact = [betaincinv(k, n - k + 1, 0.025), betaincinv(k + 1, n - k, 0.975)]
    assert planted.exact == pytest.approx(exact, abs=1e-12)
    assert (planted.markets, planted.edge) == (40, 33)


def test_markets_of_another_configuration_do_not_join(tmp_path: Path) -> None:
    cfg = compose(*TINY)
    with open_record(tmp_path, measured_config(cfg), 0.95):
        (tmp_path / "worlds.jsonl").touch()
    other = compose(*TINY, "trading.costs.slippage_bps=1")
    with pytest.raises(ConfigError, match="another than in its"), open_record(tmp_path, measured_config(other), 0.95):
        pass
    elsewhere = compose(*TINY, "workers=2", "cache_dir=there", "runs_dir=there", "seed=99", "job.markets=9")
    with open_record(tmp_path, measured_config(elsewhere), 0.95) as record:
        assert record.records == []


@pytest.mark.parametrize("name", ["code.json", "config.yaml"])
def test_markets_of_other_or_unknown_code_do_not_join(tmp_path: Path, name: str) -> None:
    """An edited module may change a rule, so what it measures is another record."""
    cfg = compose(*TINY)
    with open_record(tmp_path, measured_config(cfg), 0.95):
        (tmp_path / "worlds.jsonl").touch()
    stated = (tmp_path / name).read_text()
    for other in (stated.replace("1", "2", 1), None):
        (tmp_path / name).unlink() if other is None else (tmp_path / name).write_text(other)
        with (
            pytest.raises(ConfigError, match=f"another than in its {name}"),
            open_record(tmp_path, measured_config(cfg), 0.95),
        ):
            pass
    (tmp_path / name).write_text(stated)
    with open_record(tmp_path, measured_config(cfg), 0.95) as record:
        assert record.records == []


def test_only_one_process_measures_in_a_folder(tmp_path: Path) -> None:
    cfg = compose(*TINY)
    with (
        open_record(tmp_path, measured_config(cfg), 0.95),
        pytest.raises(ConfigError, match="another process"),
        open_record(tmp_path, measured_config(cfg), 0.95),
    ):
        pass


@pytest.mark.parametrize(
    "text",
    ["{", "[]\n", '{"kind": "planted"}\n', '{"kind": "odd", "seed": 1, "verdict": "edge"}\n',
     '{"kind": "planted", "seed": 1, "verdict": "edge"}\n' * 2],
)  # fmt: skip
def test_a_damaged_record_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "worlds.jsonl"
    path.write_text(text)
    with pytest.raises(ArtifactError, match="one finished market"):
        read_markets(path)


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("job.edge=0", "job.edge above 0"),
        ("job.markets=0", "job.markets"),
        ("job.confidence=1.0", "job.confidence"),
        ("job.first_seed=-1", "job.first_seed"),
        ("data=parquet", "planted edge"),
    ],
)
def test_what_cannot_be_measured_is_refused_and_leaves_nothing(tmp_path: Path, option: str, said: str) -> None:
    options = [one for one in TINY if not (option == "data=parquet" and one.startswith("data."))]
    given = ["data.root=folder"] if option == "data=parquet" else []
    with pytest.raises(ConfigError, match=said):
        run(compose(*options, option, *given, f"job.folder={tmp_path / 'honesty'}"))
    assert not (tmp_path / "honesty").exists()


def test_the_published_record_is_whole(repository: Path) -> None:
    """The two counts are those of the lines; skipped until a record is there."""
    folder = repository / "experiments" / "honesty"
    if not os.path.lexists(folder / "honesty.json"):
        pytest.skip("no record in experiments/honesty: make honesty")
    found = json.loads((folder / "honesty.json").read_bytes())
    said = shares(read_markets(folder / "worlds.jsonl"), 0.95)
    assert found == {one.kind: {"worlds": one.markets, "edge": one.edge} for one in said}
