"""Memory of the features: bars after which a value depends on no earlier bar, to the last bit.

A window remembers its own length, one bar more where it reads returns, and the sum of both where it is a window of a
window. A recursion remembers its start for as long as rounding leaves a trace of it: hundreds of bars, and how many
only trying can tell, which is why ``WARMUP`` is what it is. ``job=warmup`` holds these numbers against restarts.
"""

from __future__ import annotations

from quantlab.core.clock import MS_PER_DAY
from quantlab.core.durations import duration_ms

#: Memory in bars -> the features that have it. Features that are not here are recursions.
_BY_BARS: dict[int, tuple[str, ...]] = {
    1: ("pin_bar", "clv"),
    2: ("ret_1", "hl_range", "upper_wick", "lower_wick", "engulfing", "inside_outside"),
    11: ("doji", "streak"),
    14: ("stoch_k_14",),
    15: ("mfi_14", "mean_range_14"),
    16: ("stoch_d_3",),
    20: ("linreg_r2_20", "bb_width_20", "bb_pos_20", "rel_volume_20", "cmf_20"),
    21: ("efficiency_20", "obv_20"),
    25: ("yang_zhang_24",),
    26: ("aroon_osc_25", "corwin_schultz_24"),
    49: ("parkinson_share_48", "downside_share_48"),
    50: ("autocorr_48",),
    55: ("donchian_pos_55",),
    288: ("drawdown_288", "vwap_dist_288", "volume_trend_24_288"),
    289: (
        *("mom_z_12", "mom_z_48", "mom_z_288", "linreg_slope_z_20"),
        *("rv_288", "vol_ratio_24_288", "amihud_share_24_288"),
    ),
    336: ("bvc_imbalance_48",),
}
#: Feature -> memory in bars, for those with finite windows.
MEMORY: dict[str, int] = {name: bars for bars, names in _BY_BARS.items() for name in names}

#: Bar lengths for which a warm-up is also said in time.
_INTERVALS = ("5m", "1h", "4h", "1d", "1w")


def warmup_days(bars: int) -> dict[str, float]:
    """The time that a warm-up of `bars` takes, in days, by the length of a bar.

    Examples
    --------
    >>> warmup_days(336)
    {'5m': 1.1666666666666667, '1h': 14.0, '4h': 56.0, '1d': 336.0, '1w': 2352.0}
    """
    return {text: bars * duration_ms("interval", text) / MS_PER_DAY for text in _INTERVALS}


def warmup_text(bars: int) -> str:
    """The same as a sentence's part.

    Examples
    --------
    >>> warmup_text(1_536)
    '5.3 days of 5m bars, 64 days of 1h, 256 days of 4h, 4.2 years of 1d, 29 years of 1w'
    """
    first, *others = (f"{days_text(days)} of {text}" for text, days in warmup_days(bars).items())
    return ", ".join([f"{first} bars", *others])


def days_text(days: float) -> str:
    """A time in hours, days or years, to two digits or whole.

    Examples
    --------
    >>> days_text(0.19), days_text(64.0), days_text(1_536.0)
    ('4.6 hours', '64 days', '4.2 years')
    """
    value, unit = (days * 24, "hours") if days < 1 else ((days, "days") if days < 366 else (days / 365.25, "years"))
    return f"{value:.2g} {unit}" if value < 10 else f"{value:.0f} {unit}"
