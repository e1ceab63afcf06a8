"""Runs side by side, held against their own metrics.json and against hand-made differences."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from quantlab.core.errors import ConfigError
from quantlab.core.fakes import SilentProgress
from quantlab.jobs.config.composition import compose
from quantlab.jobs.research import backtest
from quantlab.jobs.runs import compare
from quantlab.jobs.runs.comparison import compare_runs, evidence_path, on_bars
from quantlab.jobs.runs.comparison_page import comparison_page
from quantlab.jobs.runs.stored_run import open_stored
from quantlab.research import experiment

OTHER = "trading.costs.slippage_bps"


@pytest.fixture(scope="module")
def shorter(folder: Path, places: Callable[[Path], tuple[str, ...]]) -> Path:
    """A run over the newer half of the same bars."""
    path = folder / "shorter"
    backtest.run(experiment(*places(path), "history.bars=2200", progress=SilentProgress()).cfg)
    return next((path / "runs" / "baseline").iterdir())


def test_settings_and_numbers_are_the_runs_own(first: Path, other: Path) -> None:
    found = compare_runs([open_stored(first), open_stored(other)])
    assert {row.name: row.values for row in found.settings} == {OTHER: ("2.0", "9")}
    documents = [json.loads((path / "metrics.json").read_text()) for path in (first, other)]
    rows = {row.name: row for row in found.numbers}
    for part, name in (("evidence", "sharpe"), ("judgement", "dsr"), ("lived", "max_drawdown"), ("evidence", "trades")):
        values = tuple(document[part][name] for document in documents)
        assert rows[f"{part} {name}"].values == values
        assert rows[f"{part} {name}"].differences == (values[1] - values[0],)
    assert rows["evidence costs"].differences[0] > 0
    assert found.common == ()
    assert [note for note in found.notes if "different" in note or "same" in note] == []
    (paired,) = found.notes
    assert paired.startswith("second minus first, paired by day over 4 days: mean daily return -")
    mine, theirs = (open_stored(path).equity["evidence_equity"].to_numpy() for path in (first, other))
    assert np.array_equal(mine, evidence_path(open_stored(first)).equity)
    assert mine[-1] > theirs[-1]


def test_a_run_beside_its_copy_is_said_to_be_the_same(first: Path, copied: Path) -> None:
    twin = copied.rename(copied.with_name("20990101_000000_000-00000000"))
    notes = compare_runs([open_stored(first), open_stored(twin)]).notes
    assert notes == (
        f"baseline/{first.name} and baseline/{twin.name} are the same run: metrics, orders and equity are equal byte by byte",
    )
    assert compare_runs([open_stored(first)] * 2).notes == (
        f"baseline/{first.name} and baseline/{first.name} are one and the same folder",
    )


def test_other_bars_are_said_and_the_common_ones_compared(first: Path, shorter: Path) -> None:
    long, short = open_stored(first), open_stored(shorter)
    found = compare_runs([long, short])
    notes = " ".join(found.notes)
    assert "different data: fingerprints" in notes
    assert f"different bars: {long.name} {len(long.equity):,} of 5m, " in notes
    assert f"{len(short.equity):,} are common" in notes
    rows = {row.name: row.values for row in found.common}
    whole = dict.fromkeys(["sharpe", "sharpe_se", "total_return", "max_drawdown"])
    assert rows.keys() == whole.keys()
    for name in whole:  # the shorter run lies inside the longer one: on the common bars it is what it was
        assert rows[name][1] == pytest.approx(short.metrics["evidence"][name], rel=1e-12)
    part = on_bars(evidence_path(long), short.open_time_ms)
    equity = long.equity["evidence_equity"].to_numpy()
    row = int(np.searchsorted(long.open_time_ms, short.open_time_ms[0]))
    assert (part.initial, rows["total_return"][0]) == (equity[row - 1], equity[-1] / equity[row - 1] - 1.0)


def test_the_job_prints_and_writes_a_page_that_needs_no_network(
    folder: Path, first: Path, other: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = f"runs=[{first.name[-8:]},latest]"
    compare.run(compose(f"runs_dir={folder}/runs", "job=compare", names))
    out = capsys.readouterr().out
    assert re.search(rf"{OTHER}\s+2.0\s+9\s", out)
    sharpe = [json.loads((path / "metrics.json").read_text())["evidence"]["sharpe"] for path in (first, other)]
    assert re.search(rf"Sharpe \(annual\)\s+{sharpe[0]:.2f}\s+{sharpe[1]:.2f}\s+{sharpe[1] - sharpe[0]:+.2f}", out)
    page = Path(out.rsplit("page: ", 1)[1].strip())
    html = page.read_text()
    assert len(html) < 7_000_000
    assert f'href="../../baseline/{first.name}/report.html"' in html
    assert "default-src 'none'" in html
    document = json.loads((page.parent / "compare.json").read_text())
    assert document["numbers"]["evidence sharpe"] == sharpe
    shutil.rmtree(page.parent)


@pytest.mark.parametrize("named", ["runs=null", "runs=[latest]", "runs=latest"])
def test_fewer_than_two_runs_are_refused(folder: Path, named: str) -> None:
    with pytest.raises(ConfigError, match=r"two or more runs to compare.*runs=\[latest,ID\]"):
        compare.run(compose(f"runs_dir={folder}/runs", "job=compare", named))


def test_one_change_is_one_row_and_bars_of_other_length_have_nothing_in_common(first: Path, other: Path) -> None:
    ours, theirs = open_stored(first), open_stored(other)
    moved = {"seed": 8, "evaluation": {"seed": 8}, "signal": {"fast": 1}, "trading": {"signal": {"fast": 1}}}
    kept = {
        "seed": 7,
        "evaluation": {"seed": 7},
        "signal": {"fast": 2},
        "trading": {"signal": {"fast": 2}},
        "workers": 3,
    }
    pair = [dataclasses.replace(ours, config=kept), dataclasses.replace(theirs, config=moved)]
    assert [row.name for row in compare_runs(pair).settings] == ["seed", "trading.signal.fast"]
    hourly = dataclasses.replace(theirs, manifest={**theirs.manifest, "market": {"interval_ms": 3_600_000}})
    found = compare_runs([ours, hourly, ours])
    assert found.common == ()
    assert any("of 1h" in note and note.endswith("none is common") for note in found.notes)
    row = next(row for row in found.numbers if row.name == "evidence sharpe")
    assert row.differences == (theirs.metrics["evidence"]["sharpe"] - ours.metrics["evidence"]["sharpe"], 0.0)
    html = comparison_page(found, ("a", "<b>", "c"), first)
    assert "&lt;b&gt; \N{MINUS SIGN} a" in html
    assert "<b>" not in html.split("<script>")[0]
