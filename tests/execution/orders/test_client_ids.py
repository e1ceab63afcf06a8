"""Client ids: the same in every process, one for each attempt, readable again."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from quantlab.core.venue.requests import OrderKind
from quantlab.execution.orders.client_ids import make_client_id, parse_client_id, session_mark

KINDS = st.sampled_from(OrderKind)


@given(st.text(min_size=1), KINDS, st.text(min_size=1), st.integers(0, 99))
@settings(max_examples=100, deadline=None)
def test_an_id_fits_every_venue_and_tells_its_kind_and_session(
    session: str, kind: OrderKind, order_id: str, attempt: int
) -> None:
    client_id = make_client_id(session, kind, order_id, attempt)
    assert re.fullmatch("[a-z0-9]{27}", client_id)
    parsed = parse_client_id(client_id)
    assert parsed is not None
    assert (parsed.kind, parsed.session_mark) == (kind, session_mark(session))
    assert f"ql{parsed.kind.value}{parsed.session_mark}{parsed.digest}" == client_id


def test_every_order_attempt_kind_and_session_has_its_own() -> None:
    ids = {
        make_client_id(session, kind, f"{t}-{symbol}-{leg}", attempt)
        for session in ("a", "b")
        for kind in OrderKind
        for t in range(1_742_083_200_000, 1_742_083_200_000 + 300_000 * 20, 300_000)
        for symbol in ("BTCUSDT", "1000000MOGUSDT")
        for leg in ("increase", "reduce", "increase-part1")
        for attempt in range(3)
    }
    assert len(ids) == 2 * 5 * 20 * 2 * 3 * 3


def test_parts_do_not_run_into_each_other() -> None:
    assert make_client_id("a", OrderKind.ENTRY, "b1", 1) != make_client_id("a", OrderKind.ENTRY, "b", 11)


def test_an_id_of_somebody_else_is_none_of_ours() -> None:
    ours = make_client_id("a", OrderKind.STOP, "b", 0)
    for other in (
        "web_1234",
        "autoclose-77",
        "x-Cb7ytekJ1",
        "",
        ours[:-1],
        ours + "a",
        ours.upper(),
        "qlz" + ours[3:],
        "ql1" + ours[3:],
    ):
        assert parse_client_id(other) is None
