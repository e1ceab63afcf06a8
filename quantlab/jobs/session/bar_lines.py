"""One line on the screen for every bar of a live session."""

from __future__ import annotations

import logging

from rich.console import Console

from quantlab.core.clock import iso_utc
from quantlab.core.ports import Journal
from quantlab.evaluation.report.words import halt_words
from quantlab.execution.live.account import LiveAccount


class BarLines(logging.Handler):
    """A handler of the package's log that prints a line for every bar that the session has logged as done.

    Parameters
    ----------
    console : Console
    journal : Journal
        The session's: the line shows what it keeps.
    account : LiveAccount
    """

    def __init__(self, console: Console, journal: Journal, account: LiveAccount) -> None:
        super().__init__(logging.INFO)
        self._console, self._journal, self._account = console, journal, account
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Print the bar's line; other records pass by."""
        if record.name != "quantlab.execution.session.session" or record.getMessage() != "bar":
            return
        self.count += 1
        entry = self._journal.latest("bar")
        if entry is None:
            return
        bar = entry.facts["bar"]
        halts = ", ".join(map(halt_words, bar["halts"])) or "no halt"
        equity = bar["account"]["equity"]
        words = (
            f"{iso_utc(bar['open_ms'])}  equity {'?' if equity is None else f'{equity:,.2f}'} USD"
            f"  {len(bar['positions'])} positions  {len(self._account.orders.live())} orders under way  {halts}"
        )
        self._console.print(words, highlight=False, soft_wrap=True)
