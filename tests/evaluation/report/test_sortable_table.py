"""Tables that are sorted, filtered and saved in the page, in a real browser and without one."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantlab.evaluation.report.html import Html, sort_cell, sortable_table, table_script, table_style, tag

MINUS = "\N{MINUS SIGN}"
ROWS = [
    ("S10, perp", "long", sort_cell("0.12", 0.123456789), f"{MINUS}5.00 %", "1,000"),
    ('S9 "b"', "short", sort_cell("0.12", 0.1199), "12.00 %", "9"),
    ("S1", "long", sort_cell("\N{EN DASH}", None), "3.00 %", "20"),
    ("</script>", "long", sort_cell("0.50", np.float64(0.5)), "\N{EN DASH}", "300"),
]
HEAD = ("Symbol", "Side", "Size", "Return", "Trades held")
#: Names of the steps -> script; each returns what is then seen.
STEPS = {
    "first": "return seen();",
    "size": "head(2).click(); return seen();",
    "size up": "head(2).click(); return seen();",
    "return": "head(3).click(); return seen();",
    "symbol": "head(0).click(); return seen();",
    "word": "type('LONG'); return seen();",
    "number": "type('return>1 tradesheld<=20'); return seen();",
    "equal": "type('size=0.12 long'); return seen();",
    "nothing": "type('return>99'); return seen();",
    "no column": "type('wind>3'); return seen();",
    "save": "type(''); saver().click(); return saved;",
    "open": "all().click(); return seen();",
    "closed": "all().click(); return seen();",
    "aria": "return [...document.querySelectorAll('th')].map((th) => th.getAttribute('aria-sort'));",
    "told": "return document.querySelector('[role=status]').textContent;",
}
DRIVER = """
const box = document.querySelector(".sortable");
const head = (i) => box.querySelectorAll("th button")[i];
const all = () => box.querySelectorAll(".table-tools button")[0];
const saver = () => box.querySelectorAll(".table-tools button")[1];
const type = (text) => { const f = box.querySelector("input"); f.value = text; f.dispatchEvent(new Event("input")); };
const seen = () => [...box.querySelectorAll("tbody tr")].map((row) => row.cells[0].textContent);
let saved = "";
window.Blob = class { constructor(parts) { saved = parts.join(""); } };
URL.createObjectURL = () => "#";
const out = {};
for (const [name, code] of Object.entries(STEPS)) {
  try { out[name] = new Function("head", "all", "saver", "type", "seen", "saved", code)(head, all, saver, type, seen, saved); }
  catch (error) { out[name] = String(error); }
  if (name === "save") out[name] = saved;
}
document.body.dataset.out = JSON.stringify(out);
"""


def page_of(body: Html, driver: str = "") -> str:
    script = tag("script", Html(table_script() + driver))
    return f"<!doctype html><meta charset=utf-8><style>{table_style()}</style><body>{body}{script}</body>"


@pytest.fixture(scope="module")
def browser() -> str:
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("needs chromium on the path")
    return found


@pytest.fixture(scope="module")
def steps(browser: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The outcome of every step, one after the other, in one page."""
    folder = tmp_path_factory.mktemp("page")
    body = sortable_table(HEAD, ROWS, words=2, empty="", csv_name="trades.csv", filters=True, first=3)
    (folder / "page.html").write_text(page_of(body, f"const STEPS = {json.dumps(STEPS)};" + DRIVER))
    return shown_by(browser, folder / "page.html")


def shown_by(browser: str, page: Path) -> dict[str, Any]:
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={page.parent / 'profile'}",
        "--dump-dom",
    ]
    done = subprocess.run([browser, *options, page.as_uri()], capture_output=True, text=True, check=True, timeout=120)
    found = re.search(r'data-out="([^"]*)"', done.stdout)
    assert found is not None, done.stdout[-2_000:]
    outcome: dict[str, Any] = json.loads(unescape(found[1]))
    return outcome


NAMES = [row[0] for row in ROWS]


@pytest.mark.parametrize(
    ("step", "rows"),
    [
        ("first", [0, 1, 2]),
        ("size", [3, 0, 1]),  # by the full value where the shown ones are equal; largest first
        ("size up", [1, 0, 3]),  # unknown values stay last
        ("return", [1, 2, 0]),
        ("symbol", [3, 2, 1]),  # names from the first on, numbers in them as numbers
        ("word", [3, 2, 0]),
        ("number", [2, 1]),
        ("equal", [0]),
        ("nothing", []),
        ("no column", []),
        ("open", [3, 2, 1, 0]),
        ("closed", [3, 2, 1]),
    ],
)
def test_headings_sort_and_words_filter(steps: dict[str, Any], step: str, rows: list[int]) -> None:
    assert steps[step] == [NAMES[row] for row in rows]


def test_saved_are_all_rows_that_pass_in_full_precision(steps: dict[str, Any]) -> None:
    head, *rows = csv.reader(io.StringIO(steps["save"]))
    assert tuple(head) == HEAD
    assert [row[0] for row in rows] == [NAMES[row] for row in (3, 2, 1, 0)]
    assert [row[2] for row in rows] == ["0.5", "", "0.1199", "0.123456789"]
    assert rows[3] == ["S10, perp", "long", "0.123456789", "-5.00", "1000"]


def test_a_screen_reader_is_told_the_order_and_the_count(steps: dict[str, Any]) -> None:
    assert steps["aria"] == ["ascending", None, None, None, None]
    assert steps["told"] == "3 of 4 rows"


def test_without_javascript_every_row_stands_there() -> None:
    markup = sortable_table(HEAD, ROWS, words=2, empty="none", csv_name='a"b.csv', filters=True, first=1)
    assert markup.count("<tr>") == 1 + len(ROWS)
    assert "hidden" not in markup
    assert 'data-csv="a&quot;b.csv"' in markup
    assert "&lt;/script&gt;" in markup
    assert sortable_table(HEAD, [], empty="Nothing.").count("Nothing.") == 1
    assert "data-filter" not in sortable_table(HEAD, ROWS, empty="")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.1, "0.1"),
        (np.float64(1e-9), "1e-09"),
        (7, "7"),
        (np.int64(7), "7"),
        (float("nan"), ""),
        (None, ""),
        ("x", "x"),
    ],
)
def test_a_cell_keeps_its_value_in_full_precision(value: Any, text: str) -> None:
    assert sort_cell("shown", value).attribute() == text
