"""Facts of a venue on their way from the broker into the journal and back to the broker."""

from __future__ import annotations

from quantlab.core.errors import ContractError
from quantlab.core.events import VENUE_KINDS
from quantlab.core.ports import Broker, Journal


def gather_facts(broker: Broker, journal: Journal, until_ms: int) -> None:
    """Ask for what happened before `until_ms`, journal it, and let the broker take it: an input, as a bar is one.

    Parameters
    ----------
    broker : Broker
    journal : Journal
        Of the session; the broker itself may append to it between two bars.
    until_ms : int
        Close of the bar that is worked on next.

    Raises
    ------
    ContractError
        If a fact is of a kind that a restart would not hand back; nothing was journalled.
    InstallationError
        If the journal cannot be written; nothing was taken.
    """
    gathered = broker.gather(until_ms)
    if other := sorted({event.kind for event in gathered} - VENUE_KINDS):
        raise ContractError(
            "entries of a broker of the kinds that a restart hands back to it",
            found=", ".join(other),
            fix="add the kind to quantlab.core.events.VENUE_KINDS",
        )
    if gathered:
        journal.append(gathered)
    for event in gathered:
        broker.take(event)
