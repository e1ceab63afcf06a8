"""The page in a real browser: what its script does, and that it says nothing of errors."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantlab.core.market import Bars
from quantlab.evaluation.report.content import Report
from quantlab.evaluation.report.page import render

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium to open the page"),
]
ERRORS = "<script>window.failed = []; addEventListener('error', (e) => failed.push(e.message));</script>"
READ = """<script>setTimeout(() => {
  const found = {};
  const drawn = () => [...document.querySelectorAll('.fold .chart')].map((c) => c.querySelector('svg.main-svg')?.clientWidth ?? 0);
  found.folded = drawn();
  document.querySelector('.contents a[href="#exposure"]').click();
  found.linked = document.getElementById('exposure').open;
  for (const fold of document.querySelectorAll('.fold')) fold.open = true;
  setTimeout(() => {
    found.opened = drawn();
    const press = (name) => [...document.querySelectorAll('.chart-tools button')].find((b) => b.textContent === name).click();
    const axes = () => { const { xaxis, yaxis, yaxis2 } = document.getElementById('equity')._fullLayout;
      return { x: xaxis.range.map((at) => +new Date(at)), y: yaxis.range, type: yaxis.type, fall: yaxis2.range }; };
    found.whole = axes();
    press('1 week');
    found.week = axes();
    press('Log scale');
    found.log = axes();
    press('All');
    press('Log scale');
    found.again = axes();
    dispatchEvent(new Event('beforeprint'));
    found.printed = [document.documentElement.dataset.theme, document.querySelectorAll('details:not([open])').length];
    dispatchEvent(new Event('afterprint'));
    found.after = [document.documentElement.dataset.theme ?? '', document.querySelectorAll('details:not([open])').length];
    found.failed = failed;
    document.body.innerHTML = '<pre id="found"></pre>';
    document.getElementById('found').textContent = JSON.stringify(found);
  }, 1500);
}, 500);</script>"""


@pytest.fixture(scope="module")
def found(
    report_of: Callable[..., Report], random_bars: Callable[..., Bars], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """What the script READ saw in a page of 50 days."""
    bars = random_bars(4, n_bars=1_200, n_symbols=2, interval_ms=3_600_000)
    page = render(report_of(bars)).replace("<head>", f"<head>{ERRORS}", 1)
    path: Path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(page.replace("</body>", f"{READ}</body>"))
    command = [
        str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--window-size=1400,1000", "--virtual-time-budget=10000",
        "--dump-dom", path.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    text = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)
    assert text is not None, done.stdout[-2_000:]
    return json.loads(text[1].replace("&gt;", ">").replace("&lt;", "<").replace("&amp;", "&"))  # type: ignore[no-any-return]


def test_figures_in_folded_parts_are_drawn_when_they_are_opened(found: dict[str, Any]) -> None:
    assert found["failed"] == []
    assert found["folded"] == [0, 0, 0]
    assert min(found["opened"]) > 900
    assert found["linked"]


def test_zoom_and_logarithmic_scale(found: dict[str, Any]) -> None:
    week, whole = found["week"], found["whole"]
    assert week["x"][1] - week["x"][0] == 7 * 86_400_000
    assert week["y"][1] - week["y"][0] < whole["y"][1] - whole["y"][0]
    assert week["fall"][1] > 0.0 > week["fall"][0]  # a filled line keeps its zero
    assert (week["type"], found["log"]["type"]) == ("linear", "log")
    assert np.log10(week["y"][0] * 0.95) < found["log"]["y"][0] < found["log"]["y"][1] < np.log10(week["y"][1] * 1.05)
    assert found["again"] == whole


def test_paper_is_light_and_unfolded_and_the_screen_comes_back(found: dict[str, Any]) -> None:
    assert found["printed"] == ["light", 0]
    assert found["after"][0] == ""
