"""Sources of bars, and the quality gate that every bar passes."""

from quantlab.data.parquet.source import ParquetSource
from quantlab.data.quality.coverage import Gap, QualityReport, Streak, SymbolQuality, coverage
from quantlab.data.quality.gate import MAX_FILLED, GateState, QualityGate
from quantlab.data.synthetic.oracle import OracleReport, Truth, directional_auc, measure_oracle
from quantlab.data.synthetic.source import SyntheticSource

__all__ = [
    "MAX_FILLED",
    "Gap",
    "GateState",
    "OracleReport",
    "ParquetSource",
    "QualityGate",
    "QualityReport",
    "Streak",
    "SymbolQuality",
    "SyntheticSource",
    "Truth",
    "coverage",
    "directional_auc",
    "measure_oracle",
]
