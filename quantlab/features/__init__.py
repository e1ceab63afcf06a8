"""The unified features: 49 per symbol and bar, one compiled step for history and live bars."""

from quantlab.features.catalogue import GROUPS, NAMES
from quantlab.features.contract import FeatureContract, feature_mismatch_total
from quantlab.features.extra import ExtraFeature, window_function
from quantlab.features.frames import BigBarStream
from quantlab.features.history import compute
from quantlab.features.kernels.loops import WARMUP
from quantlab.features.pipeline import FeaturePipeline
from quantlab.features.stream import FeatureStream

__all__ = [
    "GROUPS",
    "NAMES",
    "WARMUP",
    "BigBarStream",
    "ExtraFeature",
    "FeatureContract",
    "FeaturePipeline",
    "FeatureStream",
    "compute",
    "feature_mismatch_total",
    "window_function",
]
