"""Faults of the wire: what the client sees, and what was really done by the ledger."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from quantlab.core.errors import ConfigError
from quantlab.simulator.wire.faults import REST_KINDS, STREAM_KINDS, Fault, Faults, FaultScript
from quantlab.simulator.wire.stream_faults import BURST, Delivery, Step

ORDER = {"symbol": "SYN00USDT", "side": "BUY", "type": "MARKET", "quantity": "1"}
SEEN = {  # kind: status, code, lost, delayed
    "429": (429, None, False, False),
    "418": (418, None, False, False),
    "-1003": (429, -1003, False, False),
    "-1000": (400, -1000, False, False),
    "-1008": (503, -1008, False, False),
    "-1007": (408, -1007, False, False),
    "ack_lost": (200, "whole", True, False),
    "slow": (200, "whole", False, True),
    "dropped": (504, None, True, False),
    "502": (502, None, False, False),
    "truncated": (200, None, False, False),
}


@pytest.mark.parametrize("kind", REST_KINDS)
def test_each_kind_is_seen_as_scripted_and_done_as_said(make_client: Callable, kind: str) -> None:
    client = make_client(faults=[{"at": "POST /fapi/v1/order", "nth": 2, "kind": kind, "ms": 700}])
    assert client.ask("POST", "/fapi/v1/order", **ORDER).status == 200
    reply = client.ask("POST", "/fapi/v1/order", **ORDER)
    try:
        document = json.loads(reply.body)
    except ValueError:
        document = {}
    code = "whole" if "orderId" in document else document.get("code")
    assert (reply.status, code, reply.lost, reply.delay_ms == 700) == SEEN[kind]
    assert len(client.ledger("order")) == 1 + REST_KINDS[kind]
    assert client.ask("POST", "/fapi/v1/order", **ORDER).status == 200
    assert [fault["kind"] for fault in client.exchange.faults.struck] == [kind]


def test_a_script_may_say_that_a_fault_was_applied(make_client: Callable) -> None:
    client = make_client(faults=[{"at": "* *", "nth": 1, "kind": "502", "applied": True}])
    assert client.ask("POST", "/fapi/v1/order", **ORDER).status == 502
    assert len(client.ledger("order")) == 1


def test_a_seed_draws_the_same_faults_for_the_same_requests(make_client: Callable) -> None:
    def statuses(seed: int) -> list[int]:
        client = make_client(faults={"seed": seed, "rate": 0.3})
        return [client.ask("POST", "/fapi/v1/order", **ORDER).status for _ in range(40)]

    assert statuses(7) == statuses(7) != statuses(8)
    faults = Faults(FaultScript.parse({"seed": 3, "rate": 0.05}))
    drawn = [faults.rest("GET", f"/{k % 7}") for k in range(4_000)]
    struck = [fault.kind for fault in drawn if fault is not None]
    assert 150 < len(struck) < 250
    assert set(struck) == set(REST_KINDS)


@pytest.mark.parametrize("kind", ["429", "418"])
def test_a_fault_of_the_edge_meets_a_banned_address_too(make_client: Callable, kind: str) -> None:
    client = make_client(faults=[{"at": "* *", "nth": 2, "kind": kind}])
    client.exchange.limits.ban("127.0.0.1", client.now_ms)
    assert [client.ask("GET", "/fapi/v2/account").status for _ in range(3)] == [418, int(kind), 418]


def test_a_step_of_the_clock_makes_time_stamps_stale(make_client: Callable) -> None:
    client = make_client(faults=[{"at": "clock", "nth": 2, "kind": "step", "ms": 60_000}])
    assert client.ask("GET", "/fapi/v2/account").status == 200
    assert client.refused("GET", "/fapi/v2/account") == -1021
    assert json.loads(client.send("GET", "/fapi/v1/time").body)["serverTime"] == client.now_ms + 60_000


@pytest.mark.parametrize(
    "entry",
    [
        {"at": "POST /fapi/v1/order", "kind": "melt"},
        {"at": "somewhere", "kind": "slow"},
        {"at": "stream", "kind": "slow"},
        {"at": "stream", "kind": "gap", "nth": 0},
        {"at": "stream", "kind": "gap", "when": 3},
        "gap",
    ],
)
def test_a_script_with_a_slip_is_refused(entry) -> None:
    with pytest.raises(ConfigError):
        FaultScript.parse([entry])


FRAME, NEXT = {"e": "ORDER_TRADE_UPDATE", "E": 1, "o": {"s": "A"}}, {"e": "ACCOUNT_UPDATE", "E": 2, "a": {}}
TEXT, NEXT_TEXT = '{"e":"ORDER_TRADE_UPDATE","E":1,"o":{"s":"A"}}', '{"e":"ACCOUNT_UPDATE","E":2,"a":{}}'
STEPS = {
    "no_json": [Step(TEXT[: len(TEXT) // 2] + "<"), Step(NEXT_TEXT)],
    "array": [Step(f"[{TEXT}]"), Step(NEXT_TEXT)],
    "missing_key": [Step('{"e":"ORDER_TRADE_UPDATE","E":1}'), Step(NEXT_TEXT)],
    "half_open": [Step(ending="silent"), Step(NEXT_TEXT)],
    "reset": [Step(ending="reset"), Step(NEXT_TEXT)],
    "cut": [Step(ending="close"), Step(NEXT_TEXT)],
    "duplicate": [Step(TEXT), Step(TEXT), Step(NEXT_TEXT)],
    "late": [Step(TEXT, delay_ms=900), Step(NEXT_TEXT)],
    "reordered": [Step(NEXT_TEXT), Step(TEXT)],
    "gap": [Step(NEXT_TEXT)],
    "burst": [Step(TEXT)] * BURST + [Step(NEXT_TEXT)],
}


@pytest.mark.parametrize("kind", [kind for kind in STREAM_KINDS if kind != "key_expired"])
def test_each_kind_of_bad_frame(kind: str) -> None:
    delivery = Delivery(lambda text: text)
    sent = delivery.deliver(FRAME, Fault("stream", kind, ms=900)) + delivery.deliver(NEXT, None)
    assert sent == STEPS[kind]
