"""The seams of the house: small protocols that rooms on one floor meet through.

Users extend quantlab by writing a class with these methods and naming it in yaml; nothing needs to
inherit. Protocols whose name begins with ``Has`` or that are marked as *optional* name a power that a source, a signal
or a model may have in addition; callers ask for it with ``isinstance``.

Every port of a session has a stand-in for tests in :mod:`quantlab.core.fakes`.
"""

from quantlab.core.ports.data import (
    CollectProgress,
    DataSource,
    HasDataNotes,
    HasFileChecks,
    HasMarket,
    HasSoundPart,
    HasTruth,
    HasUniverseNotes,
    Importer,
    PlantedEdge,
)
from quantlab.core.ports.features import FeatureSource, FeatureStream, HasDefinitions
from quantlab.core.ports.learning import Labeler, MemberTuner, Splitter, ThresholdedLearner, WalkForwardLearner
from quantlab.core.ports.models import (
    FittedModel,
    HasColumns,
    HasLookback,
    Model,
    ModelStore,
    ProgressReportingModel,
    StridedModel,
)
from quantlab.core.ports.progress import Progress, ProgressCallback, Stage
from quantlab.core.ports.reports import ReportedAccount, ReportedVerdict, StrategyReport
from quantlab.core.ports.session import (
    AlertSink,
    BarFeed,
    BarFetcher,
    Broker,
    Clock,
    HasVenueClock,
    HasVenueTime,
    Journal,
    ReleaseSource,
)
from quantlab.core.ports.signals import (
    FeatureReader,
    HasModels,
    HasWarmup,
    Learner,
    SignalSource,
    SignalStream,
    VoteReader,
)
from quantlab.core.ports.trading import BacktestEngine, Policy, PositionSizer
from quantlab.core.ports.tuning import ThresholdSearch
from quantlab.core.ports.venue import Venue

__all__ = [
    "AlertSink",
    "BacktestEngine",
    "BarFeed",
    "BarFetcher",
    "Broker",
    "Clock",
    "CollectProgress",
    "DataSource",
    "FeatureReader",
    "FeatureSource",
    "FeatureStream",
    "FittedModel",
    "HasColumns",
    "HasDataNotes",
    "HasDefinitions",
    "HasFileChecks",
    "HasLookback",
    "HasMarket",
    "HasModels",
    "HasSoundPart",
    "HasTruth",
    "HasUniverseNotes",
    "HasVenueClock",
    "HasVenueTime",
    "HasWarmup",
    "Importer",
    "Journal",
    "Labeler",
    "Learner",
    "MemberTuner",
    "Model",
    "ModelStore",
    "PlantedEdge",
    "Policy",
    "PositionSizer",
    "Progress",
    "ProgressCallback",
    "ProgressReportingModel",
    "ReleaseSource",
    "ReportedAccount",
    "ReportedVerdict",
    "SignalSource",
    "SignalStream",
    "Splitter",
    "Stage",
    "StrategyReport",
    "StridedModel",
    "ThresholdSearch",
    "ThresholdedLearner",
    "Venue",
    "VoteReader",
    "WalkForwardLearner",
]
