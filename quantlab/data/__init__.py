"""Where bars come from, and the quality gate that every one of them passes."""

from quantlab.data.coverage import Gap, QualityReport, Run, SymbolQuality, coverage
from quantlab.data.oracle import OracleReport, Truth, directional_auc, measure_oracle
from quantlab.data.parquet import ParquetSource
from quantlab.data.quality import MAX_FILLED, GateState, QualityGate
from quantlab.data.synthetic import SyntheticSource

__all__ = [
    "MAX_FILLED",
    "Gap",
    "GateState",
    "OracleReport",
    "ParquetSource",
    "QualityGate",
    "QualityReport",
    "Run",
    "SymbolQuality",
    "SyntheticSource",
    "Truth",
    "coverage",
    "directional_auc",
    "measure_oracle",
]
