"""A session of an earlier version, whose account has fewer numbers, is refused in a sentence and never misread."""

from __future__ import annotations

import pytest

from quantlab.core.blobs import pack_arrays
from quantlab.core.errors import ArtifactError
from quantlab.core.fakes import FixedSignal
from quantlab.core.market import Instrument
from quantlab.execution.session.snapshot import _MARK, _STORED, restore_snapshot
from quantlab.trading import Costs, FixedFraction, FromSignals, Limits, Strategy
from quantlab.trading.bar.stepper import Stepper

FREE = Instrument(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize(("name", "fewer"), [("account", 4), ("counters", 1)])
def test_a_snapshot_of_an_account_with_fewer_numbers_is_refused(name: str, fewer: int) -> None:
    strategy = Strategy(
        signal=FixedSignal(None),  # type: ignore[arg-type]  # no bar is seen
        policy=FromSignals(False),
        sizer=FixedFraction(0.1),
        limits=Limits(None, False, None, None, None, None, 1.0),
        costs=Costs(0.0, None, 0.0),
    )
    account = Stepper(strategy, ("A",), (FREE,), 60_000, 1_000.0)
    arrays = {f"account.{field}": getattr(account.state, field) for field in _STORED}
    older = arrays | {f"account.{name}": arrays[f"account.{name}"][:-fewer]}
    blob = pack_arrays(_MARK, {"gate_open_ms": None, "last_ms": None, "day": None}, older)
    with pytest.raises(ArtifactError, match=rf"an account whose {name} is .* begin a session in a new folder"):
        restore_snapshot(blob, None, account)  # type: ignore[arg-type]  # refused before the stream is looked at
