"""One JSON object a line, and nothing secret in it."""

from __future__ import annotations

import json
import logging

import pytest

from quantlab.core.events import Alert
from quantlab.core.logs import json_log
from quantlab.core.redaction import redact
from quantlab.core.secrets.texts import HIDDEN
from quantlab.execution.alerts import LogAlerts

KEY = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"
HEX = "0x" + "4f3edf983ac636a65a842ce7c78d9aa706d3b113bce9c46f30d7d21715b23b1d"


@pytest.mark.parametrize(
    "text",
    [
        f"apiKey={KEY}",
        f"api_key: {KEY}",
        f'{{"secret": "{KEY}"}}',
        "secret=short",
        "password: hunter2 was refused",
        "Authorization: Bearer abcdefgh12345678",
        "authorization=Basic dXNlcjpwYXNz",
        f"signed with {HEX}",
        f"GET /api/v3/account?timestamp=1&signature={HEX[2:]}",
        "https://user:hunter2@proxy.example:8080/path",
        f"header X-MBX-APIKEY: {KEY}",
        f"the key is {KEY}",
        "listenToken=abc",
        "mnemonic=witch",
    ],
)
def test_nothing_secret_survives(text):
    shown = redact(text)
    assert HIDDEN in shown
    for secret in (KEY, HEX, HEX[2:], "hunter2", "short", "abcdefgh12345678", "dXNlcjpwYXNz", "=abc", "witch"):
        assert secret not in shown


@pytest.mark.parametrize(
    "text",
    [
        "equity 10000.25 USD on 2025-03-16T00:00:00Z",
        "order 1742083200000-BTC-increase",
        "runs/paper/baseline/journal.db",
    ],
)
def test_what_is_not_secret_stays(text):
    assert redact(text) == text


def test_keys_of_facts_hide_their_values_at_any_depth():
    facts = {"exchange": {"apiKey": 1, "urls": ["a", {"walletPrivateKey": [1, 2]}]}, "equity": 5.0, "none": None}
    assert redact(facts) == {
        "exchange": {"apiKey": HIDDEN, "urls": ["a", {"walletPrivateKey": HIDDEN}]},
        "equity": 5.0,
        "none": None,
    }


def test_the_log_is_json_lines_without_secrets(tmp_path):
    log = logging.getLogger("quantlab.execution.test")
    with json_log(tmp_path / "log.jsonl"):
        log.info("bar %d", 3, extra={"facts": {"equity": 5.0, "secret": "x"}})
        LogAlerts().send(Alert("breaker", "the breaker fell", 1, {"equity": 1.0}))
        try:
            raise RuntimeError(f"secret={KEY}")
        except RuntimeError:
            log.exception("failed with apiKey=%s", KEY)
    log.info("after")
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    entries = [json.loads(line) for line in lines]
    assert [entry["level"] for entry in entries] == ["INFO", "WARNING", "ERROR"]
    assert entries[0]["facts"] == {"equity": 5.0, "secret": HIDDEN}
    assert entries[1]["facts"] == {"alert": "breaker", "equity": 1.0}
    assert KEY not in "".join(lines)
    assert "RuntimeError" in entries[2]["error"]


def test_the_log_does_not_grow_for_ever(tmp_path):
    log = logging.getLogger("quantlab.execution.test")
    with json_log(tmp_path / "log.jsonl", most_bytes=2_000, files=2):
        for i in range(500):
            log.info("bar %d", i)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 3 * 2_000
