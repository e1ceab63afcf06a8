"""A refused job leaves nothing behind: every job once, refused by what it finds when it has begun."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest

from quantlab.jobs.config.folder import groups

_NO_DATA = "data=parquet data.root={dir}/nowhere"
#: Job -> options with which it begins and is then refused.
REFUSED = {
    "audit": f"experiment=baseline {_NO_DATA}",
    "backtest": _NO_DATA,
    "collect": "job/source=csv job.source.folder={dir}/nowhere",
    "compare": "'runs=[nowhere,elsewhere]'",
    "data": _NO_DATA,
    "doctor": _NO_DATA,
    "exchange": _NO_DATA,
    "honesty": "job.markets=0",
    "live": f"execution/venue=simulated execution/feed=lockstep job.evidence={{dir}}/nowhere {_NO_DATA}",
    "models": "job.action=recover",
    "new": "name=class kind=strategy",
    "paper": "trading.costs.slippage_bps=-1",
    "parity": _NO_DATA,
    "promote": "run=nowhere",
    "readiness": "",
    "research": _NO_DATA,
    "retrain": f"experiment=ensemble_v2 {_NO_DATA}",
    "runs": "",
    "status": "",
    "sweep": f"sweep=moving_average {_NO_DATA}",
    "tune": f"experiment=ensemble_v2 {_NO_DATA}",
    "universe": "job.exchange=nowhere",
    "warmup": _NO_DATA,
}


class Ended(Protocol):
    """A finished command; see the fixture."""

    code: int
    errors: str


def test_every_job_has_its_line() -> None:
    assert sorted(REFUSED) == groups()["job"]


@pytest.mark.slow
@pytest.mark.parametrize("job", REFUSED)
def test_a_refused_job_leaves_nothing(run_line: Callable[[str], Ended], tmp_path: Path, job: str) -> None:
    ended = run_line(f"job={job} {REFUSED[job]}")
    assert ended.code == 2, ended.errors
    assert "expected " in ended.errors or job == "doctor"
    assert "Traceback" not in ended.errors
    assert sorted(tmp_path.rglob("*")) == []
