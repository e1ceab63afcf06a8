"""Markets that a file's rows speak of, whatever its name says: prices that nobody traded at have no volume."""

from __future__ import annotations

import numpy as np

from quantlab.core.arrays import Float64Array
from quantlab.core.errors import DataError
from quantlab.core.market import CLOSE, VOLUME

#: A premium index is a fraction of the price, of either sign.
_LARGEST_PREMIUM = 0.05


def refuse_without_volume(values: Float64Array, name: str, fix: str) -> None:
    """Refuse a file of bars without volume in any row.

    Parameters
    ----------
    values : float64 (N, 5)
    name : str
        The file's.
    fix : str
        Another way out, where nothing was traded and the file is right.

    Raises
    ------
    DataError
        Naming the prices that such files hold.
    """
    if not len(values) or not (values[:, VOLUME] == 0.0).all():
        return
    close = values[:, CLOSE]
    premium = np.abs(close).max() < _LARGEST_PREMIUM or close.min() <= 0.0
    kinds = "a premium index or a price below 0.05" if premium else "mark prices or an index"
    raise DataError(
        f"bars of a market with trades in {name}", found=f"no volume in any row, as of {kinds}", fix=f"take it out{fix}"
    )
