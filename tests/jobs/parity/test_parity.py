"""``job=parity``: zeros where nothing differs, a count where something does, and UNKNOWN where too little happened."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest

from quantlab.core.clock import iso_utc
from quantlab.core.errors import ArtifactError, ConfigError, ContractError
from quantlab.core.fakes import SilentProgress
from quantlab.core.market import BarState
from quantlab.core.types import Features
from quantlab.execution.session.paper_broker import PaperBroker
from quantlab.jobs.config.composition import compose
from quantlab.jobs.parity import parity
from quantlab.jobs.parity import validity as parity_validity
from quantlab.jobs.parity.account_record import AccountRecord, count_compared, count_differing
from quantlab.jobs.parity.cases import configured_case
from quantlab.jobs.parity.first_difference import Difference, earliest, first_differences
from quantlab.jobs.parity.recorded_signal import StreamRecord
from quantlab.jobs.parity.validity import CONDITIONS, count_holes, count_late_listings
from quantlab.jobs.promotion import promote
from quantlab.jobs.promotion.bundle import load_bundle
from quantlab.jobs.research import backtest
from quantlab.trading.lowlevel.layout import CASH

KINDS = {"orders", "fills", "risk_events", "equity_marks", "decisions", "features"}
#: Trades a lot, is stopped often, and falls into its daily limit.
BUSY = ("experiment=baseline", "trading/policy=ensemble_threshold", "trading.limits.daily_loss_limit=0.005")
UNRAGGED = ("job.needed.late_listings=0", "job.needed.holes=0")
SYNTHETIC = (*BUSY, "data.days=14", "data.n_symbols=4", "data.late_listings=2")
#: Four members that trade enough for a valid comparison; docs/parity.md shows what comes out.
WIDE = (
    "learning.tuning=null", "learning.net_steps=60", "learning.splits.n_folds=1", "learning.splits.min_train_bars=2880",
    "learning.ensemble.min_confidence=0.33", "learning.ensemble.min_gain_bps=0.0", "exits.stop_atr=1.2",
    "exits.take_profit_atr=2.0", "exits.horizon=12", "trading.limits.daily_loss_limit=0.01", "trading.limits.breaker=off",
)  # fmt: skip
MARKET = ("experiment=ensemble_v2", "data.days=24", "data.n_symbols=10", "data.late_listings=6", "data.edge=0.0")
SMALL = (*BUSY, "data.days=7", "data.n_symbols=2", "data.late_listings=0", *UNRAGGED)


def composed(folder, *overrides):
    return compose("job=parity", f"job.folder={folder}", f"cache_dir={folder}/cache", *overrides)


def document(folder):
    return json.loads((folder / "parity.json").read_text())


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """A short comparison that is about to be made: its configuration and its case."""
    cfg = composed(tmp_path_factory.mktemp("case"), *SMALL, "job.bars=300")
    return cfg, configured_case(cfg, SilentProgress())


def compare(cfg, case, folder):
    return parity.compare(cfg, case, folder, SilentProgress())


def test_a_session_on_the_synthetic_market_is_the_backtest(tmp_path):
    assert parity.run(composed(tmp_path, *SYNTHETIC)) == 0.0
    found = document(tmp_path)
    assert found["valid"] is True
    assert set(found["compared"]) == set(found["differing"]) == KINDS
    assert set(found["differing"].values()) == {0}
    assert all(type(n) is int for n in found["compared"].values())
    assert found["compared"]["fills"] >= 500
    assert found["validity"]["stops"]["found"] >= 20
    for name in ("halts", "holes", "late_listings"):
        assert found["validity"][name]["found"] >= 1
    assert found["compared"]["equity_marks"] == found["what"]["bars"]
    assert found["compared"]["decisions"] == found["what"]["bars"] * 4
    assert found["self_test"]["noticed"] is True
    assert sum(found["self_test"]["unmoved_differing"].values()) == 0
    assert sum(found["self_test"]["differing"].values()) > 0
    assert found["probabilities"]["not_bit_equal"] == found["probabilities"]["atr_not_bit_equal"] == 0
    assert list(tmp_path.glob(".partial-*")) == []


def test_a_session_on_ragged_real_data_is_the_backtest(tmp_path, perps_5m):
    given = (
        *BUSY,
        "data=parquet",
        f"data.root={perps_5m}",
        "data.folders=[ragged]",
        "data.symbols=[BTC,FTT,UMA,BABY]",
        "data.funding=partial",
        "history.start=2025-04-03",
        "history.end=2025-04-21",
    )
    assert parity.run(composed(tmp_path, *given)) == 0.0
    found = document(tmp_path)
    assert (found["valid"], found["verdict"]) == (True, "PASS")
    assert set(found["differing"].values()) == {0}
    assert found["what"]["synthetic"] is False
    assert found["validity"]["late_listings"]["found"] == 1  # BABY, on 2025-04-09
    assert found["validity"]["holes"]["found"] == 2  # FTT and UMA, on 2025-04-20


@pytest.mark.slow
def test_a_session_with_models_in_the_loop_computes_the_forecasts_of_history(tmp_path):
    given = ("experiment=ensemble_v2", "debug=tiny", "learning.tuning=null", "workers=1")
    given += ("job.needed.late_listings=0", "job.needed.holes=0")  # its market has neither in its test period
    with pytest.raises(ContractError, match="UNKNOWN: nothing differs"):
        parity.run(composed(tmp_path, *given))
    found = document(tmp_path)
    assert found["what"]["members"] == ["lightgbm", "nhits", "patchtst", "xgboost"]
    assert set(found["differing"].values()) == {0}
    assert found["compared"]["features"] > 100_000
    assert found["probabilities"]["within_tolerance"]
    assert found["compared"]["fills"] > 0


@pytest.mark.slow
def test_four_promoted_members_pass_where_everything_was_met(tmp_path):
    """The command of docs/parity.md: four learned members in a bundle, thresholds wide open, late listings in the test."""
    at = (f"runs_dir={tmp_path}/runs", f"cache_dir={tmp_path}/cache", f"registry_root={tmp_path}/models")
    backtest.run(compose("job=backtest", *MARKET, *WIDE, *at))
    (run,) = [path for path in (tmp_path / "runs" / "ensemble_v2").iterdir() if path.is_dir()]
    promote.run(compose("job=promote", f"run={run}", "job.name=wide", *at))
    assert parity.run(composed(tmp_path, *MARKET, f"bundle={tmp_path}/models/bundles/wide")) == 0.0
    found = document(tmp_path)
    assert (found["valid"], found["verdict"], found["what"]["bundle"]) == (True, "PASS", "wide")
    assert found["what"]["members"] == ["lightgbm", "nhits", "patchtst", "xgboost"]
    assert set(found["differing"].values()) == {0}
    assert found["compared"]["features"] > 500_000


def test_too_little_is_unknown_said_at_the_start_and_still_written(tmp_path, capsys):
    with pytest.raises(ContractError, match="UNKNOWN: nothing differs, but it met only"):
        parity.run(composed(tmp_path, *SMALL, "job.bars=50"))
    assert (
        "meets 38 of 500 fills, 9 of 20 stops, 0 of 1 halts: the comparison will be UNKNOWN" in capsys.readouterr().out
    )
    found = document(tmp_path)
    assert (found["valid"], found["equal"], found["verdict"]) == (False, True, "UNKNOWN")
    with pytest.raises(ConfigError, match=r"job\.bars"):
        parity.run(composed(tmp_path, *SMALL, "job.bars=0"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            ("trading/policy=from_signals",),
            r"\(stops\); found no stop on any of its .* trading/policy=ensemble_threshold",
        ),
        (("exits.stop_atr=null",), r"\(stops\); found no stop on any of its [\d,]+ entries"),
        (
            ("trading.limits.daily_loss_limit=off", "trading.limits.breaker=off"),
            r"\(halts\); found daily_loss_limit, .* off\. Switch one on: trading\.limits",
        ),
        (("data.late_listings=0",), r"\(late_listings\); found 0 symbols that begin later .* in the data"),
        (("job.bars=30",), r"\(holes, late_listings\); found 0 holes in the compared bars; 0 symbols"),
        (("job.needed.holes=1000",), r"\(holes\); found \d+ holes in the data"),
        (("trading/signal=random", "trading.signal.turnover=0"), r"\(fills\); found no fill"),
    ],
)
def test_what_can_never_be_met_is_refused_before_a_session(tmp_path, monkeypatch, given, message):
    """By name and with the option that changes it; without that need the same comparison is made."""
    monkeypatch.setattr(parity, "compare", lambda *_: pytest.fail("a session was run"))
    with pytest.raises(ConfigError, match=message):
        parity.run(composed(tmp_path, *SYNTHETIC, *given, f"job.folder={tmp_path}/new"))
    assert not (tmp_path / "new").exists()


def test_what_is_not_needed_is_not_asked_for(tmp_path):
    """The command that the refusal of the default strategy names goes through."""
    given = ("trading/policy=from_signals", "job.bars=200", *(f"job.needed.{name}=0" for name in CONDITIONS))
    assert parity.run(composed(tmp_path, *SYNTHETIC, *given)) == 0.0
    assert document(tmp_path)["verdict"] == "PASS"


def test_a_broker_that_keeps_another_account_is_noticed(case, tmp_path, monkeypatch):
    """A billionth of a dollar, once."""
    cfg, whole = case

    class Careless(PaperBroker):
        def sync(self, bar):
            super().sync(bar)
            if int(bar.open_time_ms[0]) == int(whole.bars.open_time_ms[-5]):
                self._account.state.account[CASH] += 1e-9

    honest = parity.paper_session(cfg)
    monkeypatch.setattr(parity, "paper_session", lambda _: dataclasses.replace(honest, make_broker=Careless))
    found = compare(cfg, whole, tmp_path)
    assert found["verdict"] == "FAIL"
    assert found["differing"]["equity_marks"] >= 5
    first = found["first_differing"]["equity_marks"]
    assert (first["time"], first["symbol"]) == (iso_utc(int(whole.bars.open_time_ms[-5])), None)
    assert (first["field"], round(first["session"] - first["backtest"], 8)) == ("cash", 0.0)
    assert first["session"] > first["backtest"]
    with pytest.raises(ContractError, match=r"differing equity marks.*; the first: equity marks, .*account: cash"):
        parity._require_pass(found)


def test_a_signal_that_history_did_not_give_is_noticed(case, tmp_path):
    cfg, whole = case
    signals = whole.study.signal
    side, proba = signals.side.copy(), signals.proba.copy()
    side[whole.first + 200, 1] *= -1
    side[whole.first + 200, 1] += side[whole.first + 200, 1] == 0
    proba[whole.first + 100, 0, 0] += 2e-6
    study = dataclasses.replace(whole.study, signal=dataclasses.replace(signals, side=side, proba=proba))
    found = compare(cfg, dataclasses.replace(whole, study=study), tmp_path)
    assert found["differing"]["decisions"] == 1
    at = {row: iso_utc(int(whole.bars.open_time_ms[row])) for row in (100, 200)}
    named = {kind: (one["time"], one["symbol"]) for kind, one in found["first_differing"].items() if kind != "earliest"}
    symbols = whole.bars.symbols
    assert named == {"decisions": (at[200], symbols[1]), "probabilities": (at[100], symbols[0])}
    assert found["first_differing"]["decisions"]["backtest"] == side[whole.first + 200, 1]
    assert found["first_differing"]["earliest"].startswith(f"probabilities, {at[100]}, {symbols[0]}: proba [")
    assert found["probabilities"]["not_bit_equal"] == 1
    assert math.isclose(found["probabilities"]["largest_difference"], 2e-6, rel_tol=1e-6)
    assert found["probabilities"]["within_tolerance"] is False
    assert found["verdict"] == "FAIL"
    # Given the session's own signal, its account is still the backtest's.
    assert {n for name, n in found["differing"].items() if name != "decisions"} == {0}


def test_a_comparison_that_does_not_see_the_moved_price_is_not_valid(case, tmp_path, monkeypatch):
    cfg, whole = case
    monkeypatch.setattr(parity_validity, "with_one_ulp_less", lambda bars, row, symbol: bars)
    found = compare(cfg, whole, tmp_path)
    assert found["self_test"]["noticed"] is False
    assert found["valid"] is False
    met = dataclasses.asdict(AccountRecord([], [], [], []))
    assert set(met) == KINDS - {"decisions", "features"}


def test_the_moved_price_is_the_next_double(case):
    _, whole = case
    moved = parity_validity.with_one_ulp_less(whole.bars, 7, 1)
    changed = np.argwhere(moved.ohlcv != whole.bars.ohlcv)
    assert changed.tolist() == [[7, 1, 3]]
    assert moved.ohlcv[7, 1, 3] == np.nextafter(whole.bars.ohlcv[7, 1, 3], 0.0)


def test_lines_are_matched_whatever_their_place():
    one = AccountRecord([(1, "A", 0.1), (2, "A", 0.2)], [], [(5, "breaker", 1.0, 2.0)], [(1, 0.0)])
    two = AccountRecord([(2, "A", 0.2), (1, "A", 0.1)], [(3, "B")], [], [(1, -0.0)])
    assert count_differing(one, one) == {"orders": 0, "fills": 0, "risk_events": 0, "equity_marks": 0}
    assert count_differing(one, two) == {"orders": 0, "fills": 1, "risk_events": 1, "equity_marks": 1}
    assert count_compared(one, two) == {"orders": 2, "fills": 1, "risk_events": 1, "equity_marks": 1}
    assert (
        count_differing(one, AccountRecord([(1, "A", math.nextafter(0.1, 1.0)), (2, "A", 0.2)], [], [], []))["orders"]
        == 1
    )
    assert one.until(1).orders == [(1, "A", 0.1)]


FILL = (300_000, 7, "ETH", 1, 2.0, 100.0, 0.1, "SIGNAL")
MARK = (300_000, 1e4, 1e4, 0.0, 0.0, 0.0, 1e4, (("BTC", 1.0, 2.0, 3.0), ("ETH", 1.0, 2.0, 3.0)))


def changed(line, place, value):
    return (*line[:place], value, *line[place + 1 :])


@pytest.mark.parametrize(
    ("kind", "ours", "theirs", "first"),
    [
        ("fills", [FILL], [changed(FILL, 5, 100.5)], ("ETH", "price", 100.0, 100.5)),
        ("fills", [FILL], [changed(FILL, 2, "BTC")], ("ETH", "line", list(FILL[1:]), None)),
        ("fills", [], [FILL], ("ETH", "line", None, list(FILL[1:]))),
        ("fills", [FILL, changed(FILL, 0, 900_000)], [FILL], ("ETH", "line", list(FILL[1:]), None)),
        ("risk_events", [(1, "breaker", 1.0, 2.0)], [(1, "breaker", 1.0, 2.5)], (None, "level", 2.0, 2.5)),
        ("equity_marks", [MARK], [changed(MARK, 3, -0.0)], (None, "gross", 0.0, -0.0)),
        (
            "equity_marks",
            [MARK],
            [changed(MARK, 7, (MARK[7][0], ("ETH", 1.0, 2.0, 3.5)))],
            ("ETH", "mark", 3.0, 3.5),
        ),
        ("equity_marks", [MARK], [changed(MARK, 7, MARK[7][1:])], ("BTC", "position", [1.0, 2.0, 3.0], None)),
    ],
)
def test_the_first_line_that_differs_is_named(kind, ours, theirs, first):
    empty = AccountRecord([], [], [], [])
    found = first_differences(dataclasses.replace(empty, **{kind: ours}), dataclasses.replace(empty, **{kind: theirs}))
    (one,) = found.values()
    assert (one.symbol, one.field, one.session, one.backtest) == first
    assert (
        first_differences(dataclasses.replace(empty, **{kind: ours}), dataclasses.replace(empty, **{kind: ours})) == {}
    )


def test_of_several_kinds_the_earliest_bar_is_named_and_then_the_cause():
    one, late = Difference(2, "A", "side", 1, 0), Difference(3, "B", "price", 1.0, 2.0)
    assert earliest({"fills": late, "equity_marks": one, "decisions": one}) == ("decisions", one)
    assert earliest({"fills": one, "decisions": late}) == ("fills", one)
    assert earliest({}) is None


def test_a_feature_that_is_off_by_one_bit_is_counted():
    times = 300_000 * np.arange(3, dtype=np.int64)
    values = np.ones((3, 2, 4), dtype=np.float32)
    ready = np.array([[True, True], [True, False], [True, True]])
    history = Features(values, ready, tuple("abcd"), "f")
    session_values = values.copy()
    session_values[2, 1, 3] = np.nextafter(np.float32(1.0), np.float32(2.0))
    stream_record = StreamRecord(history, times)
    for t in range(3):
        row = Features(session_values[t : t + 1], ready[t : t + 1], history.names, "f")
        stream_record.add(int(times[t]), None, row)  # type: ignore[arg-type]
    assert (stream_record.compared, stream_record.differing) == (20, 1)
    assert stream_record.first_differing == (2, 1, "d", float(session_values[2, 1, 3]), 1.0)
    late = StreamRecord(history, times)
    late.add(0, None, Features(values[:1], ready[1:2], history.names, "f"))  # type: ignore[arg-type]
    assert late.differing == 4  # a symbol that is ready on one side only
    with pytest.raises(ContractError):
        late.add(900_000, None, Features(values[:1], ready[1:2], history.names, "f"))  # type: ignore[arg-type]


def test_holes_and_listings_are_counted_where_they_are(random_bars):
    bars = random_bars(n_bars=20, n_symbols=4)
    state = bars.state.copy()
    state[:5, 0] = BarState.ABSENT  # lists on row 5
    state[8:10, 1] = BarState.FILLED  # a hole
    state[12:, 2] = BarState.ABSENT  # delisted: no hole
    state[15:18, 3] = BarState.FILLED
    state[18, 3] = BarState.ABSENT  # one hole, not two
    bars = dataclasses.replace(bars, state=state)
    assert count_holes(bars, 0, 20) == 2
    assert count_holes(bars, 9, 20) == 1
    assert count_late_listings(bars, 0, 20) == 1
    assert count_late_listings(bars, 5, 20) == 0
    assert count_late_listings(bars, 0, 5) == 0


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """A bundle without members, and where it was made."""
    folder = tmp_path_factory.mktemp("bundle")
    at = (f"runs_dir={folder}/runs", f"cache_dir={folder}/cache", f"registry_root={folder}/models")
    backtest.run(compose("job=backtest", *SYNTHETIC, "evaluation/stress@stress=none", "cash=20000", *at))
    (run,) = [path for path in (folder / "runs" / "baseline").iterdir() if path.is_dir()]
    promote.run(compose("job=promote", f"run={run}", "job.name=tested", *at))
    return folder / "models" / "bundles" / "tested"


def test_what_is_promoted_is_what_was_tested(bundle, tmp_path, monkeypatch):
    """One object goes through both: the bundle's, whatever the configuration beside it says."""
    used = []
    monkeypatch.setattr(parity, "load_bundle", lambda *asked: used.append(load_bundle(*asked)) or used[-1])
    cfg = composed(tmp_path, "experiment=baseline", *SYNTHETIC[3:], f"bundle={bundle}")
    cfg.cash = 555  # typed, it would be refused
    cfg.trading.limits.daily_loss_limit = 0.02
    assert parity.run(cfg) == 0.0
    found = document(tmp_path)
    (loaded,) = used
    assert (found["verdict"], found["what"]["bundle"]) == ("PASS", "tested")
    assert found["what"]["strategy"] == loaded.strategy.fingerprint == loaded.manifest["strategy_fingerprint"]
    assert set(found["differing"].values()) == {0}
    assert found["self_test"]["noticed"] is True
    assert found["what"]["first"] == loaded.manifest["period"]["first"]
    assert found["what"]["last"] == loaded.manifest["period"]["last"]


def test_a_run_is_no_bundle(tmp_path):
    with pytest.raises(ConfigError, match="Promote it and give bundle="):
        parity.run(composed(tmp_path, "run=runs/baseline/x"))
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_is_not_compared_on_other_data_or_damaged(bundle, tmp_path):
    given = ("experiment=baseline", f"bundle={bundle}")
    with pytest.raises(ContractError, match="the bars that tested was tested on"):
        parity.run(composed(tmp_path, *given, *SYNTHETIC[3:], "data.seed=8"))
    with pytest.raises(ContractError, match="in the bundle"):
        parity.run(composed(tmp_path, *given, "data.days=14", "data.n_symbols=5", "data.late_listings=2"))
    config = bundle / "config.json"
    whole = config.read_bytes()
    config.write_bytes(whole.replace(b"0.005", b"0.006", 1))
    with pytest.raises(ArtifactError, match=r"config\.json altered"):
        parity.run(composed(tmp_path, *given, *SYNTHETIC[3:]))
    config.write_bytes(whole)
    assert not (tmp_path / "parity.json").exists()
