"""The paper session of a comparison: the real one, with its gate, stream, broker and journal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantlab.core.clock import iso_utc
from quantlab.core.market import Bars
from quantlab.core.ports import AlertSink, BarFeed, Broker, Stage
from quantlab.execution.journal.sqlite import SqliteJournal
from quantlab.execution.session.engine import Market
from quantlab.execution.session.rules import SessionRules
from quantlab.execution.session.session import Session
from quantlab.jobs.parity.account_record import AccountRecord, record_of_journal
from quantlab.trading.bar.stepper import Stepper

#: Bars between two looks at the progress.
STRIDE = 288


@dataclass(frozen=True)
class PaperSession:
    """The parts that all sessions of a comparison have in common.

    Parameters
    ----------
    make_feed : callable
        Takes a history and ``start=``, ISO 8601; gives a BarFeed.
    make_broker : callable
        Takes the account.
    alerts : AlertSink
    rules : SessionRules
    initial_cash : float
        USD.
    """

    make_feed: Callable[..., BarFeed]
    make_broker: Callable[[Stepper], Broker]
    alerts: AlertSink
    rules: SessionRules
    initial_cash: float

    def run(self, path: Path, strategy: Any, bars: Bars, first: int, stage: Stage) -> AccountRecord:
        """Run a session that warms up on the rows before `first` and trades the others; return its account's record.

        Parameters
        ----------
        path : Path
            Of its journal, a new file.
        strategy : Strategy
        bars : Bars
        first : int
            Row of `bars`, >= 0.
        stage : Stage
            Of as many steps as bars are traded.
        """
        with SqliteJournal(path) as journal:
            session = Session(
                strategy,
                Market.of(bars),
                feed=self.make_feed(bars, start=iso_utc(int(bars.open_time_ms[first]))),
                journal=journal,
                make_broker=self.make_broker,
                alerts=self.alerts,
                rules=self.rules,
                initial_cash=self.initial_cash,
                history=bars.rows(0, first) if first else None,
            )
            session.start()
            while taken := session.run(most_bars=STRIDE):
                stage.advance(taken)
            session.finish("the feed ended")
            return record_of_journal(journal.replay())
