"""``job=exchange`` as a user starts it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from quantlab.core.errors import ConfigError
from quantlab.jobs.config.composition import compose
from quantlab.jobs.exchange import exchange as job
from quantlab.simulator.wire.faults import Fault, FaultScript


def test_the_job_s_options_are_checked_before_data_is_read() -> None:
    settings = job.settings_of(compose("job=exchange", "cash=500", "seed=3", "job.faults={seed: 5, rate: 0.1}"))
    assert (settings.cash, settings.seed, settings.faults, settings.pace) == (500, 3, {"seed": 5, "rate": 0.1}, 60.0)
    refused = {
        "job.host=0.0.0.0": "ssh tunnel",
        "job.port=70000": "job.port",
        "job.mode=both": "lockstep",
        "job.pace=0": "job.pace",
        f"job.account.key={'k9' * 32}": "invented",
        "job.account.key=12345": "type int",
        "job.rules.reduce_only=grow": r"job\.rules\.reduce_only",
        "job.rules.second_close_position=maybe": r"job\.rules\.second_close_position as true or false",
        "+job.rules.colour=red": r"keys of job\.rules.*found colour",
        "+job.limits.colour=red": r"keys of job\.limits",
        "job.limits.weight_1m=0": r"job\.limits\.weight_1m",
        "job.faults=[{at: stream, kind: slow}]": "kind",
    }
    for option, says in refused.items():
        with pytest.raises(ConfigError, match=says):
            job.run(compose("job=exchange", option, "data.root=nowhere", "data=parquet"))


def test_the_scripts_of_the_page_are_read_from_the_command_line() -> None:
    page = (Path(__file__).parents[2] / "docs" / "exchange.md").read_text()
    options = re.findall(r"'(job\.faults=[^']+)'", page)
    assert len(options) == 2
    scripts = [FaultScript.parse(job.settings_of(compose("job=exchange", option)).faults) for option in options]
    assert scripts[0].entries == (Fault("POST /fapi/v1/order", "ack_lost", nth=3, ms=1_000, applied=True),)
    assert (scripts[1].seed, scripts[1].rate) == (7, 0.05)
    mixed = "job.faults=[{at: '* *', kind: 429}, {at: stream, every: 2, kind: gap}, {at: clock, nth: 4, kind: step, ms: -60000}]"
    assert len(FaultScript.parse(job.settings_of(compose("job=exchange", mixed)).faults).entries) == 3


@pytest.mark.slow
def test_one_line_when_it_listens_and_a_clean_end_at_ctrl_c(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "quantlab", "job=exchange", "data.days=7", "job.port=0", "job.history_bars=9"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline()
        assert line.startswith("exchange listens on http://127.0.0.1:")
        url = line.split()[3].rstrip(":")
        with urllib.request.urlopen(f"{url}/_sim/state", timeout=10) as reply:  # noqa: S310
            assert json.load(reply)["mode"] == "wall"
        process.send_signal(signal.SIGINT)
        more, errors = process.communicate(timeout=30)
    finally:
        process.kill()
    assert (process.returncode, more) == (0, "")
    assert "Traceback" not in errors
    assert list(tmp_path.iterdir()) == []
