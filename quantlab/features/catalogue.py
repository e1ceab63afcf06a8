"""The unified 49: what each feature is, in the order of its column.

Notation: l* = natural log of O, H, L, C; x1 = the previous bar's x; r = lC - lC1; g = lO - lC1; hl = lH - lL;
bd = lC - lO; d = C - C1; tp = (H+L+C)/3; S_n = sum over the last n bars including this one; Q_n = S_n(r^2);
W14 = Wilder smoothing, a = 1/14; ATR = W14(max(H-L, |H-C1|, |L-C1|)); +DM = H-H1 where H-H1 > L1-L and > 0,
else 0, -DM mirrored; A = max(ATR, 1e-5 C); EMA_n: a = 2/(n+1); tiny = 1e-12 C; "dead" = Q_288 <= 1e-20;
clip = cut to +-50.

Sources name where an idea is known from; they are for orientation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from quantlab.features.kernels.formulas import CLIP


@dataclass(frozen=True, slots=True)
class FeatureSpec:
    """One feature.

    Parameters
    ----------
    name, group : str
    low, high : float
        Closed range of the values; infinite where the definition sets no bound.
    neutral : float
        The value in a market where nothing ever moves or trades.
    formula : str
        In the notation of this module, with the condition of the neutral value.
    windows : tuple of int
        Bars that the formula spans; recursions are named by their nominal length.
    source : str
        Paper, book or library function that the idea is known from; empty where there is none.
    version : int
        Rises with every change of the definition, and with it every fingerprint changes.
    """

    name: str
    group: str
    low: float
    high: float
    neutral: float
    formula: str
    windows: tuple[int, ...]
    source: str
    version: int


_INF = math.inf
_ATR = "TA-Lib ATR"
_WILDER = "Wilder 1978"

# name, group, low, high, neutral, formula, windows, source
_ROWS: tuple[tuple[str, str, float, float, float, str, tuple[int, ...], str], ...] = (
    ("ret_1", "price", -_INF, _INF, 0, "r", (1,), "ln of TA-Lib ROCR"),
    ("hl_range", "price", 0, _INF, 0, "hl", (1,), "Parkinson 1980"),
    ("drawdown_288", "price", -_INF, 0, 0, "ln(C / max H over 288)", (288,), "TA-Lib MAX"),
    ("upper_wick", "price", 0, _INF, 0, "lH - max(lO, lC)", (1,), ""),
    ("lower_wick", "price", 0, _INF, 0, "min(lO, lC) - lL", (1,), ""),
    ("vwap_dist_288", "price", -1, _INF, 0, "C S_288(V) / S_288(tp V) - 1; 0 if S_288(V) = 0", (288,), "VWAP"),
    (
        *("rsi_14", "momentum", 0, 1, 0.5),
        "G/(G+D), G = W14(max(d, 0)), D = W14(max(-d, 0)); 0.5 if G+D <= tiny",
        (14,),
        "TA-Lib RSI/100",
    ),
    ("macd_atr", "momentum", -CLIP, CLIP, 0, "(EMA12 - EMA26)/A, clip", (12, 26, 14), "TA-Lib MACD/ATR"),
    (
        *("macd_hist_atr", "momentum", -CLIP, CLIP, 0),
        "(macd - EMA9(macd))/A, clip",
        (12, 26, 9, 14),
        "TA-Lib MACD histogram/ATR",
    ),
    ("stoch_k_14", "momentum", 0, 1, 0.5, "(C - LL14)/(HH14 - LL14); 0.5 if HH = LL", (14,), "TA-Lib STOCHF/100"),
    ("stoch_d_3", "momentum", 0, 1, 0.5, "mean of stoch_k_14 over 3", (14, 3), "TA-Lib STOCHF/100"),
    (
        *("mom_z_12", "momentum", -17, 17, 0),
        "(lC - lC_12)/sqrt(Q_288 12/288); 0 if dead",
        (12, 288),
        "Moskowitz, Ooi, Pedersen 2012",
    ),
    (
        *("mom_z_48", "momentum", -17, 17, 0),
        "(lC - lC_48)/sqrt(Q_288 48/288); 0 if dead",
        (48, 288),
        "Moskowitz, Ooi, Pedersen 2012",
    ),
    ("ema_dist_atr_9", "trend", -CLIP, CLIP, 0, "(C - EMA_9)/A, clip", (9, 14), "TA-Lib EMA, ATR"),
    ("ema_dist_atr_21", "trend", -CLIP, CLIP, 0, "(C - EMA_21)/A, clip", (21, 14), "TA-Lib EMA, ATR"),
    ("ema_dist_atr_50", "trend", -CLIP, CLIP, 0, "(C - EMA_50)/A, clip", (50, 14), "TA-Lib EMA, ATR"),
    ("sma_dist_atr_200", "trend", -CLIP, CLIP, 0, "(C - SMA_200)/A, clip", (200, 14), "TA-Lib SMA, ATR"),
    (
        *("adx_14", "trend", 0, 1, 0),
        "W14(|P-M|/(P+M)), P = W14(+DM), M = W14(-DM); ratio 0 if P+M <= tiny",
        (14, 14),
        "TA-Lib ADX/100",
    ),
    ("plus_di_14", "trend", 0, 1, 0, "P/ATR; 0 if ATR <= tiny", (14,), "TA-Lib PLUS_DI/100"),
    ("minus_di_14", "trend", 0, 1, 0, "M/ATR; 0 if ATR <= tiny", (14,), "TA-Lib MINUS_DI/100"),
    (
        *("aroon_osc_25", "trend", -1, 1, 0),
        "(bars since lowest low - bars since highest high)/25 over 26 bars; a tie takes the latest",
        (26,),
        "TA-Lib AROONOSC/100",
    ),
    (
        *("linreg_slope_z_20", "trend", -_INF, _INF, 0),
        "OLS slope of lC over 20 / sqrt(Q_288/288); 0 if dead",
        (20, 288),
        "",
    ),
    (
        *("linreg_r2_20", "trend", 0, 1, 0),
        "R^2 of that fit; 0 if the centred sum of squares <= 1e-20",
        (20,),
        "",
    ),
    ("efficiency_20", "trend", 0, 1, 0, "|C - C_20|/S_20(|d|); 0 if the sum <= tiny", (20,), "Kaufman 1995"),
    (
        *("mom_z_288", "trend", -17, 17, 0),
        "(lC - lC_288)/sqrt(Q_288); 0 if dead",
        (288,),
        "Moskowitz, Ooi, Pedersen 2012",
    ),
    ("donchian_pos_55", "trend", 0, 1, 0.5, "(C - LL55)/(HH55 - LL55); 0.5 if HH = LL", (55,), "TA-Lib MAX, MIN"),
    ("natr_14", "volatility", 0, _INF, 0, "ATR/C", (14,), "TA-Lib NATR/100"),
    ("bb_width_20", "volatility", 0, _INF, 0, "4 sd_20/SMA_20, population sd", (20,), "TA-Lib BBANDS"),
    (
        *("bb_pos_20", "volatility", -0.6, 1.6, 0.5),
        "(C - SMA_20)/(4 sd_20) + 0.5; 0.5 if sd <= tiny",
        (20,),
        "TA-Lib BBANDS",
    ),
    (
        *("yang_zhang_24", "volatility", 0, _INF, 0),
        "sqrt(var(g) + k var(bd) + (1-k) mean(RS)), var with n-1, k = 0.34/(1.34 + 25/23), "
        "RS = (lH-lC)(lH-lO) + (lL-lC)(lL-lO)",
        (24,),
        "Yang, Zhang 2000",
    ),
    ("rv_288", "volatility", 0, _INF, 0, "sqrt(Q_288/288)", (288,), "Andersen, Bollerslev 1998"),
    (
        *("vol_ratio_24_288", "volatility", 0, 3.47, 1),
        "sqrt(12 Q_24/Q_288); 1 if dead",
        (24, 288),
        "",
    ),
    (
        *("parkinson_share_48", "volatility", 0, 1, 0.5),
        "P/(P + Q_48), P = S_48(hl^2)/(4 ln 2); 0.5 if the sum <= 1e-20",
        (48,),
        "Parkinson 1980",
    ),
    (
        *("downside_share_48", "volatility", 0, 1, 0.5),
        "S_48(r^2 where r < 0)/Q_48; 0.5 if Q_48 <= 1e-20",
        (48,),
        "Barndorff-Nielsen et al. 2010",
    ),
    ("rel_volume_20", "volume", 0, 3.05, 0, "ln(1 + V/SMA_20(V)); 0 if SMA = 0", (20,), "TA-Lib SMA"),
    (
        *("volume_trend_24_288", "volume", 0, 2.57, math.log(2.0)),
        "ln(1 + SMA_24(V)/SMA_288(V)); ln 2 if no volume",
        (24, 288),
        "TA-Lib SMA",
    ),
    ("obv_20", "volume", -1, 1, 0, "S_20(sign(d) V)/S_20(V); 0 if no volume", (20,), "Granville's OBV in a window"),
    ("cmf_20", "volume", -1, 1, 0, "S_20(clv V)/S_20(V); 0 if no volume", (20,), "Chaikin"),
    (
        *("mfi_14", "volume", 0, 1, 0.5),
        "U/(U+D), U, D = S_14 of tp V where tp rose, fell; 0.5 if U+D = 0",
        (14,),
        "TA-Lib MFI/100",
    ),
    ("doji", "patterns", 0, 1, 1, "|C-O| <= 0.1 mean(H-L over the previous 10 bars)", (11,), "TA-Lib CDLDOJI"),
    ("pin_bar", "patterns", -1, 1, 0, "(lower wick - upper wick)/(H-L), in price; 0 if H = L", (1,), ""),
    (
        *("engulfing", "patterns", -1, 1, 0),
        "+-1: opposite colours (C >= O is white), the body covers the previous body; one end may be equal, not both",
        (2,),
        "sign of TA-Lib CDLENGULFING",
    ),
    ("inside_outside", "patterns", -1, 1, 0, "+1 if H > H1 and L < L1; -1 if H < H1 and L > L1", (2,), ""),
    (
        *("streak", "patterns", -1, 1, 0),
        "signed run of rising or falling closes, unchanged resets to 0, capped at 10, /10",
        (11,),
        "",
    ),
    ("clv", "microstructure", -1, 1, 0, "(2C - H - L)/(H - L); 0 if H = L", (1,), "Chaikin"),
    (
        *("amihud_share_24_288", "microstructure", 0, 1, 0.5),
        "a/(a+b); a, b = mean of |r|/(C V) over 24, 288 bars with V > 0; 0.5 if no volume in 24 bars or a+b = 0",
        (24, 288),
        "Amihud 2002",
    ),
    (
        *("autocorr_48", "microstructure", -1, 1, 0),
        "S_48(r r1)/sqrt(S_48(r^2) S_48(r1^2)); 0 if the root <= 1e-20",
        (49,),
        "Roll 1984",
    ),
    (
        *("corwin_schultz_24", "microstructure", 0, 2, 0),
        "mean over 24 of max(0, 2 tanh(alpha/2)); beta = hl^2 + hl1^2, gamma = ln(max(H,H1)/min(L,L1))^2, "
        "alpha = (sqrt(2 beta) - sqrt(beta))/(3 - 2 sqrt 2) - sqrt(gamma/(3 - 2 sqrt 2))",
        (25,),
        "Corwin, Schultz 2012",
    ),
    (
        *("bvc_imbalance_48", "microstructure", -1, 1, 0),
        "S_48(V erf(r/(sqrt 2 sqrt(Q_288/288))))/S_48(V), a bar that is dead adds 0; 0 if no volume",
        (48, 288),
        "Easley, Lopez de Prado, O'Hara 2012",
    ),
)

#: The average true range of feature sets without ``natr_14``: none of the 49, and behind the chosen ones.
MEAN_RANGE = FeatureSpec(
    *("mean_range_14", "volatility", 0, _INF, 0),
    "mean of max(H-L, |H-C1|, |L-C1|) over 14 bars / C",
    (15,),
    "",
    version=1,
)

#: The 49, in column order.
CATALOGUE: tuple[FeatureSpec, ...] = tuple(FeatureSpec(*row, version=1) for row in _ROWS)
#: Their names, in column order.
NAMES: tuple[str, ...] = tuple(spec.name for spec in CATALOGUE)
#: Names by group, in column order.
GROUPS: dict[str, tuple[str, ...]] = {
    group: tuple(spec.name for spec in CATALOGUE if spec.group == group)
    for group in dict.fromkeys(spec.group for spec in CATALOGUE)
}
