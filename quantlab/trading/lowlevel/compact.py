"""Lists of symbols, made of marks.

Which symbols hold units or are asked for changes with every bar: a branch on it is foreseen wrongly, and
costs more than the work behind it. So marks are written for all symbols, a loop that the compiler makes
wide, and then moved together without a branch.
"""

# mypy: disable-error-code="no-any-return"
# Elements of arrays are Any to mypy; the compiler checks their types.

from __future__ import annotations

from typing import Any

import numpy as np

from quantlab.core.compiled import compiled
from quantlab.trading.lowlevel.layout import INLINED


@compiled(**INLINED)
def list_marked(marks: Any) -> int:
    """Write the indices of the ones in `marks`, uint64 (S,) of ones and zeros, over it; return how many they are."""
    n: Any = 0
    for s in range(len(marks)):
        marked = marks[s]
        marks[n] = s
        n += np.int64(marked)  # the sum of a signed and an unsigned number would be a float
    return n
