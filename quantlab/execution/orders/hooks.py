"""Questions of the sender to its broker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from quantlab.execution.orders.intent import Intent
from quantlab.execution.orders.states import OrderView


def nothing_against(_symbol: str) -> str | None:
    """Permit every increase."""
    return None


def always(_intent: Intent) -> bool:
    """Call every order wanted."""
    return True


def unnoticed(_view: OrderView) -> None:
    """Do nothing about a change."""


@dataclass(frozen=True)
class Hooks:
    """Questions of the sender to its broker, and its word to it.

    Parameters
    ----------
    refusal : callable
        From a symbol to the reason why nothing may increase there now, None where it may; asked before each entry leaves.
    is_wanted : callable
        True if an order that can only reduce, and did not arrive, is to go again.
    changed : callable
        Called with every order that has changed; it must not raise.
    """

    refusal: Callable[[str], str | None] = nothing_against
    is_wanted: Callable[[Intent], bool] = always
    changed: Callable[[OrderView], None] = unnoticed
