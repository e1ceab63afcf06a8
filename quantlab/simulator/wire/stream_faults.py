"""Frames of a user stream through a faulty wire: what a websocket sends, and how it ends, instead of one good frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from quantlab.simulator.wire.faults import Fault
from quantlab.simulator.wire.messages import compact

#: Copies of a frame in a burst.
BURST = 200


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that a websocket does.

    Parameters
    ----------
    text : str or None
        A frame to send.
    delay_ms : int
        Sent so much later; frames after it do not wait.
    ending : str
        ``""``, ``"silent"`` (nothing is sent any more, and nothing says so), ``"reset"`` or ``"close"``.
    """

    text: str | None = None
    delay_ms: int = 0
    ending: str = ""


@dataclass(slots=True)
class Delivery:
    """Frames of one websocket on their way; it keeps one that a fault put after the next.

    Parameters
    ----------
    wrap : callable
        A document's text as it goes out.
    """

    wrap: Callable[[str], str]
    _held: list[str] = field(default_factory=list)

    def deliver(self, document: dict[str, Any], fault: Fault | None) -> list[Step]:
        """Steps of one frame.

        Parameters
        ----------
        document : dict
        fault : Fault or None
            Of a stream kind; ``key_expired`` is the exchange's own doing.
        """
        frame = self.wrap(compact(document))
        if fault is not None and fault.kind == "reordered":
            self._held.append(frame)
            return []
        steps = [Step(frame)] if fault is None else _faulty(fault, document, frame, self.wrap)
        steps += [Step(text) for text in self._held]
        self._held.clear()
        return steps


def _faulty(fault: Fault, document: dict[str, Any], frame: str, wrap: Callable[[str], str]) -> list[Step]:
    endings = {"half_open": "silent", "reset": "reset", "cut": "close"}
    if fault.kind in endings:
        return [Step(ending=endings[fault.kind])]
    if fault.kind == "late":
        return [Step(frame, delay_ms=fault.ms)]
    if fault.kind == "no_json":
        return [Step(frame[: len(frame) // 2] + "<")]
    if fault.kind == "array":
        return [Step(f"[{frame}]")]
    if fault.kind == "missing_key":
        *kept, _last = document
        return [Step(wrap(compact({name: document[name] for name in kept})))]
    copies = {"duplicate": 2, "burst": BURST, "gap": 0}.get(fault.kind, 1)
    return [Step(frame)] * copies
