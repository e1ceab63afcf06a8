"""Stand-ins for the ports: small, honest objects for tests and examples."""

from quantlab.core.clock import FakeClock
from quantlab.core.fakes.models import ConstantModel, FittedConstant, MemoryStore
from quantlab.core.fakes.session import FakeBroker, ListFeed, ListFetcher, ListReleases, MemoryAlerts, MemoryJournal
from quantlab.core.fakes.sources import BarsSource, FixedSignal
from quantlab.core.fakes.venue import MemoryVenue, Scripted
from quantlab.core.fakes.venue_facts import listed_symbol
from quantlab.core.progress import SilentProgress

__all__ = [
    "BarsSource",
    "ConstantModel",
    "FakeBroker",
    "FakeClock",
    "FittedConstant",
    "FixedSignal",
    "ListFeed",
    "ListFetcher",
    "ListReleases",
    "MemoryAlerts",
    "MemoryJournal",
    "MemoryStore",
    "MemoryVenue",
    "Scripted",
    "SilentProgress",
    "listed_symbol",
]
