"""One line on the screen for every bar of a live session."""

from __future__ import annotations

from rich.console import Console

from quantlab.core.clock import iso_utc
from quantlab.core.events import Decision
from quantlab.core.ports import Journal
from quantlab.evaluation.report.words import halt_words
from quantlab.execution.live.account import LiveAccount
from quantlab.execution.live.broker import LiveBroker, LiveLoop
from quantlab.trading.bar.stepper import Stepper


class BarLines:
    """Printer of a line for each bar whose decision was sent.

    Parameters
    ----------
    console : Console
    journal : Journal
        The session's: the line shows what it keeps.
    account : LiveAccount
    """

    def __init__(self, console: Console, journal: Journal, account: LiveAccount) -> None:
        self._console, self._journal, self._account = console, journal, account
        self.count, self.is_on = 0, False

    def sent(self) -> None:
        """Print the newest bar's line; nothing while a start repeats journalled bars."""
        entry = self._journal.latest("bar") if self.is_on else None
        if entry is None:
            return
        self.count += 1
        bar = entry.facts["bar"]
        halts = ", ".join(map(halt_words, bar["halts"])) or "no halt"
        equity = bar["account"]["equity"]
        words = (
            f"{iso_utc(bar['open_ms'])}  equity {'?' if equity is None else f'{equity:,.2f}'} USD"
            f"  {len(bar['positions'])} positions  {len(self._account.orders.live())} orders under way  {halts}"
        )
        self._console.print(words, highlight=False, soft_wrap=True)


class TellingBroker(LiveBroker):
    """A live broker that says when the decision of a bar was sent: the last thing that a session does with a bar.

    Parameters
    ----------
    account : Stepper
    loop : LiveLoop
    lines : BarLines
    """

    def __init__(self, account: Stepper, loop: LiveLoop, lines: BarLines) -> None:
        super().__init__(account, loop)
        self._lines = lines

    def submit(self, decision: Decision) -> None:
        """Send a decision, and print the bar's line."""
        super().submit(decision)
        self._lines.sent()
