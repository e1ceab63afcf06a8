"""The gates: evidence from a journal alone, PASS, FAIL and UNKNOWN of each, and what blocks."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from quantlab.core.errors import ArtifactError, ConfigError, ContractError
from quantlab.core.events import Event
from quantlab.core.market import BarState
from quantlab.core.results import OrderReason
from quantlab.evaluation.statistics.blind_entries import blind_stop_share
from quantlab.execution.readiness.gates import GATES, GateLimits
from quantlab.execution.readiness.stages import Readiness, Stage
from quantlab.execution.readiness.window import Window, read_windows
from quantlab.jobs.config.composition import build, compose
from quantlab.jobs.session import paper, readiness

BARRIERS = {"take_profit_atr": 2.0, "stop_atr": 1.2, "horizon": 12}
LIMITS = GateLimits(
    consensus_rate=0.7,
    mean_confidence=0.6,
    buy_share=(0.3, 0.7),
    min_signals=10,
    stop_standard_errors=2.0,
    min_exits=5,
    daily_drawdown=0.05,
    pnl=0.0,
)


@pytest.fixture
def recorded(session_parts):
    """A journal of 400 bars with stops, halts and barriers, and the session's parts."""
    place = session_parts(1)
    with place.journal() as journal:
        session = place.session(journal)
        session.start()
        journal.append([Event("terms", {"barriers": BARRIERS})])
        session.run()
        session.finish("the feed ended")
    return place


def journal_of(place):
    return place.folder / "journal.db"


def bar_facts(**changes):
    bar = {"predictions": 4, "decisions": 4, "agreed": 3, "confidence_sum": 2.5, "buy": 2, "sell": 2, **changes}
    return {
        "signal": bar,
        "day": {"utc": "2025-01-01", "drawdown": 0.01},
        "account": {"equity": 100.0},
        "fills": [],
        "positions": [],
        "halts": [],
    }


def window(*facts, random_bars, **changes):
    bars = random_bars(n_bars=max(1, len(facts)), n_symbols=4)
    parts = {
        "required_bars": len(facts),
        "has_begun": True,
        "counters": {"event.bar": len(facts)},
        "barriers": BARRIERS,
        "facts": facts,
        "observed": tuple({"lag_ms": 0, "bar_gate": {}} for _ in facts),
        "bars": bars if facts else None,
        "atr": np.ones(bars.state.shape),
        **changes,
    }
    return Window(**parts)


def test_the_window_is_what_was_traded(recorded):
    (found,) = read_windows(journal_of(recorded), [(60 * 24, None)])
    assert found.complete
    assert len(found.facts) == found.required_bars == 288
    bars = recorded.bars.rows(112, 400)
    assert np.array_equal(found.bars.open_time_ms, bars.open_time_ms)
    assert np.array_equal(found.bars.tradable, bars.tradable)
    traded = bars.state < BarState.FILLED
    assert np.array_equal(found.bars.ohlcv[traded], bars.ohlcv[traded])
    assert np.array_equal(found.atr, recorded.signal.atr[112:], equal_nan=True)
    blind = blind_stop_share(bars, np.ascontiguousarray(recorded.signal.atr[112:]), **BARRIERS)
    evidence = GATES["stop_hits"](found, LIMITS).evidence
    assert f"of blind entries {blind:.1%}" in evidence


def test_exits_are_counted_as_the_fills_make_them(recorded):
    (found,) = read_windows(journal_of(recorded), [(60 * 24, None)])
    fills = [fill for bar in found.facts[1:] for fill in bar["fills"]]
    stops = sum(fill["reason"] == OrderReason.STOP.name for fill in fills)
    exits_for_sure = sum(fill["reason"] != OrderReason.SIGNAL.name for fill in fills)
    evidence = GATES["stop_hits"](found, LIMITS).evidence.split()
    assert int(evidence[0]) == stops > 5
    assert int(evidence[2]) >= exits_for_sure


def step(fraction=0.1, venue="somewhere"):
    return {"fraction": fraction, "before": None, "venue": venue, "at_ms": 0}


def reading(*alerts, rows=5_000):
    features = [{"feature": "rsi_14", "psi": 0.5, "ks": 0.3, "level": "alert" if alerts else "stable"}]
    return {"rows": rows, "bars": 288, "min_rows": 2_016, "alerts": list(alerts), "features": features}


