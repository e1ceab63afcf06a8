"""The notebooks' page is run as a reader would run it: block after block, in one namespace."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest


# vectorbt 1.2 still renames columns in place, which pandas 3.1 announces to drop.
@pytest.mark.filterwarnings("ignore:The inplace keyword")
def test_the_page_runs(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (repository / "notebooks" / "README.md").read_text(), re.DOTALL)
    assert len(blocks) == 4
    space: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, "notebooks/README.md", "exec"), space)  # noqa: S102 - our own page
    bars, result, swept = space["bars"], space["result"], space["swept"]
    assert len(space["table"]) == bars.n_bars * bars.n_symbols
    assert np.isfinite(space["table"]["rsi_14"].to_numpy().reshape(bars.state.shape)[space["features"].ready]).all()
    assert len(result.orders) == len(result.run.evidence.orders) > 0
    assert len(space["records"]) >= len(result.trades) > 0
    assert len(swept.table) == 4
    assert swept.holdout is not None
    assert set(swept.chosen) == {"signal.fast", "signal.slow"}
