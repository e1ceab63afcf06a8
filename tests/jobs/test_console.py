"""Texts with brackets on the terminal: they are shown as they are, and end no job."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from rich.table import Table

from quantlab.core.errors import DataError
from quantlab.core.types import CollectOutcome
from quantlab.execution.journal.reader import SessionView
from quantlab.jobs.data.collect import _summary
from quantlab.jobs.data.collect_progress import CollectProgressBars
from quantlab.jobs.output.console import stderr_console, stdout_console
from quantlab.jobs.output.terminal import TerminalProgress
from quantlab.jobs.session.status import status_tables
from quantlab.jobs.sweep.sweep_output import top_table

#: Closing tags end a job, opening ones are swallowed, and names between colons become pictures.
HOSTILE = ("[/docs]", "[bold]", "[hidden]", "[1, 2]", "[/]", ":key:", "[link=x]y[/link]")


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "240")


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_console_prints_lines_and_tables_as_they_are(hostile: str, capsys: pytest.CaptureFixture[str]) -> None:
    table = Table(f"1{hostile}", title=f"2{hostile}", caption=f"3{hostile}")
    table.add_row(f"4{hostile}")
    for console in (stdout_console(), stderr_console()):
        console.print(table)
        console.print(f"5{hostile}")
        console.print(f"6{hostile}", style="dim", soft_wrap=True)
    for shown in capsys.readouterr():
        assert [number for number in range(1, 7) if f"{number}{hostile}" not in shown] == []


def test_a_letter_that_the_encoding_lacks_ends_no_job(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file or a pipe in another encoding than UTF-8, and a symbol in Chinese."""
    written = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(written, encoding="latin-1", write_through=True))
    table = Table("symbol")
    table.add_row("\N{CJK UNIFIED IDEOGRAPH-5E01}USDT")
    console = stdout_console()
    console.print(table)
    console.print("-8.74 \N{PLUS-MINUS SIGN} 3.80")
    assert b"\\u5e01USDT" in written.getvalue()
    assert "-8.74 \N{PLUS-MINUS SIGN} 3.80".encode("latin-1") in written.getvalue()


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize("on_a_terminal", [False, True])
def test_progress_shows_names_and_remarks_as_they_are(hostile: str, on_a_terminal: bool) -> None:
    """Bars are drawn with whatever console they are given; this one reads markup."""
    output = io.StringIO()
    console = Console(file=output, force_terminal=on_a_terminal, width=240, emoji=False, color_system=None)
    with TerminalProgress(console).stage(f"stage{hostile}", 2) as stage:
        stage.set_remark(f"remark{hostile}")
        stage.advance()
    with CollectProgressBars(console) as progress:
        progress.plan({f"symbol{hostile}": 2})
        progress.advance(f"symbol{hostile}")
    lines = output.getvalue()
    assert f"done stage{hostile} remark{hostile} " in lines
    assert (f"stage{hostile} remark{hostile} " in lines.replace("done stage", "")) is on_a_terminal
    assert (f"symbol{hostile} " in lines) is on_a_terminal


@pytest.mark.parametrize("hostile", HOSTILE)
def test_status_shows_symbols_bundles_and_reasons_as_they_are(hostile: str, capsys: pytest.CaptureFixture[str]) -> None:
    account = {"equity": 1.0, "cash": 1.0, "gross": 0.0, "high_water_mark": 1.0}
    bar: dict[str, Any] = {"open_ms": 0, "account": account, "day": {"utc": "1970-01-01", "drawdown": 0.0}}
    view = SessionView(
        running=False,
        entries=1,
        identity={"interval_ms": 300_000},
        release=f"bundle{hostile}",
        last_bar={**bar, "halts": [f"halt{hostile}"], "positions": [1], "orders": [1]},
        observed={"lag_ms": 0.0},
        drift={
            "rows": 1, "bars": 1, "open_ms": 0, "alerts": [],
            "features": [{"feature": f"feature{hostile}", "psi": 0.0, "ks": 0.0, "level": "ok"}],
        },
        clock=None,
        terms=None,
        ended=f"ended{hostile}",
        tables={
            "positions": [(f"held{hostile}", 1.0, 1.0, 1.0)],
            "orders": [(0, f"ordered{hostile}", 1, 1.0, False, f"reason{hostile}")],
            "fills": [],
            "counters": [(f"counter{hostile}", 1)],
        },
    )  # fmt: skip
    for table in status_tables(view, 0):
        stdout_console().print(table)
    shown = capsys.readouterr().out
    words = ("bundle", "halt", "feature", "ended", "held", "ordered", "reason", "counter")
    assert [word for word in words if f"{word}{hostile}" not in shown] == []


@pytest.mark.parametrize("hostile", HOSTILE)
def test_the_rows_of_a_sweep_and_refusals_of_a_collection_too(hostile: str, capsys: pytest.CaptureFixture[str]) -> None:
    numbers = {name: np.array([1.0]) for name in ("final_equity", "max_drawdown", "trades", "costs")}
    best: Any = SimpleNamespace(
        table=SimpleNamespace(names=(f"a{hostile}",), numbers=numbers, values=[{f"a{hostile}": f"value{hostile}"}]),
        score=SimpleNamespace(order=np.array([0])),
        sharpe=np.array([1.0]),
    )
    stdout_console().print(top_table(best, 1))
    refused = {f"symbol{hostile}": DataError("sound bars", found=f"found{hostile}", fix="none")}
    manifest: Any = SimpleNamespace(symbols={}, files={})
    for line in _summary(manifest, CollectOutcome(refused=refused, notes=(f"note{hostile}",)), Path(f"root{hostile}")):
        stdout_console().print(line)
    shown = capsys.readouterr().out
    words = ("value", "symbol", "found", "note", "root")
    assert [word for word in words if f"{word}{hostile}" not in shown] == []