def test_drift_is_unknown_with_few_rows_and_no_question_where_nothing_was_learned(random_bars):
    for changes, status, evidence in (
        ({"drift": reading("rsi_14", rows=2_015)}, "UNKNOWN", "2,015 rows of 288 bars so far, 2,016 are needed"),
        ({"drift": reading("rsi_14", rows=1_152)}, "UNKNOWN", "some 504 bars"),
        ({"drift": reading("rsi_14", rows=0)}, "UNKNOWN", "0 rows of 288 bars so far"),
        ({"learned": True}, "UNKNOWN", "no reading"),
        ({"learned": False}, "PASS", "nothing was learned"),
    ):
        found = GATES["feature_drift"](window(bar_facts(), random_bars=random_bars, **changes), LIMITS)
        assert (found.status, evidence in found.evidence) == (status, True), found


def test_every_gate_passes_fails_and_does_not_know(random_bars):
    lost = [bar_facts(), {**bar_facts(), "account": {"equity": 99.0}}]
    fallen = {**bar_facts(), "day": {"utc": "2025-01-01", "drawdown": 0.05}}
    cases = {
        "feature_mismatches": (
            ([bar_facts()], {}),
            ([bar_facts()], {"counters": {"event.feature_mismatch": 1}}),
            ([], {}),
        ),
        "model_load_failures": (([bar_facts()], {}), ([], {"counters": {"event.model_load_failure": 1}}), ([], {})),
        "predictions": (
            ([bar_facts()], {}),
            ([bar_facts(), bar_facts(predictions=0)], {}),
            ([bar_facts(predictions=0)], {}),
        ),
        "consensus_rate": (([bar_facts()], {}), ([bar_facts(agreed=2)], {}), ([bar_facts(decisions=0)], {})),
        "mean_confidence": (([bar_facts()], {}), ([bar_facts(confidence_sum=1.5)], {}), ([bar_facts(decisions=0)], {})),
        "balance": (([bar_facts(buy=5, sell=6)], {}), ([bar_facts(buy=9, sell=1)], {}), ([bar_facts()], {})),
        "feature_drift": (
            ([bar_facts()], {"drift": reading()}),
            ([bar_facts()], {"drift": reading("rsi_14")}),
            ([bar_facts()], {}),
        ),
        "daily_drawdown": (([bar_facts()], {}), ([bar_facts(), fallen], {}), ([], {})),
        "pnl": (([bar_facts(), bar_facts()], {}), (lost, {}), ([], {})),
        "rollout": (
            ([], {"rollouts": (step(),)}),
            ([], {"rollouts": (step(), step(venue="paper"))}),
            ([bar_facts()], {}),
        ),
    }
    for gate, given in cases.items():
        for status, (facts, changes) in zip(("PASS", "FAIL", "UNKNOWN"), given, strict=True):
            found = GATES[gate](window(*facts, random_bars=random_bars, **changes), LIMITS)
            assert found.status == status, (gate, found)
            assert found.evidence
    assert set(cases) | {"stop_hits"} == set(GATES)


def test_a_bar_that_did_not_arrive_is_a_gap(random_bars):
    seen = {"lag_ms": 0, "bar_gate": {"missing": 1}}
    found = GATES["predictions"](window(bar_facts(), random_bars=random_bars, observed=(seen,)), LIMITS)
    assert found.status == "FAIL"


def test_a_bar_that_came_too_late_to_enter_on_is_a_gap(random_bars):
    """Bars that a session catches up with are no evidence of a day that it watched."""
    late, halted = {**bar_facts(), "halts": ["feed"]}, {**bar_facts(), "halts": ["daily"]}
    found = GATES["predictions"](window(bar_facts(), late, halted, random_bars=random_bars), LIMITS)
    assert found.status == "FAIL"
    assert "too late to enter on: 1" in found.evidence
    assert GATES["predictions"](window(bar_facts(), halted, random_bars=random_bars), LIMITS).status == "PASS"


def test_stops_are_held_against_blind_entries(random_bars):
    def traded(reason):
        entry = {"symbol": "A", "side": 1, "units": 0.3, "reason": "SIGNAL"}
        return {**bar_facts(), "fills": [entry, {**entry, "side": -1, "reason": reason}]}

    def found(facts, **changes):
        return GATES["stop_hits"](window(bar_facts(), *facts, random_bars=random_bars, **changes), LIMITS)

    stopped, taken = [traded("STOP")] * 40, [traded("TAKE_PROFIT")] * 40
    assert found(taken).status == "PASS"
    assert found(taken).value == 0.0
    assert found(stopped).status == "FAIL"
    assert found(stopped).value == 1.0
    assert found(stopped[:4]).status == "UNKNOWN"
    assert found(stopped, barriers=None).status == "UNKNOWN"


def gates(**stages):
    return Readiness(
        LIMITS, ("feature_mismatches",), stages or {"one": Stage("one", 60, ("feature_mismatches", "pnl"))}
    )


