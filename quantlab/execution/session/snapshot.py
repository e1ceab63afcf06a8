"""A session as bytes: gate, signal stream, account, the day so far, broker and drift; and one raw bar as bytes."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np

from quantlab.core.blobs import pack_arrays, unpack_arrays
from quantlab.core.errors import ArtifactError, ContractError
from quantlab.core.events import RawBar
from quantlab.core.market import Funding
from quantlab.core.ports import SignalStream
from quantlab.data.quality.gate import GateState
from quantlab.data.quality.holds import Holds
from quantlab.execution.session.bar_record import Day
from quantlab.trading.bar.stepper import Stepper
from quantlab.trading.lowlevel.layout import State

_MARK = b"quantlab session 2\n"
_RAW_MARK = b"quantlab raw bar 1\n"

#: The account's arrays; ``positions_view`` is a view of one of them.
_STORED = tuple(name for name in State._fields if name != "positions_view")


class Restored(NamedTuple):
    """Parts of a snapshot that are handed back; stream and account were put back in place."""

    gate: GateState
    day: Day | None
    broker: bytes
    drift: bytes | None


def take_snapshot(
    gate: GateState, stream: SignalStream, account: Stepper, day: Day | None, broker: bytes, drift: bytes | None = None
) -> bytes:
    """Everything that the next bar depends on, and what is watched beside it."""
    arrays: dict[str, Any] = {f"account.{name}": getattr(account.state, name) for name in _STORED}
    arrays |= {"gate.last_close": gate.last_close, "gate.missing": gate.missing}
    arrays |= {f"holds.{name}": array for name, array in gate.holds._asdict().items()}
    arrays |= {"stream": np.frombuffer(stream.state(), dtype=np.uint8), "broker": np.frombuffer(broker, dtype=np.uint8)}
    if drift is not None:
        arrays["drift"] = np.frombuffer(drift, dtype=np.uint8)
    header = {
        "gate_open_ms": gate.open_time_ms,
        "last_ms": account.last_ms,
        "day": None if day is None else dataclasses.asdict(day),
    }
    return pack_arrays(_MARK, header, arrays)


def restore_snapshot(blob: bytes, stream: SignalStream, account: Stepper) -> Restored:
    """Put stream and account back as they were; return the gate's state, the day, the broker's and what drift had counted.

    Raises
    ------
    ArtifactError
        If the bytes are damaged, or of an account of another layout.
    ContractError
        If the stream refuses its part.
    """
    header, arrays = unpack_arrays(_MARK, blob, "session snapshot")
    for name in _STORED:
        stored, ours = arrays.get(f"account.{name}"), getattr(account.state, name)
        if stored is None or stored.shape != ours.shape or stored.dtype != ours.dtype:
            raise ArtifactError(
                f"an account whose {name} is {ours.dtype} {ours.shape}",
                found="none" if stored is None else f"{stored.dtype} {stored.shape}",
                fix="go on with the version that wrote the snapshot, or begin a session in a new folder",
            )
        ours[...] = stored
    stream.restore(arrays["stream"].tobytes())
    account.begin_after(header["last_ms"])
    holds = Holds(*(arrays[f"holds.{name}"].copy() for name in Holds._fields))
    gate = GateState(arrays["gate.last_close"], arrays["gate.missing"], header["gate_open_ms"], holds)
    drift = arrays["drift"].tobytes() if "drift" in arrays else None
    day = None if header["day"] is None else Day(**header["day"])
    return Restored(gate, day, arrays["broker"].tobytes(), drift)


def copy_account(source: Stepper, target: Stepper) -> None:
    """Let `target` stand where `source` stands, which is left as it is.

    Raises
    ------
    ContractError
        If their layouts differ; `target` is then half copied, discard it.
    """
    for name in _STORED:
        theirs, ours = getattr(source.state, name), getattr(target.state, name)
        if theirs.shape != ours.shape or theirs.dtype != ours.dtype:
            raise ContractError(
                f"an account whose {name} is {theirs.dtype} {theirs.shape}",
                found=f"{ours.dtype} {ours.shape}",
                fix="begin a session in a new folder for this strategy",
            )
        ours[...] = theirs
    target.begin_after(source.last_ms)


def pack_raw(raw: RawBar) -> bytes:
    """One raw bar, bit for bit."""
    arrays: dict[str, Any] = {"ohlcv": raw.ohlcv}
    if raw.funding is not None:
        arrays |= {"time_ms": raw.funding.time_ms, "rate": raw.funding.rate}
    if raw.outside is not None:
        arrays["outside"] = raw.outside
    return pack_arrays(_RAW_MARK, {"open_ms": raw.open_time_ms}, arrays)


def unpack_raw(payload: bytes) -> RawBar:
    """Return the bar that :func:`pack_raw` was given; ArtifactError if it is damaged."""
    header, arrays = unpack_arrays(_RAW_MARK, payload, "raw bar")
    funding = Funding(arrays["time_ms"], arrays["rate"]) if "time_ms" in arrays else None
    return RawBar(header["open_ms"], arrays["ohlcv"], funding, arrays.get("outside"))
