"""The tester's own endpoints: who may ask, and sentences for requests that cannot be understood."""

from __future__ import annotations

import json

import pytest

from quantlab.simulator.surface.control import answer_control
from quantlab.simulator.wire.messages import Reply, Request

MARKET = {"kind": "human", "symbol": "SYN00USDT", "side": "BUY", "quantity": "1"}


def ask(client, method: str, name: str, document: object = None, query: str = "", **headers: str) -> Reply:
    body = "" if document is None else document if isinstance(document, str) else json.dumps(document)
    request = Request(method, f"/_sim/{name}", query, body, headers)
    return answer_control(client.exchange, request, client.now)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"host": "127.0.0.1:8900"}, 200),
        ({"host": "localhost"}, 200),
        ({"host": "[::1]:8900"}, 200),
        ({"host": "127.0.0.1:8900", "origin": "http://127.0.0.1:8900"}, 200),
        ({"host": "evil.example"}, 403),
        ({"host": "evil.example:8900"}, 403),
        ({"host": "[::1"}, 403),
        ({"host": "127.0.0.1:8900", "origin": "https://evil.example"}, 403),
        ({"host": "127.0.0.1:8900", "origin": "null"}, 403),
    ],
)
def test_pages_of_other_sites_may_not_ask(client, headers: dict[str, str], status: int) -> None:
    assert ask(client, "GET", "state", **headers).status == status


@pytest.mark.parametrize(
    ("name", "document", "says"),
    [
        ("market", {}, "expected kind as transfer"),
        ("market", {**MARKET, "kind": "storm"}, "found 'storm'"),
        ("market", {**MARKET, "side": ["BUY"]}, "side BUY or SELL"),
        ("market", {**MARKET, "symbol": "NONE"}, "Invalid symbol"),
        ("market", {**MARKET, "quantity": "1e999999"}, "below 1e15"),
        ("market", {**MARKET, "quantity": "1e-999999"}, "20 decimals"),
        ("market", {**MARKET, "quantity": True}, "expected quantity as a number"),
        ("market", {"kind": "transfer", "amount": "1e40"}, "expected amount as a number"),
        ("market", {"kind": "transfer", "amount": "NaN"}, "expected amount as a number"),
        ("market", {"kind": "transfer", "amount": "-20000"}, "Balance is insufficient"),
        ("market", {"kind": "transfer", "amount": "1", "account": "else"}, "expected account as one of main"),
        ("market", "[" * 100_000, "expected JSON"),
        ("market", "[]", "expected a JSON object"),
        ("advance", {"bars": 0}, "whole number of at least 1"),
        ("fault", "[" * 100_000, "expected JSON"),
        ("fault", {"at": "* *", "kind": "502", "applied": "no"}, "applied as true or false"),
    ],
)
def test_what_cannot_be_understood_is_said_in_a_sentence(client, name: str, document: object, says: str) -> None:
    entries = len(client.exchange.venue.ledger)
    reply = ask(client, "POST", name, document)
    assert reply.status == 400
    assert says in json.loads(reply.body)["msg"]
    assert len(client.exchange.venue.ledger) == entries


@pytest.mark.parametrize("odd", ["%C2%B2", "9" * 5_000, "-1"])
def test_places_in_the_ledger_are_whole_numbers(client, odd: str) -> None:
    assert ask(client, "GET", "ledger", query=f"from={odd}").status == 400
    assert ask(client, "GET", "ledger", query=f"limit={odd}").status == 400