def test_unknown_blocks_and_a_failure_only_where_it_is_named(recorded):
    (stage,) = gates().assess(journal_of(recorded))
    status = {result.gate: (result.status, result.blocks) for result in stage.results}
    assert status["feature_mismatches"] == ("PASS", False)
    assert status["pnl"][1] is False
    assert stage.passed
    (longer,) = gates(one=Stage("one", 60 * 48, ("feature_mismatches",))).assess(journal_of(recorded))
    assert [(result.status, result.blocks) for result in longer.results] == [("UNKNOWN", True)]
    assert "2,000 of 2,880 minutes recorded" in longer.results[0].evidence
    with recorded.journal() as journal:
        journal.append([Event("feature_mismatch", {"error": "x", "at_ms": 0})])
    (failed,) = gates().assess(journal_of(recorded))
    assert {r.gate: r.blocks for r in failed.results}["feature_mismatches"]
    assert not failed.passed
    json.dumps(failed.document(), allow_nan=False)


def test_a_stage_is_reached_only_behind_those_before_it(recorded):
    short = Stage("one", 60, ("feature_mismatches",))
    production = dataclasses.replace(short, since="on_a_venue")
    first, second = gates(production=production, after=short).assess(journal_of(recorded))
    assert first.results[0].status == "UNKNOWN"
    assert not first.passed
    assert (second.reached, second.passed) == (False, False)
    with recorded.journal() as journal:
        journal.append([Event("on_a_venue", {})])
    assert not gates(production=production).assess(journal_of(recorded))[0].passed  # no bar behind it yet
    asked = gates(production=production, after=short)
    (alone,) = asked.assess(journal_of(recorded), ["after"])
    assert (alone.name, alone.reached, alone.passed) == ("after", False, False)
    assert alone == asked.assess(journal_of(recorded))[1]


def test_too_little_time_is_never_enough_even_where_every_gate_fails_without_blocking(recorded):
    """A gate that says FAIL and does not block says nothing for the time that was not recorded."""
    lost = Readiness(dataclasses.replace(LIMITS, pnl=10.0), (), {"one": Stage("one", 60 * 48, ("pnl",))})
    (stage,) = lost.assess(journal_of(recorded))
    assert [(result.status, result.blocks) for result in stage.results] == [("FAIL", True)]
    assert "2,000 of 2,880 minutes recorded" in stage.results[0].evidence
    assert not stage.passed


def test_what_cannot_be_judged_is_refused(recorded, tmp_path):
    with pytest.raises(ConfigError, match="a session's journal"):
        gates().assess(tmp_path / "nothing.db")
    with pytest.raises(ConfigError, match="a stage, one of one"):
        gates().assess(journal_of(recorded), ["two"])
    with pytest.raises(ConfigError, match="'bogus'"):
        Stage("one", 60, ("bogus",))
    with pytest.raises(ConfigError, match="blocking"):
        Readiness(LIMITS, ("bogus",), gates().stages)
    data = bytearray(journal_of(recorded).read_bytes())
    at = data.find(b'"drawdown"', len(data) // 2)
    data[at + 3] ^= 1
    journal_of(recorded).write_bytes(bytes(data))
    with pytest.raises(ArtifactError):
        gates().assess(journal_of(recorded))


def test_a_paper_day_ends_in_its_report(tmp_path, capsys):
    given = ("experiment=baseline", "trading/policy=ensemble_threshold", "data.days=7", "data.n_symbols=2")
    folder = (*given, "data.late_listings=0", f"job.folder={tmp_path}/paper")
    paper.run(compose("job=paper", *folder, "execution.feed.start=2025-01-06T08:00:00", "job.bars=288"))
    assert "24-hour paper" in capsys.readouterr().out
    (stage,) = json.loads((tmp_path / "paper" / "gates.json").read_text()).values()
    assert stage["recorded_minutes"] == 1440.0
    assert {result["gate"] for result in stage["results"]} == set(GATES) - {"rollout"}
    assert {result["status"] for result in stage["results"]} <= {"PASS", "FAIL"}
    cfg = compose("job=readiness", *folder)
    readiness.run(cfg)
    shown = json.loads((tmp_path / "paper" / "readiness.json").read_text())
    assert list(shown) == ["monitoring_1h", "paper_24h", "production"] == list(build(cfg.execution.gates).stages)
    assert shown["production"]["passed"] is False
    assert shown["production"]["recorded_minutes"] == 1440.0  # the session's own entry is where it begins to count
    (fact,) = (result for result in shown["production"]["results"] if result["gate"] == "rollout")
    assert (fact["status"], fact["blocks"], fact["value"]) == ("FAIL", True, 1.0)
    assert "100% of every target" in fact["evidence"]
    assert "2025-01-06T08:00:00Z, venue paper: fills were simulated" in fact["evidence"]
    with pytest.raises(ContractError, match="'production' passed"):
        readiness.run(compose("job=readiness", *folder, "job.stage=production"))
